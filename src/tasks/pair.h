// A context and a continuation of it as one row of tokens, for vkgpt_score.
#ifndef VKGPT_TASKS_PAIR_H
#define VKGPT_TASKS_PAIR_H

#include "tasks/buffer.h"
#include "vkgpt.h"

struct PairRules {
    const vkgpt_tokenizer *tokenizer;
    const vkgpt_model_info *model;
    bool special; // the text of a special token becomes its one id
};

struct Pair {
    uint32_t *ids; // (count): the context's tokens, then the continuation's
    size_t count, context;
    size_t cut; // tokens that were cut off at the beginning of the context
};

// Encodes both as _encode_pair of lm-evaluation-harness does: blanks at the end of the context move to the
// continuation. If the context alone has n tokens, the continuation gets the tokens after the first n of both encoded
// as one text. A context without tokens becomes the model's bos token, else its first eos. `what` names the
// continuation in sentences. Free with pair_free, also after an error.
// Errors: the context is empty and the model has neither token; no token is left for the continuation.
int pair_encode(const struct PairRules *rules, const struct Buffer *context, const struct Buffer *continuation,
                const char *what, struct Pair *pair, vkgpt_error *err);
void pair_free(struct Pair *pair);

// Cuts the pair to `room` tokens: a context that is too long loses its first tokens, as in lm-evaluation-harness.
// False: not even one token of the context fits before the continuation.
bool pair_cut(struct Pair *pair, size_t room);

// What a log likelihood is divided by, before it is compared with that of another continuation.
enum Normalize { NORMALIZE_NONE, NORMALIZE_TOKENS, NORMALIZE_BYTES };

// The log likelihood of the pair's continuation, of `bytes` bytes, divided as asked.
double pair_normalized(const struct Pair *pair, enum Normalize normalize, double logprob, size_t bytes);

#endif
