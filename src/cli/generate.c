// vkgpt generate: reads a prompt and prints new text as it comes.
#include <string.h>

#include "cli/cli.h"
#include "cli/generate_batch.h"
#include "cli/generation.h"

// The default model cannot answer questions.
static bool is_question(const struct Input *input)
{
    size_t end = input->is_ids ? 0 : input->text.bytes;
    while (end && strchr(" \t\r\n", input->text.data[end - 1])) end--;
    return end && input->text.data[end - 1] == '?';
}

static int prepare(struct Run *run, struct Input *input, const struct Options *options, vkgpt_error *err)
{
    int code = run_open(run, options, !input->is_ids || options->stop_count, err);
    if (!code) code = input_encode(input, run->tokenizer, run_model(run)->vocab, !options->no_special, err);
    if (!code) code = input_never_empty(input, run_model(run), err);
    return code ? code : run_fits(run, input->name, input->count, err);
}

int generate_main(const struct Options *options)
{
    if (options->logprobs && !options->json) return wrong_usage("--logprobs needs --json");
    if (options->prompts || options->parallel > 1) return generate_batch_main(options);
    struct Input input;
    int status = input_read(&input, options, true);
    if (status) return status;
    struct Options own = *options;
    struct Generation generation;
    struct Run run;
    vkgpt_error err;
    generation_begin(&generation, &own);
    generation.echo = generation_echoes(options);
    int code = prepare(&run, &input, options, &err);
    if (!code) code = generation_configure(&generation, &own, GENERATE, &run, &err);
    if (!code && is_question(&input)) run_tell_default(&run);
    if (!code) code = generation_run(&generation, &run, &input, &err);
    status = code ? failed(&err) : generation_report(&generation, &run, &input, NULL);

    generation_end(&generation);
    run_close(&run);
    input_free(&input);
    return status;
}
