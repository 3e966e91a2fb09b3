// Functions for the readers of a tokenizer's files. They fill r->vocab, name r->path in their sentences, and return a
// vkgpt_code.
#ifndef VKGPT_TEXT_READER_PARTS_H
#define VKGPT_TEXT_READER_PARTS_H

#include "base/json.h"

#include "text/vocab.h"

#define MAX_FILE_BYTES ((size_t)128 << 20)
#define ORIGINAL_VOCAB "encoder_bpe_40000.json" // GPT-1 as published by OpenAI
#define ORIGINAL_MERGES "vocab_40000.bpe"

// A member of an object that the class sets, whatever the file says; NULL removes it.
struct Setting {
    const struct Json *object;
    const char *key;
    const struct Json *value;
};

struct Reader {
    const char *dir;
    struct Vocab *vocab;
    vkgpt_error *err;
    struct Json *config;         // config.json, or NULL
    struct Json *settings;       // tokenizer_config.json, or NULL
    struct Json *roles;          // special_tokens_map.json, or NULL
    bool has_json;               // the directory has tokenizer.json
    bool original;               // the directory has only OpenAI's own files
    bool gpt1_class, gpt2_class; // the class of the tokenizer, with its defaults
    bool bert_class, t5_class;
    struct Setting set[4];
    size_t set_count;
    char path[4096]; // of the file being read
};

// Writes the path of a file in the directory to r->path, also for sentences.
int reader_path(struct Reader *r, const char *name);
bool reader_has(struct Reader *r, const char *name);
// Reads an optional JSON file, which must be an object; *json is NULL if the file is absent.
int reader_object(struct Reader *r, const char *name, struct Json **json);
// Errors (VKGPT_BAD_FILE): a byte of a text that is not UTF-8.
int reader_check_utf8(struct Reader *r, const char *text, size_t bytes);

int reader_fail_type(struct Reader *r, const char *key, const char *wanted);
// Fails with the sentence for a setting that changes the ids and is not supported.
int reader_refuse(struct Reader *r, const char *key, const struct Json *value);
bool reader_is_text(const struct Json *item, const char *text);
bool reader_is_type(const struct Json *object, const char *type);
// Sets a member, for reader_get; at most four.
void reader_set(struct Reader *r, const struct Json *object, const char *key, const struct Json *value);
// The value from reader_set, else json_get's.
const struct Json *reader_get(const struct Reader *r, const struct Json *object, const char *key);
// Reads an optional flag; `absent` is its default.
int reader_flag(struct Reader *r, const struct Json *object, const char *key, bool absent, bool *flag);

// Reads tokens as {"token": id}.
int reader_vocab(struct Reader *r, const struct Json *tokens);
// Reads merges as "left right", or ["left", "right"].
int reader_merges(struct Reader *r, const struct Json *merges);
// Reads BPE's dropout, which is for training and is not applied; vkgpt_tokenizer_note tells the caller.
int reader_dropout(struct Reader *r, const struct Json *model);
// Reads the model of a tokenizer.json.
int reader_bpe(struct Reader *r, const struct Json *model);
int reader_vocab_and_merges(struct Reader *r);
int reader_tokenizer_json(struct Reader *r);
int reader_vocab_txt(struct Reader *r);
int reader_spiece(struct Reader *r);
// Sets the tokens that BERT's class and T5's put around a text; call it after all tokens are added.
int reader_piece_edges(struct Reader *r);
// reader_pipeline creates r->vocab->pipeline. After the model is read into it, reader_stages reads the rest of a
// tokenizer.json, with the members that the class sets.
int reader_pipeline(struct Reader *r);
int reader_stages(struct Reader *r, const struct Json *json);
// Sets the tokens around every text; NO_TOKEN: none.
int reader_edge_tokens(struct Reader *r, uint32_t before, uint32_t behind);
int reader_post_processor(struct Reader *r, const struct Json *post);

// Reads "added_tokens" of tokenizer.json.
int reader_added_list(struct Reader *r, const struct Json *list);
// Reads the added tokens of all other files, and the tokens with a role.
int reader_added_tokens(struct Reader *r);
// The text of the token in a role ("bos_token"), or NULL. If no file has the role, the class's default.
const char *reader_role(const struct Reader *r, const char *role);

#endif
