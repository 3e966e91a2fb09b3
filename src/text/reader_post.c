// Reads the tokens around every text: "post_processor" of a tokenizer.json.
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/reader_parts.h"

#define MAX_EDGE (sizeof((struct Vocab *)0)->prefix / sizeof(uint32_t))

struct Edges { // the tokens that one processor puts around a text
    uint32_t before[MAX_EDGE], behind[MAX_EDGE];
    size_t before_count, behind_count;
};

static int add_edge(struct Reader *r, struct Edges *edges, bool behind, int64_t id)
{
    const struct Vocab *v = r->vocab;
    size_t *count = behind ? &edges->behind_count : &edges->before_count;
    if (id >= v->count || !v->tokens[id].bytes)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: the token %lld that goes %s a text is not in the vocabulary of %u",
                    r->path, (long long)id, behind ? "after" : "before", v->count);
    if (*count == MAX_EDGE)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: more than %zu tokens go %s a text", r->path, MAX_EDGE,
                    behind ? "after" : "before");
    (behind ? edges->behind : edges->before)[(*count)++] = (uint32_t)id;
    return 0;
}

// Only one processor may put tokens around the text: with a second one, the result is not what its template says.
static int surround(struct Reader *r, const struct Json *post, const struct Edges *edges)
{
    struct Vocab *v = r->vocab;
    if (v->prefix_count || v->suffix_count) return reader_refuse(r, "a second post_processor", post);
    memcpy(v->prefix, edges->before, edges->before_count * sizeof *v->prefix);
    memcpy(v->suffix, edges->behind, edges->behind_count * sizeof *v->suffix);
    v->prefix_count = edges->before_count;
    v->suffix_count = edges->behind_count;
    return 0;
}

int reader_edge_tokens(struct Reader *r, uint32_t before, uint32_t behind)
{
    struct Edges edges = {0};
    int code = before == NO_TOKEN ? 0 : add_edge(r, &edges, false, before);
    if (!code && behind != NO_TOKEN) code = add_edge(r, &edges, true, behind);
    return code ? code : surround(r, NULL, &edges);
}

// Reads {"SpecialToken": {"id": "<s>"}} of a template; its ids are in "special_tokens": {"<s>": {"ids": [1]}}.
static int read_template_token(struct Reader *r, const struct Json *template, const struct Json *token,
                               struct Edges *edges, bool behind)
{
    const struct Json *name = json_get(token, "id");
    const struct Json *entry = json_text(name) ? json_get(json_get(template, "special_tokens"), json_text(name)) : NULL;
    const struct Json *ids = json_get(entry, "ids");
    int code = json_is_array(ids) && json_first(ids)
                   ? 0
                   : reader_fail_type(r, "a special token of post_processor", "in its table");
    for (const struct Json *i = ids ? json_first(ids) : NULL; !code && i; i = json_next(i)) {
        int64_t id;
        if (!json_integer(i, 0, UINT32_MAX, &id))
            return reader_fail_type(r, "an id of post_processor", "a whole number");
        code = add_edge(r, edges, behind, id);
    }
    return code;
}

static int read_template(struct Reader *r, const struct Json *template, struct Edges *edges)
{
    const struct Json *single = json_get(template, "single");
    bool seen = false;
    int code = 0;
    if (!json_is_array(single)) return reader_refuse(r, "post_processor", template);
    for (const struct Json *part = json_first(single); !code && part; part = json_next(part)) {
        const struct Json *token = json_get(part, "SpecialToken"), *sequence = json_get(part, "Sequence");
        bool text = reader_is_text(json_get(sequence, "id"), "A");
        if (token) code = read_template_token(r, template, token, edges, seen);
        else if (!text || seen) return reader_refuse(r, "post_processor", template);
        seen |= text;
    }
    return code || seen ? code : reader_refuse(r, "post_processor", template);
}

// Reads "cls" or "sep" of RobertaProcessing and BertProcessing, such as ["<s>", 0].
static int read_pair(struct Reader *r, const struct Json *post, const char *key, struct Edges *edges, bool behind)
{
    const struct Json *pair = json_get(post, key), *text = json_is_array(pair) ? json_first(pair) : NULL;
    int64_t id;
    if (!json_text(text) || !json_integer(json_next(text), 0, UINT32_MAX, &id))
        return reader_fail_type(r, key, "a token and its id");
    return add_edge(r, edges, behind, id);
}

int reader_post_processor(struct Reader *r, const struct Json *post)
{
    struct Edges edges = {0};
    int code = 0;
    if (!post || reader_is_type(post, "ByteLevel")) return 0;
    if (reader_is_type(post, "Sequence")) {
        const struct Json *list = json_get(post, "processors");
        for (const struct Json *p = list ? json_first(list) : NULL; !code && p; p = json_next(p))
            code = reader_is_type(p, "Sequence") ? reader_refuse(r, "post_processor", p) : reader_post_processor(r, p);
        return code;
    }
    bool bert = reader_is_type(post, "RobertaProcessing") || reader_is_type(post, "BertProcessing");
    if (!bert && !reader_is_type(post, "TemplateProcessing")) return reader_refuse(r, "post_processor", post);
    code = bert ? read_pair(r, post, "cls", &edges, false) : read_template(r, post, &edges);
    if (!code && bert) code = read_pair(r, post, "sep", &edges, true);
    return code ? code : surround(r, post, &edges);
}
