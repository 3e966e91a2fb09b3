// What a model does with a text, layer by layer, for `vkgpt explain`: the residual stream and what the head makes of it
// between any two layers (the logit lens: nostalgebraist 2020), and the weights of attention.
#ifndef VKGPT_ENGINE_TRACE_H
#define VKGPT_ENGINE_TRACE_H

#include "model/config.h"

// The residual stream of some tokens before a layer; with `layer` the number of layers, after the last one.
struct TraceRows {
    uint32_t layer, first, count;     // of the tokens: the first one, and how many
    const float *x;                   // (count, x_stride): the width of the model, and padding
    const float *logits;              // (count, logits_stride): the vocabulary, and padding
    uint32_t x_stride, logits_stride; // in floats
};

// The weights of attention of such tokens in one head of a layer.
struct TraceAttention {
    uint32_t layer, head, first, count;
    const float *weights; // (count, first + count): row r sums to 1; what the token first + r does not see is 0
};

struct Trace {
    void (*on_rows)(void *user, const struct TraceRows *rows);
    void (*on_attention)(void *user, const struct TraceAttention *attention);
    void *user;
};

// Runs the tokens through an empty session, or empties it, and hands out all layers, a block of tokens at a time. The
// weights of attention are computed on the host, from the queries and the cache, which has to be kept in fp32. Errors:
// VKGPT_BAD_ARGUMENT: another cache, more tokens than positions, an id past the vocabulary. VKGPT_BAD_LOGITS.
int trace_run(vkgpt_session *session, const uint32_t *ids, size_t count, const struct Trace *trace, vkgpt_error *err);

// The facts of a model that are not in vkgpt_model_info.
const struct Config *trace_config(const vkgpt_model *model);

#endif
