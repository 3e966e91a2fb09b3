// Writing a byte-level tokenizer as a GGUF file's keys.
#ifndef VKGPT_TEXT_GGUF_VOCAB_WRITE_H
#define VKGPT_TEXT_GGUF_VOCAB_WRITE_H

#include "model/gguf_write.h"
#include "text/vocab.h"

// The keys tokenizer.ggml.*; rows of the token table without a token become unused ones. `model` is the model's path,
// for sentences. Errors (VKGPT_BAD_MODEL): what GGUF's gpt2 tokenizer cannot say, by name:
//
// - words that have ends, NFKC, splits of its own, add_prefix_space, tokens before the text other than bos;
// - fuse_unk, and unk_token where it would be used (some byte has no token);
// - lstrip, rstrip and single_word of an added token, and normalized where it changes ids (vocab_normalized_is_idle);
// - bos or an end token that is neither special nor what a text becomes; a token past the model's rows;
// - a merge of a token that holds a space.
int gguf_put_vocab(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Config *config,
                   vkgpt_error *err);

#endif
