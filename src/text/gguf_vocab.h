// The tokenizer inside a GGUF file.
#ifndef VKGPT_TEXT_GGUF_VOCAB_H
#define VKGPT_TEXT_GGUF_VOCAB_H

#include "text/vocab.h"

// What tokenizer.ggml.token_type says of a token.
enum GgufToken {
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN,
    GGUF_TOKEN_CONTROL,
    GGUF_TOKEN_USER_DEFINED,
    GGUF_TOKEN_UNUSED,
    GGUF_TOKEN_BYTE,
};

// Fills and seals a vocabulary from the keys tokenizer.ggml.*: model "gpt2", tokens in GPT-2's byte-level alphabet,
// merges, token_type (control tokens are special, user-defined ones are added tokens, unused ones have no text),
// bos_token_id before every text where add_bos_token is true. bos and the tokens that end a text (eos, eot, eom) are
// special whatever their type, but those that a text can become (vocab_is_text): an end of line may end a text.
// unknown_token_id is kept where every byte has a token; elsewhere such a byte is dropped, as llama.cpp does.
// vocab_size 0 takes the rows of the token table.
// Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): as gguf_read and gguf_config have them; no tokenizer; another model or
// pre-tokenizer, by name; lists of different lengths; text that is not UTF-8; a byte token that names no byte; what
// vocab_add and vocab_add_merge refuse.
int gguf_vocab_open(const char *path, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err);

// Whether the file has a tokenizer; false too for one that cannot be read.
bool gguf_vocab_there(const char *path);

#endif
