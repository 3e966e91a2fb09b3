// Walks over the values that json.c read, and shows them in sentences.
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_node.h"

static const struct Json constants[] = {{"t", 1, 0, 1, 0}, {"f", 1, 0, 1, 0}}, null_value = {"n", 1, 0, 1, 0};
const struct Json *const json_true = &constants[0], *const json_false = &constants[1];

static bool has_type(const struct Json *item, char type) { return item && item->text[0] == type; }

bool json_is_null(const struct Json *item) { return has_type(item, 'n'); }
bool json_is_true(const struct Json *item) { return has_type(item, 't'); }
bool json_is_false(const struct Json *item) { return has_type(item, 'f'); }
bool json_is_bool(const struct Json *item) { return json_is_true(item) || json_is_false(item); }
bool json_is_array(const struct Json *item) { return has_type(item, '['); }
bool json_is_object(const struct Json *item) { return has_type(item, '{'); }
bool json_is_number(const struct Json *item) { return item && !strchr("{[\"tfn", item->text[0]); }

const char *json_text(const struct Json *item) { return has_type(item, '"') ? item->text + 1 : NULL; }
const char *json_key(const struct Json *item) { return item && item->key ? item->text - item->key : NULL; }

const char *json_digits(const struct Json *item) { return json_is_number(item) ? item->text : NULL; }

double json_number(const struct Json *item)
{
    if (!json_is_number(item)) return NAN;
    char text[MAX_NUMBER + 1], *point = NULL;
    snprintf(text, sizeof text, "%s", item->text);
    char local = *localeconv()->decimal_point; // strtod expects this one
    if (local && local != '.' && (point = strchr(text, '.'))) *point = local;
    return strtod(text, NULL);
}

bool json_integer(const struct Json *item, int64_t min, int64_t max, int64_t *value)
{
    double d = json_number(item);
    if (!(fabs(d) <= 9007199254740992.0) || d != floor(d)) return false; // NaN fails the first test
    int64_t whole = (int64_t)d;
    if (whole < min || whole > max) return false;
    *value = whole;
    return true;
}

// The first node from `item` on that no later member replaces.
static const struct Json *counting(const struct Json *item)
{
    while (item->replaced) item += item->span; // a node always follows: the replacing member comes later
    return item;
}

const struct Json *json_first(const struct Json *item)
{
    bool full = (json_is_array(item) || json_is_object(item)) && item->span > 1;
    return full ? counting(item + 1) : NULL;
}

const struct Json *json_next(const struct Json *item)
{
    return !item || item->last ? NULL : counting(item + item->span);
}

size_t json_count(const struct Json *item)
{
    size_t count = 0;
    for (const struct Json *entry = json_first(item); entry; entry = json_next(entry)) count++;
    return count;
}

const struct Json *json_find(const struct Json *object, const char *key)
{
    if (!json_is_object(object)) return NULL;
    for (const struct Json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0) return m;
    return NULL;
}

const struct Json *json_get(const struct Json *object, const char *key)
{
    const struct Json *item = json_find(object, key);
    return json_is_null(item) ? NULL : item;
}

// ------------------------------------------------------------------------------------------------ in sentences

struct Shower {
    char *text;
    size_t used; // larger than JSON_SHOWN - 1 when the text does not fit
};

static void show(struct Shower *s, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && s->used < JSON_SHOWN; i++) s->text[s->used++] = text[i];
}

static void show_string(struct Shower *s, const char *text)
{
    show(s, "\"", 1);
    for (; *text && s->used < JSON_SHOWN; text++) {
        static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *known = strchr(plain, *text);
        char escape[8] = {'\\', known ? letters[known - plain] : 0};
        if (!known) snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)*text);
        bool escaped = known || (unsigned char)*text < ' ';
        show(s, escaped ? escape : text, escaped ? strlen(escape) : 1);
    }
    show(s, "\"", 1);
}

static void show_plain(struct Shower *s, const struct Json *item)
{
    char type = item->text[0];
    double d = json_number(item);
    char number[40];
    snprintf(number, sizeof number, "%.15g", d);
    if (strtod(number, NULL) != d) snprintf(number, sizeof number, "%.17g", d);
    const char *word = type == 't'   ? "true"
                       : type == 'f' ? "false"
                       : type == 'n' ? "null"
                       : isnan(d)    ? "NaN"
                       : isfinite(d) ? number
                       : d > 0       ? "Infinity"
                                     : "-Infinity";
    if (type == '"') show_string(s, json_text(item));
    else show(s, word, strlen(word));
}

// Recursive, at most MAX_DEPTH deep.
static void show_value(struct Shower *s, const struct Json *item)
{
    bool object = json_is_object(item);
    if (!object && !json_is_array(item)) {
        show_plain(s, item);
        return;
    }
    show(s, object ? "{" : "[", 1);
    for (const struct Json *entry = json_first(item); entry && s->used < JSON_SHOWN; entry = json_next(entry)) {
        if (object) show_string(s, json_key(entry)), show(s, ":", 1);
        show_value(s, entry);
        if (json_next(entry)) show(s, ",", 1);
    }
    show(s, object ? "}" : "]", 1);
}

static const char *shown_end(struct Shower *s)
{
    static const char more[] = "...";
    char *text = s->text;
    size_t end = JSON_SHOWN - sizeof more;
    if (s->used < JSON_SHOWN) {
        text[s->used] = '\0';
        return text;
    }
    while (end && ((unsigned char)text[end] & 0xc0) == 0x80) end--; // not inside a character
    memcpy(text + end, more, sizeof more);
    return text;
}

const char *json_shown(const struct Json *item, char text[JSON_SHOWN])
{
    struct Shower s = {text, 0};
    show_value(&s, item ? item : &null_value);
    return shown_end(&s);
}

const char *json_shown_text(const char *text, char shown[JSON_SHOWN])
{
    struct Shower s = {shown, 0};
    show_string(&s, text);
    return shown_end(&s);
}
