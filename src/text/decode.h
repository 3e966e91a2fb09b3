// The decoders of a tokenizer.json: they make text of tokens.
#ifndef VKGPT_TEXT_DECODE_H
#define VKGPT_TEXT_DECODE_H

#include "text/steps.h"

struct Pieces { // tokens, or what steps before have made of them
    struct TextBuffer text;
    size_t *ends; // (count): where each piece ends in `text`
    size_t count, capacity;
    bool middle; // one token, of which something goes before and something behind
    bool fused;  // and behind Fuse, for which it is no text of its own
};

bool pieces_add(struct Pieces *pieces, const char *text, size_t bytes); // false: no memory
void pieces_free(struct Pieces *pieces);

int decoders_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// The text of the tokens, as Hugging Face's decoders make it, in pieces that are to be joined; bytes that are no UTF-8
// stay as they are where ByteLevel makes them. In the middle, a byte token is its byte.
int decoders_run(const struct Steps *steps, struct Pieces *pieces, vkgpt_error *err);

#endif
