// Two passes around cJSON: the raw text is scanned first, for what cJSON would swallow or cut (NUL, invalid
// UTF-8, control characters, depth), and the tree is walked afterwards, for keys that stand there twice.
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/os.h"
#include "base/utf8.h"

#define MAX_DEPTH 128

// Errors: a byte that no JSON text holds, an escaped NUL (C strings end there), nesting past MAX_DEPTH.
static int scan(const char *what, const char *text, size_t bytes, vkgpt_error *err)
{
    const unsigned char *s = (const unsigned char *)text;
    bool in_string = false;
    size_t depth = 0;
    for (size_t i = 0, n; i < bytes; i += n) {
        n = utf8_length(text + i, bytes - i);
        if (n == 0) return fail(err, VKGPT_BAD_FILE, "%s: byte %zu (0x%02x) is not UTF-8", what, i, s[i]);
        if (s[i] == 0 || (in_string && s[i] < 0x20))
            return fail(err, VKGPT_BAD_FILE, "%s: byte %zu is a bare control character (0x%02x)", what, i, s[i]);
        if (in_string && s[i] == '\\' && i + 1 < bytes) {
            if (bytes - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                return fail(err, VKGPT_BAD_FILE, "%s: byte %zu: a string holds the character \\u0000", what, i);
            if (s[i + 1] == '"' || s[i + 1] == '\\') n = 2;
        } else if (s[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && (s[i] == '{' || s[i] == '[')) {
            if (++depth > MAX_DEPTH)
                return fail(err, VKGPT_BAD_FILE, "%s: byte %zu is nested deeper than %d levels", what, i, MAX_DEPTH);
        } else if (!in_string && depth && (s[i] == '}' || s[i] == ']')) {
            depth--;
        }
    }
    return 0;
}

static int check_keys(const char *what, const cJSON *item, vkgpt_error *err);

static int check_object(const char *what, const cJSON *object, struct Map *keys, vkgpt_error *err)
{
    for (const cJSON *m = object->child; m; m = m->next) {
        int added = map_add(keys, m->string, strlen(m->string), 0);
        if (added < 0) return fail_memory(err, what, keys->count * sizeof(struct MapEntry));
        if (!added) return fail(err, VKGPT_BAD_FILE, "%s: the key \"%.200s\" is there twice", what, m->string);
    }
    return 0;
}

static int check_keys(const char *what, const cJSON *item, vkgpt_error *err)
{
    if (cJSON_IsObject(item)) {
        struct Map keys = {0};
        int code = check_object(what, item, &keys, err);
        map_free(&keys);
        if (code) return code;
    }
    for (const cJSON *m = item->child; m; m = m->next) {
        if (!m->child) continue;
        int code = check_keys(what, m, err);
        if (code) return code;
    }
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int json_parse(const char *what, const char *text, size_t bytes, cJSON **json, vkgpt_error *err)
{
    *json = NULL;
    if (!bytes) return fail(err, VKGPT_BAD_FILE, "%s: is empty", what);
    int code = scan(what, text, bytes, err);
    if (code) return code;

    const char *end = text;
    cJSON *tree = cJSON_ParseWithLengthOpts(text, bytes, &end, 0);
    if (!tree)
        return fail(err, VKGPT_BAD_FILE, "%s: not JSON: byte %zu of %zu does not fit", what,
                    end ? (size_t)(end - text) : 0, bytes);
    while (end < text + bytes && is_blank(*end)) end++;
    if (end < text + bytes)
        code = fail(err, VKGPT_BAD_FILE, "%s: more text after the JSON value, from byte %zu of %zu on", what,
                    (size_t)(end - text), bytes);
    else
        code = check_keys(what, tree, err);
    if (code) {
        cJSON_Delete(tree);
        return code;
    }
    *json = tree;
    return 0;
}

int json_read(const char *path, size_t limit, cJSON **json, vkgpt_error *err)
{
    *json = NULL;
    char *text;
    size_t bytes;
    int code = os_read(path, limit, &text, &bytes, err);
    if (code) return code;
    code = json_parse(path, text, bytes, json, err);
    free(text);
    return code;
}

const cJSON *json_get(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

bool json_integer(const cJSON *item, int64_t min, int64_t max, int64_t *value)
{
    if (!cJSON_IsNumber(item)) return false;
    double d = item->valuedouble;
    if (!(fabs(d) <= 9007199254740992.0) || d != floor(d)) return false; // NaN fails the first
    int64_t whole = (int64_t)d;
    if (whole < min || whole > max) return false;
    *value = whole;
    return true;
}
