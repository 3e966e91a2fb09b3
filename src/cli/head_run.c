#include "cli/head_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/input.h"
#include "cli/model_path.h"
#include "tasks/escapes.h"

// -------------------------------------------------------------------------------------------- special tokens

// The id of a token by its text, or -1. A text that is encoded as several tokens is not a token.
static int find_token(const struct HeadRun *h, const char *text, int64_t *id, vkgpt_error *err)
{
    uint32_t *ids;
    size_t count, bytes = 0;
    int code = vkgpt_encode(h->run.tokenizer, text, strlen(text), true, &ids, &count, err);
    if (code) return code;
    *id = count == h->lead.count + 1 + h->tail_count ? (int64_t)ids[h->lead.count] : -1;
    const char *token = *id < 0 ? NULL : vkgpt_token_bytes(h->run.tokenizer, (uint32_t)*id, &bytes);
    if (token && (bytes != strlen(text) || memcmp(token, text, bytes) != 0)) *id = -1; // GPT-1's <unk>
    free(ids);
    return 0;
}

// The token that the flag names; "": none. Without the flag, `usual` if the tokenizer has it.
static int special_token(const struct HeadRun *h, const char *flag, const char *given, const char *usual, int64_t *id,
                         vkgpt_error *err)
{
    *id = -1;
    if (given && !*given) return 0;
    if (!h->run.tokenizer)
        return given ? fail(err, VKGPT_BAD_ARGUMENT, "%s: there is no tokenizer in %s to look '%s' up in (%s)", flag,
                            h->run.dir, given, h->run.no_tokenizer)
                     : 0;
    int code = find_token(h, given ? given : usual, id, err);
    if (!code && given && *id < 0)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: '%s' is not a token of %s", flag, given, h->run.dir);
    if (!code && *id >= (int64_t)run_model(&h->run)->vocab)
        return fail(err, VKGPT_BAD_MODEL, "%s: token %s has the id %lld, the model has ids below %u", h->run.dir,
                    given ? given : usual, (long long)*id, run_model(&h->run)->vocab);
    return code;
}

// Reports a tokenizer that cannot be read, because it may have the usual tokens.
static void tell_unread(const struct HeadRun *h, const struct Options *options)
{
    struct Located at;
    if (h->run.tokenizer || (options->start && options->extract) || model_locate(h->run.dir, NEED_TOKENIZER, &at, NULL))
        return;
    fprintf(stderr, "vkgpt: %s: so it adds no tokens around the ids\n", h->run.no_tokenizer);
}

static int special_tokens(struct HeadRun *h, const struct Options *options, vkgpt_error *err)
{
    int code = 0;
    if (h->run.tokenizer) code = vkgpt_encode(h->run.tokenizer, "", 0, true, &h->lead.ids, &h->lead.count, err);
    if (h->run.tokenizer && !code) h->tail_count = vkgpt_trailing_tokens(h->run.tokenizer);
    h->lead.count -= h->tail_count; // the ids of the tail follow those of the lead
    if (!code) code = special_token(h, "--start", options->start, "_start_", &h->start, err);
    if (!code) code = special_token(h, "--delimiter", options->delimiter, "_delimiter_", &h->delimiter, err);
    if (!code) code = special_token(h, "--extract", options->extract, "_classify_", &h->extract, err);
    if (!code) tell_unread(h, options);
    return code;
}

// -------------------------------------------------------------------------------------------------- sequences

static void add_ids(struct Tokens *tokens, const uint32_t *ids, size_t count)
{
    if (!count) return;
    tokens->ids = reallocate(tokens->ids, (tokens->count + count) * sizeof *tokens->ids);
    memcpy(tokens->ids + tokens->count, ids, count * sizeof *tokens->ids);
    tokens->count += count;
}

static void add_token(struct Tokens *tokens, int64_t id)
{
    uint32_t one = (uint32_t)id;
    if (id >= 0) add_ids(tokens, &one, 1);
}

// Adds a text without the tokens that the tokenizer puts before and after it.
static int add_text(const struct HeadRun *h, const struct Text *text, struct Tokens *tokens, vkgpt_error *err)
{
    uint32_t *ids;
    size_t count;
    int code = vkgpt_encode(h->run.tokenizer, text->data, text->bytes, h->special, &ids, &count, err);
    if (code) return code;
    add_ids(tokens, ids + h->lead.count, count - h->lead.count - h->tail_count);
    free(ids);
    return 0;
}

// Checks a sequence, and frees it if there is an error.
static int check_sequence(const struct HeadRun *h, const char *name, struct Tokens *tokens, int code, vkgpt_error *err)
{
    if (!code && !tokens->count)
        code = fail(err, VKGPT_BAD_ARGUMENT, "%s: the text is empty, and no token is added around it", name);
    if (!code) code = run_fits(&h->run, name, tokens->count, err);
    if (!code) return 0;
    free(tokens->ids);
    *tokens = (struct Tokens){0};
    return code;
}

int head_run_sequence(struct HeadRun *h, const struct Text *first, const struct Text *second, struct Tokens *tokens,
                      vkgpt_error *err)
{
    *tokens = (struct Tokens){0};
    if (second && h->delimiter < 0 && h->tail_count)
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "%s: the tokenizer adds tokens after a text: --delimiter has to name the token between two texts",
                    second->name);
    add_ids(tokens, h->lead.ids, h->lead.count);
    add_token(tokens, h->start);
    int code = add_text(h, first, tokens, err);
    if (second) {
        if (h->delimiter >= 0) add_token(tokens, h->delimiter);
        else add_ids(tokens, h->lead.ids, h->lead.count); // as for the second text of a pair
        if (!code) code = add_text(h, second, tokens, err);
    }
    if (h->extract >= 0) add_token(tokens, h->extract);
    else if (h->tail_count) add_ids(tokens, h->lead.ids + h->lead.count, h->tail_count);
    return check_sequence(h, second ? second->name : first->name, tokens, code, err);
}

int head_run_ids(struct HeadRun *h, const uint32_t *ids, size_t count, const char *name, struct Tokens *tokens,
                 vkgpt_error *err)
{
    *tokens = (struct Tokens){0};
    add_token(tokens, h->start);
    add_ids(tokens, ids, count);
    add_token(tokens, h->extract);
    return check_sequence(h, name, tokens, 0, err);
}

int head_run_hidden(struct HeadRun *h, const struct Tokens *tokens, float *hidden, vkgpt_error *err)
{
    size_t position = vkgpt_head_position(h->head, tokens->ids, tokens->count), kept = 0;
    while (kept < position && kept < h->ran.count && tokens->ids[kept] == h->ran.ids[kept]) kept++;
    size_t row = position - kept;
    int code = vkgpt_session_rewind(h->run.session, (uint32_t)kept, err);
    h->ran.count = 0;
    if (!code) code = vkgpt_hidden(h->run.session, tokens->ids + kept, row + 1, &row, 1, hidden, err);
    if (!code) add_ids(&h->ran, tokens->ids, position + 1);
    return code;
}

struct Text head_text(const struct Options *options, const char *text, const char *name, struct Buffer *kept)
{
    if (!options->escape) return (struct Text){text, strlen(text), name};
    buffer_text(kept, text);
    return (struct Text){kept->data, escapes_replace(kept->data, kept->bytes), name};
}

// ------------------------------------------------------------------------------------------------ open, close

static int check_kind(const struct HeadRun *h, const char *dir, const char *command, vkgpt_head_kind kind,
                      vkgpt_error *err)
{
    const vkgpt_head_info *info = h->info;
    if (kind == VKGPT_HEAD_LABELS && info->kind != kind)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: its head is a multiple_choice_head, and %s needs one with labels (score.weight)", dir,
                    command);
    if (kind == VKGPT_HEAD_CHOICE && info->scores != 1)
        return fail(err, VKGPT_BAD_MODEL, "%s: its head gives %u scores, and %s needs one that gives 1", dir,
                    info->scores, command);
    return 0;
}

int head_run_open(struct HeadRun *h, const struct Options *options, const char *command, vkgpt_head_kind kind,
                  bool needs_text, vkgpt_error *err)
{
    char dir[sizeof h->run.dir];
    *h = (struct HeadRun){.start = -1, .delimiter = -1, .extract = -1, .special = !options->no_special};
    // the head first: it is quick, and finds a wrong directory without a device
    int code = model_path(options->model, dir, sizeof dir, err);
    if (!code) code = vkgpt_head_open(dir, &h->head, err);
    if (!code) h->info = vkgpt_head_describe(h->head);
    if (!code) code = check_kind(h, dir, command, kind, err);
    if (!code) code = run_open_hidden(&h->run, options, needs_text, err);
    if (!code) code = special_tokens(h, options, err);
    if (code) head_run_close(h);
    return code;
}

void head_run_close(struct HeadRun *h)
{
    free(h->lead.ids);
    free(h->ran.ids);
    run_close(&h->run);
    vkgpt_head_close(h->head);
    *h = (struct HeadRun){0};
}
