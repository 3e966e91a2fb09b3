// tokenizer.json, part by part: normalizer, pre_tokenizer, post_processor.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/reader_parts.h"

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
    bool removed = reader_is_text(json_get(split, "behavior"), "Removed");
    bool known = (removed || reader_is_text(json_get(split, "behavior"), "Isolated")) && cJSON_IsFalse(json_get(split, "invert"));
    if (known && cJSON_IsString(literal) && *literal->valuestring)
        return add_literal_rule(r, literal->valuestring, removed);
    if (known && reader_is_text(json_get(pattern, "Regex"), regex))
        return vocab_add_rule(r->vocab, r->path, same, removed, r->err);
    return reader_refuse(r, "pre_tokenizer", split);
}

// A split that goes before ByteLevel.
static int read_rule(struct Reader *r, const cJSON *rule)
{
    bool individual;
    if (reader_is_type(rule, "Split")) return read_split(r, rule);
    if (!reader_is_type(rule, "Digits")) return reader_refuse(r, "pre_tokenizer", rule);
    int code = reader_flag(r, rule, "individual_digits", false, &individual);
    return code ? code : vocab_add_rule(r->vocab, r->path, individual ? "\\p{N}" : "\\p{N}+", false, r->err);
}

// ByteLevel with GPT-2's own pattern, alone or as the last of a sequence; BertPreTokenizer for GPT-1.
static int read_pre_tokenizer(struct Reader *r, const cJSON *pre, bool *add_prefix_space)
{
    if (r->gpt1_class) return reader_is_type(pre, "BertPreTokenizer") ? 0 : reader_refuse(r, "pre_tokenizer", pre);
    if (reader_is_type(pre, "Sequence")) {
        const cJSON *list = json_get(pre, "pretokenizers");
        if (!cJSON_GetArraySize(list)) return reader_refuse(r, "pre_tokenizer", pre);
        for (pre = list->child; pre->next; pre = pre->next) {
            int code = read_rule(r, pre);
            if (code) return code;
        }
    }
    bool use_regex;
    if (!reader_is_type(pre, "ByteLevel")) return reader_refuse(r, "pre_tokenizer", pre);
    int code = reader_flag(r, pre, "use_regex", true, &use_regex);
    if (!code && !use_regex) code = reader_refuse(r, "pre_tokenizer", pre);
    return code ? code : reader_flag(r, pre, "add_prefix_space", true, add_prefix_space);
}

// GPT-1's is BERT's with all that it does.
static int read_bert_normalizer(struct Reader *r, const cJSON *normalizer)
{
    static const char *const flags[] = {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"};
    if (!reader_is_type(normalizer, "BertNormalizer")) return reader_refuse(r, "normalizer", normalizer);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const cJSON *flag = json_get(normalizer, flags[i]);
        if (flag && !cJSON_IsTrue(flag)) return reader_refuse(r, "normalizer", normalizer);
    }
    return 0;
}

static int read_normalizer(struct Reader *r, const cJSON *normalizer)
{
    if (r->gpt1_class) return read_bert_normalizer(r, normalizer);
    r->vocab->nfkc = reader_is_type(normalizer, "NFKC");
    if (r->vocab->nfkc) return 0;
    bool empty = reader_is_type(normalizer, "Sequence") && cJSON_GetArraySize(json_get(normalizer, "normalizers")) == 0;
    return !normalizer || empty ? 0 : reader_refuse(r, "normalizer", normalizer);
}

int reader_prefix_token(struct Reader *r, uint32_t id)
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
    if (!cJSON_IsArray(ids)) return reader_fail_type(r, "a special token of post_processor", "in its table");
    for (const cJSON *i = ids->child; i; i = i->next) {
        int64_t id;
        if (!json_integer(i, 0, UINT32_MAX, &id)) return reader_fail_type(r, "an id of post_processor", "a whole number");
        int code = reader_prefix_token(r, (uint32_t)id);
        if (code) return code;
    }
    return 0;
}

// Tokens before the text are taken; any after it is refused, because generation has to go on from the text.
static int read_template(struct Reader *r, const cJSON *template)
{
    const cJSON *single = json_get(template, "single");
    if (!cJSON_IsArray(single)) return reader_refuse(r, "post_processor", template);
    bool seen = false;
    for (const cJSON *part = single->child; part; part = part->next) {
        const cJSON *token = json_get(part, "SpecialToken");
        if (seen || (!token && !json_get(part, "Sequence"))) return reader_refuse(r, "post_processor", template);
        int code = token ? read_template_token(r, template, token) : 0;
        if (code) return code;
        seen = !token;
    }
    return 0;
}

static int read_post_processor(struct Reader *r, const cJSON *post)
{
    if (!post || reader_is_type(post, "ByteLevel")) return 0;
    if (reader_is_type(post, "TemplateProcessing")) return read_template(r, post);
    if (!reader_is_type(post, "Sequence")) return reader_refuse(r, "post_processor", post);
    const cJSON *list = json_get(post, "processors");
    for (const cJSON *p = list ? list->child : NULL; p; p = p->next) {
        int code = reader_is_type(p, "Sequence") ? reader_refuse(r, "post_processor", p) : read_post_processor(r, p);
        if (code) return code;
    }
    return 0;
}

int reader_tokenizer_json(struct Reader *r)
{
    cJSON *json;
    bool add_prefix_space = false;
    int code = reader_object(r, "tokenizer.json", &json);
    if (!code) code = reader_bpe(r, json_get(json, "model"));
    if (!code) code = read_normalizer(r, json_get(json, "normalizer"));
    if (!code) code = read_pre_tokenizer(r, json_get(json, "pre_tokenizer"), &add_prefix_space);
    if (!code) code = reader_added_list(r, json_get(json, "added_tokens"));
    if (!code) code = read_post_processor(r, json_get(json, "post_processor"));
    if (!r->gpt2_class) r->vocab->add_prefix_space = add_prefix_space;
    cJSON_Delete(json);
    return code;
}
