// The decoders of a tokenizer.json, which turn tokens into text.
#ifndef VKGPT_TEXT_DECODE_H
#define VKGPT_TEXT_DECODE_H

#include "text/steps.h"

struct Pieces { // tokens, or the output of the previous step
    struct TextBuffer text;
    size_t *ends; // (count): where each piece ends in `text`
    size_t count, capacity;
    bool middle; // a single token from inside a text: other tokens come before and after it
    bool fused;  // Fuse has run: with `middle`, the piece is not a whole text
};

bool pieces_add(struct Pieces *pieces, const char *text, size_t bytes); // false: no memory
void pieces_free(struct Pieces *pieces);

int decoders_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// Turns tokens into text, as Hugging Face's decoders do; the caller joins the pieces. Bytes from ByteLevel that are not
// UTF-8 stay as they are. With `middle`, a byte token becomes its byte.
int decoders_run(const struct Steps *steps, struct Pieces *pieces, vkgpt_error *err);

#endif
