// Writes a GGUF file of architecture gpt2: the keys are collected first, then the tensors are written one by one.
#ifndef VKGPT_MODEL_GGUF_WRITE_H
#define VKGPT_MODEL_GGUF_WRITE_H

#include "model/checkpoint.h"
#include "model/formats.h"
#include "model/gguf.h"

struct GgufKeys { // zeroed: empty; free with gguf_keys_free
    uint8_t *data;
    size_t bytes, capacity;
    uint64_t count;
    bool out_of_memory; // reported when the file is written
};

void gguf_put_integer(struct GgufKeys *keys, const char *key, uint32_t value);
void gguf_put_real(struct GgufKeys *keys, const char *key, float value);
void gguf_put_flag(struct GgufKeys *keys, const char *key, bool value);
void gguf_put_text(struct GgufKeys *keys, const char *key, const char *value);
// Begins an array; put its `count` elements with gguf_put_element_x.
void gguf_put_array(struct GgufKeys *keys, const char *key, enum GgufType element, uint64_t count);
void gguf_put_element_text(struct GgufKeys *keys, const char *text, size_t bytes);
void gguf_put_element_i32(struct GgufKeys *keys, int32_t value);
void gguf_keys_free(struct GgufKeys *keys);

// Refuses a config that GGUF's gpt2 cannot express, by name (VKGPT_BAD_MODEL): another class, a field with another
// value than gpt2's, more than three end tokens. `model` is the model's path, for the sentence.
int gguf_can_say(const char *model, const struct Config *config, vkgpt_error *err);
// Refuses a tensor that is neither a weight of gpt2 nor checkpoint_implied, in the same way: the head for a task, a
// layer past the last.
int gguf_can_hold(const char *model, const struct Checkpoint *checkpoint, vkgpt_error *err);

// Puts the keys of the architecture. Call it before putting those of the tokenizer.
void gguf_put_model(struct GgufKeys *keys, const struct Checkpoint *checkpoint, vkgpt_format type);

// Writes a temporary file, then renames it. Matrices have the given type; norms, biases and positions are f32; the
// token table and the head are q8_0 or better. A matrix whose rows are not a multiple of the block size becomes q8_0 if
// that fits, else f16; one with values past 65504 becomes f32 in place of f16. `note` gets one sentence for each such
// change. `check`, if not NULL, reads the file before it gets its name; if it fails, no file is left.
// Errors: of the file system (VKGPT_BAD_FILE); a NaN or infinity in a matrix that is quantised (VKGPT_BAD_MODEL).
struct GgufOutput {
    const char *path;
    vkgpt_format type;
    void (*note)(const char *sentence); // or NULL
    int (*check)(const char *path, void *user, vkgpt_error *err);
    void *user; // for check
};
int gguf_write(const struct GgufOutput *output, const struct Checkpoint *checkpoint, const struct GgufKeys *keys,
               vkgpt_error *err);

#endif
