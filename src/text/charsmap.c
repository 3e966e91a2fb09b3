#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "text/characters.h"

struct Charsmap {
    uint32_t *units;
    size_t unit_count;
    char *texts; // each ends in a NUL; one more NUL at the end
    size_t text_bytes;
};

int charsmap_open(const char *file, const void *data, size_t bytes, struct Charsmap **map, vkgpt_error *err)
{
    const unsigned char *p = data;
    *map = NULL;
    if (!bytes) return 0;
    uint32_t trie = bytes < 4 ? 0 : p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (bytes < 4 || trie % 4 || trie == 0 || trie > bytes - 4)
        return fail(err, VKGPT_BAD_FILE, "%s: precompiled_charsmap has %zu bytes, and its trie %u", file, bytes, trie);
    struct Charsmap *m = calloc(1, sizeof *m);
    if (m) {
        *m = (struct Charsmap){malloc(trie), trie / 4, malloc(bytes - 4 - trie + 1), bytes - 4 - trie};
    }
    if (!m || !m->units || !m->texts) {
        charsmap_free(m);
        return fail_memory(err, file, bytes);
    }
    for (size_t i = 0; i < m->unit_count; i++) {
        const unsigned char *u = p + 4 + 4 * i;
        m->units[i] = u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
    }
    memcpy(m->texts, p + 4 + trie, m->text_bytes);
    m->texts[m->text_bytes] = '\0';
    *map = m;
    return 0;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int charsmap_open_base64(const char *file, const char *base64, struct Charsmap **map, vkgpt_error *err)
{
    size_t n = 0, digits = 0;
    uint32_t bits = 0;
    unsigned char *data = malloc(strlen(base64) + 1);
    *map = NULL;
    if (!data) return fail_memory(err, file, strlen(base64));
    for (const char *s = base64; *s && *s != '='; s++, digits++) {
        int digit = base64_digit(*s);
        if (digit < 0) {
            free(data);
            return fail(err, VKGPT_BAD_FILE, "%s: character %zu of precompiled_charsmap is not base64", file, digits);
        }
        bits = bits << 6 | (uint32_t)digit;
        if (digits % 4 == 1) data[n++] = (unsigned char)(bits >> 4);
        if (digits % 4 == 2) data[n++] = (unsigned char)(bits >> 2);
        if (digits % 4 == 3) data[n++] = (unsigned char)bits;
    }
    int code = charsmap_open(file, data, n, map, err);
    free(data);
    return code;
}

void charsmap_free(struct Charsmap *map)
{
    if (!map) return;
    free(map->units);
    free(map->texts);
    free(map);
}

// The text of the shortest entry with which `text` begins, or NULL. Units are as in Darts-clone: a label (and bit 31),
// bit 8 for a leaf, an offset that bit 9 scales.
static const char *look_up(const struct Charsmap *map, const char *text, size_t bytes)
{
    uint32_t unit = map->units[0];
    size_t at = (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
    for (size_t i = 0; i < bytes && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        at ^= c;
        if (at >= map->unit_count) return NULL;
        unit = map->units[at];
        if ((unit & (1u << 31 | 0xFF)) != c) return NULL;
        at ^= (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
        if (at >= map->unit_count) return NULL;
        if (!(unit >> 8 & 1)) continue;
        size_t value = map->units[at] & 0x7FFFFFFF;
        return value <= map->text_bytes ? map->texts + value : NULL;
    }
    return NULL;
}

// The length of the grapheme cluster at the start of the text.
static size_t cluster(const char *text, size_t bytes)
{
    size_t length, i;
    utf8proc_int32_t state = 0;
    int32_t before = characters_first(text, bytes, &i);
    while (i < bytes && before < CHARACTER_BYTE) {
        int32_t c = characters_first(text + i, bytes - i, &length);
        if (c >= CHARACTER_BYTE || utf8proc_grapheme_break_stateful(before, c, &state)) break;
        before = c;
        i += length;
    }
    return i;
}

static bool map_characters(const struct Charsmap *map, const char *text, size_t bytes, struct TextBuffer *out)
{
    bool good = true;
    for (size_t i = 0, length; good && i < bytes; i += length) {
        characters_first(text + i, bytes - i, &length);
        const char *mapped = look_up(map, text + i, length);
        good = mapped ? text_add(out, mapped, strlen(mapped)) : text_add(out, text + i, length);
    }
    return good;
}

int charsmap_run(const struct Charsmap *map, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0, length; good && i < bytes; i += length) {
        length = cluster(text + i, bytes - i);
        const char *whole = length < 6 ? look_up(map, text + i, length) : NULL;
        good = whole ? text_add(out, whole, strlen(whole)) : map_characters(map, text + i, length, out);
    }
    return good ? 0 : fail_memory(err, "a normalized text", out->bytes * 2);
}
