#include "text/steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/characters.h"

struct Step *steps_add(struct Steps *steps)
{
    if (steps->count == PIPELINE_MAX_STEPS) return NULL;
    steps->list[steps->count] = (struct Step){0};
    return &steps->list[steps->count++];
}

struct Step *steps_next(struct Reader *r, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_add(steps);
    if (step) step->kind = kind;
    else fail(r->err, VKGPT_BAD_MODEL, "%s: more than %d steps make one stage", r->path, PIPELINE_MAX_STEPS);
    return step;
}

int steps_read_plain(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    (void)json;
    return steps_next(r, steps, kind) ? 0 : VKGPT_BAD_MODEL;
}

int steps_read(struct Reader *r, const struct Stage *stage, const struct Json *json, struct Steps *steps)
{
    if (!json) return 0;
    if (reader_is_type(json, "Sequence")) {
        const struct Json *list = json_get(json, stage->list);
        int code = json_is_array(list) ? 0 : reader_fail_type(r, stage->list, "a list");
        for (const struct Json *part = list ? json_first(list) : NULL; !code && part; part = json_next(part))
            code = steps_read(r, stage, part, steps);
        return code;
    }
    for (size_t i = 0; i < stage->count; i++)
        if (stage->kinds[i].type && reader_is_type(json, stage->kinds[i].type))
            return stage->kinds[i].read(r, json, steps, &stage->kinds[i]);
    return reader_refuse(r, stage->key, json);
}

int steps_read_text(struct Reader *r, const struct Json *json, const char *key, const char **text)
{
    const struct Json *item = json_get(json, key);
    if (!json_text(item)) return reader_fail_type(r, key, "a string");
    *text = vocab_text(r->vocab, json_text(item), strlen(json_text(item)));
    return *text ? 0 : fail_memory(r->err, r->path, strlen(json_text(item)));
}

int steps_read_character(struct Reader *r, const struct Json *json, const char *key, int32_t *character)
{
    const struct Json *item = json_get(json, key);
    size_t length = 0;
    if (json_text(item) && *json_text(item))
        *character = characters_first(json_text(item), strlen(json_text(item)), &length);
    return length && !json_text(item)[length] ? 0 : reader_fail_type(r, key, "one character");
}

int steps_read_pattern(struct Reader *r, const struct Json *json, void **pattern)
{
    const struct Json *item = json_get(json, "pattern"), *text = json_get(item, "String"),
                      *regex = json_get(item, "Regex");
    if (json_text(text)) return pattern_literal(r->path, json_text(text), pattern, r->err);
    if (!json_text(regex)) return reader_fail_type(r, "pattern", "a String or a Regex");
    char *pcre2;
    int code = pattern_translate(r->path, json_text(regex), &pcre2, r->err);
    if (code) return code;
    code = pattern_compile(r->path, pcre2, pattern, r->err);
    free(pcre2);
    return code;
}

int steps_read_behavior(struct Reader *r, const struct Json *json, enum Behavior *behavior)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!reader_is_text(json_get(json, "behavior"), names[i])) continue;
        *behavior = (enum Behavior)i;
        return 0;
    }
    return reader_fail_type(r, "behavior", "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

// For Metaspace: prepend_scheme, or add_prefix_space in older files.
int steps_read_prepend(struct Reader *r, const struct Json *json, enum Prepend *prepend)
{
    static const char *const names[] = {"never", "first", "always"};
    const struct Json *scheme = json_get(json, "prepend_scheme");
    bool add;
    int code = reader_flag(r, json, "add_prefix_space", true, &add);
    *prepend = add ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (code || !scheme || !add) return code;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!reader_is_text(scheme, names[i])) continue;
        *prepend = (enum Prepend)i;
        return 0;
    }
    return reader_fail_type(r, "prepend_scheme", "never, first or always");
}
