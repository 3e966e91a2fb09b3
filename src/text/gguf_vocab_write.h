// Writing a byte-level tokenizer: as a GGUF file's keys, and as Hugging Face's files.
#ifndef VKGPT_TEXT_GGUF_VOCAB_WRITE_H
#define VKGPT_TEXT_GGUF_VOCAB_WRITE_H

#include "model/gguf_write.h"
#include "text/vocab.h"

// The keys tokenizer.ggml.*; rows of the token table without a token become unused ones. `model` is the model's path,
// for sentences. Errors (VKGPT_BAD_MODEL): what GGUF's gpt2 tokenizer cannot say, by name (words that have ends, NFKC,
// splits of its own, add_prefix_space, tokens before the text other than bos).
int gguf_put_vocab(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Config *config,
                   vkgpt_error *err);

// Writes vocab.json, merges.txt and tokenizer_config.json into a directory that is there.
int vocab_write(const char *dir, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err);

#endif
