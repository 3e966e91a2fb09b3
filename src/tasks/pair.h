// A context and a continuation of it as one row of tokens, for vkgpt_score.
#ifndef VKGPT_TASKS_PAIR_H
#define VKGPT_TASKS_PAIR_H

#include "tasks/buffer.h"
#include "vkgpt.h"

struct PairRules {
    const vkgpt_tokenizer *tokenizer;
    const vkgpt_model_info *model;
    bool special; // special tokens in the text are one id each
};

struct Pair {
    uint32_t *ids; // (count): the context's tokens, then the continuation's
    size_t count, context;
    size_t cut; // tokens that the context lost at its beginning
};

// As lm-evaluation-harness does in _encode_pair: the blanks that the context ends with go over to the continuation,
// which is what follows the context's tokens when both are encoded as one text. The model's bos token, else its
// first eos, stands for a context without tokens. `what` names the continuation in sentences. Free with pair_free,
// also after an error.
// Errors: the context is empty and the model has neither token; nothing is left behind the context's tokens.
int pair_encode(const struct PairRules *rules, const struct Buffer *context, const struct Buffer *continuation,
                const char *what, struct Pair *pair, vkgpt_error *err);
void pair_free(struct Pair *pair);

// A row takes `room` tokens at most: a context that is too long loses its first tokens, as in lm-evaluation-harness.
// False: not even one token of the context fits before the continuation.
bool pair_cut(struct Pair *pair, size_t room);

// By what a log likelihood is divided before it is compared with that of another continuation.
enum Normalize { NORMALIZE_NONE, NORMALIZE_TOKENS, NORMALIZE_BYTES };

// The log likelihood of the pair's continuation, of `bytes` bytes, divided as asked.
double pair_normalized(const struct Pair *pair, enum Normalize normalize, double logprob, size_t bytes);

#endif
