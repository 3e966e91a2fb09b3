// Reads a tokenizer.json: in GPT-2's form (byte-level BPE with GPT-2's split, and few others before it) directly into
// the vocabulary, in GPT-1's form, or as a pipeline.
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

// Adds a rule whose pattern is a literal text.
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

// Galactica's pattern: brackets, and runs of the same mark.
static const char marks_regex[] = "[\\(\\)\\[\\]\\{\\}]|([!\"\\#\\$%\\&'\\*\\+,\\-\\./:;<=>\\?\\\\\\^_`\\|\\~])\\1*";
static const char marks_same[] =
    "[()\\[\\]{}]|!+|\"+|#+|\\$+|%+|&+|'+|\\*+|\\++|,+|-+|\\.+|/+|:+|;+|<+|=+|>+|\\?+|\\\\+|\\^+|_+|`+|"
    "\\|+|~+"; // the same without a backreference: needs no stack for long runs
static const char gpt2_regex[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static bool is_split(const struct Json *rule, bool *removed)
{
    const struct Json *behavior = json_get(rule, "behavior");
    *removed = reader_is_text(behavior, "Removed");
    return reader_is_type(rule, "Split") && json_is_false(json_get(rule, "invert")) &&
           (*removed || reader_is_text(behavior, "Isolated"));
}

// Whether this is a split that may come before ByteLevel: literal text, Galactica's pattern, digits.
static bool is_rule(const struct Json *rule)
{
    bool removed;
    const struct Json *pattern = json_get(rule, "pattern"), *literal = json_get(pattern, "String");
    if (reader_is_type(rule, "Digits")) return json_is_bool(json_get(rule, "individual_digits"));
    if (!is_split(rule, &removed)) return false;
    return (json_text(literal) && *json_text(literal)) || reader_is_text(json_get(pattern, "Regex"), marks_regex);
}

static int read_rule(struct Reader *r, const struct Json *rule)
{
    bool removed;
    if (reader_is_type(rule, "Digits")) {
        bool each = json_is_true(json_get(rule, "individual_digits"));
        return vocab_add_rule(r->vocab, r->path, each ? "\\p{N}" : "\\p{N}+", false, r->err);
    }
    is_split(rule, &removed);
    const struct Json *literal = json_get(json_get(rule, "pattern"), "String");
    if (literal) return add_literal_rule(r, json_text(literal), removed);
    return vocab_add_rule(r->vocab, r->path, marks_same, removed, r->err);
}

// Whether this is a split by GPT-2's own pattern, for a ByteLevel without use_regex.
static bool is_gpt2_split(const struct Json *rule)
{
    bool removed;
    return is_split(rule, &removed) && !removed &&
           reader_is_text(json_get(json_get(rule, "pattern"), "Regex"), gpt2_regex);
}

// The ByteLevel of GPT-2's form, alone or as the last of a sequence of rules; NULL if this is another form.
static const struct Json *gpt2_byte_level(const struct Json *pre)
{
    size_t rules = 0;
    bool written_out = false;
    if (reader_is_type(pre, "Sequence")) {
        pre = json_get(pre, "pretokenizers");
        for (pre = pre ? json_first(pre) : NULL; pre && json_next(pre); pre = json_next(pre), rules++) {
            written_out = !json_next(json_next(pre)) && is_gpt2_split(pre);
            if (!written_out && !is_rule(pre)) return NULL;
        }
        if (rules > VOCAB_MAX_RULES) return NULL;
    }
    const struct Json *use = json_get(pre, "use_regex"), *space = json_get(pre, "add_prefix_space");
    if (!reader_is_type(pre, "ByteLevel") || (use && !json_is_bool(use)) || (space && !json_is_bool(space)))
        return NULL;
    if (rules && (!space || json_is_true(space))) return NULL; // a space would be put before each piece of a rule
    return json_is_false(use) == written_out ? pre : NULL;
}

static int read_pre_tokenizer(struct Reader *r, const struct Json *pre, bool *add_prefix_space)
{
    const struct Json *byte_level = gpt2_byte_level(pre), *space = json_get(byte_level, "add_prefix_space");
    *add_prefix_space = !space || json_is_true(space);
    if (pre == byte_level) return 0;
    int code = 0;
    for (pre = json_first(json_get(pre, "pretokenizers")); !code && pre != byte_level; pre = json_next(pre))
        if (!is_gpt2_split(pre)) code = read_rule(r, pre);
    return code;
}

// GPT-1's normalizer is BERT's with all switches on.
static int read_bert_normalizer(struct Reader *r, const struct Json *normalizer)
{
    static const char *const flags[] = {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"};
    if (!reader_is_type(normalizer, "BertNormalizer")) return reader_refuse(r, "normalizer", normalizer);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const struct Json *flag = json_get(normalizer, flags[i]);
        if (flag && !json_is_true(flag)) return reader_refuse(r, "normalizer", normalizer);
    }
    return 0;
}

// Reads GPT-1's form. The pre-tokenizer must be BERT's; the split is then that of GPT-1's class in Python.
static int read_gpt1_form(struct Reader *r, const struct Json *json)
{
    const struct Json *pre = json_get(json, "pre_tokenizer");
    int code = reader_bpe(r, json_get(json, "model"));
    if (!code) code = read_bert_normalizer(r, json_get(json, "normalizer"));
    if (!code && !reader_is_type(pre, "BertPreTokenizer")) code = reader_refuse(r, "pre_tokenizer", pre);
    if (!code) code = reader_added_list(r, json_get(json, "added_tokens"));
    return code ? code : reader_post_processor(r, json_get(json, "post_processor"));
}

// --------------------------------------------------------------------------------------------------- GPT-2's form

static bool is_empty(const struct Json *normalizer)
{
    return !normalizer || (reader_is_type(normalizer, "Sequence") && !json_count(json_get(normalizer, "normalizers")));
}

// Whether there is an added token that NFKC could change.
static bool has_normalized(const struct Json *added)
{
    for (const struct Json *a = added ? json_first(added) : NULL; a; a = json_next(a)) {
        const struct Json *content = json_get(a, "content");
        if (!json_text(content) || json_is_false(json_get(a, "normalized"))) continue;
        for (const char *s = json_text(content); *s; s++)
            if ((unsigned char)*s >= 0x80) return true;
    }
    return false;
}

static bool is_gpt2_model(const struct Json *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const flags[] = {"byte_fallback", "ignore_merges"};
    const struct Json *type = json_get(model, "type");
    if (type && !reader_is_text(type, "BPE")) return false;
    for (size_t i = 0; i < 2; i++) {
        const struct Json *affix = json_get(model, affixes[i]), *flag = json_get(model, flags[i]);
        if ((affix && !reader_is_text(affix, "")) || (flag && !json_is_false(flag))) return false;
    }
    return true;
}

static bool is_gpt2_form(const struct Json *json)
{
    const struct Json *normalizer = json_get(json, "normalizer"), *decoder = json_get(json, "decoder");
    bool nfkc = reader_is_type(normalizer, "NFKC");
    return is_gpt2_model(json_get(json, "model")) && gpt2_byte_level(json_get(json, "pre_tokenizer")) &&
           (is_empty(normalizer) || (nfkc && !has_normalized(json_get(json, "added_tokens")))) &&
           (!decoder || reader_is_type(decoder, "ByteLevel"));
}

static int read_gpt2_form(struct Reader *r, const struct Json *json)
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

// Sets what transformers' classes set after reading a tokenizer.json: add_prefix_space of a ByteLevel that is not in a
// Sequence, and BERT's switches.
static void apply_class(struct Reader *r, const struct Json *json)
{
    const struct Json *pre = json_get(json, "pre_tokenizer"), *normalizer = json_get(json, "normalizer");
    const struct Json *space = json_get(r->settings, "add_prefix_space");
    if (reader_is_type(pre, "ByteLevel") && (r->gpt2_class || space))
        reader_set(r, pre, "add_prefix_space", space ? space : json_false);
    if (!r->bert_class || !reader_is_type(normalizer, "BertNormalizer")) return;
    const struct Json *lower = json_get(r->settings, "do_lower_case");
    const struct Json *ideographs = json_get(r->settings, "tokenize_chinese_chars");
    reader_set(r, normalizer, "lowercase", lower ? lower : json_true);
    reader_set(r, normalizer, "handle_chinese_chars", ideographs ? ideographs : json_true);
    reader_set(r, normalizer, "strip_accents", json_get(r->settings, "strip_accents"));
}

int reader_pipeline(struct Reader *r)
{
    r->vocab->pipeline = pipeline_open();
    return r->vocab->pipeline ? 0 : fail_memory(r->err, r->path, sizeof(struct Pipeline));
}

int reader_stages(struct Reader *r, const struct Json *json)
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

static int read_pipeline(struct Reader *r, const struct Json *json)
{
    int code = reader_pipeline(r);
    if (!code) code = model_read(r, json_get(json, "model"));
    return code ? code : reader_stages(r, json);
}

int reader_tokenizer_json(struct Reader *r)
{
    struct Json *json;
    int code = reader_object(r, "tokenizer.json", &json);
    if (!code && r->gpt1_class) code = read_gpt1_form(r, json);
    else if (!code) code = is_gpt2_form(json) ? read_gpt2_form(r, json) : read_pipeline(r, json);
    json_free(json);
    return code;
}
