// A text as Unicode characters: decomposed, in canonical order, and composed again. The tables are utf8proc's, but its
// functions for this take quadratic time on long runs of marks.
#ifndef VKGPT_TEXT_CHARACTERS_H
#define VKGPT_TEXT_CHARACTERS_H

#include "vkgpt.h"

struct Characters { // a growing list; zeroed is empty
    uint64_t *keys; // combining class << 56 | index << 21 | character
    size_t count, capacity;
};

void characters_free(struct Characters *list);
// Adds a character, decomposed canonically, or by compatibility too. False: no memory.
bool characters_add(struct Characters *list, int32_t character, bool compatible);
// Sorts into Unicode's canonical order: each run of marks by class; marks of one class keep their order.
void characters_order(struct Characters *list);
int32_t characters_at(const struct Characters *list, size_t index);
// Writes a character in UTF-8, 1 to 4 bytes, and returns their number. CHARACTER_BYTE + b is written as the byte b.
size_t characters_put(char *out, int32_t character);

#define CHARACTER_BYTE 0x110000 // plus the byte: a byte that is not part of well-formed UTF-8

// The character at the start of a text of `bytes` >= 1, and its length in bytes.
int32_t characters_first(const char *text, size_t bytes, size_t *length);
// The character at the end, and its length in bytes.
int32_t characters_last(const char *text, size_t bytes, size_t *length);

enum NormalForm { FORM_NFD, FORM_NFC, FORM_NFKD, FORM_NFKC };

// The text in this form. A byte that is not part of well-formed UTF-8 stays, and nothing composes across it. The caller
// frees *out.
int characters_normalize(enum NormalForm form, const char *text, size_t bytes, char **out, size_t *out_bytes,
                         vkgpt_error *err);
int characters_nfkc(const char *text, size_t bytes, char **out, size_t *out_bytes, vkgpt_error *err);
int characters_nfc(const char *text, size_t bytes, char **out, size_t *out_bytes, vkgpt_error *err);

#endif
