// The log likelihood of continuations. Neighbours that begin alike keep in the cache what they share.
#include <math.h>

#include "engine/session.h"

struct Row { // of one continuation, while its logits come in
    const uint32_t *targets; // the tokens that the rows foretell
    size_t vocab;
    vkgpt_scored scored;
};

// log softmax(logits)[target], in double: float sums of 50,257 exponentials lose four digits.
static double log_likelihood(const float *logits, size_t vocab, uint32_t target, uint32_t *likeliest)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    double largest = (double)logits[best], sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - largest);
    *likeliest = best;
    return (double)logits[target] - largest - log(sum);
}

static bool on_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Row *row = user;
    for (size_t r = 0; r < rows; r++) {
        uint32_t target = row->targets[first + r], likeliest;
        row->scored.logprob += log_likelihood(logits + r * row->vocab, row->vocab, target, &likeliest);
        row->scored.greedy = row->scored.greedy && likeliest == target;
    }
    return true;
}

static int check(const struct vkgpt_session *s, const vkgpt_continuation *c, size_t at, vkgpt_error *err)
{
    uint32_t vocab = s->model->config.vocab;
    if (!c->context || c->context >= c->count)
        return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: %zu of its %zu tokens are context, 1 to %zu can be", at, c->context, c->count,
                    c->count ? c->count - 1 : 0);
    if (c->count - 1 > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: %zu tokens with its context, %u at most fit", at, c->count, s->context + 1);
    for (size_t i = 0; i < c->count; i++)
        if (c->ids[i] >= vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: token id %u: %s has ids below %u", at, c->ids[i], s->model->name, vocab);
    return VKGPT_OK;
}

// Tokens of `c` that an earlier continuation left in the cache. The context's last token is run once more: its
// logits foretell the first one scored.
static size_t shared(const struct vkgpt_session *s, const vkgpt_continuation *c, const vkgpt_continuation *before)
{
    size_t most = s->position < c->context - 1 ? s->position : c->context - 1, i = 0;
    while (before && i < most && c->ids[i] == before->ids[i]) i++;
    return before ? i : 0;
}

static int score(struct vkgpt_session *s, const vkgpt_continuation *c, const vkgpt_continuation *before, vkgpt_scored *scored, vkgpt_error *err)
{
    struct Row row = {c->ids + c->context, s->model->config.vocab, {0.0, true}};
    size_t kept = shared(s, c, before);
    int status = vkgpt_session_rewind(s, (uint32_t)kept, err);
    if (!status) status = vkgpt_prompt(s, c->ids + kept, c->context - kept, err);
    if (!status) status = vkgpt_session_rewind(s, (uint32_t)c->context - 1, err); // all before it is in the cache now
    if (!status) status = vkgpt_logits(s, c->ids + c->context - 1, c->count - c->context, on_rows, &row, err);
    *scored = row.scored;
    return status;
}

int vkgpt_score(vkgpt_session *s, const vkgpt_continuation *continuations, size_t count, vkgpt_scored *scored, vkgpt_error *err)
{
    int status = vkgpt_session_rewind(s, 0, err);
    for (size_t i = 0; !status && i < count; i++) status = check(s, &continuations[i], i, err);
    for (size_t i = 0; !status && i < count; i++) status = score(s, &continuations[i], i ? &continuations[i - 1] : NULL, &scored[i], err);
    s->position = 0;
    s->cached = 0;
    return status;
}
