// The tables for encoding text: tokens, merges, and added tokens, which are found in the text literally. The tables
// alone describe GPT-2's form (byte-level BPE) and GPT-1's; `pipeline` describes everything else. Readers of files fill
// them (reader.c for Hugging Face's directories) with the functions below, which check their arguments.
#ifndef VKGPT_TEXT_VOCAB_H
#define VKGPT_TEXT_VOCAB_H

#include "base/map.h"
#include "vkgpt.h"

#define NO_TOKEN UINT32_MAX
#define WORD_END "</w>"           // the end of GPT-1's tokens at the end of a word
#define VOCAB_MAX_SIZE (1u << 24) // most rows of a token table
#define VOCAB_MAX_IDS (1u << 19)  // most tokens; the largest vocabularies in use have half as many

struct Token {
    const char *bytes; // what it decodes to; NULL: no token has this id
    size_t length;
    bool raw; // the files have these bytes, not the byte-level alphabet
};

struct Merge { // left + right -> id; the lowest rank is merged first
    uint32_t left, right, rank, id;
};

// A token that is found in the text before the split, such as <|endoftext|>. The flags are Hugging Face's.
struct AddedToken {
    const char *text;
    size_t length;
    const char *pattern; // what is searched: the text, or its normalized form; set by vocab_add_added
    size_t pattern_length;
    uint32_t id;
    bool special;        // stays text when the caller asks for it
    bool normalized;     // found in a second pass, in the parts that the others leave
    bool lstrip, rstrip; // takes the blanks before it, after it
    bool single_word;    // only if no letter or digit is next to it
};

// A split before GPT-2's own split, which then cuts the pieces of this one.
struct SplitRule {
    const char *pattern; // for PCRE2; must not match an empty text
    bool removed;        // a match is dropped; else it is a piece of its own
};

#define VOCAB_MAX_RULES 8

struct VocabBlock;
struct Pipeline;

struct Vocab {
    uint32_t size;            // rows of the model; a token may have a larger id, which is an error only when used
    struct Token *tokens;     // by id
    uint32_t count, capacity; // count: the highest id plus 1
    struct Map ids;           // token as in the files -> id; vocab_seal frees it if only byte_ids is needed
    uint32_t byte_ids[256];   // the token of one byte, or NO_TOKEN
    struct Merge *merges;     // a hash table over (left, right); id NO_TOKEN: empty
    size_t merge_count, merge_used, merge_capacity; // merges added, entries used, entries allocated
    uint64_t merge_factor;                          // for the hash
    struct AddedToken *added;                       // vocab_seal sorts them by pattern
    size_t added_count, added_capacity;
    struct Map added_index;                  // text -> index in `added`; vocab_seal frees it
    bool ends_words;                         // GPT-1: pieces are words, symbols are characters, the last with WORD_END
    uint32_t unk;                            // replaces a symbol without a token; NO_TOKEN: it is dropped
    bool fuse_unk;                           // one unk for a whole run of such symbols
    bool nfkc;                               // the text is normalized between the two passes that find added tokens
    struct SplitRule rules[VOCAB_MAX_RULES]; // in the order of use
    size_t rule_count;
    bool add_prefix_space; // puts a space before a text that begins without one
    uint32_t prefix[8];    // tokens before every text
    size_t prefix_count;
    uint32_t suffix[8]; // tokens after every text
    size_t suffix_count;
    struct Pipeline *pipeline; // pipeline.h; NULL: the form is GPT-2's or GPT-1's
    double dropout;            // BPE's, which is not applied
    bool last_counts;          // for a duplicate token the last id counts
    struct VocabBlock *blocks; // the strings that all of these point to
};

// An empty vocabulary for a model of `size` rows, at most VOCAB_MAX_SIZE.
void vocab_init(struct Vocab *vocab, uint32_t size);
void vocab_free(struct Vocab *vocab); // accepts a zeroed or half-made one

// Makes room for `count` more tokens, at most VOCAB_MAX_IDS, so that adding them does not grow the tables.
int vocab_reserve(struct Vocab *vocab, const char *file, size_t count, vkgpt_error *err);

// The functions below name `file` in their sentences.

// Adds a token in the byte-level alphabet of GPT-2 (`Ġthe` is " the"); a token with another character in it means its
// own bytes, and so does every token with a pipeline. With ends_words, WORD_END in a token means a blank.
// Errors (VKGPT_BAD_MODEL): a duplicate id or token, an id that is not below VOCAB_MAX_IDS.
int vocab_add(struct Vocab *vocab, const char *file, const char *symbols, int64_t id, vkgpt_error *err);
// Adds the next merge. Errors (VKGPT_BAD_MODEL): left, right or the two joined are not a token.
int vocab_add_merge(struct Vocab *vocab, const char *file, const char *left, size_t left_bytes, const char *right,
                    size_t right_bytes, vkgpt_error *err);
// Adds an added token (text, id and flags; the text is copied). It may be a token of the vocabulary already, with the
// same id. A token that was added before stays unchanged. Errors: as for vocab_add, and two different ids of a token.
int vocab_add_added(struct Vocab *vocab, const char *file, const struct AddedToken *token, vkgpt_error *err);
// Adds the next rule; the pattern is copied.
int vocab_add_rule(struct Vocab *vocab, const char *file, const char *pattern, bool removed, vkgpt_error *err);
// The id of a token, written as in the files; false when there is none.
bool vocab_find(const struct Vocab *vocab, const char *symbols, uint32_t *id);
// The added token with this text, or NULL; the pointer is valid until the next one is added.
struct AddedToken *vocab_find_added(const struct Vocab *vocab, const char *text);
// Call this after adding everything: finds the tokens of the 256 bytes, sorts the added tokens by pattern, and frees
// what only adding needs. vocab_find still works afterwards with ends_words or a pipeline, otherwise not.
void vocab_seal(struct Vocab *vocab);

// Whether every byte has a token, so that unk is never needed. For a sealed vocabulary without ends_words.
bool vocab_all_bytes(const struct Vocab *vocab);

// Whether text can be encoded to this token: it is one byte, or the result of a merge. Not for ends_words.
bool vocab_is_text(const struct Vocab *vocab, uint32_t id);

// The merge of two tokens, or NULL.
const struct Merge *vocab_find_merge(const struct Vocab *vocab, uint32_t left, uint32_t right);

// The merges, sorted by rank, for writers. The caller frees them; NULL: no memory.
struct Merge *vocab_merges(const struct Vocab *vocab, size_t *count);
// A token, written as in the files, with a NUL at the end; `name` has room for vocab_name_room bytes. Not for
// ends_words, which does not keep the names. False: no token has the id.
bool vocab_name(const struct Vocab *vocab, uint32_t id, char *name);
size_t vocab_name_room(const struct Vocab *vocab);
// The name of the first field in which two sealed vocabularies differ, or NULL: they give the same ids for every text.
const char *vocab_difference(const struct Vocab *a, const struct Vocab *b);
// Whether the flag `normalized` of added tokens changes no ids: no token has it, or the text is not normalized and no
// token with it can overlap one without. If false, *one and *other are two tokens that can, or the same token if the
// text is normalized.
bool vocab_normalized_is_idle(const struct Vocab *vocab, const struct AddedToken **one,
                              const struct AddedToken **other);

// Writes bytes in the byte-level alphabet of GPT-2, at most two for each; returns how many were written.
size_t vocab_symbols(const char *bytes, size_t count, char *symbols);
// The reverse; false when a character is not in the alphabet.
bool vocab_bytes(const char *symbols, size_t length, char *bytes, size_t *count);

// A copy that lives as long as the vocabulary, with a NUL at the end; NULL: no memory.
const char *vocab_text(struct Vocab *vocab, const char *text, size_t bytes);

// The first property, by name, that GPT-2's byte-level BPE (vocab.json and merges.txt, GGUF's gpt2) cannot express;
// NULL when there is none. Does not check the tokens around a text, GPT-1's words, and settings that have a key in
// tokenizer_config.json.
const char *vocab_beyond_gpt2(const struct Vocab *vocab);

// `text` for use in a sentence: cut after about 40 bytes, control characters shown as '?'.
struct Shown {
    char text[64];
};
struct Shown shown(const char *text, size_t bytes);

#endif
