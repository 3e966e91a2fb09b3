// tokenizer.json: in GPT-2's form (byte-level BPE with GPT-2's split, after few others) straight into the vocabulary,
// in GPT-1's, or as a pipeline.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/decode.h"
#include "text/model.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
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

// Galactica's pattern: brackets, and runs of one mark.
static const char marks_regex[] = "[\\(\\)\\[\\]\\{\\}]|([!\"\\#\\$%\\&'\\*\\+,\\-\\./:;<=>\\?\\\\\\^_`\\|\\~])\\1*";
static const char marks_same[] =
    "[()\\[\\]{}]|!+|\"+|#+|\\$+|%+|&+|'+|\\*+|\\++|,+|-+|\\.+|/+|:+|;+|<+|=+|>+|\\?+|\\\\+|\\^+|_+|`+|"
    "\\|+|~+"; // needs no stack for long runs
static const char gpt2_regex[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static bool is_split(const cJSON *rule, bool *removed)
{
    const cJSON *behavior = json_get(rule, "behavior");
    *removed = reader_is_text(behavior, "Removed");
    return reader_is_type(rule, "Split") && cJSON_IsFalse(json_get(rule, "invert")) &&
           (*removed || reader_is_text(behavior, "Isolated"));
}

// A split that may go before ByteLevel: literal text, Galactica's pattern, digits.
static bool is_rule(const cJSON *rule)
{
    bool removed;
    const cJSON *pattern = json_get(rule, "pattern"), *literal = json_get(pattern, "String");
    if (reader_is_type(rule, "Digits")) return cJSON_IsBool(json_get(rule, "individual_digits"));
    if (!is_split(rule, &removed)) return false;
    return (cJSON_IsString(literal) && *literal->valuestring) ||
           reader_is_text(json_get(pattern, "Regex"), marks_regex);
}

static int read_rule(struct Reader *r, const cJSON *rule)
{
    bool removed;
    if (reader_is_type(rule, "Digits")) {
        bool each = cJSON_IsTrue(json_get(rule, "individual_digits"));
        return vocab_add_rule(r->vocab, r->path, each ? "\\p{N}" : "\\p{N}+", false, r->err);
    }
    is_split(rule, &removed);
    const cJSON *literal = json_get(json_get(rule, "pattern"), "String");
    if (literal) return add_literal_rule(r, literal->valuestring, removed);
    return vocab_add_rule(r->vocab, r->path, marks_same, removed, r->err);
}

// GPT-2's own pattern, written out before a ByteLevel that does not use it.
static bool is_gpt2_split(const cJSON *rule)
{
    bool removed;
    return is_split(rule, &removed) && !removed &&
           reader_is_text(json_get(json_get(rule, "pattern"), "Regex"), gpt2_regex);
}

// The ByteLevel that GPT-2's form ends in, alone or as the last of a sequence of rules; NULL where it is another form.
static const cJSON *gpt2_byte_level(const cJSON *pre)
{
    size_t rules = 0;
    bool written_out = false;
    if (reader_is_type(pre, "Sequence")) {
        pre = json_get(pre, "pretokenizers");
        for (pre = pre ? pre->child : NULL; pre && pre->next; pre = pre->next, rules++) {
            written_out = !pre->next->next && is_gpt2_split(pre);
            if (!written_out && !is_rule(pre)) return NULL;
        }
        if (rules > VOCAB_MAX_RULES) return NULL;
    }
    const cJSON *use = json_get(pre, "use_regex"), *space = json_get(pre, "add_prefix_space");
    if (!reader_is_type(pre, "ByteLevel") || (use && !cJSON_IsBool(use)) || (space && !cJSON_IsBool(space)))
        return NULL;
    if (rules && (!space || cJSON_IsTrue(space))) return NULL; // each piece of a rule would get a space
    return cJSON_IsFalse(use) == written_out ? pre : NULL;
}

static int read_pre_tokenizer(struct Reader *r, const cJSON *pre, bool *add_prefix_space)
{
    const cJSON *byte_level = gpt2_byte_level(pre), *space = json_get(byte_level, "add_prefix_space");
    *add_prefix_space = !space || cJSON_IsTrue(space);
    if (pre == byte_level) return 0;
    int code = 0;
    for (pre = json_get(pre, "pretokenizers")->child; !code && pre != byte_level; pre = pre->next)
        if (!is_gpt2_split(pre)) code = read_rule(r, pre);
    return code;
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

// Splits as GPT-1's class in Python does it, whatever is written here, if it is BERT's.
static int read_gpt1_form(struct Reader *r, const cJSON *json)
{
    const cJSON *pre = json_get(json, "pre_tokenizer");
    int code = reader_bpe(r, json_get(json, "model"));
    if (!code) code = read_bert_normalizer(r, json_get(json, "normalizer"));
    if (!code && !reader_is_type(pre, "BertPreTokenizer")) code = reader_refuse(r, "pre_tokenizer", pre);
    if (!code) code = reader_added_list(r, json_get(json, "added_tokens"));
    return code ? code : reader_post_processor(r, json_get(json, "post_processor"));
}

// --------------------------------------------------------------------------------------------------- GPT-2's form

static bool is_empty(const cJSON *normalizer)
{
    return !normalizer ||
           (reader_is_type(normalizer, "Sequence") && !cJSON_GetArraySize(json_get(normalizer, "normalizers")));
}

// An added token that NFKC could change.
static bool has_normalized(const cJSON *added)
{
    for (const cJSON *a = added ? added->child : NULL; a; a = a->next) {
        const cJSON *content = json_get(a, "content");
        if (!cJSON_IsString(content) || cJSON_IsFalse(json_get(a, "normalized"))) continue;
        for (const char *s = content->valuestring; *s; s++)
            if ((unsigned char)*s >= 0x80) return true;
    }
    return false;
}

static bool is_gpt2_model(const cJSON *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const flags[] = {"byte_fallback", "ignore_merges"};
    const cJSON *type = json_get(model, "type");
    if (type && !reader_is_text(type, "BPE")) return false;
    for (size_t i = 0; i < 2; i++) {
        const cJSON *affix = json_get(model, affixes[i]), *flag = json_get(model, flags[i]);
        if ((affix && !reader_is_text(affix, "")) || (flag && !cJSON_IsFalse(flag))) return false;
    }
    return true;
}

static bool is_gpt2_form(const cJSON *json)
{
    const cJSON *normalizer = json_get(json, "normalizer"), *decoder = json_get(json, "decoder");
    bool nfkc = reader_is_type(normalizer, "NFKC");
    return is_gpt2_model(json_get(json, "model")) && gpt2_byte_level(json_get(json, "pre_tokenizer")) &&
           (is_empty(normalizer) || (nfkc && !has_normalized(json_get(json, "added_tokens")))) &&
           (!decoder || reader_is_type(decoder, "ByteLevel"));
}

static int read_gpt2_form(struct Reader *r, const cJSON *json)
{
    bool add_prefix_space = false;
    int code = reader_bpe(r, json_get(json, "model"));
    r->vocab->nfkc = reader_is_type(json_get(json, "normalizer"), "NFKC");
    if (!code) code = read_pre_tokenizer(r, json_get(json, "pre_tokenizer"), &add_prefix_space);
    if (!code) code = reader_added_list(r, json_get(json, "added_tokens"));
    if (!code) code = reader_post_processor(r, json_get(json, "post_processor"));
    if (!r->gpt2_class) r->vocab->add_prefix_space = add_prefix_space;
    return code;
}

// ----------------------------------------------------------------------------------------------------- a pipeline

static void set_item(cJSON *object, const char *key, const cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    cJSON_AddItemToObject(object, key, value ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
}

// What transformers' classes set in a tokenizer.json once they have read it: add_prefix_space of a ByteLevel that
// stands alone, and BERT's switches.
static void apply_class(struct Reader *r, cJSON *json)
{
    cJSON *pre = cJSON_GetObjectItemCaseSensitive(json, "pre_tokenizer");
    cJSON *normalizer = cJSON_GetObjectItemCaseSensitive(json, "normalizer");
    const cJSON *space = json_get(r->settings, "add_prefix_space");
    if (reader_is_type(pre, "ByteLevel") && (r->gpt2_class || space)) {
        cJSON *off = cJSON_CreateFalse();
        set_item(pre, "add_prefix_space", space ? space : off);
        cJSON_Delete(off);
    }
    if (!r->bert_class || !reader_is_type(normalizer, "BertNormalizer")) return;
    cJSON *on = cJSON_CreateTrue();
    const cJSON *lower = json_get(r->settings, "do_lower_case"),
                *ideographs = json_get(r->settings, "tokenize_chinese_chars");
    set_item(normalizer, "lowercase", lower ? lower : on);
    set_item(normalizer, "handle_chinese_chars", ideographs ? ideographs : on);
    set_item(normalizer, "strip_accents", json_get(r->settings, "strip_accents"));
    cJSON_Delete(on);
}

int reader_pipeline(struct Reader *r)
{
    r->vocab->pipeline = pipeline_open();
    return r->vocab->pipeline ? 0 : fail_memory(r->err, r->path, sizeof(struct Pipeline));
}

int reader_stages(struct Reader *r, cJSON *json)
{
    struct Pipeline *p = r->vocab->pipeline;
    apply_class(r, json);
    p->has_decoder = json_get(json, "decoder") != NULL;
    int code = normalizers_read(r, json_get(json, "normalizer"), &p->normalizers);
    if (!code) code = pre_tokenizers_read(r, json_get(json, "pre_tokenizer"), &p->pre_tokenizers);
    if (!code) code = decoders_read(r, json_get(json, "decoder"), &p->decoders);
    if (!code) code = reader_added_list(r, json_get(json, "added_tokens"));
    return code ? code : reader_post_processor(r, json_get(json, "post_processor"));
}

static int read_pipeline(struct Reader *r, cJSON *json)
{
    int code = reader_pipeline(r);
    if (!code) code = model_read(r, json_get(json, "model"));
    return code ? code : reader_stages(r, json);
}

int reader_tokenizer_json(struct Reader *r)
{
    cJSON *json;
    int code = reader_object(r, "tokenizer.json", &json);
    if (!code && r->gpt1_class) code = read_gpt1_form(r, json);
    else if (!code) code = is_gpt2_form(json) ? read_gpt2_form(r, json) : read_pipeline(r, json);
    cJSON_Delete(json);
    return code;
}
