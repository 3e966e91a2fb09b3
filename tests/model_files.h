// Files for the tests of the model readers: a directory for each test, a tiny GPT-2 written by hand, and ways to spoil
// one thing in it. Errors of the file system fail the test.
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H

#include "model/checkpoint.h"

struct Bytes {
    uint8_t *data;
    size_t count, capacity;
};

void bytes_add(struct Bytes *bytes, const void *data, size_t count);
void bytes_text(struct Bytes *bytes, const char *text);
void bytes_number(struct Bytes *bytes, uint64_t value, int count); // little-endian
void bytes_free(struct Bytes *bytes);

// The text with its first `from` replaced; a text without it fails the test. The caller frees the result.
char *text_replace(const char *text, const char *from, const char *to);

#define DIR_BYTES 512

void dir_make(char dir[DIR_BYTES]);
void dir_remove(const char *dir); // with what is in it

// One directory for a whole test program: made before a group or a test, and removed after it.
extern char test_dir[DIR_BYTES];
int test_dir_setup(void **state);
int test_dir_teardown(void **state);
// The path of `name` in test_dir; "": test_dir itself. The last four paths stay valid.
const char *test_path(const char *name);

void file_write(const char *dir, const char *name, const void *data, size_t count);
struct Bytes file_read(const char *dir, const char *name);

// The tiny model: 2 layers, 2 heads, width 8, inner width 12, 5 positions, 11 tokens. This is element (row, column) of
// a tensor, in the file's order. It is exact in every format (tools/fixtures_torch.py has the same formula).
float tiny_value(const char *name, int64_t row, int64_t column);
extern const char tiny_config[];
// The JSON of its safetensors header, without the prefix `transformer.`; types F32, F16, BF16 in turn.
char *tiny_header(size_t *data_bytes);
// The whole file for a header: length, header, and the values; zeros for tensors that the tiny model does not have.
struct Bytes tiny_safetensors(const char *header, size_t data_bytes);

// Checks every weight of an open tiny model against tiny_value, with all three readers.
void tiny_check(const struct Checkpoint *checkpoint);

// Fails unless `code` is `wanted`, and the sentence is one line and has all the words (a NULL ends the list).
void expect_sentence(int code, int wanted, const vkgpt_error *err, ...);

// A small generator with a fixed seed, for mutations.
uint32_t random_next(uint64_t *state);
// Flips, overwrites, cuts out or doubles a few bytes.
void bytes_mutate(struct Bytes *bytes, uint64_t *state);

#endif
