// Two passes around cJSON: the raw text is scanned first, for what cJSON would swallow or cut (NUL, invalid
// UTF-8, control characters, depth), and the tree is walked afterwards, for keys that stand there twice. Where Python's
// reading is asked for, the scan puts marks that cJSON reads as strings in the place of NaN and the infinities, and the
// walk makes numbers of them.
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/os.h"
#include "base/utf8.h"

#define MAX_DEPTH 128

// Numbers that Python writes and JSON does not have. A mark is a string of one byte that is not UTF-8, so that no
// string of an accepted text is one; blanks fill it up to the length of the word.
static const struct Word {
    const char *text, *mark;
    double value;
} words[] = {
    {"NaN", "\"\xff\"", NAN},
    {"Infinity", "\"\xfe\"     ", INFINITY},
    {"-Infinity", "\"\xfd\"      ", -INFINITY},
};

#define WORDS (sizeof words / sizeof *words)

// The length of the word that text begins with, which its mark takes the place of, or 0.
static size_t mark_word(char *text, size_t bytes)
{
    for (size_t w = 0; w < WORDS; w++) {
        size_t length = strlen(words[w].text);
        if (bytes < length || memcmp(text, words[w].text, length) != 0) continue;
        memcpy(text, words[w].mark, length);
        return length;
    }
    return 0;
}

// `marked` is the same text where words are marked in it, else NULL.
// Errors: a byte that no JSON text holds, an escaped NUL (C strings end there), nesting past MAX_DEPTH.
static int scan(const char *what, const char *text, size_t bytes, char *marked, vkgpt_error *err)
{
    const unsigned char *s = (const unsigned char *)text;
    bool in_string = false;
    size_t depth = 0;
    for (size_t i = 0, n; i < bytes; i += n) {
        if (marked && !in_string && (n = mark_word(marked + i, bytes - i))) continue;
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

// A key that an earlier member has is an error, or, as Python has it, the later member wins: so from the last one on.
static int check_object(const char *what, cJSON *object, bool python, struct Map *keys, vkgpt_error *err)
{
    cJSON *last = object->child ? object->child->prev : NULL, *before; // the first one's `prev` is the last
    for (cJSON *m = last; m; m = before) {
        before = m == object->child ? NULL : m->prev;
        int added = map_add(keys, m->string, strlen(m->string), 0);
        if (added < 0) return fail_memory(err, what, keys->count * sizeof(struct MapEntry));
        if (!added && !python)
            return fail(err, VKGPT_BAD_FILE, "%s: the key \"%.200s\" is there twice", what, m->string);
        if (!added) cJSON_Delete(cJSON_DetachItemViaPointer(object, m));
    }
    return 0;
}

// The number of a mark. As a key it is none.
static int read_mark(const char *what, cJSON *item, vkgpt_error *err)
{
    for (size_t w = 0; w < WORDS; w++) {
        char byte = words[w].mark[1];
        if (item->string && item->string[0] == byte)
            return fail(err, VKGPT_BAD_FILE, "%s: not JSON: %s is a key and not a string", what, words[w].text);
        if (!cJSON_IsString(item) || item->valuestring[0] != byte) continue;
        cJSON_free(item->valuestring);
        item->valuestring = NULL;
        item->type = (item->type & ~0xff) | cJSON_Number; // what else the type holds are flags
        item->valuedouble = words[w].value;
    }
    return 0;
}

static int check_tree(const char *what, cJSON *item, bool python, vkgpt_error *err)
{
    int code = python ? read_mark(what, item, err) : 0;
    if (!code && cJSON_IsObject(item)) {
        struct Map keys = {0};
        code = check_object(what, item, python, &keys, err);
        map_free(&keys);
    }
    for (cJSON *m = item->child; m && !code; m = m->next)
        if (python || m->child) code = check_tree(what, m, python, err);
    return code;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The text is that of `marked` where that is not NULL.
static int parse(const char *what, const char *text, size_t bytes, char *marked, cJSON **json, vkgpt_error *err)
{
    *json = NULL;
    if (!bytes) return fail(err, VKGPT_BAD_FILE, "%s: is empty", what);
    int code = scan(what, text, bytes, marked, err);
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
    else code = check_tree(what, tree, marked != NULL, err);
    if (code) {
        cJSON_Delete(tree);
        return code;
    }
    *json = tree;
    return 0;
}

int json_parse(const char *what, const char *text, size_t bytes, cJSON **json, vkgpt_error *err)
{
    return parse(what, text, bytes, NULL, json, err);
}

static int read_file(const char *path, size_t limit, bool python, cJSON **json, vkgpt_error *err)
{
    *json = NULL;
    char *text;
    size_t bytes;
    int code = os_read_file(path, limit, &text, &bytes, err);
    if (code) return code;
    code = parse(path, text, bytes, python ? text : NULL, json, err);
    free(text);
    return code;
}

int json_read(const char *path, size_t limit, cJSON **json, vkgpt_error *err)
{
    return read_file(path, limit, false, json, err);
}

int json_read_python(const char *path, size_t limit, cJSON **json, vkgpt_error *err)
{
    return read_file(path, limit, true, json, err);
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
