// What the readers of a tokenizer's files share. They fill r->vocab, name r->path in their sentences, and return a
// vkgpt_code.
#ifndef VKGPT_TEXT_READER_PARTS_H
#define VKGPT_TEXT_READER_PARTS_H

#include "base/json.h"

#include "text/vocab.h"

#define MAX_FILE_BYTES ((size_t)128 << 20)
#define ORIGINAL_VOCAB "encoder_bpe_40000.json" // of GPT-1 as OpenAI published it
#define ORIGINAL_MERGES "vocab_40000.bpe"

// A member of an object that a class sets, whatever the file says; NULL takes it away.
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
    bool has_json;               // tokenizer.json is there
    bool original;               // only OpenAI's own files are there
    bool gpt1_class, gpt2_class; // whose tokenizer it is, and whose defaults hold
    bool bert_class, t5_class;
    struct Setting set[4];
    size_t set_count;
    char path[4096]; // of the file being read
};

// The path of a file of the directory, kept in r->path for sentences.
int reader_path(struct Reader *r, const char *name);
bool reader_has(struct Reader *r, const char *name);
// Reads a JSON file that may be absent: *json is NULL then. Its top has to be an object.
int reader_object(struct Reader *r, const char *name, struct Json **json);
// Errors (VKGPT_BAD_FILE): a byte of a text that is not UTF-8.
int reader_check_utf8(struct Reader *r, const char *text, size_t bytes);

int reader_fail_type(struct Reader *r, const char *key, const char *wanted);
// The sentence for what would change the ids and is not done here.
int reader_refuse(struct Reader *r, const char *key, const struct Json *value);
bool reader_is_text(const struct Json *item, const char *text);
bool reader_is_type(const struct Json *object, const char *type);
// Sets a member, for reader_get; four at most.
void reader_set(struct Reader *r, const struct Json *object, const char *key, const struct Json *value);
// The member that was set, or json_get's.
const struct Json *reader_get(const struct Reader *r, const struct Json *object, const char *key);
// A flag that may be absent.
int reader_flag(struct Reader *r, const struct Json *object, const char *key, bool absent, bool *flag);

// Tokens as {"token": id}.
int reader_vocab(struct Reader *r, const struct Json *tokens);
// Merges as "left right", or ["left", "right"].
int reader_merges(struct Reader *r, const struct Json *merges);
// BPE's dropout: it is for training, is not applied, and is noted.
int reader_dropout(struct Reader *r, const struct Json *model);
// The model of a tokenizer.json.
int reader_bpe(struct Reader *r, const struct Json *model);
int reader_vocab_and_merges(struct Reader *r);
int reader_tokenizer_json(struct Reader *r);
int reader_vocab_txt(struct Reader *r);
int reader_spiece(struct Reader *r);
// What BERT's class and T5's put around a text, once all tokens are there.
int reader_piece_edges(struct Reader *r);
// Makes r->vocab->pipeline. Once the model is read into it, reader_stages reads the rest of a tokenizer.json, in which
// it sets what the class sets.
int reader_pipeline(struct Reader *r);
int reader_stages(struct Reader *r, const struct Json *json);
// What goes around every text; NO_TOKEN is nothing.
int reader_edge_tokens(struct Reader *r, uint32_t before, uint32_t behind);
int reader_post_processor(struct Reader *r, const struct Json *post);

// "added_tokens" of tokenizer.json.
int reader_added_list(struct Reader *r, const struct Json *list);
// Those of all other files, and the tokens with a role.
int reader_added_tokens(struct Reader *r);
// The text of the token in a role ("bos_token"), or NULL. Where the files are silent the class speaks.
const char *reader_role(const struct Reader *r, const char *role);

#endif
