// A tiny GPT-2 as a GGUF file written by hand, and ways to spoil one thing in it.
#ifndef TESTS_GGUF_FILE_H
#define TESTS_GGUF_FILE_H

#include "model_files.h"

// The tiny model of model_files.h, with GGUF's names and order, and a tokenizer of 11 tokens. The tensors take the
// types F32, F16, BF16 in turn. An `alignment` other than 32 is written as a key.
struct Bytes gguf_tiny(uint32_t version, uint32_t alignment);
struct Bytes gguf_tiny_pre(uint32_t version, uint32_t alignment, const char *pre); // with another tokenizer.ggml.pre

void gguf_add_text(struct Bytes *out, const char *text);                   // its length, then the text
void gguf_add_integer(struct Bytes *out, const char *key, uint32_t value); // a key of type uint32

// The offset right after the first `text` in the file. A missing text fails the test.
size_t gguf_behind(const struct Bytes *file, const char *text);
// Overwrites `count` bytes at `distance` from that offset.
void gguf_patch(struct Bytes *file, const char *text, int distance, uint64_t value, int count);

#endif
