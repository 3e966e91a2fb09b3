// Reads the tokenizer of a Hugging Face directory into a vocabulary.
#ifndef VKGPT_TEXT_READER_H
#define VKGPT_TEXT_READER_H

#include "text/vocab.h"

// Fills and seals a vocabulary. What is read, and which file wins, is what GPT2TokenizerFast of Hugging Face's
// transformers does, or OpenAIGPTTokenizer, BertTokenizerFast, T5TokenizerFast. Which of them is said by
// `tokenizer_class` of tokenizer_config.json, else of config.json, else by `model_type` there, else by the only
// vocabulary that is there.
//
// - tokenizer.json where it is there, else vocab.json with merges.txt, vocab.txt (BERT's), spiece.model (T5's).
// - A tokenizer.json in GPT-2's form (byte-level BPE and GPT-2's split, after NFKC and a few splits at most) fills the
//   tables of vocab.h; any other becomes a pipeline (pipeline.h), whatever the class, but for GPT-1's.
// - Added tokens of tokenizer.json; then `added_tokens_decoder` of tokenizer_config.json, or, without that key,
//   special_tokens_map.json and added_tokens.json; then the special tokens by role (bos_token, ...), which for the
//   GPT-2 class are <|endoftext|> unless a file says otherwise. A special token without an id takes the next one
//   if the model has a row for it, and is text otherwise.
// - `add_prefix_space` of tokenizer_config.json (by default off; for a class that is not GPT-2's, what
//   tokenizer.json says).
// - Tokens before and behind a text: what tokenizer.json's post_processor puts there; without a tokenizer.json,
//   `add_bos_token`, BERT's [CLS] and [SEP], T5's </s>.
// - BERT's class sets the switches of BertNormalizer: do_lower_case, tokenize_chinese_chars, strip_accents.
//
// GPT-1 is read like that, or from OpenAI's own encoder_bpe_40000.json and vocab_40000.bpe, and encoded as the class
// in Python of transformers 4 does it without ftfy and spacy. A tokenizer.json gives tokens, merges and added tokens;
// its BertNormalizer is taken to mean the same, though the newer class in Rust, which runs it, differs:
//
// - <UNK> in the text is <unk>: added tokens are found in the text in lower case, as well as in their own case.
// - Where special tokens are text, all added tokens are.
// - Punctuation and unassigned characters are Unicode 15's (utf8proc's), not Unicode 8's.
//
// unk_token (by default <unk>) has to have a row. Against transformers 4: merges out of order (one made of
// later ones), which no training makes, are done lowest first, as for GPT-2; every added token keeps its case in the
// text, not only those with a role or `normalized`; `single_word` is refused. Of text, every byte that is not UTF-8
// is dropped. A token's bytes have a blank for </w>, so a decoded text differs from convert_tokens_to_string's by the
// blanks at its ends.
//
// Galactica's tokenizer.json is in GPT-2's form: NFKC, and splits at a marker, at digits, at marks and at newlines.
// NFKC is Unicode 15's (utf8proc's); Hugging Face's leaves some 120 characters alone that came after Unicode 9.
//
// vocab_size 0 takes the one of config.json. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): a file missing, damaged or
// contradicting another; an id twice or past VOCAB_MAX_IDS; a merge of absent tokens; a pattern that PCRE2 does not
// take; whatever in tokenizer.json would change the ids or the text and is not done here, by name.
int reader_open(const char *dir, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err);

#endif
