// The GGUF format, versions 2 and 3, little-endian: a header, keys with typed values, and tensors.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef VKGPT_MODEL_GGUF_H
#define VKGPT_MODEL_GGUF_H

#include "base/map.h"
#include "model/config.h"
#include "model/table.h"

enum GgufType {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES,
};

#define GGUF_MAGIC "GGUF"
#define GGUF_VERSION 3    // the version that vkgpt writes
#define GGUF_ALIGNMENT 32 // the default of general.alignment

// The keys of the tokens that end a text, in the order in which Config.eos lists them.
#define GGUF_MAX_ENDS 3
extern const char *const GGUF_ENDS[GGUF_MAX_ENDS];

struct GgufText { // no NUL at the end
    const char *text;
    size_t bytes;
};

struct GgufValue {
    enum GgufType type; // GGUF_ARRAY: `count` values of type `element`
    enum GgufType element;
    uint64_t count;
    const uint8_t *data; // unaligned, in the mapping
};

struct GgufKey {
    struct GgufText name;
    struct GgufValue value;
};

struct Gguf {
    const char *path;
    uint32_t version;
    struct GgufKey *keys;
    size_t key_count;
    struct Map by_name;
};

// Maps the file (the table owns the mapping), and adds its tensors under their own names, with shapes reversed to
// (out, in). A type that vkgpt does not unpack becomes DTYPE_OTHER. The Gguf points into the table's mapping; free it
// with gguf_free, also after an error.
// Errors (VKGPT_BAD_FILE): another magic or version; counts, lengths, dimensions and offsets that overflow or pass the
// end of the file; arrays of arrays; an alignment that is not a power of two; unknown types; a row that is not a
// multiple of the block size; a duplicate key or tensor.
int gguf_read(const char *path, struct TensorTable *table, struct Gguf *gguf, vkgpt_error *err);
void gguf_free(struct Gguf *gguf);

// The value of a key, or NULL.
const struct GgufValue *gguf_find(const struct Gguf *gguf, const char *key);

// The functions below leave *value unchanged if the key is absent. Errors (VKGPT_BAD_MODEL): another type, or outside
// [min, max].
int gguf_integer(const struct Gguf *gguf, const char *key, int64_t min, int64_t max, int64_t *value, vkgpt_error *err);
int gguf_real(const struct Gguf *gguf, const char *key, double *value, vkgpt_error *err);
int gguf_flag(const struct Gguf *gguf, const char *key, bool *value, vkgpt_error *err);
int gguf_text(const struct Gguf *gguf, const char *key, struct GgufText *value, vkgpt_error *err);
// An array with this element type.
int gguf_array(const struct Gguf *gguf, const char *key, enum GgufType element, const struct GgufValue **value,
               vkgpt_error *err);

// The string at *at; *at moves to the next string of the array.
struct GgufText gguf_next_text(const uint8_t **at);
int32_t gguf_i32_at(const struct GgufValue *array, uint64_t index);

bool gguf_text_is(struct GgufText text, const char *wanted);

// A text for use in a sentence: shortened, with '?' for all but printable ASCII.
struct GgufShown {
    char text[64];
};
struct GgufShown gguf_shown(struct GgufText text);

// The model's config from the keys of architecture gpt2; `vocab` comes from the token table.
// Errors (VKGPT_BAD_MODEL): another architecture, by name; a key that is absent or out of range; sizes that contradict
// each other or the tensors (block_count, the token list).
int gguf_config(const struct Gguf *gguf, const struct TensorTable *table, struct Config *config, vkgpt_error *err);
// The same from a file.
int gguf_config_read(const char *path, struct Config *config, vkgpt_error *err);

// Whether a model's path means a GGUF file: a file with its magic or the suffix .gguf, or a directory that has a file
// with this suffix and no config.json. `path` (PATH_BYTES) becomes the file's path. Several such files are an error.
int gguf_path(const char *given, bool *is_gguf, char *path, vkgpt_error *err);

// The config of a model's path: of a GGUF file, or of a directory with config.json. Errors: those of gguf_path,
// gguf_config_read and config_read.
int model_config_read(const char *given, struct Config *config, vkgpt_error *err);

#endif
