// How a tokenizer.json that is not of GPT-2's form (vocab.h) goes from text to ids and back: the stages of Hugging
// Face's tokenizers, each a list of steps. Normalizers change a text, pre-tokenizers cut it into pieces, the model
// encodes each piece to ids, decoders turn tokens into text.
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
    const char *text;         // what the step inserts, removes or searches, by its kind
    void *pattern;            // compiled; freed with the step
    bool (*is_in)(int32_t c); // without a pattern: the characters at which to split ...
    int32_t character;        // ... or the single one, if is_in is NULL
    enum Behavior behavior;
    bool invert; // for a split: swaps matches and the parts between
    enum Prepend prepend;
    bool left, right; // Strip's sides
    // BertNormalizer: clean_text, handle_chinese_chars, strip_accents, lowercase
    bool clean, ideographs, accents, lower;
    bool cleanup;              // WordPiece's decoder
    uint32_t start, stop;      // Strip's decoder: most characters to remove; stop: FixedLength's length
    struct Charsmap *charsmap; // for Precompiled; freed with the step
};

struct Steps {
    struct Step list[PIPELINE_MAX_STEPS];
    size_t count;
};

struct ModelKind;

struct Pipeline {
    struct Steps normalizers, pre_tokenizers, decoders;
    bool has_decoder; // if false, tokens are joined by blanks
    const struct ModelKind *model;
    const char *unk;             // unk_token, or NULL
    const char *prefix, *suffix; // BPE: before all characters but the first, after the last; WordPiece: prefix only
    size_t max_characters;       // in a word: in WordPiece a longer one becomes unk
    bool byte_fallback, ignore_merges;
    uint32_t bytes[256];  // tokens <0x00> to <0xFF> for byte_fallback, or NO_TOKEN
    double *scores;       // for Unigram, by id
    uint32_t score_count; // number of scores
    double unk_score;
    struct Entry *entries; // for Unigram: its tokens, sorted by their bytes
    size_t entry_count;
    size_t longest;      // bytes of the longest token
    struct Token *names; // by id: the tokens as written in the files
    uint32_t name_count;
};

struct Pipeline *pipeline_open(void);          // NULL: no memory
void pipeline_free(struct Pipeline *pipeline); // accepts NULL
// Call this after adding all tokens and before vocab_seal. Prepares what the model needs, and the text to which each
// token decodes inside a text.
int pipeline_seal(struct Vocab *vocab, vkgpt_error *err);

// The next step of a stage, zeroed, or NULL when there are PIPELINE_MAX_STEPS.
struct Step *steps_add(struct Steps *steps);

#endif
