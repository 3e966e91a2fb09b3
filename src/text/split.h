// The split of a text into pieces by a vocabulary's rules and then as GPT-2 does it, and the classes of characters
// that go with it, through PCRE2.
#ifndef VKGPT_TEXT_SPLIT_H
#define VKGPT_TEXT_SPLIT_H

#include "text/pattern.h"
#include "text/vocab.h"

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ (encoder.py of GPT-2), as PCRE2 reads it
#define SPLIT_GPT2                                                                                                     \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" BLANK "\\p{L}\\p{N}]+|" BLANK "+(?![^" BLANK "])|" BLANK "+"
#define SPLIT_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}" // inside a class: \w of UTS 18, annex C

struct Splitter {
    void *pieces; // compiled patterns
    void *blanks, *word;
    void *rules[VOCAB_MAX_RULES];
    bool removed[VOCAB_MAX_RULES];
    size_t rule_count;
};

int splitter_open(struct Splitter *splitter, const struct Vocab *vocab, vkgpt_error *err);
void splitter_close(struct Splitter *splitter); // accepts a zeroed one

// The same number of bytes, in which each byte that is no part of well-formed UTF-8 has become U+0001: a character
// of one byte that is neither letter, number nor blank, as such a byte counts. *copy is NULL when every byte is
// well-formed and `text` serves as it is; else the caller frees it.
int split_mask(const char *text, size_t bytes, char **copy, vkgpt_error *err);

// Calls on_piece for each piece of a masked text in order: offset and length. It returns false to stop, and that is
// no error here.
int split_pieces(const struct Splitter *splitter, const char *masked, size_t bytes,
                 bool (*on_piece)(void *user, size_t offset, size_t length), void *user, vkgpt_error *err);

// Of a masked text: blanks (White_Space) at its start and at its end, in bytes; does it start or end in a letter,
// digit, mark or joiner (Unicode's \w)?
size_t split_blanks_first(const struct Splitter *splitter, const char *masked, size_t bytes);
size_t split_blanks_last(const struct Splitter *splitter, const char *masked, size_t bytes);
bool split_word_first(const struct Splitter *splitter, const char *masked, size_t bytes);
bool split_word_last(const struct Splitter *splitter, const char *masked, size_t bytes);

#endif
