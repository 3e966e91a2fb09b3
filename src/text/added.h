// Finds added tokens in a text, as Hugging Face's tokenizers library does (AddedVocabulary).
#ifndef VKGPT_TEXT_ADDED_H
#define VKGPT_TEXT_ADDED_H

#include "text/split.h"
#include "text/vocab.h"

struct Passage { // a text and its masked form (split.h), which differ only in bytes that are not UTF-8
    const char *text, *masked;
    size_t bytes;
    bool first; // it is at the start of the whole text
};

struct AddedMatch {
    uint32_t id;
    size_t start, end; // including the blanks that lstrip and rstrip take
};

// The longest token of one kind (AddedToken.normalized) with which the text begins, or NULL.
const struct AddedToken *added_longest(const struct Vocab *vocab, const char *text, size_t bytes, bool normalized);

// Finds the next added token of one kind (AddedToken.normalized) from *at on: leftmost, then longest. *at moves to the
// start of the next search. Without `special`, special tokens are text: the search skips the whole token. A match may
// begin before the end of the previous one, if both take the blanks between them.
bool added_next(const struct Vocab *vocab, const struct Splitter *splitter, struct Passage passage, bool normalized,
                bool special, size_t *at, struct AddedMatch *match);

#endif
