// Writes a byte-level tokenizer as Hugging Face's tokenizer.json, which can express all of it.
#ifndef VKGPT_TEXT_TOKENIZER_WRITE_H
#define VKGPT_TEXT_TOKENIZER_WRITE_H

#include "model/config.h"
#include "text/vocab.h"

// Writes tokenizer.json into an existing directory: tokens, merges, unk and fuse_unk, added tokens with all flags,
// NFKC, the splits before ByteLevel, add_prefix_space, and the tokens around a text as a TemplateProcessing.
// Errors (VKGPT_BAD_MODEL): GPT-1's words, a pipeline; errors of the file system.
int tokenizer_json_write(const char *dir, const struct Vocab *vocab, vkgpt_error *err);

// Writes a tokenizer_config.json that leaves everything to tokenizer.json: a class that adds nothing
// (PreTrainedTokenizerFast), and which special tokens are bos, eos and unk.
int tokenizer_config_write(const char *dir, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err);

#endif
