// The results of decode, bit for bit: its tokens, and the logits of the last step.
#ifndef VKGPT_TESTS_DECODE_BITS_H
#define VKGPT_TESTS_DECODE_BITS_H

#include "synthetic_model.h"
#include "vkgpt.h"

#define DECODED_TOKENS 3
#define DECODED_VOCAB 300 // of the model
#define DECODED_SEQUENCES 3

extern const struct SyntheticModel DECODED_MODEL; // a small one, for these tests

struct Decoded {
    uint32_t tokens[DECODED_SEQUENCES][DECODED_TOKENS], counts[DECODED_SEQUENCES];
    float logits[DECODED_SEQUENCES][DECODED_VOCAB];
};

// Runs prompts of `prompt` tokens, a different one for each sequence, and samples the next tokens. An error fails the
// test.
void decode_bits(vkgpt_session *session, uint32_t prompt, struct Decoded *decoded);

#endif
