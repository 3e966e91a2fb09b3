// Writes a byte-level tokenizer as keys of a GGUF file.
#ifndef VKGPT_TEXT_GGUF_VOCAB_WRITE_H
#define VKGPT_TEXT_GGUF_VOCAB_WRITE_H

#include "model/gguf_write.h"
#include "text/vocab.h"

// Puts the keys tokenizer.ggml.*; rows of the token table without a token become unused tokens. `model` is the model's
// path, for sentences. Errors (VKGPT_BAD_MODEL): what GGUF's gpt2 tokenizer cannot express, by name:
//
// - word ends, NFKC, its own splits, add_prefix_space, tokens before the text other than bos;
// - fuse_unk, and unk_token if it can be needed (a byte has no token);
// - lstrip, rstrip and single_word of an added token, and normalized if it changes ids (vocab_normalized_is_idle);
// - bos or an end token that is not special, if no text can be encoded to it; a token past the model's rows;
// - a merge of a token with a space in it.
int gguf_put_vocab(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Config *config,
                   vkgpt_error *err);

#endif
