// What the readers of a tokenizer's files share: paths, JSON objects, flags, and the sentences for what is wrong.
#include "text/reader_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/utf8.h"

// The path of a file of the directory, kept in r->path for sentences.
int reader_path(struct Reader *r, const char *name)
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
int reader_object(struct Reader *r, const char *name, cJSON **json)
{
    *json = NULL;
    int code = reader_path(r, name);
    if (code || !os_exists(r->path)) return code;
    code = (is_python_json(name) ? json_read_python : json_read)(r->path, MAX_FILE_BYTES, json, r->err);
    if (!code && !cJSON_IsObject(*json)) {
        cJSON_Delete(*json);
        *json = NULL;
        code = fail(r->err, VKGPT_BAD_FILE, "%s: holds no JSON object", r->path);
    }
    return code;
}

int reader_fail_type(struct Reader *r, const char *key, const char *wanted)
{
    return fail(r->err, VKGPT_BAD_FILE, "%s: %s is not %s", r->path, key, wanted);
}

// What would change the ids and is not done here.
int reader_refuse(struct Reader *r, const char *key, const cJSON *value)
{
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;
    int code = fail(r->err, VKGPT_BAD_MODEL, "%s: %s %.80s is not supported", r->path, key, text ? text : "null");
    cJSON_free(text);
    return code;
}

bool reader_is_text(const cJSON *item, const char *text)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

bool reader_is_type(const cJSON *object, const char *type) { return reader_is_text(json_get(object, "type"), type); }

// A flag that may be absent.
int reader_flag(struct Reader *r, const cJSON *object, const char *key, bool absent, bool *flag)
{
    const cJSON *item = json_get(object, key);
    *flag = item ? cJSON_IsTrue(item) : absent;
    return !item || cJSON_IsBool(item) ? 0 : reader_fail_type(r, key, "true or false");
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
