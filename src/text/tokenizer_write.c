// One function for each part of a tokenizer.json, in the order of the file.
// The format is that of Hugging Face's tokenizers: https://huggingface.co/docs/tokenizers
#include "text/tokenizer_write.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "model/path.h"

struct Making {
    const struct Vocab *vocab;
    char *name; // room for the name of one token
};

static cJSON *typed(const char *type)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", type);
    return json;
}

static cJSON *byte_level(bool add_prefix_space)
{
    cJSON *json = typed("ByteLevel");
    cJSON_AddBoolToObject(json, "add_prefix_space", add_prefix_space);
    cJSON_AddTrueToObject(json, "trim_offsets");
    cJSON_AddTrueToObject(json, "use_regex");
    return json;
}

// ----------------------------------------------------------------------------------------------- added tokens

static int by_id(const void *a, const void *b)
{
    const struct AddedToken *x = *(const struct AddedToken *const *)a, *y = *(const struct AddedToken *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static cJSON *added_json(const struct AddedToken *a)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "id", a->id);
    cJSON_AddStringToObject(json, "content", a->text);
    cJSON_AddBoolToObject(json, "single_word", a->single_word);
    cJSON_AddBoolToObject(json, "lstrip", a->lstrip);
    cJSON_AddBoolToObject(json, "rstrip", a->rstrip);
    cJSON_AddBoolToObject(json, "normalized", a->normalized);
    cJSON_AddBoolToObject(json, "special", a->special);
    return json;
}

// The added tokens by id: readers number tokens that are not in the model in this order. NULL: no memory.
static cJSON *added_list(const struct Vocab *vocab)
{
    const struct AddedToken **order = malloc((vocab->added_count + 1) * sizeof *order);
    cJSON *list = order ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; order && i < vocab->added_count; i++) order[i] = &vocab->added[i];
    if (list) qsort(order, vocab->added_count, sizeof *order, by_id);
    for (size_t i = 0; list && i < vocab->added_count; i++) cJSON_AddItemToArray(list, added_json(order[i]));
    free(order);
    return list;
}

// -------------------------------------------------------------------------------------------------- the splits

// Whether a pattern is only escaped literal text, which is then copied to `text`, with room for the pattern.
static bool is_literal(const char *pattern, char *text)
{
    for (const char *p = pattern; *p; p++) {
        bool escaped = *p == '\\';
        if (escaped) p++;
        if ((unsigned char)*p < 0x80 && (escaped ? !ispunct((unsigned char)*p) : ispunct((unsigned char)*p) != 0))
            return false;
        *text++ = *p;
    }
    *text = '\0';
    return true;
}

// NULL: no memory.
static cJSON *split_json(const struct SplitRule *rule)
{
    bool digit = strcmp(rule->pattern, "\\p{N}") == 0;
    char *text = malloc(strlen(rule->pattern) + 1);
    if (!text) return NULL;
    cJSON *json;
    if (!rule->removed && (digit || strcmp(rule->pattern, "\\p{N}+") == 0)) {
        json = typed("Digits");
        cJSON_AddBoolToObject(json, "individual_digits", digit);
    } else {
        json = typed("Split");
        bool literal = is_literal(rule->pattern, text);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(json, "pattern"), literal ? "String" : "Regex",
                                literal ? text : rule->pattern);
        cJSON_AddStringToObject(json, "behavior", rule->removed ? "Removed" : "Isolated");
        cJSON_AddFalseToObject(json, "invert");
    }
    free(text);
    return json;
}

static cJSON *pre_tokenizer_json(const struct Vocab *vocab)
{
    cJSON *last = byte_level(vocab->add_prefix_space);
    if (!vocab->rule_count) return last;
    cJSON *json = typed("Sequence"), *list = cJSON_AddArrayToObject(json, "pretokenizers");
    for (size_t i = 0; i < vocab->rule_count; i++) cJSON_AddItemToArray(list, split_json(&vocab->rules[i]));
    cJSON_AddItemToArray(list, last);
    return json;
}

// ------------------------------------------------------------------------------------------- around the text

static void add_part(cJSON *list, const char *kind, const char *id, int type)
{
    cJSON *part = cJSON_CreateObject(), *body = cJSON_AddObjectToObject(part, kind);
    cJSON_AddStringToObject(body, "id", id);
    cJSON_AddNumberToObject(body, "type_id", type);
    cJSON_AddItemToArray(list, part);
}

static void add_template_token(cJSON *table, const char *name, uint32_t id)
{
    if (cJSON_HasObjectItem(table, name)) return;
    const int number = (int)id;
    cJSON *entry = cJSON_AddObjectToObject(table, name);
    cJSON_AddStringToObject(entry, "id", name);
    cJSON_AddItemToObject(entry, "ids", cJSON_CreateIntArray(&number, 1));
    cJSON_AddItemToObject(entry, "tokens", cJSON_CreateStringArray(&name, 1));
}

static void add_template_tokens(const struct Making *m, const uint32_t *ids, size_t count, cJSON *list, cJSON *table)
{
    for (size_t i = 0; i < count; i++) {
        vocab_name(m->vocab, ids[i], m->name);
        add_part(list, "SpecialToken", m->name, 0);
        add_template_token(table, m->name, ids[i]);
    }
}

static cJSON *post_processor_json(const struct Making *m)
{
    const struct Vocab *v = m->vocab;
    if (!v->prefix_count && !v->suffix_count) return byte_level(v->add_prefix_space);
    cJSON *json = typed("TemplateProcessing"), *single = cJSON_AddArrayToObject(json, "single");
    cJSON *pair = cJSON_AddArrayToObject(json, "pair"), *table = cJSON_AddObjectToObject(json, "special_tokens");
    add_template_tokens(m, v->prefix, v->prefix_count, single, table);
    add_template_tokens(m, v->prefix, v->prefix_count, pair, table);
    add_part(single, "Sequence", "A", 0);
    add_part(pair, "Sequence", "A", 0);
    add_part(pair, "Sequence", "B", 1);
    add_template_tokens(m, v->suffix, v->suffix_count, single, table);
    add_template_tokens(m, v->suffix, v->suffix_count, pair, table);
    return json;
}

// ---------------------------------------------------------------------------------------------------- the model

// Pairs instead of "left right": a token may have a space in it. NULL: no memory.
static cJSON *merges_json(const struct Making *m)
{
    size_t count;
    struct Merge *merges = vocab_merges(m->vocab, &count);
    cJSON *list = merges ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; list && i < count; i++) {
        cJSON *pair = cJSON_CreateArray();
        vocab_name(m->vocab, merges[i].left, m->name);
        cJSON_AddItemToArray(pair, cJSON_CreateString(m->name));
        vocab_name(m->vocab, merges[i].right, m->name);
        cJSON_AddItemToArray(pair, cJSON_CreateString(m->name));
        cJSON_AddItemToArray(list, pair);
    }
    free(merges);
    return list;
}

static cJSON *model_json(const struct Making *m)
{
    const struct Vocab *v = m->vocab;
    cJSON *json = typed("BPE"), *vocab;
    if (v->dropout > 0) cJSON_AddNumberToObject(json, "dropout", v->dropout);
    else cJSON_AddNullToObject(json, "dropout");
    if (vocab_name(v, v->unk, m->name)) cJSON_AddStringToObject(json, "unk_token", m->name);
    else cJSON_AddNullToObject(json, "unk_token");
    cJSON_AddStringToObject(json, "continuing_subword_prefix", "");
    cJSON_AddStringToObject(json, "end_of_word_suffix", "");
    cJSON_AddBoolToObject(json, "fuse_unk", v->fuse_unk);
    cJSON_AddFalseToObject(json, "byte_fallback");
    cJSON_AddFalseToObject(json, "ignore_merges");
    vocab = cJSON_AddObjectToObject(json, "vocab");
    for (uint32_t id = 0; id < v->count; id++)
        if (vocab_name(v, id, m->name)) cJSON_AddNumberToObject(vocab, m->name, id);
    cJSON_AddItemToObject(json, "merges", merges_json(m));
    return json;
}

// ---------------------------------------------------------------------------------------------------- the files

// Writes and frees `json`.
static int json_write(const char *dir, const char *file, cJSON *json, vkgpt_error *err)
{
    char path[PATH_BYTES];
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    int code = path_join(path, dir, file, err);
    if (!code && !text) code = fail_memory(err, path, 4096);
    if (!code) code = os_write(path, text, strlen(text), err);
    cJSON_free(text);
    return code;
}

int tokenizer_json_write(const char *dir, const struct Vocab *vocab, vkgpt_error *err)
{
    if (vocab->ends_words)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: the tokenizer has words that have ends, which are not written as a tokenizer.json", dir);
    if (vocab->pipeline)
        return fail(err, VKGPT_BAD_MODEL, "%s: the tokenizer has %s, which is not written as a tokenizer.json", dir,
                    vocab_beyond_gpt2(vocab));
    struct Making m = {vocab, malloc(vocab_name_room(vocab))};
    if (!m.name) return fail_memory(err, dir, vocab_name_room(vocab));
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", "1.0");
    cJSON_AddNullToObject(json, "truncation");
    cJSON_AddNullToObject(json, "padding");
    cJSON_AddItemToObject(json, "added_tokens", added_list(vocab));
    cJSON_AddItemToObject(json, "normalizer", vocab->nfkc ? typed("NFKC") : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "pre_tokenizer", pre_tokenizer_json(vocab));
    cJSON_AddItemToObject(json, "post_processor", post_processor_json(&m));
    cJSON_AddItemToObject(json, "decoder", byte_level(true));
    cJSON_AddItemToObject(json, "model", model_json(&m));
    free(m.name);
    return json_write(dir, "tokenizer.json", json, err);
}

// Only special tokens get a role: a reader makes every token with a role special.
static void add_role(cJSON *json, const char *role, const struct Vocab *vocab, int64_t id)
{
    for (size_t i = 0; i < vocab->added_count; i++)
        if (vocab->added[i].id == id && vocab->added[i].special)
            cJSON_AddStringToObject(json, role, vocab->added[i].text);
}

int tokenizer_config_write(const char *dir, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "tokenizer_class", "PreTrainedTokenizerFast");
    cJSON_AddBoolToObject(json, "add_prefix_space", vocab->add_prefix_space);
    add_role(json, "bos_token", vocab, config->bos);
    add_role(json, "eos_token", vocab, config->eos_count ? (int64_t)config->eos[0] : -1);
    add_role(json, "unk_token", vocab, vocab->unk == NO_TOKEN ? -1 : (int64_t)vocab->unk);
    cJSON_AddNumberToObject(json, "model_max_length", config->context);
    cJSON_AddFalseToObject(json, "clean_up_tokenization_spaces");
    return json_write(dir, "tokenizer_config.json", json, err);
}
