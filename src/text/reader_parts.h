// What the readers of a tokenizer's files share. They fill r->vocab, name r->path in their sentences, and return a
// vkgpt_code.
#ifndef VKGPT_TEXT_READER_PARTS_H
#define VKGPT_TEXT_READER_PARTS_H

#include <cjson/cJSON.h>

#include "text/vocab.h"

#define MAX_FILE_BYTES ((size_t)128 << 20)
#define ORIGINAL_VOCAB "encoder_bpe_40000.json" // of GPT-1 as OpenAI published it
#define ORIGINAL_MERGES "vocab_40000.bpe"

struct Reader {
    const char *dir;
    struct Vocab *vocab;
    vkgpt_error *err;
    cJSON *config;               // config.json, or NULL
    cJSON *settings;             // tokenizer_config.json, or NULL
    cJSON *roles;                // special_tokens_map.json, or NULL
    bool has_json;               // tokenizer.json is there
    bool original;               // only OpenAI's own files are there
    bool gpt1_class, gpt2_class; // whose tokenizer it is, and whose defaults hold
    bool bert_class, t5_class;
    char path[4096]; // of the file being read
};

// The path of a file of the directory, kept in r->path for sentences.
int reader_path(struct Reader *r, const char *name);
bool reader_has(struct Reader *r, const char *name);
// Reads a JSON file that may be absent: *json is NULL then. Its top has to be an object.
int reader_object(struct Reader *r, const char *name, cJSON **json);
// Errors (VKGPT_BAD_FILE): a byte of a text that is not UTF-8.
int reader_check_utf8(struct Reader *r, const char *text, size_t bytes);

int reader_fail_type(struct Reader *r, const char *key, const char *wanted);
// The sentence for what would change the ids and is not done here.
int reader_refuse(struct Reader *r, const char *key, const cJSON *value);
bool reader_is_text(const cJSON *item, const char *text);
bool reader_is_type(const cJSON *object, const char *type);
// A flag that may be absent.
int reader_flag(struct Reader *r, const cJSON *object, const char *key, bool absent, bool *flag);

// Tokens as {"token": id}.
int reader_vocab(struct Reader *r, const cJSON *tokens);
// Merges as "left right", or ["left", "right"].
int reader_merges(struct Reader *r, const cJSON *merges);
// BPE's dropout: it is for training, is not applied, and is noted.
int reader_dropout(struct Reader *r, const cJSON *model);
// The model of a tokenizer.json.
int reader_bpe(struct Reader *r, const cJSON *model);
int reader_vocab_and_merges(struct Reader *r);
int reader_tokenizer_json(struct Reader *r);
int reader_vocab_txt(struct Reader *r);
int reader_spiece(struct Reader *r);
// What BERT's class and T5's put around a text, once all tokens are there.
int reader_piece_edges(struct Reader *r);
// Makes r->vocab->pipeline. Once the model is read into it, reader_stages reads the rest of a tokenizer.json, in which
// it may set what the class sets.
int reader_pipeline(struct Reader *r);
int reader_stages(struct Reader *r, cJSON *json);
// What goes around every text; NO_TOKEN is nothing.
int reader_edge_tokens(struct Reader *r, uint32_t before, uint32_t behind);
int reader_post_processor(struct Reader *r, const cJSON *post);

// "added_tokens" of tokenizer.json.
int reader_added_list(struct Reader *r, const cJSON *list);
// Those of all other files, and the tokens with a role.
int reader_added_tokens(struct Reader *r);
// The text of the token in a role ("bos_token"), or NULL. Where the files are silent the class speaks.
const char *reader_role(const struct Reader *r, const char *role);

#endif
