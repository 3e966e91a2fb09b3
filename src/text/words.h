// Splits a text into words for GPT-1, as OpenAIGPTTokenizer of Hugging Face's transformers 4 does if ftfy and spacy are
// not installed. Unicode is utf8proc's.
#ifndef VKGPT_TEXT_WORDS_H
#define VKGPT_TEXT_WORDS_H

#include "text/vocab.h"

// The text with each character lower-cased on its own, as Python's str.lower does (without a special case for a final
// sigma). With `keep_added`, added tokens in the text keep their case. A byte that is not part of well-formed UTF-8
// becomes NUL, which is in no word, like U+FFFD. The caller frees *lower.
int words_lower(const struct Vocab *vocab, bool keep_added, const char *text, size_t bytes, char **lower,
                size_t *lower_bytes, vkgpt_error *err);

// Calls on_word for each word of a text from words_lower: without control, format, private and unassigned characters
// and U+FFFD, split at blanks, around ideographs, and around punctuation, in NFD without the marks of category Mn (so
// that é becomes e, and a Korean syllable its letters). on_word returns false to stop, which is not an error. The time
// is at worst n log n in the text's length.
int words_split(const char *text, size_t bytes, bool (*on_word)(void *user, const char *word, size_t bytes), void *user,
                vkgpt_error *err);

#endif
