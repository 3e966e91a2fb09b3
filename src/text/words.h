// GPT-1's way from a text to words, as the OpenAIGPTTokenizer of Hugging Face's transformers 4 goes it where ftfy and
// spacy are not installed: Unicode through utf8proc.
#ifndef VKGPT_TEXT_WORDS_H
#define VKGPT_TEXT_WORDS_H

#include "text/vocab.h"

// The text with each character lower-cased on its own (a final sigma is one like any other), as Python's str.lower
// does it. With `keep_added`, an added token that stands there keeps its case. A byte that is no part of well-formed
// UTF-8 becomes NUL, which belongs to no word, as U+FFFD belongs to none. The caller frees *lower.
int words_lower(const struct Vocab *vocab, bool keep_added, const char *text, size_t bytes, char **lower,
                size_t *lower_bytes, vkgpt_error *err);

// Calls on_word for each word of a text that words_lower made: without control, format, private and unassigned
// characters and U+FFFD, split at blanks, around ideographs, and around punctuation, in NFD without the marks of
// category Mn (so that é is e, and a Korean syllable its letters). on_word returns false to stop, and that is no error
// here. Time is n log n in the text's length at worst.
int words_split(const char *text, size_t bytes, bool (*on_word)(void *user, const char *word, size_t bytes), void *user,
                vkgpt_error *err);

#endif
