// Splits a text into pieces with PCRE2: by a vocabulary's rules, then by GPT-2's pattern. Tests classes of characters.
#ifndef VKGPT_TEXT_SPLIT_H
#define VKGPT_TEXT_SPLIT_H

#include "text/pattern.h"
#include "text/vocab.h"

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ (encoder.py of GPT-2), for PCRE2
#define SPLIT_GPT2                                                                                                     \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" BLANK "\\p{L}\\p{N}]+|" BLANK "+(?![^" BLANK "])|" BLANK "+"
#define SPLIT_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}" // for use inside [...]: \w of UTS 18, annex C

struct Splitter {
    void *pieces; // compiled patterns
    void *blanks, *word;
    void *rules[VOCAB_MAX_RULES];
    bool removed[VOCAB_MAX_RULES];
    size_t rule_count;
};

int splitter_open(struct Splitter *splitter, const struct Vocab *vocab, vkgpt_error *err);
void splitter_close(struct Splitter *splitter); // accepts a zeroed one

// A copy of the text, of the same length, with U+0001 for each byte that is not part of well-formed UTF-8. U+0001 is
// neither letter, number nor blank, and such a byte counts as none of them. *copy is NULL if the text is well-formed:
// then use `text` itself. The caller frees *copy.
int split_mask(const char *text, size_t bytes, char **copy, vkgpt_error *err);

// Calls on_piece with the offset and length of each piece of a masked text, in order. on_piece returns false to stop,
// which is not an error.
int split_pieces(const struct Splitter *splitter, const char *masked, size_t bytes,
                 bool (*on_piece)(void *user, size_t offset, size_t length), void *user, vkgpt_error *err);

// For a masked text: the bytes of blanks (White_Space) at its start and at its end, and whether it starts or ends with
// a letter, digit, mark or joiner (Unicode's \w).
size_t split_blanks_first(const struct Splitter *splitter, const char *masked, size_t bytes);
size_t split_blanks_last(const struct Splitter *splitter, const char *masked, size_t bytes);
bool split_word_first(const struct Splitter *splitter, const char *masked, size_t bytes);
bool split_word_last(const struct Splitter *splitter, const char *masked, size_t bytes);

#endif
