#include "cli/chat_form.h"

#include "cli/model_path.h"

int chat_form(const struct Run *run, const struct Options *options, const char *otherwise, struct ChatTemplate *form,
              vkgpt_error *err)
{
    const struct ChatTokens tokens = chat_tokens(run_model(run), run->tokenizer);
    char path[PATH_BYTES];
    if (options->chat_template) return chat_template_open(options->chat_template, &tokens, form, err);
    if (!options->tokenizer) return chat_template_own(run->dir, otherwise, &tokens, form, err);
    int code = model_path_for(NEED_TOKENIZER, options->tokenizer, path, sizeof path, err);
    return code ? code : chat_template_own(path, otherwise, &tokens, form, err);
}
