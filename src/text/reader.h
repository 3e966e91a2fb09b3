// Reads the tokenizer of a Hugging Face directory into a vocabulary.
#ifndef VKGPT_TEXT_READER_H
#define VKGPT_TEXT_READER_H

#include "text/vocab.h"

// Fills and seals a vocabulary. Which files are read, and which one wins, is as in GPT2TokenizerFast of Hugging Face's
// transformers, or OpenAIGPTTokenizer, BertTokenizerFast, T5TokenizerFast. The class is `tokenizer_class` of
// tokenizer_config.json, else of config.json; else it follows from `model_type` there, or from the vocabulary file.
//
// - tokenizer.json if it exists, else vocab.json with merges.txt, vocab.txt (BERT), spiece.model (T5).
// - A tokenizer.json in GPT-2's form (byte-level BPE and GPT-2's split, with at most NFKC and a few splits before it)
//   fills the tables of vocab.h; any other becomes a pipeline (pipeline.h), for all classes but GPT-1's.
// - Added tokens of tokenizer.json; then `added_tokens_decoder` of tokenizer_config.json, or, without that key,
//   special_tokens_map.json and added_tokens.json; then the special tokens by role (bos_token, ...), which for the
//   GPT-2 class are <|endoftext|> unless a file says otherwise. A special token without an id gets the next one if
//   the model has a row for it; otherwise it stays text.
// - `add_prefix_space` of tokenizer_config.json (default: off; for other classes than GPT-2's, as in tokenizer.json).
// - Tokens before and after a text: those of tokenizer.json's post_processor; without a tokenizer.json,
//   `add_bos_token`, BERT's [CLS] and [SEP], T5's </s>.
// - BERT's class sets the switches of BertNormalizer: do_lower_case, tokenize_chinese_chars, strip_accents.
//
// GPT-1 is read in the same way, or from OpenAI's own encoder_bpe_40000.json and vocab_40000.bpe. It is encoded as in
// the Python class of transformers 4 without ftfy and spacy. A tokenizer.json gives tokens, merges and added tokens;
// its BertNormalizer is read as that class's, although the newer class in Rust, which runs it, differs from this:
//
// - <UNK> in the text is <unk>: added tokens are found in the lower-case text, as well as in their own case.
// - If special tokens are text, all added tokens are.
// - Punctuation and unassigned characters are Unicode 15's (utf8proc's), not Unicode 8's.
//
// unk_token (default <unk>) must have a row. Differences from transformers 4: merges out of order (a merge of tokens
// that later merges make), which training never produces, are applied lowest rank first, as for GPT-2; every added
// token keeps its case in the text, not only those with a role or `normalized`; `single_word` is refused. Bytes of a
// text that are not UTF-8 are dropped. A token's bytes have a blank for </w>, so a decoded text differs from
// convert_tokens_to_string's in the blanks at its ends.
//
// Galactica's tokenizer.json is in GPT-2's form: NFKC, and splits at a marker, at digits, at marks and at newlines.
// NFKC is Unicode 15's (utf8proc's); Hugging Face's does not change some 120 characters that are newer than Unicode 9.
//
// vocab_size 0: the one of config.json. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): a file that is missing, damaged or
// contradicts another; an id that is duplicate or past VOCAB_MAX_IDS; a merge of absent tokens; a pattern that PCRE2
// does not accept; anything in tokenizer.json that changes the ids or the text and is not supported, by name.
int reader_open(const char *dir, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err);

#endif
