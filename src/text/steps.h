// What a step of a pipeline's stage does, and how it is read: each stage has a table of these by `type`.
#ifndef VKGPT_TEXT_STEPS_H
#define VKGPT_TEXT_STEPS_H

#include "text/pipeline.h"
#include "text/reader_parts.h"

struct Piece { // of a text on its way to the model
    const char *text;
    size_t bytes;
    bool first; // it begins where the whole text begins
};

struct Cut;    // a run of the pre-tokenizers
struct Pieces; // tokens on their way to text

struct StepKind {
    const char *type; // in tokenizer.json; NULL: a part of another step
    int (*read)(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind);
    // Of its stage's three, the one:
    int (*normalize)(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err);
    int (*cut)(struct Cut *cut, const struct Step *step, struct Piece piece);
    int (*decode)(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err);
};

struct Stage {              // as tokenizer.json has it
    const char *key, *list; // "normalizer", and what its Sequence calls its list
    const struct StepKind *kinds;
    size_t count;
};

// Reads a stage, a Sequence as its parts. Errors (VKGPT_BAD_MODEL): a type that is not in the table, by name; more than
// PIPELINE_MAX_STEPS steps.
int steps_read(struct Reader *r, const struct Stage *stage, const struct Json *json, struct Steps *steps);
// Adds the next step; NULL, with the sentence, where there is no room.
struct Step *steps_next(struct Reader *r, struct Steps *steps, const struct StepKind *kind);
// A reader of steps that have no settings.
int steps_read_plain(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind);
// A setting that is text, copied into the vocabulary; that is one character; that is a pattern, {"Regex": ...} or
// {"String": ...}; that says what becomes of a delimiter.
int steps_read_text(struct Reader *r, const struct Json *json, const char *key, const char **text);
int steps_read_character(struct Reader *r, const struct Json *json, const char *key, int32_t *character);
int steps_read_pattern(struct Reader *r, const struct Json *json, void **pattern);
int steps_read_behavior(struct Reader *r, const struct Json *json, enum Behavior *behavior);
int steps_read_prepend(struct Reader *r, const struct Json *json, enum Prepend *prepend);

#endif
