// The tokenizer inside a GGUF file.
#ifndef VKGPT_TEXT_GGUF_VOCAB_H
#define VKGPT_TEXT_GGUF_VOCAB_H

#include "text/vocab.h"

// The values of tokenizer.ggml.token_type.
enum GgufToken {
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN,
    GGUF_TOKEN_CONTROL,
    GGUF_TOKEN_USER_DEFINED,
    GGUF_TOKEN_UNUSED,
    GGUF_TOKEN_BYTE,
};

// Fills and seals a vocabulary from the keys tokenizer.ggml.*: model "gpt2", tokens in GPT-2's byte-level alphabet,
// merges, token_type (control tokens are special, user-defined ones are added tokens, unused ones have no text), and
// bos_token_id before every text if add_bos_token is true. bos and the tokens that end a text (eos, eot, eom) are
// special, whatever their type, except tokens to which text can be encoded (vocab_is_text): a line end may end a text.
// unknown_token_id is kept only if every byte has a token; otherwise a byte without a token is dropped, as in
// llama.cpp. vocab_size 0: the rows of the token table.
// Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): those of gguf_read and gguf_config; no tokenizer; another model or
// pre-tokenizer, by name; lists of different lengths; text that is not UTF-8; a byte token that is not <0x00> to
// <0xFF>; what vocab_add and vocab_add_merge refuse.
int gguf_vocab_open(const char *path, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err);

// Whether the file has a tokenizer; false also for a file that cannot be read.
bool gguf_vocab_there(const char *path);

#endif
