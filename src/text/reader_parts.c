// Functions for the readers of a tokenizer's files: paths, JSON objects, flags, and error sentences.
#include "text/reader_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/utf8.h"

int reader_path(struct Reader *r, const char *name)
{
    int n = snprintf(r->path, sizeof r->path, "%s/%s", r->dir, name);
    if (n < 0 || (size_t)n >= sizeof r->path)
        return fail(r->err, VKGPT_BAD_ARGUMENT, "%.200s...: the path of %s is longer than %zu bytes", r->dir, name,
                    sizeof r->path);
    return 0;
}

// Whether transformers reads this file with Python's json module; tokenizer.json and vocabularies must be strict JSON.
static bool is_python_json(const char *name)
{
    static const char *const names[] = {"config.json", "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

int reader_object(struct Reader *r, const char *name, struct Json **json)
{
    *json = NULL;
    int code = reader_path(r, name);
    if (code || !os_exists(r->path)) return code;
    code = (is_python_json(name) ? json_read_python : json_read)(r->path, MAX_FILE_BYTES, json, r->err);
    if (!code && !json_is_object(*json)) {
        json_free(*json);
        *json = NULL;
        code = fail(r->err, VKGPT_BAD_FILE, "%s: holds no JSON object", r->path);
    }
    return code;
}

int reader_fail_type(struct Reader *r, const char *key, const char *wanted)
{
    return fail(r->err, VKGPT_BAD_FILE, "%s: %s is not %s", r->path, key, wanted);
}

int reader_refuse(struct Reader *r, const char *key, const struct Json *value)
{
    char text[JSON_SHOWN];
    return fail(r->err, VKGPT_BAD_MODEL, "%s: %s %s is not supported", r->path, key, json_shown(value, text));
}

bool reader_is_text(const struct Json *item, const char *text)
{
    return json_text(item) && strcmp(json_text(item), text) == 0;
}

bool reader_is_type(const struct Json *object, const char *type)
{
    return reader_is_text(json_get(object, "type"), type);
}

void reader_set(struct Reader *r, const struct Json *object, const char *key, const struct Json *value)
{
    r->set[r->set_count++] = (struct Setting){object, key, value};
}

const struct Json *reader_get(const struct Reader *r, const struct Json *object, const char *key)
{
    for (size_t i = 0; i < r->set_count; i++)
        if (r->set[i].object == object && strcmp(r->set[i].key, key) == 0) return r->set[i].value;
    return json_get(object, key);
}

int reader_flag(struct Reader *r, const struct Json *object, const char *key, bool absent, bool *flag)
{
    const struct Json *item = reader_get(r, object, key);
    *flag = item ? json_is_true(item) : absent;
    return !item || json_is_bool(item) ? 0 : reader_fail_type(r, key, "true or false");
}

int reader_check_utf8(struct Reader *r, const char *text, size_t bytes)
{
    for (size_t i = 0, n; i < bytes; i += n) {
        n = utf8_length(text + i, bytes - i);
        if (!n) return fail(r->err, VKGPT_BAD_FILE, "%s: byte %zu of %zu is not UTF-8", r->path, i, bytes);
    }
    return 0;
}

bool reader_has(struct Reader *r, const char *name) { return !reader_path(r, name) && os_exists(r->path); }
