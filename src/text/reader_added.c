// Reads added tokens and tokens with a role, from all files that name them.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/pipeline.h"
#include "text/reader_parts.h"

// Reads the flags of an added token, which is an object; the default is false, and !special for `normalized`.
static int read_flags(struct Reader *r, const struct Json *object, struct AddedToken *a)
{
    int code = reader_flag(r, object, "special", a->special, &a->special);
    if (!code) code = reader_flag(r, object, "normalized", !a->special, &a->normalized);
    if (!code) code = reader_flag(r, object, "lstrip", false, &a->lstrip);
    if (!code) code = reader_flag(r, object, "rstrip", false, &a->rstrip);
    if (!code) code = reader_flag(r, object, "single_word", false, &a->single_word);
    if (!code && a->single_word && r->gpt1_class) code = reader_refuse(r, "single_word in", object);
    return code;
}

// Reads an added token, an object with flags and "content"; the id comes from the caller.
static int read_added(struct Reader *r, const struct Json *object, int64_t id)
{
    const struct Json *content = json_get(object, "content");
    if (!json_text(content)) return reader_fail_type(r, "\"content\" of an added token", "a string");
    if (id > UINT32_MAX) id = UINT32_MAX; // past every vocabulary: vocab_add_added refuses it
    struct AddedToken a = {.text = json_text(content), .length = strlen(json_text(content)), .id = (uint32_t)id};
    int code = read_flags(r, object, &a);
    return code ? code : vocab_add_added(r->vocab, r->path, &a, r->err);
}

// Reads a token of "added_tokens". If the model does not have it, Hugging Face's tokenizers gives it the next id,
// whatever the file says. *next is that id, and is incremented.
static int read_added_next(struct Reader *r, const struct Json *object, int64_t id, size_t *next)
{
    const struct Json *content = json_get(object, "content");
    const char *text = json_text(content) ? json_text(content) : "";
    uint32_t there;
    bool absent = *text && !vocab_find(r->vocab, text, &there) && !vocab_find_added(r->vocab, text);
    int code = read_added(r, object, id);
    if (code || !absent || id == (int64_t)(*next)++) return code;
    return fail(
        r->err, VKGPT_BAD_MODEL,
        "%s: the added token \"%s\" has id %lld, and Hugging Face's tokenizers would give it %zu, the next one: "
        "the file was changed by hand",
        r->path, shown(text, strlen(text)).text, (long long)id, *next - 1);
}

// The id of an added token for a pipeline, as Hugging Face's tokenizers gives it: the model's id, else the next one
// after the model's tokens.
static int64_t given_id(const struct Reader *r, const struct Json *object, size_t *next)
{
    const struct Json *content = json_get(object, "content");
    uint32_t id;
    if (!json_text(content)) return 0; // read_added refuses it
    const struct AddedToken *there = vocab_find_added(r->vocab, json_text(content));
    if (there) return there->id;
    if (vocab_find(r->vocab, json_text(content), &id)) return id;
    return (int64_t)(*next)++;
}

int reader_added_list(struct Reader *r, const struct Json *list)
{
    const struct Pipeline *p = r->vocab->pipeline;
    size_t next = p && p->score_count ? p->score_count : r->vocab->ids.count;
    if (list && !json_is_array(list)) return reader_fail_type(r, "added_tokens", "a list");
    for (const struct Json *t = list ? json_first(list) : NULL; t; t = json_next(t)) {
        int64_t id;
        if (!json_integer(json_get(t, "id"), 0, INT64_MAX, &id))
            return reader_fail_type(r, "\"id\" of an added token", "a whole number");
        if (p) id = given_id(r, t, &next);
        int code = p ? read_added(r, t, id) : read_added_next(r, t, id, &next);
        if (code) return code;
    }
    return 0;
}

// Reads "added_tokens_decoder" of tokenizer_config.json: {"50256": {"content": ...}}.
static int read_added_decoder(struct Reader *r, const struct Json *decoder)
{
    int code = reader_path(r, "tokenizer_config.json");
    if (!code && !json_is_object(decoder)) code = reader_fail_type(r, "added_tokens_decoder", "an object");
    for (const struct Json *t = json_first(decoder); !code && t; t = json_next(t)) {
        size_t digits = strspn(json_key(t), "0123456789");
        if (!digits || digits > 10 || json_key(t)[digits])
            return fail(r->err, VKGPT_BAD_FILE, "%s: \"%s\" in added_tokens_decoder is not an id", r->path,
                        shown(json_key(t), strlen(json_key(t))).text);
        code = read_added(r, t, strtoll(json_key(t), NULL, 10));
    }
    return code;
}

static const char *const role_names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};
#define ROLES (sizeof role_names / sizeof *role_names)

// The classes' default tokens, for roles that no file names.
static const struct {
    const char *role, *bert, *t5;
} class_roles[] = {{"eos_token", NULL, "</s>"},  {"unk_token", "[UNK]", "<unk>"}, {"pad_token", "[PAD]", "<pad>"},
                   {"sep_token", "[SEP]", NULL}, {"cls_token", "[CLS]", NULL},    {"mask_token", "[MASK]", NULL}};

// The text of a special token, which is a string or an object with "content".
static const char *token_text(const struct Json *item)
{
    const struct Json *content = json_is_object(item) ? json_get(item, "content") : item;
    return json_text(content) ? json_text(content) : NULL;
}

// The value of a role in the files: special_tokens_map.json (if it is read) wins over tokenizer_config.json. A JSON
// null means that there is no such token; NULL means that no file has the role.
static const struct Json *find_role(const struct Reader *r, const char *role)
{
    const struct Json *item = json_find(r->roles, role);
    return item ? item : json_find(r->settings, role);
}

const char *reader_role(const struct Reader *r, const char *role)
{
    const struct Json *item = find_role(r, role);
    if (item) return token_text(item);
    if (r->gpt1_class) return strcmp(role, "unk_token") ? NULL : "<unk>";
    for (size_t i = 0; (r->bert_class || r->t5_class) && i < sizeof class_roles / sizeof *class_roles; i++)
        if (strcmp(role, class_roles[i].role) == 0) return r->bert_class ? class_roles[i].bert : class_roles[i].t5;
    bool by_class = !strcmp(role, "bos_token") || !strcmp(role, "eos_token") || !strcmp(role, "unk_token");
    return by_class && r->gpt2_class ? "<|endoftext|>" : NULL;
}

// If `item` is an object, it has the flags; it may be NULL.
static int make_special(struct Reader *r, const char *text, const struct Json *item)
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
    int code = json_is_object(item) ? read_flags(r, item, &a) : 0;
    a.special = true;
    return code ? code : vocab_add_added(r->vocab, r->path, &a, r->err);
}

static int make_list_special(struct Reader *r, const struct Json *list)
{
    int code = 0;
    for (const struct Json *t = list ? json_first(list) : NULL; !code && t; t = json_next(t))
        code = make_special(r, token_text(t), t);
    return code;
}

static int make_roles_special(struct Reader *r)
{
    int code = reader_path(r, "tokenizer_config.json");
    for (size_t i = 0; !code && i < ROLES; i++)
        code = make_special(r, reader_role(r, role_names[i]), find_role(r, role_names[i]));
    if (!code) code = make_list_special(r, json_get(r->roles, "additional_special_tokens"));
    if (!code) code = make_list_special(r, json_get(r->settings, "additional_special_tokens"));
    return code ? code : make_list_special(r, json_get(r->settings, "extra_special_tokens"));
}

// Reads added_tokens.json: {"<pad>": 50257}.
static int read_added_json(struct Reader *r)
{
    struct Json *tokens;
    const char *roles[ROLES];
    int code = reader_object(r, "added_tokens.json", &tokens);
    for (size_t i = 0; i < ROLES; i++) roles[i] = reader_role(r, role_names[i]);
    for (const struct Json *t = tokens ? json_first(tokens) : NULL; !code && t; t = json_next(t)) {
        int64_t id;
        if (!json_integer(t, 0, UINT32_MAX, &id)) {
            code = fail(r->err, VKGPT_BAD_MODEL, "%s: the id of token \"%s\" is not a whole number", r->path,
                        shown(json_key(t), strlen(json_key(t))).text);
            break;
        }
        bool special = false;
        for (size_t i = 0; i < ROLES; i++) special |= roles[i] && strcmp(roles[i], json_key(t)) == 0;
        struct AddedToken a = {.text = json_key(t),
                               .length = strlen(json_key(t)),
                               .id = (uint32_t)id,
                               .special = special,
                               .normalized = !special};
        code = vocab_add_added(r->vocab, r->path, &a, r->err);
    }
    json_free(tokens);
    return code;
}

int reader_added_tokens(struct Reader *r)
{
    const struct Json *decoder = json_get(r->settings, "added_tokens_decoder");
    int code;
    if (decoder) {
        code = read_added_decoder(r, decoder);
    } else {
        code = reader_object(r, "special_tokens_map.json", &r->roles);
        if (!code) code = read_added_json(r);
    }
    return code ? code : make_roles_special(r);
}
