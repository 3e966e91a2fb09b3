// SentencePiece's precompiled normalization: a double-array trie (Darts) from UTF-8 to text, and that text.
#ifndef VKGPT_TEXT_CHARSMAP_H
#define VKGPT_TEXT_CHARSMAP_H

#include "text/buffer.h"
#include "vkgpt.h"

struct Charsmap;

// The bytes of precompiled_charsmap (SentencePiece's normalizer_spec; https://github.com/google/sentencepiece,
// src/normalizer.cc): the size of the trie, its units of 32 bits, and the texts, each with a NUL behind it. An empty
// one gives NULL, which changes nothing. The bytes are copied. Errors (VKGPT_BAD_FILE): sizes that do not fit.
int charsmap_open(const char *file, const void *data, size_t bytes, struct Charsmap **map, vkgpt_error *err);
int charsmap_open_base64(const char *file, const char *base64, struct Charsmap **map, vkgpt_error *err);
void charsmap_free(struct Charsmap *map); // accepts NULL

// The text in the way of Hugging Face's tokenizers (Precompiled): each grapheme cluster of less than 6 bytes that
// begins with something in the map becomes what that maps to, whole; else each character does.
int charsmap_run(const struct Charsmap *map, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err);

#endif
