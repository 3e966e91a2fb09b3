#include "tasks/pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/blanks.h"
#include "tasks/buffer.h"
#include "tasks/encode.h"

// The ids of the context, then the ids of the whole text after the first context_count. If a token of the whole text
// covers the end of the context and the beginning of the continuation, the context keeps its own tokens, as in the
// harness.
static int join(const uint32_t *context, size_t context_count, const uint32_t *whole, size_t whole_count,
                const char *what, struct Pair *pair, vkgpt_error *err)
{
    if (whole_count <= context_count)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: has no token of its own: the context has %zu, both together %zu",
                    what, context_count, whole_count);
    pair->ids = allocate(whole_count * sizeof *pair->ids);
    pair->count = whole_count;
    pair->context = context_count;
    memcpy(pair->ids, context, context_count * sizeof *pair->ids);
    memcpy(pair->ids + context_count, whole + context_count, (whole_count - context_count) * sizeof *pair->ids);
    return 0;
}

static int join_first(const vkgpt_model_info *model, const uint32_t *whole, size_t whole_count, const char *what,
                      struct Pair *pair, vkgpt_error *err)
{
    uint32_t first;
    if (!encode_first_token(model, &first))
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: its context is empty, and %s has no bos or eos token to begin with",
                    what, model->name);
    uint32_t *ids = allocate((whole_count + 1) * sizeof *ids);
    ids[0] = first;
    if (whole_count) memcpy(ids + 1, whole, whole_count * sizeof *ids);
    int code = join(&first, 1, ids, whole_count + 1, what, pair, err);
    free(ids);
    return code;
}

int pair_encode(const struct PairRules *rules, const struct Buffer *context, const struct Buffer *continuation,
                const char *what, struct Pair *pair, vkgpt_error *err)
{
    *pair = (struct Pair){0};
    size_t kept = context->bytes - blanks_at_end(context->data, context->bytes);
    struct Buffer text = {0};
    buffer_add(&text, context->data, context->bytes);
    buffer_add(&text, continuation->data, continuation->bytes);
    uint32_t *ids = NULL, *whole = NULL;
    size_t count = 0, whole_count = 0;
    int code = encode_open(rules->tokenizer, &(struct Buffer){.data = text.data, .bytes = kept}, rules->special, &ids,
                           &count, err);
    if (!code) code = encode_open(rules->tokenizer, &text, rules->special, &whole, &whole_count, err);
    if (!code && count) code = join(ids, count, whole, whole_count, what, pair, err);
    else if (!code) code = join_first(rules->model, whole, whole_count, what, pair, err);
    free(ids);
    free(whole);
    buffer_free(&text);
    return code;
}

bool pair_cut(struct Pair *pair, size_t room)
{
    size_t cut = pair->count > room ? pair->count - room : 0;
    if (cut >= pair->context) return false;
    pair->count -= cut;
    pair->context -= cut;
    memmove(pair->ids, pair->ids + cut, pair->count * sizeof *pair->ids);
    pair->cut += cut;
    return true;
}

double pair_normalized(const struct Pair *pair, enum Normalize normalize, double logprob, size_t bytes)
{
    switch (normalize) {
    case NORMALIZE_TOKENS: return logprob / (double)(pair->count - pair->context);
    case NORMALIZE_BYTES: return logprob / (double)bytes;
    default: return logprob;
    }
}

void pair_free(struct Pair *pair)
{
    free(pair->ids);
    *pair = (struct Pair){0};
}
