// Writing a byte-level tokenizer as Hugging Face's tokenizer.json, which says all of it.
#ifndef VKGPT_TEXT_TOKENIZER_WRITE_H
#define VKGPT_TEXT_TOKENIZER_WRITE_H

#include "model/config.h"
#include "text/vocab.h"

// Writes tokenizer.json into a directory that is there: tokens, merges, unk and fuse_unk, added tokens with every flag,
// NFKC, the splits before ByteLevel, add_prefix_space, and the tokens before a text as a TemplateProcessing.
// Errors: words that have ends (VKGPT_BAD_MODEL); of the file system.
int tokenizer_json_write(const char *dir, const struct Vocab *vocab, vkgpt_error *err);

// Writes the tokenizer_config.json that leaves all to tokenizer.json: a class that adds nothing
// (PreTrainedTokenizerFast), and which special tokens are bos and eos.
int tokenizer_config_write(const char *dir, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err);

#endif
