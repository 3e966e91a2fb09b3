// Both writers need the tokens in the byte-level alphabet and the merges in their order.
#include "text/gguf_vocab_write.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/path.h"
#include "text/gguf_vocab.h"

#define KEY(name) "tokenizer.ggml." name

static const struct AddedToken *added_of(const struct Vocab *vocab, uint32_t id)
{
    for (size_t i = 0; i < vocab->added_count; i++)
        if (vocab->added[i].id == id) return &vocab->added[i];
    return NULL;
}

static uint32_t longest_token(const struct Vocab *vocab)
{
    size_t most = 16;
    for (uint32_t id = 0; id < vocab->count; id++)
        if (vocab->tokens[id].length > most) most = vocab->tokens[id].length;
    return (uint32_t)most;
}

// A token as the files write it, NUL behind it; `name` has room for 2 * longest_token + 1. False: no token has the id.
static bool token_name(const struct Vocab *vocab, uint32_t id, char *name)
{
    const struct Token *t = id < vocab->count ? &vocab->tokens[id] : NULL;
    if (!t || !t->bytes) return false;
    size_t n = t->length;
    if (added_of(vocab, id)) memcpy(name, t->bytes, n);
    else n = vocab_symbols(t->bytes, t->length, name);
    name[n] = '\0';
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const struct Merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

// The merges in their order; the caller frees them.
static struct Merge *sorted_merges(const struct Vocab *vocab, size_t *count)
{
    struct Merge *list = malloc((vocab->merge_count + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; list && i < vocab->merge_capacity; i++)
        if (vocab->merges[i].id != NO_TOKEN) list[(*count)++] = vocab->merges[i];
    if (list) qsort(list, *count, sizeof *list, by_rank);
    return list;
}

struct Names { // room for a merge's text
    char *left, *both;
};

static int names_open(struct Names *names, const struct Vocab *vocab, vkgpt_error *err)
{
    size_t room = 2 * (size_t)longest_token(vocab) + 2;
    names->left = malloc(3 * room);
    names->both = names->left ? names->left + room : NULL;
    return names->left ? 0 : fail_memory(err, "the names of tokens", 3 * room);
}

// "left right", in names->both.
static size_t merge_text(const struct Vocab *vocab, const struct Merge *merge, struct Names *names)
{
    token_name(vocab, merge->left, names->both);
    size_t n = strlen(names->both);
    names->both[n++] = ' ';
    token_name(vocab, merge->right, names->both + n);
    return n + strlen(names->both + n);
}

// --------------------------------------------------------------------------------------------------- GGUF

static int check(const char *model, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err)
{
    const char *what = NULL;
    bool bos_first = vocab->prefix_count == 1 && vocab->prefix[0] == config->bos;
    if (vocab->ends_words) what = "words that have ends";
    else if (vocab->nfkc) what = "normalization by NFKC";
    else if (vocab->rule_count) what = "splits of its own";
    else if (vocab->add_prefix_space) what = "add_prefix_space true";
    else if (vocab->prefix_count && !bos_first) what = "a token before the text that is not bos";
    if (!what) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: the tokenizer has %s, which GGUF's gpt2 cannot say", model, what);
}

static enum GgufToken type_of(const struct Vocab *vocab, uint32_t id)
{
    const struct AddedToken *added = added_of(vocab, id);
    if (id >= vocab->count || !vocab->tokens[id].bytes) return GGUF_TOKEN_UNUSED;
    return !added ? GGUF_TOKEN_NORMAL : added->special ? GGUF_TOKEN_CONTROL : GGUF_TOKEN_USER_DEFINED;
}

static void put_tokens(struct GgufKeys *keys, const struct Vocab *vocab, uint32_t rows, char *name)
{
    gguf_put_array(keys, KEY("tokens"), GGUF_STRING, rows);
    for (uint32_t id = 0; id < rows; id++) {
        if (!token_name(vocab, id, name)) snprintf(name, 24, "[PAD%u]", id); // there is room for 32
        gguf_put_element_text(keys, name, strlen(name));
    }
    gguf_put_array(keys, KEY("token_type"), GGUF_I32, rows);
    for (uint32_t id = 0; id < rows; id++) gguf_put_element_i32(keys, (int32_t)type_of(vocab, id));
}

int gguf_put_vocab(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Config *config,
                   vkgpt_error *err)
{
    struct Names names;
    size_t count;
    int code = check(model, vocab, config, err);
    if (!code) code = names_open(&names, vocab, err);
    if (code) return code;
    struct Merge *merges = sorted_merges(vocab, &count);
    if (!merges) {
        free(names.left);
        return fail_memory(err, model, vocab->merge_count * sizeof *merges);
    }
    gguf_put_text(keys, KEY("model"), "gpt2");
    gguf_put_text(keys, KEY("pre"), "gpt-2");
    put_tokens(keys, vocab, config->vocab, names.both);
    gguf_put_array(keys, KEY("merges"), GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = merge_text(vocab, &merges[i], &names);
        gguf_put_element_text(keys, names.both, bytes);
    }
    int64_t eos = config->eos_count ? (int64_t)config->eos[0] : -1;
    int64_t unk = vocab->unk != NO_TOKEN ? (int64_t)vocab->unk : eos;
    if (config->bos >= 0) gguf_put_integer(keys, KEY("bos_token_id"), (uint32_t)config->bos);
    if (eos >= 0) gguf_put_integer(keys, KEY("eos_token_id"), (uint32_t)eos);
    if (unk >= 0) gguf_put_integer(keys, KEY("unknown_token_id"), (uint32_t)unk);
    gguf_put_flag(keys, KEY("add_bos_token"), vocab->prefix_count != 0);
    free(merges);
    free(names.left);
    return 0;
}

// ------------------------------------------------------------------------------------------- Hugging Face

static int write_json(const char *dir, const char *file, cJSON *json, vkgpt_error *err)
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

static cJSON *tokens_json(const struct Vocab *vocab, char *name)
{
    cJSON *json = cJSON_CreateObject();
    for (uint32_t id = 0; id < vocab->count; id++)
        if (token_name(vocab, id, name)) cJSON_AddNumberToObject(json, name, id);
    return json;
}

static int write_merges(const char *dir, const struct Vocab *vocab, struct Names *names, vkgpt_error *err)
{
    static const char version[] = "#version: 0.2\n";
    char path[PATH_BYTES];
    size_t count, bytes = strlen(version), each = 4 * (size_t)longest_token(vocab) + 4;
    struct Merge *merges = sorted_merges(vocab, &count);
    char *text = merges ? malloc(bytes + 1) : NULL;
    if (text) memcpy(text, version, bytes);
    for (size_t i = 0, capacity = bytes + 1; text && i < count; i++) {
        if (capacity - bytes < each) {
            capacity = 2 * capacity + each;
            char *wider = realloc(text, capacity);
            if (!wider) free(text);
            text = wider;
            if (!text) break;
        }
        size_t length = merge_text(vocab, &merges[i], names);
        memcpy(text + bytes, names->both, length);
        text[bytes + length] = '\n';
        bytes += length + 1;
    }
    free(merges);
    if (!text) return fail_memory(err, dir, bytes);
    int code = path_join(path, dir, "merges.txt", err);
    if (!code) code = os_write(path, text, bytes, err);
    free(text);
    return code;
}

static void add_role(cJSON *json, const char *role, const struct Vocab *vocab, int64_t id, char *name)
{
    if (id >= 0 && token_name(vocab, (uint32_t)id, name)) cJSON_AddStringToObject(json, role, name);
    else cJSON_AddNullToObject(json, role);
}

static cJSON *settings_json(const struct Vocab *vocab, const struct Config *config, char *name)
{
    cJSON *json = cJSON_CreateObject();
    int64_t eos = config->eos_count ? (int64_t)config->eos[0] : -1;
    cJSON_AddStringToObject(json, "tokenizer_class", "GPT2Tokenizer");
    cJSON_AddBoolToObject(json, "add_prefix_space", vocab->add_prefix_space);
    cJSON_AddBoolToObject(json, "add_bos_token", vocab->prefix_count != 0);
    add_role(json, "bos_token", vocab, config->bos, name);
    add_role(json, "eos_token", vocab, eos, name);
    add_role(json, "unk_token", vocab, vocab->unk != NO_TOKEN ? (int64_t)vocab->unk : eos, name);
    cJSON_AddNumberToObject(json, "model_max_length", config->context);
    cJSON *decoder = cJSON_AddObjectToObject(json, "added_tokens_decoder");
    for (size_t i = 0; i < vocab->added_count; i++) {
        const struct AddedToken *a = &vocab->added[i];
        char id[16];
        snprintf(id, sizeof id, "%u", a->id);
        cJSON *token = cJSON_AddObjectToObject(decoder, id);
        cJSON_AddStringToObject(token, "content", a->text);
        cJSON_AddBoolToObject(token, "lstrip", a->lstrip);
        cJSON_AddBoolToObject(token, "normalized", a->normalized);
        cJSON_AddBoolToObject(token, "rstrip", a->rstrip);
        cJSON_AddBoolToObject(token, "single_word", a->single_word);
        cJSON_AddBoolToObject(token, "special", a->special);
    }
    return json;
}

int vocab_write(const char *dir, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err)
{
    struct Names names;
    int code = names_open(&names, vocab, err);
    if (code) return code;
    code = write_json(dir, "vocab.json", tokens_json(vocab, names.both), err);
    if (!code) code = write_merges(dir, vocab, &names, err);
    if (!code) code = write_json(dir, "tokenizer_config.json", settings_json(vocab, config, names.both), err);
    free(names.left);
    return code;
}
