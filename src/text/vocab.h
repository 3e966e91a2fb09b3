// The tables that text is encoded with: tokens, merges, and the tokens that are found in the text as they stand. By
// themselves they say GPT-2's form (byte-level BPE) and GPT-1's; `pipeline` says everything else.
// Readers of files fill them (reader.c for Hugging Face's directories) through the functions below, which check
// what they are given; encoding only reads them.
#ifndef VKGPT_TEXT_VOCAB_H
#define VKGPT_TEXT_VOCAB_H

#include "base/map.h"
#include "vkgpt.h"

#define NO_TOKEN UINT32_MAX
#define WORD_END "</w>"           // ends GPT-1's tokens that end a word
#define VOCAB_MAX_SIZE (1u << 24) // rows of a token table that anybody means
#define VOCAB_MAX_IDS (1u << 19)  // of tokens; the largest vocabularies in use have half as many

struct Token {
    const char *bytes; // what it decodes to; NULL: no token has this id
    size_t length;
    bool raw; // the files write it as these bytes, not in the byte-level alphabet
};

struct Merge { // left + right -> id; the lowest rank goes first
    uint32_t left, right, rank, id;
};

// A token that is found in the text before it is split: <|endoftext|>. The flags are Hugging Face's.
struct AddedToken {
    const char *text;
    size_t length;
    const char *pattern; // what is looked for: the text, or its normalized form; set by vocab_add_added
    size_t pattern_length;
    uint32_t id;
    bool special;        // left as text when the caller asks for it
    bool normalized;     // found in a second pass, in what the others leave
    bool lstrip, rstrip; // takes the blanks before it, after it
    bool single_word;    // only where no letter or digit touches it
};

// A split before GPT-2's own, which then cuts the pieces of this one.
struct SplitRule {
    const char *pattern; // PCRE2's; never matches nothing
    bool removed;        // what matches is dropped; else it is a piece of its own
};

#define VOCAB_MAX_RULES 8

struct VocabBlock;
struct Pipeline;

struct Vocab {
    uint32_t size;            // rows of the model; a token may have an id past them, which only its use minds
    struct Token *tokens;     // by id
    uint32_t count, capacity; // of tokens: the highest id there is, plus 1
    struct Map ids;           // a token as the files write it -> its id; freed by vocab_seal where only bytes count
    uint32_t byte_ids[256];   // the token of one byte, or NO_TOKEN
    struct Merge *merges;     // a hash table over (left, right); id NO_TOKEN: empty
    size_t merge_count, merge_used, merge_capacity; // merges that were added, entries of the table, and its room
    uint64_t merge_factor;                          // of the hash
    struct AddedToken *added;                       // sorted by text once sealed
    size_t added_count, added_capacity;
    struct Map added_index; // their text -> index; freed by vocab_seal
    bool ends_words;        // GPT-1's: pieces are words, symbols are characters, the last with WORD_END
    uint32_t unk;           // stands for a symbol that has no token; NO_TOKEN: such a one is dropped
    bool fuse_unk;          // one unk for a run of such symbols
    bool nfkc;              // the text is normalized between the two passes that find added tokens
    struct SplitRule rules[VOCAB_MAX_RULES]; // in their order
    size_t rule_count;
    bool add_prefix_space; // a text that begins without a space gets one
    uint32_t prefix[8];    // tokens put before every text
    size_t prefix_count;
    uint32_t suffix[8]; // tokens put behind every text
    size_t suffix_count;
    struct Pipeline *pipeline; // pipeline.h; NULL: the form is GPT-2's or GPT-1's
    double dropout;            // of BPE, which is not applied
    bool last_counts;          // of a token that is there twice: its last id
    struct VocabBlock *blocks; // the strings that all of these point to
};

// An empty vocabulary for a model of `size` rows, at most VOCAB_MAX_SIZE.
void vocab_init(struct Vocab *vocab, uint32_t size);
void vocab_free(struct Vocab *vocab); // accepts a zeroed or half-made one

// Room for so many tokens more, VOCAB_MAX_IDS at most. Without it, each time that room runs out all are copied.
int vocab_reserve(struct Vocab *vocab, const char *file, size_t count, vkgpt_error *err);

// The functions below name `file` in their sentences.

// Adds a token in the byte-level alphabet of GPT-2 (`Ġthe` is " the"); one that holds another character stands
// for its own bytes. Where words have ends, it stands for its own bytes with a blank for WORD_END; with a pipeline,
// always for its own bytes. Errors (VKGPT_BAD_MODEL): the id or the token is there already, the id is not below
// VOCAB_MAX_IDS.
int vocab_add(struct Vocab *vocab, const char *file, const char *symbols, int64_t id, vkgpt_error *err);
// Adds the next merge. Errors (VKGPT_BAD_MODEL): left, right or both together are no token.
int vocab_add_merge(struct Vocab *vocab, const char *file, const char *left, size_t left_bytes, const char *right,
                    size_t right_bytes, vkgpt_error *err);
// Adds an added token (text, id and flags; the text is copied). It may be a token of the vocabulary already, with
// the same id. Adding one twice keeps the first. Errors: as for vocab_add, and a token whose two ids differ.
int vocab_add_added(struct Vocab *vocab, const char *file, const struct AddedToken *token, vkgpt_error *err);
// Adds the next rule; the pattern is copied.
int vocab_add_rule(struct Vocab *vocab, const char *file, const char *pattern, bool removed, vkgpt_error *err);
// The id of a token as the files write it; false when there is none.
bool vocab_find(const struct Vocab *vocab, const char *symbols, uint32_t *id);
// The added token of that text, or NULL; the pointer lasts until the next one is added.
struct AddedToken *vocab_find_added(const struct Vocab *vocab, const char *text);
// The end of filling: looks up the 256 bytes, sorts the added tokens by pattern, frees what only filling needs. Where
// words have ends, and with a pipeline, vocab_find goes on working.
void vocab_seal(struct Vocab *vocab);

// Whether every byte has a token, so that unk stands for none. Of a sealed vocabulary without ends_words.
bool vocab_all_bytes(const struct Vocab *vocab);

// Whether some text becomes this token: it stands for one byte, or a merge makes it. Not where words have ends.
bool vocab_is_text(const struct Vocab *vocab, uint32_t id);

// The merge of two tokens, or NULL.
const struct Merge *vocab_find_merge(const struct Vocab *vocab, uint32_t left, uint32_t right);

// The merges in their order, for writers. The caller frees them; NULL: no memory.
struct Merge *vocab_merges(const struct Vocab *vocab, size_t *count);
// A token as the files write it (not where words have ends, which leaves no way back), with a NUL behind it; `name` has
// room for vocab_name_room bytes. False: no token has the id.
bool vocab_name(const struct Vocab *vocab, uint32_t id, char *name);
size_t vocab_name_room(const struct Vocab *vocab);
// What two sealed vocabularies differ in, by the name of the field, or NULL: they mean the same ids for every text.
const char *vocab_difference(const struct Vocab *a, const struct Vocab *b);
// Whether the flag `normalized` of an added token changes no ids: nothing is normalized, and no token that has it can
// touch one that has it not. Else *one and *other are two that can, or the same where a text is normalized.
bool vocab_normalized_is_idle(const struct Vocab *vocab, const struct AddedToken **one,
                              const struct AddedToken **other);

// Bytes in the byte-level alphabet of GPT-2, two for each at most; returns how many there are.
size_t vocab_symbols(const char *bytes, size_t count, char *symbols);
// The way back: false when a character is no letter of the alphabet.
bool vocab_bytes(const char *symbols, size_t length, char *bytes, size_t *count);

// A copy that lives as long as the vocabulary, with a NUL behind it; NULL: no memory.
const char *vocab_text(struct Vocab *vocab, const char *text, size_t bytes);

// The first thing, by name, that byte-level BPE as GPT-2 has it (vocab.json and merges.txt, GGUF's gpt2) has no place
// for; NULL when there is none. What goes before and behind a text, GPT-1's words, and the settings that
// tokenizer_config.json has a key for are not its concern.
const char *vocab_beyond_gpt2(const struct Vocab *vocab);

// `text` made fit for a sentence: cut after some 40 bytes, control characters shown as '?'.
struct Shown {
    char text[64];
};
struct Shown shown(const char *text, size_t bytes);

#endif
