// First checks, field by field, that the keys can express the tokenizer; then puts the keys.
#include "text/gguf_vocab_write.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/gguf_vocab.h"

#define KEY(name) "tokenizer.ggml." name
#define PAD_BYTES 24 // of "PAD4294967295]", without the brackets before it

// ---------------------------------------------------------------------------------------- what GGUF cannot express

static int check_fields(const char *model, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err)
{
    const char *what = vocab_beyond_gpt2(vocab);
    bool bos_first = vocab->prefix_count == 1 && vocab->prefix[0] == config->bos;
    if (vocab->ends_words) what = "words that have ends";
    else if (vocab->dropout > 0) what = "dropout";
    else if (vocab->suffix_count) what = "tokens after the text";
    else if (vocab->add_prefix_space) what = "add_prefix_space true";
    else if (vocab->prefix_count && !bos_first) what = "a token before the text that is not bos";
    else if (vocab->fuse_unk) what = "fuse_unk true";
    else if (vocab->unk != NO_TOKEN && !vocab_all_bytes(vocab)) what = "unk_token for bytes that have no token";
    if (!what) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: the tokenizer has %s, which GGUF's gpt2 cannot say", model, what);
}

static int fail_added(const char *model, const struct AddedToken *a, const char *flag, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_MODEL, "%s: the added token \"%s\" has %s true, which GGUF's gpt2 cannot say", model,
                shown(a->text, a->length).text, flag);
}

static int check_added(const char *model, const struct Vocab *vocab, vkgpt_error *err)
{
    const struct AddedToken *one, *other;
    for (size_t i = 0; i < vocab->added_count; i++) {
        const struct AddedToken *a = &vocab->added[i];
        if (a->lstrip) return fail_added(model, a, "lstrip", err);
        if (a->rstrip) return fail_added(model, a, "rstrip", err);
        if (a->single_word) return fail_added(model, a, "single_word", err);
    }
    if (vocab_normalized_is_idle(vocab, &one, &other)) return 0;
    return fail(err, VKGPT_BAD_MODEL,
                "%s: of the added tokens \"%s\" and \"%s\", which can touch in a text, one has normalized "
                "true and one false, which GGUF's gpt2 cannot say",
                model, shown(one->text, one->length).text, shown(other->text, other->length).text);
}

// In GGUF a token that begins or ends a text is special, whatever its type, if no text can be encoded to it.
static int check_edge(const char *model, const struct Vocab *vocab, const uint8_t *types, int64_t id, const char *role,
                      vkgpt_error *err)
{
    if (id < 0 || types[id] != GGUF_TOKEN_NORMAL || vocab_is_text(vocab, (uint32_t)id)) return 0;
    const struct Token *t = &vocab->tokens[id];
    return fail(err, VKGPT_BAD_MODEL,
                "%s: %s is %u, \"%s\", which the tokenizer does not find in a text and would find in that of a "
                "GGUF file",
                model, role, (unsigned)id, shown(t->bytes, t->length).text);
}

static int check_edges(const char *model, const struct Vocab *vocab, const struct Config *config, const uint8_t *types,
                       vkgpt_error *err)
{
    int code = check_edge(model, vocab, types, config->bos, "bos_token_id", err);
    for (uint32_t i = 0; !code && i < config->eos_count; i++)
        code = check_edge(model, vocab, types, config->eos[i], "eos_token_id", err);
    return code;
}

static int check_rows(const char *model, const struct Vocab *vocab, const struct Config *config, vkgpt_error *err)
{
    if (vocab->count <= config->vocab) return 0;
    const struct Token *last = &vocab->tokens[vocab->count - 1]; // the highest id
    return fail(err, VKGPT_BAD_MODEL,
                "%s: token \"%s\" has id %u, the model has %u rows, and a GGUF file lists a token for each "
                "row and no more",
                model, shown(last->bytes, last->length).text, vocab->count - 1, config->vocab);
}

// -------------------------------------------------------------------------------------------------- the keys

// The types of ids below `rows`. NULL: no memory.
static uint8_t *types_of(const struct Vocab *vocab, uint32_t rows)
{
    uint8_t *types = malloc(rows);
    for (uint32_t id = 0; types && id < rows; id++)
        types[id] = id < vocab->count && vocab->tokens[id].bytes ? GGUF_TOKEN_NORMAL : GGUF_TOKEN_UNUSED;
    for (size_t i = 0; types && i < vocab->added_count; i++)
        types[vocab->added[i].id] = vocab->added[i].special ? GGUF_TOKEN_CONTROL : GGUF_TOKEN_USER_DEFINED;
    return types;
}

// How many brackets to put before the name of a row without a token, "[PAD300]", so that no token has the same name: a
// duplicate name ends llama.cpp.
static int pad_brackets(const struct Vocab *vocab, char *name)
{
    size_t most = 0;
    for (uint32_t id = 0; id < vocab->count; id++) {
        if (!vocab_name(vocab, id, name)) continue;
        size_t brackets = strspn(name, "[");
        if (brackets > most && strncmp(name + brackets, "PAD", 3) == 0 && isdigit((unsigned char)name[brackets + 3]))
            most = brackets;
    }
    return (int)most + 1;
}

static void put_pad(struct GgufKeys *keys, uint32_t id, int brackets, char *name)
{
    memset(name, '[', (size_t)brackets);
    snprintf(name + brackets, PAD_BYTES, "PAD%u]", id);
    gguf_put_element_text(keys, name, strlen(name));
}

static void put_tokens(struct GgufKeys *keys, const struct Vocab *vocab, const uint8_t *types, uint32_t rows,
                       char *name)
{
    int brackets = pad_brackets(vocab, name);
    gguf_put_array(keys, KEY("tokens"), GGUF_STRING, rows);
    for (uint32_t id = 0; id < rows; id++) {
        if (vocab_name(vocab, id, name)) gguf_put_element_text(keys, name, strlen(name));
        else put_pad(keys, id, brackets, name);
    }
    gguf_put_array(keys, KEY("token_type"), GGUF_I32, rows);
    for (uint32_t id = 0; id < rows; id++) gguf_put_element_i32(keys, types[id]);
}

// Puts "left right"; `name` has room for both.
static int put_merge(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Merge *merge,
                     char *name, vkgpt_error *err)
{
    vocab_name(vocab, merge->left, name);
    size_t left = strlen(name);
    vocab_name(vocab, merge->right, name + left + 1);
    if (strchr(name, ' ') || strchr(name + left + 1, ' '))
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: the tokenizer merges \"%s\" and \"%s\", one of which holds a space, which GGUF's gpt2 "
                    "cannot say",
                    model, shown(name, left).text, shown(name + left + 1, strlen(name + left + 1)).text);
    name[left] = ' ';
    gguf_put_element_text(keys, name, strlen(name));
    return 0;
}

static int put_merges(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, char *name, vkgpt_error *err)
{
    size_t count;
    struct Merge *merges = vocab_merges(vocab, &count);
    if (!merges) return fail_memory(err, model, vocab->merge_count * sizeof *merges);
    gguf_put_array(keys, KEY("merges"), GGUF_STRING, count);
    int code = 0;
    for (size_t i = 0; !code && i < count; i++) code = put_merge(keys, model, vocab, &merges[i], name, err);
    free(merges);
    return code;
}

static void put_roles(struct GgufKeys *keys, const struct Vocab *vocab, const struct Config *config)
{
    if (config->bos >= 0) gguf_put_integer(keys, KEY("bos_token_id"), (uint32_t)config->bos);
    for (uint32_t i = 0; i < config->eos_count; i++) gguf_put_integer(keys, GGUF_ENDS[i], config->eos[i]);
    if (vocab->unk != NO_TOKEN) gguf_put_integer(keys, KEY("unknown_token_id"), vocab->unk);
    gguf_put_flag(keys, KEY("add_bos_token"), vocab->prefix_count != 0);
}

int gguf_put_vocab(struct GgufKeys *keys, const char *model, const struct Vocab *vocab, const struct Config *config,
                   vkgpt_error *err)
{
    int code = check_fields(model, vocab, config, err);
    if (!code) code = check_rows(model, vocab, config, err);
    if (!code) code = check_added(model, vocab, err);
    if (code) return code;
    size_t room = 2 * vocab_name_room(vocab) + PAD_BYTES; // for two names, or for a pad with its brackets
    char *name = malloc(room);
    uint8_t *types = types_of(vocab, config->vocab);
    if (!name || !types) code = fail_memory(err, model, room + config->vocab);
    if (!code) code = check_edges(model, vocab, config, types, err);
    if (!code) {
        gguf_put_text(keys, KEY("model"), "gpt2");
        gguf_put_text(keys, KEY("pre"), "gpt-2");
        put_tokens(keys, vocab, types, config->vocab, name);
        code = put_merges(keys, model, vocab, name, err);
    }
    if (!code) put_roles(keys, vocab, config);
    free(types);
    free(name);
    return code;
}
