#include "serve/prompts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/encode.h"

// ------------------------------------------------------------------------------------------- one prompt

int prompts_read_ids(const struct Served *served, const char *param, const struct Json *list, uint32_t **ids,
                     size_t *count, struct Refusal *refusal)
{
    size_t n = 0;
    int64_t id;
    char shown[JSON_SHOWN];
    *count = json_count(list);
    *ids = calloc(*count + 1, sizeof **ids);
    if (!*ids) return refuse_memory(refusal, param);
    for (const struct Json *item = json_first(list); item; item = json_next(item)) {
        if (!json_integer(item, 0, (int64_t)served->model->vocab - 1, &id))
            return refuse(refusal, 400, param, NULL,
                          "%s holds %s: a token id of this model lies between 0 and %" PRIu32, param,
                          json_shown(item, shown), served->model->vocab - 1);
        (*ids)[n++] = (uint32_t)id;
    }
    return 0;
}

static int check_ids(const struct Served *served, const char *param, const struct Prompt *prompt,
                     struct Refusal *refusal)
{
    if (prompt->count > served->context)
        return refuse(refusal, 400, param, "context_length_exceeded",
                      "the prompt has %zu tokens, the context has room for %" PRIu32, prompt->count, served->context);
    for (size_t i = 0; i < prompt->count; i++)
        if (prompt->ids[i] >= served->model->vocab)
            return refuse(refusal, 400, param, NULL,
                          "token %zu of the prompt has the id %" PRIu32 ": the model has ids below %" PRIu32, i,
                          prompt->ids[i], served->model->vocab);
    return 0;
}

static int never_empty(const struct Served *served, const char *param, struct Prompt *prompt, struct Refusal *refusal)
{
    uint32_t first;
    if (prompt->count) return 0;
    if (!encode_first_token(served->model, &first))
        return refuse(refusal, 400, param, NULL, "the prompt is empty, and %s has no bos or eos token to begin with",
                      served->name);
    free(prompt->ids);
    prompt->ids = calloc(1, sizeof *prompt->ids);
    if (!prompt->ids) return refuse_memory(refusal, param);
    prompt->ids[0] = first;
    prompt->count = 1;
    prompt->empty = true;
    return 0;
}

static int finish(const struct Served *served, const char *param, struct Prompt *prompt, struct Refusal *refusal)
{
    int status = never_empty(served, param, prompt, refusal);
    return status ? status : check_ids(served, param, prompt, refusal);
}

static int read_text(const struct Served *served, const char *text, struct Prompt *prompt, struct Refusal *refusal)
{
    vkgpt_error err;
    buffer_text(&prompt->text, text);
    if (prompt->text.failed) return refuse_memory(refusal, "the prompt");
    int code = encode_open(served->tok, &prompt->text, true, &prompt->ids, &prompt->count, &err);
    return code ? refuse_error(refusal, 400, "prompt", &err) : finish(served, "prompt", prompt, refusal);
}

static int read_one(const struct Served *served, const struct Json *item, struct Prompt *prompt,
                    struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    const char *text = json_text(item);
    if (text) return read_text(served, text, prompt, refusal);
    if (!json_is_array(item))
        return refuse(refusal, 400, "prompt", NULL, "prompt holds %s, it has to hold texts, or lists of token ids",
                      json_shown(item, shown));
    int status = prompts_read_ids(served, "prompt", item, &prompt->ids, &prompt->count, refusal);
    return status ? status : finish(served, "prompt", prompt, refusal);
}

// --------------------------------------------------------------------------------------------- all of them

static int make_list(struct Prompts *prompts, size_t count, struct Refusal *refusal)
{
    prompts->list = calloc(count, sizeof *prompts->list);
    if (!prompts->list) return refuse_memory(refusal, "the prompts");
    prompts->count = count;
    return 0;
}

static int read_list(const struct Served *served, const struct Json *list, struct Prompts *prompts,
                     struct Refusal *refusal)
{
    size_t count = json_count(list), i = 0;
    if (!count) return refuse(refusal, 400, "prompt", NULL, "prompt is an empty list");
    if (count > MOST_PROMPTS)
        return refuse(refusal, 400, "prompt", NULL, "prompt has %zu entries, %d at most are taken", count,
                      MOST_PROMPTS);
    int status = make_list(prompts, count, refusal);
    for (const struct Json *item = json_first(list); item && !status; item = json_next(item))
        status = read_one(served, item, &prompts->list[i++], refusal);
    return status;
}

int prompts_read(const struct Served *served, const struct Json *prompt, struct Prompts *prompts,
                 struct Refusal *refusal)
{
    *prompts = (struct Prompts){.count = 0};
    if (json_is_array(prompt) && !json_is_number(json_first(prompt)))
        return read_list(served, prompt, prompts, refusal);
    int status = make_list(prompts, 1, refusal);
    if (status) return status;
    if (!prompt) return read_text(served, "", &prompts->list[0], refusal);
    return read_one(served, prompt, &prompts->list[0], refusal);
}

void prompts_free(struct Prompts *prompts)
{
    for (size_t i = 0; i < prompts->count; i++) {
        buffer_free(&prompts->list[i].text);
        free(prompts->list[i].ids);
    }
    free(prompts->list);
    *prompts = (struct Prompts){.count = 0};
}

// ------------------------------------------------------------------------------------------- conversations

static const struct Role {
    const char *name;
    enum ChatRole role;
} ROLES[] = {{"system", CHAT_SYSTEM}, {"developer", CHAT_SYSTEM}, {"user", CHAT_USER}, {"assistant", CHAT_ASSISTANT}};

static int read_role(const struct Served *served, const struct Json *message, enum ChatRole *role,
                     struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    const char *name = json_text(json_get(message, "role"));
    for (size_t i = 0; name && i < sizeof ROLES / sizeof ROLES[0]; i++) {
        if (strcmp(ROLES[i].name, name) != 0) continue;
        *role = ROLES[i].role;
        if (served->chat->has[*role]) return 0;
        return refuse(refusal, 400, "messages", NULL, "the chat template has no line for a message of role %s", name);
    }
    return refuse(refusal, 400, "messages", NULL, "a message has the role %s, it has to be system, user or assistant",
                  json_shown(json_get(message, "role"), shown));
}

// A text, or a list of parts of type text.
static int read_content(const struct Json *content, struct Buffer *text, struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    buffer_text(text, "");
    if (json_text(content)) {
        buffer_text(text, json_text(content));
        return 0;
    }
    const struct Json *part = json_is_array(content) ? json_first(content) : NULL;
    for (; part; part = json_next(part)) {
        const char *type = json_text(json_get(part, "type")), *own = json_text(json_get(part, "text"));
        if (!own || (type && strcmp(type, "text") != 0)) break;
        buffer_text(text, own);
    }
    if (json_is_array(content) && !part) return 0;
    return refuse(refusal, 400, "messages", NULL, "the content of a message is %s, it has to be text",
                  json_shown(part ? part : content, shown));
}

int prompts_render(const struct Served *served, const struct Json *messages, bool answer, struct Buffer *text,
                   struct Refusal *refusal)
{
    int status = 0;
    if (!served->chat) return refuse(refusal, 400, NULL, NULL, "%s", served->no_chat);
    if (!json_is_array(messages) || !json_first(messages))
        return refuse(refusal, 400, "messages", NULL, "messages has to be a list of at least one message");
    buffer_add(text, served->chat->begin.data, served->chat->begin.bytes);
    for (const struct Json *message = json_first(messages); message && !status; message = json_next(message)) {
        enum ChatRole role = CHAT_USER;
        struct Buffer content = {0};
        status = read_role(served, message, &role, refusal);
        if (!status) status = read_content(json_get(message, "content"), &content, refusal);
        if (!status) chat_render(served->chat, role, &content, text);
        text->failed = text->failed || content.failed;
        buffer_free(&content);
    }
    if (!status && answer) chat_render(served->chat, CHAT_ASSISTANT, NULL, text);
    return !status && text->failed ? refuse_memory(refusal, "the conversation") : status;
}

int prompts_read_messages(const struct Served *served, const struct Json *messages, struct Prompts *prompts,
                          struct Refusal *refusal)
{
    *prompts = (struct Prompts){.count = 0};
    vkgpt_error err;
    int status = make_list(prompts, 1, refusal);
    if (status) return status;
    struct Prompt *prompt = &prompts->list[0];
    status = prompts_render(served, messages, true, &prompt->text, refusal);
    if (status) return status;
    int code = served->chat->starts
                   ? encode_open(served->tok, &prompt->text, true, &prompt->ids, &prompt->count, &err)
                   : encode_inside(served->tok, &prompt->text, true, &prompt->ids, &prompt->count, &err);
    return code ? refuse_error(refusal, 400, "messages", &err) : finish(served, "messages", prompt, refusal);
}
