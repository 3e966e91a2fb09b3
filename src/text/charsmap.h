// SentencePiece's precompiled normalization: a double-array trie (Darts) that maps UTF-8 to texts.
#ifndef VKGPT_TEXT_CHARSMAP_H
#define VKGPT_TEXT_CHARSMAP_H

#include "text/buffer.h"
#include "vkgpt.h"

struct Charsmap;

// Reads the bytes of precompiled_charsmap (SentencePiece's normalizer_spec; https://github.com/google/sentencepiece,
// src/normalizer.cc): the size of the trie, its units of 32 bits, and the texts, each with a NUL at the end. Empty
// bytes give NULL: no map. The bytes are copied. Errors (VKGPT_BAD_FILE): sizes that do not fit.
int charsmap_open(const char *file, const void *data, size_t bytes, struct Charsmap **map, vkgpt_error *err);
int charsmap_open_base64(const char *file, const char *base64, struct Charsmap **map, vkgpt_error *err);
void charsmap_free(struct Charsmap *map); // accepts NULL

// Maps the text as Hugging Face's tokenizers do (Precompiled): if a grapheme cluster of less than 6 bytes begins with
// an entry of the map, the entry's text replaces the whole cluster; else each character is mapped on its own.
int charsmap_run(const struct Charsmap *map, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err);

#endif
