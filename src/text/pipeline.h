// How a tokenizer.json goes from text to ids and back where GPT-2's form (vocab.h) does not say it: the stages of
// Hugging Face's tokenizers, each a list of steps. Normalizers change a text, pre-tokenizers cut it into pieces, the
// model makes ids of each piece, decoders make text of tokens.
#ifndef VKGPT_TEXT_PIPELINE_H
#define VKGPT_TEXT_PIPELINE_H

#include "text/bpe.h"
#include "text/buffer.h"
#include "text/pattern.h"
#include "text/vocab.h"

#define PIPELINE_MAX_STEPS 32 // of one stage

enum Behavior { BEHAVIOR_REMOVED, BEHAVIOR_ISOLATED, BEHAVIOR_WITH_PREVIOUS, BEHAVIOR_WITH_NEXT, BEHAVIOR_CONTIGUOUS };
enum Prepend { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };

struct StepKind;
struct Charsmap;

struct Step {
    const struct StepKind *kind;
    const char *text;         // what the step puts in, takes away or looks for, as its `type` has it
    void *pattern;            // compiled; freed with the step
    bool (*is_in)(int32_t c); // the characters that a split is made at, where it is not made by a pattern ...
    int32_t character;        // ... or the one character
    enum Behavior behavior;
    bool invert; // of a split: what does not match counts as matched
    enum Prepend prepend;
    bool left, right; // Strip's sides
    // BertNormalizer: clean_text, handle_chinese_chars, strip_accents, lowercase
    bool clean, ideographs, accents, lower;
    bool cleanup;              // WordPiece's decoder
    uint32_t start, stop;      // Strip's decoder: how many characters at most
    struct Charsmap *charsmap; // of Precompiled; freed with the step
};

struct Steps {
    struct Step list[PIPELINE_MAX_STEPS];
    size_t count;
};

struct ModelKind;

struct Pipeline {
    struct Steps normalizers, pre_tokenizers, decoders;
    bool has_decoder; // without one, tokens are joined by blanks
    const struct ModelKind *model;
    const char *unk;             // unk_token, or NULL
    const char *prefix, *suffix; // of BPE: before each character but the first, behind the last; WordPiece: the former
    size_t max_characters;       // of a word: WordPiece makes a longer one unk
    bool byte_fallback, ignore_merges;
    uint32_t bytes[256];  // tokens <0x00> to <0xFF> for byte_fallback, or NO_TOKEN
    double *scores;       // of Unigram, by id
    uint32_t score_count; // how many ids have one
    double unk_score;
    struct Entry *entries; // of Unigram: its tokens sorted by their bytes
    size_t entry_count;
    size_t longest;      // bytes of the longest token
    struct Token *names; // by id: a token as the files write it
    uint32_t name_count;
};

struct Pipeline *pipeline_open(void);          // NULL: no memory
void pipeline_free(struct Pipeline *pipeline); // accepts NULL
// Once all tokens are there, before vocab_seal: looks up what the model needs, and what each token decodes to behind
// others.
int pipeline_seal(struct Vocab *vocab, vkgpt_error *err);

// The next step of a stage, zeroed, or NULL when there are PIPELINE_MAX_STEPS.
struct Step *steps_add(struct Steps *steps);

#endif
