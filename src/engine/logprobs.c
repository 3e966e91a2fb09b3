// The log probabilities of given tokens, one by one: log softmax over the logits of the token before each.
#include <math.h>

#include "engine/logits.h"
#include "engine/prefill.h"
#include "engine/sequences.h"

struct Logprobs { // a call of vkgpt_logprobs
    const struct Slot *slot;
    uint32_t start, vocab, top_count; // start: the position of the first token of the call
    bool (*on_token)(void *user, size_t index, const vkgpt_token *token);
    void *user;
    vkgpt_logprob top[VKGPT_MAX_TOP];
};

// The rows from `position` on: each gives the log probability of the token after it.
static bool on_rows(void *user, const float *logits, uint32_t position, uint32_t rows)
{
    struct Logprobs *l = user;
    for (uint32_t r = 0; r < rows; r++, logits += l->vocab) {
        uint32_t next = position + r + 1;
        uint32_t id = l->slot->ids[next], ids[VKGPT_MAX_TOP];
        double all = logits_log_sum(logits, l->vocab);
        logits_top(logits, l->vocab, l->top_count, ids);
        for (uint32_t i = 0; i < l->top_count; i++)
            l->top[i] = (vkgpt_logprob){ids[i], (float)((double)logits[ids[i]] - all)};
        vkgpt_token token = {id, (float)((double)logits[id] - all), l->top_count, l->top};
        if (!l->on_token(l->user, next - l->start, &token)) return false;
    }
    return true;
}

int vkgpt_logprobs(vkgpt_session *s, const uint32_t *ids, size_t count, uint32_t top,
                   bool (*on_token)(void *user, size_t index, const vkgpt_token *token), void *user, vkgpt_error *err)
{
    struct Slot *slot = &s->slots[0];
    uint32_t start = slot->position, vocab = s->model->config.vocab;
    struct Logprobs l = {slot, start, vocab, top < vocab ? top : vocab, on_token, user, {{0}}};
    if (top > VKGPT_MAX_TOP)
        return fail(err, VKGPT_BAD_ARGUMENT, "the %u likeliest tokens: at most %u", top, VKGPT_MAX_TOP);
    int status = model_check_head(s->model, err);
    if (!status) status = prefill_sequences(s, false, err);
    if (!status) status = sequence_append(s, 0, ids, count, s->context + 1, err);
    if (status || !count) return status;
    if (start && slot->cached >= start)
        slot->cached = start - 1; // its logits give the log probability of the first token
    vkgpt_token first = {ids[0], NAN, 0, l.top};
    if (!start && !on_token(user, 0, &first)) return fail(err, VKGPT_INTERRUPTED, "interrupted");
    return prefill_logits(s, slot->position - 1, on_rows, &l, err);
}
