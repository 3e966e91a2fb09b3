// One function per file or per part of one; struct Reader is what they share.
#include "text/reader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/path.h"
#include "text/gguf_vocab.h"

#define MAX_FILE_BYTES ((size_t)128 << 20)
#define ORIGINAL_VOCAB "encoder_bpe_40000.json" // of GPT-1 as OpenAI published it
#define ORIGINAL_MERGES "vocab_40000.bpe"

struct Reader {
    const char *dir;
    struct Vocab *vocab;
    vkgpt_error *err;
    cJSON *config;        // config.json, or NULL
    cJSON *settings;      // tokenizer_config.json, or NULL
    cJSON *roles;         // special_tokens_map.json, or NULL
    bool has_json;        // tokenizer.json is there
    bool original;        // only OpenAI's own files are there
    bool gpt1_class, gpt2_class; // whose tokenizer it is, and whose defaults hold
    char path[4096];      // of the file being read
};

// The path of a file of the directory, kept in r->path for sentences.
static int look_for(struct Reader *r, const char *name)
{
    int n = snprintf(r->path, sizeof r->path, "%s/%s", r->dir, name);
    if (n < 0 || (size_t)n >= sizeof r->path)
        return fail(r->err, VKGPT_BAD_ARGUMENT, "%.200s...: the path of %s is longer than %zu bytes", r->dir, name,
                    sizeof r->path);
    return 0;
}

// Files that Python's json module reads in transformers; tokenizer.json and vocabularies are held to JSON.
static bool is_python_json(const char *name)
{
    static const char *const names[] = {"config.json", "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

// Reads a JSON file that may be absent: *json is NULL then. Its top has to be an object.
static int read_object(struct Reader *r, const char *name, cJSON **json)
{
    *json = NULL;
    int code = look_for(r, name);
    if (code || !os_exists(r->path)) return code;
    code = (is_python_json(name) ? json_read_python : json_read)(r->path, MAX_FILE_BYTES, json, r->err);
    if (!code && !cJSON_IsObject(*json)) {
        cJSON_Delete(*json);
        *json = NULL;
        code = fail(r->err, VKGPT_BAD_FILE, "%s: holds no JSON object", r->path);
    }
    return code;
}

static int fail_type(struct Reader *r, const char *key, const char *wanted)
{
    return fail(r->err, VKGPT_BAD_FILE, "%s: %s is not %s", r->path, key, wanted);
}

// What would change the ids and is not done here.
static int refuse(struct Reader *r, const char *key, const cJSON *value)
{
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;
    int code = fail(r->err, VKGPT_BAD_MODEL, "%s: %s %.80s is not supported", r->path, key, text ? text : "null");
    cJSON_free(text);
    return code;
}

static bool is_text(const cJSON *item, const char *text)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

static bool is_type(const cJSON *object, const char *type)
{
    return is_text(json_get(object, "type"), type);
}

// A flag that may be absent.
static int get_flag(struct Reader *r, const cJSON *object, const char *key, bool absent, bool *flag)
{
    const cJSON *item = json_get(object, key);
    *flag = item ? cJSON_IsTrue(item) : absent;
    return !item || cJSON_IsBool(item) ? 0 : fail_type(r, key, "true or false");
}

// ------------------------------------------------------------------------------------ tokens and merges

static int read_vocab(struct Reader *r, const cJSON *tokens)
{
    for (const cJSON *t = tokens->child; t; t = t->next) {
        int64_t id;
        if (!json_integer(t, 0, UINT32_MAX, &id))
            return fail(r->err, VKGPT_BAD_MODEL, "%s: the id of token \"%s\" is no whole number from 0 to %u", r->path,
                        shown(t->string, strlen(t->string)).text, r->vocab->size - 1);
        int code = vocab_add(r->vocab, r->path, t->string, id, r->err);
        if (code) return code;
    }
    if (!tokens->child) return fail(r->err, VKGPT_BAD_MODEL, "%s: the vocabulary has no token", r->path);
    return 0;
}

static int read_vocab_json(struct Reader *r)
{
    cJSON *tokens;
    int code = read_object(r, r->original ? ORIGINAL_VOCAB : "vocab.json", &tokens);
    if (!code) code = read_vocab(r, tokens);
    cJSON_Delete(tokens);
    return code;
}

// "left right": two tokens with one space between them. `where` names the place in sentences.
static int read_merge(struct Reader *r, const char *line, size_t length, const char *where)
{
    const char *space = memchr(line, ' ', length);
    size_t left = space ? (size_t)(space - line) : 0;
    if (!space || left == 0 || left + 1 == length || memchr(space + 1, ' ', length - left - 1))
        return fail(r->err, VKGPT_BAD_FILE, "%s: %s (\"%s\") is not two tokens with a space between", r->path, where,
                    shown(line, length).text);
    return vocab_add_merge(r->vocab, r->path, line, left, space + 1, length - left - 1, r->err);
}

static int read_merge_lines(struct Reader *r, const char *text, size_t bytes)
{
    size_t line = 1;
    for (const char *p = text, *end = text + bytes; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end;
        size_t length = (size_t)((newline ? newline : end) - p);
        if (length && p[length - 1] == '\r') length--;
        bool version = line == 1 && length >= 8 && memcmp(p, "#version", 8) == 0; // "# #" further down is a merge
        if (length && !version) {
            char where[32];
            snprintf(where, sizeof where, "line %zu", line);
            int code = read_merge(r, p, length, where);
            if (code) return code;
        }
        p = next;
    }
    return 0;
}

static int check_utf8(struct Reader *r, const char *text, size_t bytes)
{
    for (size_t i = 0, n; i < bytes; i += n) {
        n = utf8_length(text + i, bytes - i);
        if (!n) return fail(r->err, VKGPT_BAD_FILE, "%s: byte %zu of %zu is not UTF-8", r->path, i, bytes);
    }
    return 0;
}

static int read_merges_txt(struct Reader *r)
{
    char *text;
    size_t bytes;
    int code = look_for(r, r->original ? ORIGINAL_MERGES : "merges.txt");
    if (!code) code = os_read(r->path, MAX_FILE_BYTES, &text, &bytes, r->err);
    if (code) return code;
    size_t mark = utf8_mark(text, bytes);
    code = check_utf8(r, text + mark, bytes - mark);
    if (!code) code = read_merge_lines(r, text + mark, bytes - mark);
    free(text);
    return code;
}

// Merges of a tokenizer.json: "left right", or ["left", "right"].
static int read_merges(struct Reader *r, const cJSON *merges)
{
    size_t index = 0;
    for (const cJSON *m = merges->child; m; m = m->next, index++) {
        char where[48];
        snprintf(where, sizeof where, "model.merges[%zu]", index);
        const cJSON *left = cJSON_IsArray(m) ? m->child : NULL, *right = left ? left->next : NULL;
        int code;
        if (cJSON_IsString(m)) {
            code = read_merge(r, m->valuestring, strlen(m->valuestring), where);
        } else if (cJSON_IsString(left) && cJSON_IsString(right) && !right->next) {
            code = vocab_add_merge(r->vocab, r->path, left->valuestring, strlen(left->valuestring),
                                   right->valuestring, strlen(right->valuestring), r->err);
        } else {
            code = fail_type(r, where, "two tokens");
        }
        if (code) return code;
    }
    return 0;
}

// --------------------------------------------------------------------------------------- tokenizer.json

// The settings of the BPE model that change ids.
static int read_bpe_settings(struct Reader *r, const cJSON *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const flags[] = {"byte_fallback", "ignore_merges"};
    const cJSON *type = json_get(model, "type"), *dropout = json_get(model, "dropout");
    if (type && !is_type(model, "BPE")) return refuse(r, "model.type", type);
    if (dropout && !(cJSON_IsNumber(dropout) && dropout->valuedouble == 0))
        return refuse(r, "model.dropout", dropout);
    for (size_t i = 0; i < 2; i++) {
        const cJSON *affix = json_get(model, affixes[i]), *flag = json_get(model, flags[i]);
        bool end_of_word = i == 1 && r->gpt1_class;
        if (end_of_word ? !is_text(affix, WORD_END) : affix && !is_text(affix, "")) return refuse(r, affixes[i], affix);
        if (flag && !cJSON_IsFalse(flag)) return refuse(r, flags[i], flag);
    }
    return get_flag(r, model, "fuse_unk", false, &r->vocab->fuse_unk);
}

static int read_bpe(struct Reader *r, const cJSON *model)
{
    const cJSON *tokens = json_get(model, "vocab"), *merges = json_get(model, "merges");
    const cJSON *unk = json_get(model, "unk_token");
    if (!model) return fail(r->err, VKGPT_BAD_FILE, "%s: there is no model", r->path);
    int code = read_bpe_settings(r, model);
    if (code) return code;
    if (!cJSON_IsObject(tokens)) return fail_type(r, "model.vocab", "an object");
    if (!cJSON_IsArray(merges)) return fail_type(r, "model.merges", "a list");
    code = read_vocab(r, tokens);
    if (!code) code = read_merges(r, merges);
    if (code || !unk) return code;
    if (!cJSON_IsString(unk)) return fail_type(r, "model.unk_token", "a token");
    vocab_find(r->vocab, unk->valuestring, &r->vocab->unk); // an absent one is no concern until a byte needs it
    return 0;
}

// The literal text as a pattern.
static int add_literal_rule(struct Reader *r, const char *literal, bool removed)
{
    char *pattern = malloc(2 * strlen(literal) + 1), *p = pattern;
    if (!pattern) return fail_memory(r->err, r->path, 2 * strlen(literal) + 1);
    for (const char *s = literal; *s; s++) {
        if ((unsigned char)*s < 0x80 && ispunct((unsigned char)*s)) *p++ = '\\';
        *p++ = *s;
    }
    *p = '\0';
    int code = vocab_add_rule(r->vocab, r->path, pattern, removed, r->err);
    free(pattern);
    return code;
}

// A Split of literal text, or of Galactica's one pattern: brackets, and runs of one mark. Others might mean something
// else to PCRE2 than to Hugging Face's Oniguruma.
static int read_split(struct Reader *r, const cJSON *split)
{
    static const char regex[] = "[\\(\\)\\[\\]\\{\\}]|([!\"\\#\\$%\\&'\\*\\+,\\-\\./:;<=>\\?\\\\\\^_`\\|\\~])\\1*";
    static const char same[] = "[()\\[\\]{}]|!+|\"+|#+|\\$+|%+|&+|'+|\\*+|\\++|,+|-+|\\.+|/+|:+|;+|<+|=+|>+|\\?+|\\\\+|\\^+|_+|`+|"
                               "\\|+|~+"; // needs no stack for long runs
    const cJSON *pattern = json_get(split, "pattern"), *literal = json_get(pattern, "String");
    bool removed = is_text(json_get(split, "behavior"), "Removed");
    bool known = (removed || is_text(json_get(split, "behavior"), "Isolated")) && cJSON_IsFalse(json_get(split, "invert"));
    if (known && cJSON_IsString(literal) && *literal->valuestring)
        return add_literal_rule(r, literal->valuestring, removed);
    if (known && is_text(json_get(pattern, "Regex"), regex))
        return vocab_add_rule(r->vocab, r->path, same, removed, r->err);
    return refuse(r, "pre_tokenizer", split);
}

// A split that goes before ByteLevel.
static int read_rule(struct Reader *r, const cJSON *rule)
{
    bool individual;
    if (is_type(rule, "Split")) return read_split(r, rule);
    if (!is_type(rule, "Digits")) return refuse(r, "pre_tokenizer", rule);
    int code = get_flag(r, rule, "individual_digits", false, &individual);
    return code ? code : vocab_add_rule(r->vocab, r->path, individual ? "\\p{N}" : "\\p{N}+", false, r->err);
}

// ByteLevel with GPT-2's own pattern, alone or as the last of a sequence; BertPreTokenizer for GPT-1.
static int read_pre_tokenizer(struct Reader *r, const cJSON *pre, bool *add_prefix_space)
{
    if (r->gpt1_class) return is_type(pre, "BertPreTokenizer") ? 0 : refuse(r, "pre_tokenizer", pre);
    if (is_type(pre, "Sequence")) {
        const cJSON *list = json_get(pre, "pretokenizers");
        if (!cJSON_GetArraySize(list)) return refuse(r, "pre_tokenizer", pre);
        for (pre = list->child; pre->next; pre = pre->next) {
            int code = read_rule(r, pre);
            if (code) return code;
        }
    }
    bool use_regex;
    if (!is_type(pre, "ByteLevel")) return refuse(r, "pre_tokenizer", pre);
    int code = get_flag(r, pre, "use_regex", true, &use_regex);
    if (!code && !use_regex) code = refuse(r, "pre_tokenizer", pre);
    return code ? code : get_flag(r, pre, "add_prefix_space", true, add_prefix_space);
}

// GPT-1's is BERT's with all that it does.
static int read_bert_normalizer(struct Reader *r, const cJSON *normalizer)
{
    static const char *const flags[] = {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"};
    if (!is_type(normalizer, "BertNormalizer")) return refuse(r, "normalizer", normalizer);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const cJSON *flag = json_get(normalizer, flags[i]);
        if (flag && !cJSON_IsTrue(flag)) return refuse(r, "normalizer", normalizer);
    }
    return 0;
}

static int read_normalizer(struct Reader *r, const cJSON *normalizer)
{
    if (r->gpt1_class) return read_bert_normalizer(r, normalizer);
    r->vocab->nfkc = is_type(normalizer, "NFKC");
    if (r->vocab->nfkc) return 0;
    bool empty = is_type(normalizer, "Sequence") && cJSON_GetArraySize(json_get(normalizer, "normalizers")) == 0;
    return !normalizer || empty ? 0 : refuse(r, "normalizer", normalizer);
}

static int add_prefix_token(struct Reader *r, uint32_t id)
{
    struct Vocab *v = r->vocab;
    if (id >= v->count || !v->tokens[id].bytes)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: the token %u that goes before a text is not in the vocabulary of %u",
                    r->path, id, v->count);
    if (v->prefix_count == sizeof v->prefix / sizeof *v->prefix)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: more than %zu tokens go before a text", r->path, v->prefix_count);
    v->prefix[v->prefix_count++] = id;
    return 0;
}

// {"SpecialToken": {"id": "<s>"}} of a template, by way of its table "special_tokens": {"<s>": {"ids": [1]}}.
static int read_template_token(struct Reader *r, const cJSON *template, const cJSON *token)
{
    const cJSON *name = json_get(token, "id");
    const cJSON *entry = cJSON_IsString(name) ? json_get(json_get(template, "special_tokens"), name->valuestring) : NULL;
    const cJSON *ids = json_get(entry, "ids");
    if (!cJSON_IsArray(ids)) return fail_type(r, "a special token of post_processor", "in its table");
    for (const cJSON *i = ids->child; i; i = i->next) {
        int64_t id;
        if (!json_integer(i, 0, UINT32_MAX, &id)) return fail_type(r, "an id of post_processor", "a whole number");
        int code = add_prefix_token(r, (uint32_t)id);
        if (code) return code;
    }
    return 0;
}

// Tokens before the text are taken; any after it is refused, because generation has to go on from the text.
static int read_template(struct Reader *r, const cJSON *template)
{
    const cJSON *single = json_get(template, "single");
    if (!cJSON_IsArray(single)) return refuse(r, "post_processor", template);
    bool seen = false;
    for (const cJSON *part = single->child; part; part = part->next) {
        const cJSON *token = json_get(part, "SpecialToken");
        if (seen || (!token && !json_get(part, "Sequence"))) return refuse(r, "post_processor", template);
        int code = token ? read_template_token(r, template, token) : 0;
        if (code) return code;
        seen = !token;
    }
    return 0;
}

static int read_post_processor(struct Reader *r, const cJSON *post)
{
    if (!post || is_type(post, "ByteLevel")) return 0;
    if (is_type(post, "TemplateProcessing")) return read_template(r, post);
    if (!is_type(post, "Sequence")) return refuse(r, "post_processor", post);
    const cJSON *list = json_get(post, "processors");
    for (const cJSON *p = list ? list->child : NULL; p; p = p->next) {
        int code = is_type(p, "Sequence") ? refuse(r, "post_processor", p) : read_post_processor(r, p);
        if (code) return code;
    }
    return 0;
}

// ----------------------------------------------------------------------------------------- added tokens

// The flags of an added token that is written as an object; absent ones are false, `normalized` is !special.
static int read_flags(struct Reader *r, const cJSON *object, struct AddedToken *a)
{
    int code = get_flag(r, object, "special", a->special, &a->special);
    if (!code) code = get_flag(r, object, "normalized", !a->special, &a->normalized);
    if (!code) code = get_flag(r, object, "lstrip", false, &a->lstrip);
    if (!code) code = get_flag(r, object, "rstrip", false, &a->rstrip);
    if (!code) code = get_flag(r, object, "single_word", false, &a->single_word);
    if (!code && a->single_word && r->gpt1_class) code = refuse(r, "single_word in", object);
    return code;
}

// An added token as an object (flags and "content"), with the id that stands elsewhere.
static int read_added(struct Reader *r, const cJSON *object, int64_t id)
{
    const cJSON *content = json_get(object, "content");
    if (!cJSON_IsString(content)) return fail_type(r, "\"content\" of an added token", "a string");
    if (id > UINT32_MAX) id = UINT32_MAX; // past every vocabulary, and said so there
    struct AddedToken a = {.text = content->valuestring, .length = strlen(content->valuestring), .id = (uint32_t)id};
    int code = read_flags(r, object, &a);
    return code ? code : vocab_add_added(r->vocab, r->path, &a, r->err);
}

// A token of "added_tokens". Hugging Face's tokenizers gives one that the model has not the next id, whatever the file
// says; *next is that id, and moves on.
static int read_added_next(struct Reader *r, const cJSON *object, int64_t id, size_t *next)
{
    const cJSON *content = json_get(object, "content");
    const char *text = cJSON_IsString(content) ? content->valuestring : "";
    uint32_t there;
    bool absent = *text && !vocab_find(r->vocab, text, &there) && !vocab_find_added(r->vocab, text);
    int code = read_added(r, object, id);
    if (code || !absent || id == (int64_t)(*next)++) return code;
    return fail(r->err, VKGPT_BAD_MODEL,
                "%s: the added token \"%s\" has id %lld, and Hugging Face's tokenizers would give it %zu, the next one: "
                "the file was changed by hand",
                r->path, shown(text, strlen(text)).text, (long long)id, *next - 1);
}

// "added_tokens" of tokenizer.json, after the model's tokens.
static int read_added_list(struct Reader *r, const cJSON *list)
{
    size_t next = r->vocab->ids.count;
    if (list && !cJSON_IsArray(list)) return fail_type(r, "added_tokens", "a list");
    for (const cJSON *t = list ? list->child : NULL; t; t = t->next) {
        int64_t id;
        if (!json_integer(json_get(t, "id"), 0, INT64_MAX, &id))
            return fail_type(r, "\"id\" of an added token", "a whole number");
        int code = read_added_next(r, t, id, &next);
        if (code) return code;
    }
    return 0;
}

// "added_tokens_decoder" of tokenizer_config.json: {"50256": {"content": ...}}.
static int read_added_decoder(struct Reader *r, const cJSON *decoder)
{
    int code = look_for(r, "tokenizer_config.json");
    if (!code && !cJSON_IsObject(decoder)) code = fail_type(r, "added_tokens_decoder", "an object");
    for (const cJSON *t = decoder->child; !code && t; t = t->next) {
        size_t digits = strspn(t->string, "0123456789");
        if (!digits || digits > 10 || t->string[digits])
            return fail(r->err, VKGPT_BAD_FILE, "%s: \"%s\" in added_tokens_decoder is no id", r->path,
                        shown(t->string, strlen(t->string)).text);
        code = read_added(r, t, strtoll(t->string, NULL, 10));
    }
    return code;
}

static const char *const role_names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};

// The text of a special token, which is a string or an object with "content".
static const char *token_text(const cJSON *item)
{
    const cJSON *content = cJSON_IsObject(item) ? json_get(item, "content") : item;
    return cJSON_IsString(content) ? content->valuestring : NULL;
}

// What the files say of a role: special_tokens_map.json (where that is read) goes before tokenizer_config.json.
// A JSON null says that there is no such token; NULL is silence.
static const cJSON *find_role(const struct Reader *r, const char *role)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->roles, role);
    return item ? item : cJSON_GetObjectItemCaseSensitive(r->settings, role);
}

// The text of the token in a role, or NULL. Where the files are silent the class speaks.
static const char *token_of_role(const struct Reader *r, const char *role)
{
    const cJSON *item = find_role(r, role);
    if (item) return token_text(item);
    if (r->gpt1_class) return strcmp(role, "unk_token") ? NULL : "<unk>";
    bool by_class = !strcmp(role, "bos_token") || !strcmp(role, "eos_token") || !strcmp(role, "unk_token");
    return by_class && r->gpt2_class ? "<|endoftext|>" : NULL;
}

// `item` holds the flags where it is an object; else it may be NULL.
static int make_special(struct Reader *r, const char *text, const cJSON *item)
{
    if (!text || !*text) return 0;
    struct AddedToken *there = vocab_find_added(r->vocab, text);
    if (there) {
        there->special = true;
        return 0;
    }
    uint32_t id = r->vocab->count;
    if (!vocab_find(r->vocab, text, &id) && id >= r->vocab->size) return 0; // no row for it: it stays text
    struct AddedToken a = {.text = text, .length = strlen(text), .id = id, .special = true};
    int code = cJSON_IsObject(item) ? read_flags(r, item, &a) : 0;
    a.special = true;
    return code ? code : vocab_add_added(r->vocab, r->path, &a, r->err);
}

static int make_list_special(struct Reader *r, const cJSON *list)
{
    int code = 0;
    for (const cJSON *t = list ? list->child : NULL; !code && t; t = t->next) code = make_special(r, token_text(t), t);
    return code;
}

static int make_roles_special(struct Reader *r)
{
    int code = look_for(r, "tokenizer_config.json");
    for (size_t i = 0; !code && i < sizeof role_names / sizeof *role_names; i++)
        code = make_special(r, token_of_role(r, role_names[i]), find_role(r, role_names[i]));
    if (!code) code = make_list_special(r, json_get(r->roles, "additional_special_tokens"));
    if (!code) code = make_list_special(r, json_get(r->settings, "additional_special_tokens"));
    return code ? code : make_list_special(r, json_get(r->settings, "extra_special_tokens"));
}

// added_tokens.json: {"<pad>": 50257}.
static int read_added_json(struct Reader *r)
{
    cJSON *tokens;
    int code = read_object(r, "added_tokens.json", &tokens);
    for (const cJSON *t = tokens ? tokens->child : NULL; !code && t; t = t->next) {
        int64_t id;
        if (!json_integer(t, 0, UINT32_MAX, &id)) {
            code = fail(r->err, VKGPT_BAD_MODEL, "%s: the id of token \"%s\" is no whole number", r->path,
                        shown(t->string, strlen(t->string)).text);
            break;
        }
        bool special = false;
        for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++) {
            const char *text = token_of_role(r, role_names[i]);
            special |= text && strcmp(text, t->string) == 0;
        }
        struct AddedToken a = {.text = t->string, .length = strlen(t->string), .id = (uint32_t)id,
                               .special = special, .normalized = !special};
        code = vocab_add_added(r->vocab, r->path, &a, r->err);
    }
    cJSON_Delete(tokens);
    return code;
}

// ------------------------------------------------------------------------------------------ the whole

// The number of rows that the model has: config.json's, by default that of the model's class. Without that file, ids
// have no bound but the one that every vocabulary has.
static int read_size(struct Reader *r, uint32_t *size)
{
    const cJSON *item = json_get(r->config, "vocab_size"), *type = json_get(r->config, "model_type");
    int64_t value = r->config ? 50257 : VOCAB_MAX_SIZE;
    if (is_text(type, "openai-gpt")) value = 40478;
    if (is_text(type, "opt")) value = 50272;
    int code = look_for(r, "config.json");
    if (!code && item && !json_integer(item, 1, VOCAB_MAX_SIZE, &value))
        code = fail(r->err, VKGPT_BAD_MODEL, "%s: vocab_size is no whole number from 1 to %u", r->path, VOCAB_MAX_SIZE);
    *size = (uint32_t)value;
    return code;
}

// The name of the class that would read the directory, as Hugging Face's AutoTokenizer chooses it: the one that
// tokenizer_config.json names, or config.json, or that of the model's type.
static const cJSON *class_named(struct Reader *r, const char **name)
{
    const cJSON *item = json_get(r->settings, "tokenizer_class");
    if (!item) item = json_get(r->config, "tokenizer_class");
    bool gpt1 = r->original || is_text(json_get(r->config, "model_type"), "openai-gpt");
    *name = cJSON_IsString(item) ? item->valuestring : gpt1 ? "OpenAIGPTTokenizer" : "GPT2Tokenizer";
    return item;
}

// Not strncmp: gcc 12 warns where it knows one of the lengths.
static bool begins_with(const char *text, const char *start)
{
    while (*start && *text == *start) text++, start++;
    return !*start;
}

// Classes whose vocab.json and merges.txt mean GPT-2's byte-level BPE, or GPT-1's.
static int check_class(struct Reader *r)
{
    static const char *const known[] = {"GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast",
                                        "TokenizersBackend", "GPTNeoXTokenizer", "GPTNeoXTokenizerFast",
                                        "CodeGenTokenizer", "CodeGenTokenizerFast", "OpenAIGPTTokenizer",
                                        "OpenAIGPTTokenizerFast"};
    const char *name;
    const cJSON *item = class_named(r, &name);
    r->gpt1_class = r->vocab->ends_words = begins_with(name, "OpenAIGPTTokenizer");
    r->gpt2_class = begins_with(name, "GPT2Tokenizer");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0) return 0;
    return r->has_json ? 0 : refuse(r, "tokenizer_class", item);
}

static bool has_file(struct Reader *r, const char *name)
{
    return !look_for(r, name) && os_exists(r->path);
}

static int read_settings(struct Reader *r)
{
    r->has_json = has_file(r, "tokenizer.json");
    r->original = !r->has_json && !has_file(r, "vocab.json") && has_file(r, ORIGINAL_VOCAB);
    int code = read_object(r, "tokenizer_config.json", &r->settings);
    return code ? code : check_class(r);
}

static int read_tokenizer_json(struct Reader *r)
{
    cJSON *json;
    bool add_prefix_space = false;
    int code = read_object(r, "tokenizer.json", &json);
    if (!code) code = read_bpe(r, json_get(json, "model"));
    if (!code) code = read_normalizer(r, json_get(json, "normalizer"));
    if (!code) code = read_pre_tokenizer(r, json_get(json, "pre_tokenizer"), &add_prefix_space);
    if (!code) code = read_added_list(r, json_get(json, "added_tokens"));
    if (!code) code = read_post_processor(r, json_get(json, "post_processor"));
    if (!r->gpt2_class) r->vocab->add_prefix_space = add_prefix_space;
    cJSON_Delete(json);
    return code;
}

static int read_vocab_and_merges(struct Reader *r)
{
    if (!r->original && !has_file(r, "vocab.json"))
        return fail(r->err, VKGPT_BAD_FILE, "%s: holds no tokenizer: neither tokenizer.json nor vocab.json is there",
                    r->dir);
    int code = read_vocab_json(r);
    return code ? code : read_merges_txt(r);
}

static int read_added_tokens(struct Reader *r)
{
    const cJSON *decoder = json_get(r->settings, "added_tokens_decoder");
    int code;
    if (decoder) {
        code = read_added_decoder(r, decoder);
    } else {
        code = read_object(r, "special_tokens_map.json", &r->roles);
        if (!code) code = read_added_json(r);
    }
    return code ? code : make_roles_special(r);
}

// What does not go together with rules and NFKC: a space before every piece, and added tokens that NFKC would change.
static int check_rules(struct Reader *r)
{
    const struct Vocab *v = r->vocab;
    if (v->rule_count && v->add_prefix_space)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: add_prefix_space is not supported with splits before ByteLevel", r->path);
    for (size_t i = 0; i < v->added_count && v->nfkc; i++) {
        const struct AddedToken *a = &v->added[i];
        for (size_t k = 0; k < a->length && a->normalized; k++)
            if ((unsigned char)a->text[k] >= 0x80)
                return fail(r->err, VKGPT_BAD_MODEL, "%s: the added token \"%s\" is normalized and not ASCII, which is "
                            "not supported with NFKC", r->path, shown(a->text, a->length).text);
    }
    return 0;
}

// add_prefix_space, add_bos_token.
static int read_edges(struct Reader *r)
{
    bool bos;
    int code = look_for(r, "tokenizer_config.json");
    if (!code) code = get_flag(r, r->settings, "add_prefix_space", r->vocab->add_prefix_space, &r->vocab->add_prefix_space);
    if (!code) code = get_flag(r, r->settings, "add_bos_token", false, &bos);
    if (!code) code = check_rules(r);
    if (code || !bos || r->has_json) return code;
    uint32_t id;
    const char *text = token_of_role(r, "bos_token");
    if (!text || !vocab_find(r->vocab, text, &id))
        return fail(r->err, VKGPT_BAD_MODEL, "%s: add_bos_token is true, and bos_token \"%s\" is not in the vocabulary",
                    r->path, text ? shown(text, strlen(text)).text : "null");
    return add_prefix_token(r, id);
}

// What GPT-1's class does with all this: every added token is found in one pass, and an unknown symbol is unk_token,
// whatever tokenizer.json says. Leading tokens and spaces it has none.
static int read_gpt1(struct Reader *r)
{
    struct Vocab *v = r->vocab;
    const char *unk = token_of_role(r, "unk_token");
    int code = look_for(r, r->has_json ? "tokenizer.json" : r->original ? ORIGINAL_VOCAB : "vocab.json");
    if (code) return code;
    v->unk = NO_TOKEN;
    if (!unk || !vocab_find(v, unk, &v->unk))
        return fail(r->err, VKGPT_BAD_MODEL, "%s: unk_token \"%s\" is not in the vocabulary", r->path,
                    unk ? shown(unk, strlen(unk)).text : "null");
    for (size_t i = 0; i < v->added_count; i++) v->added[i].normalized = false;
    return 0;
}

static int read_all(struct Reader *r, uint32_t vocab_size)
{
    if (!os_is_dir(r->dir)) return fail(r->err, VKGPT_BAD_FILE, "%s: is no directory", r->dir);
    int code = read_object(r, "config.json", &r->config);
    if (!code && !vocab_size) code = read_size(r, &vocab_size);
    if (code) return code;
    if (vocab_size > VOCAB_MAX_SIZE)
        return fail(r->err, VKGPT_BAD_ARGUMENT, "%s: a vocabulary of %u is more than %u", r->dir, vocab_size,
                    VOCAB_MAX_SIZE);
    vocab_init(r->vocab, vocab_size);
    code = read_settings(r);
    if (!code) code = r->has_json ? read_tokenizer_json(r) : read_vocab_and_merges(r);
    if (!code) code = read_added_tokens(r);
    if (!code) code = r->gpt1_class ? read_gpt1(r) : read_edges(r);
    if (!code) vocab_seal(r->vocab);
    return code;
}

int reader_open(const char *dir, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf;
    int from = gguf_path(dir, &is_gguf, path, err);
    if (from || is_gguf) return from ? from : gguf_vocab_open(path, vocab_size, vocab, err);
    struct Reader r = {.dir = dir, .vocab = vocab, .err = err};
    int code = read_all(&r, vocab_size);
    cJSON_Delete(r.config);
    cJSON_Delete(r.settings);
    cJSON_Delete(r.roles);
    return code;
}
