#include "text/characters.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"

void characters_free(struct Characters *list)
{
    free(list->keys);
    *list = (struct Characters){0};
}

static bool add_one(struct Characters *list, int32_t c)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        uint64_t *wider = capacity > SIZE_MAX / sizeof *wider ? NULL : realloc(list->keys, capacity * sizeof *wider);
        if (!wider) return false;
        list->keys = wider;
        list->capacity = capacity;
    }
    uint64_t class = (uint64_t)(uint16_t)utf8proc_get_property(c)->combining_class;
    list->keys[list->count] = class << 56 | (uint64_t)list->count << 21 | (uint64_t)c;
    list->count++;
    return true;
}

bool characters_add(struct Characters *list, int32_t character, bool compatible)
{
    utf8proc_int32_t parts[32]; // U+FDFA is the longest: 18
    int boundary = 0;
    utf8proc_option_t how = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    utf8proc_ssize_t n = utf8proc_decompose_char(character, parts, 32, how, &boundary);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!add_one(list, parts[i])) return false;
    return true;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void characters_order(struct Characters *list)
{
    for (size_t i = 0, end; i < list->count; i = end + 1) {
        for (end = i; end < list->count && list->keys[end] >> 56; end++) {
        }
        if (end > i + 1) qsort(list->keys + i, end - i, sizeof *list->keys, by_key);
    }
}

int32_t characters_at(const struct Characters *list, size_t index) { return (int32_t)(list->keys[index] & 0x1FFFFF); }

int32_t characters_first(const char *text, size_t bytes, size_t *length)
{
    utf8proc_int32_t c;
    *length = utf8_length(text, bytes);
    if (*length == 1) return (unsigned char)text[0];
    if (*length) {
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)*length, &c);
        return c;
    }
    *length = 1;
    return CHARACTER_BYTE + (unsigned char)text[0];
}

int32_t characters_last(const char *text, size_t bytes, size_t *length)
{
    size_t most = bytes < 4 ? bytes : 4;
    for (*length = 1; *length <= most; ++*length)
        if (utf8_length(text + bytes - *length, *length) == *length) break;
    if (*length > most) *length = 1;
    return characters_first(text + bytes - *length, *length, &(size_t){0});
}

size_t characters_put(char *out, int32_t character)
{
    if (character >= CHARACTER_BYTE) {
        *out = (char)(character - CHARACTER_BYTE);
        return 1;
    }
    return (size_t)utf8proc_encode_char(character, (utf8proc_uint8_t *)out);
}

// ------------------------------------------------------------------------------------------------- normal forms

struct Normal { // the output, and how to normalise
    bool compatible, compose;
    struct Characters run; // well-formed characters that are not in `text` yet
    char *text;
    size_t bytes, capacity;
};

static bool make_room(struct Normal *n, size_t bytes)
{
    if (n->capacity - n->bytes >= bytes) return true;
    size_t capacity = (n->bytes + bytes) * 2;
    char *wider = realloc(n->text, capacity);
    if (!wider) return false;
    n->text = wider;
    n->capacity = capacity;
    return true;
}

// Appends the run to the text, composed if `compose` is set.
static bool end_run(struct Normal *n)
{
    if (!n->run.count) return true;
    utf8proc_int32_t *composed = malloc(n->run.count * sizeof *composed);
    bool room = composed && make_room(n, n->run.count * 4);
    if (room) {
        characters_order(&n->run);
        for (size_t i = 0; i < n->run.count; i++) composed[i] = characters_at(&n->run, i);
        utf8proc_ssize_t count = (utf8proc_ssize_t)n->run.count;
        if (n->compose) count = utf8proc_normalize_utf32(composed, count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        for (utf8proc_ssize_t i = 0; i < count; i++) n->bytes += characters_put(n->text + n->bytes, composed[i]);
    }
    free(composed);
    n->run.count = 0;
    return room;
}

static bool take_next(struct Normal *n, const char *text, size_t bytes, size_t *length)
{
    *length = utf8_length(text, bytes);
    if (*length == 0) {
        *length = 1;
        if (!end_run(n) || !make_room(n, 1)) return false;
        n->text[n->bytes++] = *text;
        return true;
    }
    utf8proc_int32_t c;
    utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)*length, &c);
    return characters_add(&n->run, c, n->compatible);
}

int characters_normalize(enum NormalForm form, const char *text, size_t bytes, char **out, size_t *out_bytes,
                         vkgpt_error *err)
{
    struct Normal n = {.compatible = form == FORM_NFKD || form == FORM_NFKC,
                       .compose = form == FORM_NFC || form == FORM_NFKC};
    bool good = make_room(&n, bytes + 1);
    for (size_t i = 0, length; good && i < bytes; i += length) good = take_next(&n, text + i, bytes - i, &length);
    good = good && end_run(&n);
    characters_free(&n.run);
    if (!good) {
        free(n.text);
        return fail_memory(err, "a normalized text", (n.bytes + bytes) * 2);
    }
    *out = n.text;
    *out_bytes = n.bytes;
    return 0;
}

int characters_nfkc(const char *text, size_t bytes, char **out, size_t *out_bytes, vkgpt_error *err)
{
    return characters_normalize(FORM_NFKC, text, bytes, out, out_bytes, err);
}

int characters_nfc(const char *text, size_t bytes, char **out, size_t *out_bytes, vkgpt_error *err)
{
    return characters_normalize(FORM_NFC, text, bytes, out, out_bytes, err);
}
