// The kinds of steps: how a step of a pipeline's stage is read and what it does. Each stage has a table of kinds.
#ifndef VKGPT_TEXT_STEPS_H
#define VKGPT_TEXT_STEPS_H

#include "text/pipeline.h"
#include "text/reader_parts.h"

struct Piece { // a piece of a text, for the model
    const char *text;
    size_t bytes;
    bool first; // it is at the start of the whole text
};

struct Cut;    // a run of the pre-tokenizers
struct Pieces; // tokens that are decoded

struct StepKind {
    const char *type; // in tokenizer.json; NULL: a part of another step
    int (*read)(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind);
    // the function of its stage; the other two are NULL
    int (*normalize)(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err);
    int (*cut)(struct Cut *cut, const struct Step *step, struct Piece piece);
    int (*decode)(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err);
};

struct Stage {              // a stage in tokenizer.json
    const char *key, *list; // such as "normalizer", and the key of a Sequence's list
    const struct StepKind *kinds;
    size_t count;
};

// Reads a stage; a Sequence becomes its parts. Errors (VKGPT_BAD_MODEL): a type that is not in the table, by name; more
// than PIPELINE_MAX_STEPS steps.
int steps_read(struct Reader *r, const struct Stage *stage, const struct Json *json, struct Steps *steps);
// Adds the next step. If there is no room, fails with a sentence and returns NULL.
struct Step *steps_next(struct Reader *r, struct Steps *steps, const struct StepKind *kind);
// Reads a step without settings.
int steps_read_plain(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind);
// Read a setting: a text, copied into the vocabulary; one character; a pattern, {"Regex": ...} or {"String": ...};
// what happens to a delimiter; when to prepend.
int steps_read_text(struct Reader *r, const struct Json *json, const char *key, const char **text);
int steps_read_character(struct Reader *r, const struct Json *json, const char *key, int32_t *character);
int steps_read_pattern(struct Reader *r, const struct Json *json, void **pattern);
int steps_read_behavior(struct Reader *r, const struct Json *json, enum Behavior *behavior);
int steps_read_prepend(struct Reader *r, const struct Json *json, enum Prepend *prepend);

#endif
