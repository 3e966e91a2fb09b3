// Reads the tokenizer of a Hugging Face directory into a vocabulary.
#ifndef VKGPT_TEXT_READER_H
#define VKGPT_TEXT_READER_H

#include "text/vocab.h"

// Fills and seals a vocabulary. What is read, and which file wins, is what GPT2TokenizerFast of Hugging Face's
// transformers does:
//
// - tokenizer.json where it is there, else vocab.json with merges.txt.
// - Added tokens of tokenizer.json; then `added_tokens_decoder` of tokenizer_config.json, or, without that key,
//   special_tokens_map.json and added_tokens.json; then the special tokens by role (bos_token, ...), which for the
//   GPT-2 class are <|endoftext|> unless a file says otherwise. A special token without an id takes the next one
//   if the model has a row for it, and is text otherwise.
// - `add_prefix_space` of tokenizer_config.json (by default off; for a class that is not GPT-2's, what
//   tokenizer.json says).
// - A leading token: what tokenizer.json's post_processor puts there; without a tokenizer.json, `add_bos_token`.
//
// vocab_size 0 takes the one of config.json. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): a file missing, damaged or
// contradicting another; an id twice or past vocab_size; a merge of absent tokens; whatever in tokenizer.json would
// change the ids and is not done here (a normalizer, another pre_tokenizer, another model type), by name.
int reader_open(const char *dir, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err);

#endif
