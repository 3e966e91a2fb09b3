// A scan of the text comes first: it refuses what yajl would accept, and finds how much memory yajl can need. Then yajl
// calls back for each value. When the text is read as Python does, the scan replaces NaN and the infinities by marks,
// which yajl reads as strings.
#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/error.h"
#include "base/json_node.h"
#include "base/map.h"
#include "base/os.h"
#include "base/utf8.h"

#define MAX_DEPTH 128
#define MAX_BYTES ((size_t)1 << 29) // largest text
#define FEW 8                       // up to this many members, every key is compared with every other

struct Parser {
    const char *what;
    bool python;
    struct Json *nodes;
    size_t count;
    char *texts;                               // where the next text goes
    uint32_t key;                              // bytes of the next member's key and its NUL
    size_t open[MAX_DEPTH], before[MAX_DEPTH]; // open lists and objects, the last value in each (0: none)
    size_t depth;
    int code;
    vkgpt_error *err;
};

// ------------------------------------------------------------------------------------------------- the scan

// Numbers that Python writes and JSON does not have. A mark is a JSON string of one byte that is not UTF-8, so it
// differs from every string of an accepted text. Blanks fill it up to the length of the word.
static const struct Word {
    const char *text, *mark;
} words[] = {
    {"NaN", "\"\xff\""},
    {"Infinity", "\"\xfe\"     "},
    {"-Infinity", "\"\xfd\"      "},
};

#define WORDS (sizeof words / sizeof *words)

// Replaces the word at the start of text by its mark. Returns the word's length, or 0 when there is no word.
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

// The code unit of \uXXXX, or -1.
static int32_t escaped_unit(const char *text, size_t bytes)
{
    int32_t unit = 0;
    if (bytes < 6 || text[0] != '\\' || text[1] != 'u') return -1;
    for (int i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdef", *at = text[i] ? strchr(digits, text[i] | 0x20) : NULL;
        if (!at) return -1;
        unit = unit << 4 | (int32_t)(at - digits);
    }
    return unit;
}

// The length of an escape, with the checks that yajl does not make. Errors: \u0000, which would end a C string; half a
// surrogate pair.
static int scan_escape(const char *what, const char *text, size_t at, size_t bytes, size_t *length, vkgpt_error *err)
{
    int32_t unit = escaped_unit(text + at, bytes - at);
    *length = unit >= 0 ? 6 : bytes - at > 1 && (text[at + 1] == '"' || text[at + 1] == '\\') ? 2 : 1;
    if (unit == 0) return fail(err, VKGPT_BAD_FILE, "%s: byte %zu: a string holds the character \\u0000", what, at);
    if (unit < 0xd800 || unit > 0xdfff) return 0;
    int32_t second = escaped_unit(text + at + 6, bytes - at - 6);
    *length = 12;
    if (unit < 0xdc00 && second >= 0xdc00 && second <= 0xdfff) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: not JSON: byte %zu: half a surrogate pair, \\u%04x", what, at,
                (unsigned)unit);
}

// Upper bounds for what a text needs.
struct Need {
    size_t values;
    size_t escaped; // bytes of the longest string with an escape
};

struct Scan {
    const char *what, *text;
    size_t bytes, at;
    size_t string; // where the string around `at` begins
    bool in_string, escapes;
    size_t depth, digits; // digits: of the number around `at`
    struct Need need;
    vkgpt_error *err;
};

// A byte outside strings. Errors: nesting past MAX_DEPTH, a number past MAX_NUMBER.
static int scan_between(struct Scan *s, char c)
{
    s->digits = c && strchr("0123456789+-.eE", c) ? s->digits + 1 : 0;
    if (s->digits > MAX_NUMBER)
        return fail(s->err, VKGPT_BAD_FILE, "%s: byte %zu: a number of more than %d characters", s->what, s->at,
                    MAX_NUMBER);
    if (c == '{' || c == '[') s->depth++;
    if (s->depth > MAX_DEPTH)
        return fail(s->err, VKGPT_BAD_FILE, "%s: byte %zu is nested deeper than %d levels", s->what, s->at, MAX_DEPTH);
    if (s->depth && (c == '}' || c == ']')) s->depth--;
    s->need.values += c == '{' || c == '[' || c == ',';
    return 0;
}

static void scan_quote(struct Scan *s)
{
    size_t length = s->at - s->string;
    if (s->in_string && s->escapes && length > s->need.escaped) s->need.escaped = length;
    s->in_string = !s->in_string;
    s->escapes = false;
    s->string = s->at;
    s->digits = 0;
}

// Scans the character at s->at and returns its length. Errors: a byte that JSON does not allow, a bad escape.
static int scan_character(struct Scan *s, size_t *length)
{
    unsigned char c = (unsigned char)s->text[s->at];
    *length = utf8_length(s->text + s->at, s->bytes - s->at);
    if (!*length) return fail(s->err, VKGPT_BAD_FILE, "%s: byte %zu (0x%02x) is not UTF-8", s->what, s->at, c);
    if (c == 0 || (s->in_string && c < 0x20))
        return fail(s->err, VKGPT_BAD_FILE, "%s: byte %zu is a bare control character (0x%02x)", s->what, s->at, c);
    if (c == '"') {
        scan_quote(s);
    } else if (!s->in_string) {
        return scan_between(s, (char)c);
    } else if (c == '\\') {
        s->escapes = true;
        return scan_escape(s->what, s->text, s->at, s->bytes, length, s->err);
    }
    return 0;
}

// `marked` is the same text when words are to be replaced by marks in it, else NULL.
static int scan(const char *what, const char *text, size_t bytes, char *marked, struct Need *need, vkgpt_error *err)
{
    struct Scan s = {.what = what, .text = text, .bytes = bytes, .need = {.values = 1}, .err = err};
    for (size_t n; s.at < bytes; s.at += n) {
        if (marked && !s.in_string && (n = mark_word(marked + s.at, bytes - s.at))) continue;
        int code = scan_character(&s, &n);
        if (code) return code;
    }
    *need = s.need;
    if (!s.in_string) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: not JSON: byte %zu of %zu does not fit: a string has no end", what, s.string,
                bytes);
}

// --------------------------------------------------------------------------------------------- memory for yajl

// yajl does not expect an allocation to fail, so all the memory that it can need is allocated first. Nothing is freed
// before the end.
struct Arena {
    char *data;
    size_t bytes, used, last; // last: where the newest piece begins; only this piece can grow in place
};

#define ALIGN ((size_t)16)
#define YAJL_BYTES ((size_t)16 << 10) // yajl's own data, its stack of levels, and the longest number

static void *arena_get(void *user, size_t bytes)
{
    struct Arena *a = user;
    size_t at = a->used, whole = ALIGN + (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole < bytes || whole > a->bytes - a->used) abort(); // cannot happen while arena_bytes is right
    memcpy(a->data + at, &bytes, sizeof bytes);
    a->used += whole;
    a->last = at + ALIGN;
    return a->data + a->last;
}

static void *arena_resize(void *user, void *piece, size_t bytes)
{
    struct Arena *a = user;
    if (!piece) return arena_get(user, bytes);
    char *old = piece;
    size_t before;
    memcpy(&before, old - ALIGN, sizeof before);
    if (old == a->data + a->last) a->used = a->last - ALIGN;
    char *piece_now = arena_get(user, bytes);
    if (piece_now != old) memcpy(piece_now, old, before < bytes ? before : bytes);
    return piece_now;
}

static void arena_keep(void *user, void *piece)
{
    (void)user;
    (void)piece;
}

// yajl decodes a string with escapes into a buffer that it doubles as needed.
static size_t arena_bytes(const struct Need *need) { return YAJL_BYTES + 2 * need->escaped; }

// ----------------------------------------------------------------------------------------------- the values

// Appends a text and a NUL.
static void put_text(struct Parser *p, const void *text, size_t bytes)
{
    memcpy(p->texts, text, bytes);
    p->texts[bytes] = '\0';
    p->texts += bytes + 1;
}

// Begins the next value; the caller appends its text.
static void begin_value(struct Parser *p)
{
    struct Json *node = &p->nodes[p->count];
    *node = (struct Json){.text = p->texts, .span = 1, .key = p->key, .last = 1};
    p->key = 0;
    if (p->depth) {
        size_t *before = &p->before[p->depth - 1];
        if (*before) p->nodes[*before].last = 0;
        *before = p->count;
    }
    p->count++;
}

static int one_letter(struct Parser *p, char letter)
{
    begin_value(p);
    *p->texts++ = letter;
    return 1;
}

static int on_null(void *parser) { return one_letter(parser, 'n'); }
static int on_bool(void *parser, int value) { return one_letter(parser, value ? 't' : 'f'); }

static int on_number(void *parser, const char *text, size_t bytes)
{
    struct Parser *p = parser;
    begin_value(p);
    put_text(p, text, bytes);
    return 1;
}

static const struct Word *marked_word(const struct Parser *p, const unsigned char *text, size_t bytes)
{
    for (size_t w = 0; w < WORDS && p->python && bytes == 1; w++)
        if (text[0] == (unsigned char)words[w].mark[1]) return &words[w];
    return NULL;
}

static int on_string(void *parser, const unsigned char *text, size_t bytes)
{
    struct Parser *p = parser;
    const struct Word *word = marked_word(p, text, bytes);
    begin_value(p);
    if (word) {
        put_text(p, word->text, strlen(word->text)); // strtod reads these words
    } else {
        *p->texts++ = '"';
        put_text(p, text, bytes);
    }
    return 1;
}

static int on_key(void *parser, const unsigned char *text, size_t bytes)
{
    struct Parser *p = parser;
    const struct Word *word = marked_word(p, text, bytes);
    put_text(p, text, bytes);
    p->key = (uint32_t)bytes + 1;
    if (word) p->code = fail(p->err, VKGPT_BAD_FILE, "%s: not JSON: %s is a key and not a string", p->what, word->text);
    return !p->code;
}

static int open_value(struct Parser *p, char letter)
{
    p->open[p->depth] = p->count; // the scan has checked the depth
    one_letter(p, letter);
    p->before[p->depth++] = 0;
    return 1;
}

static int on_object(void *parser) { return open_value(parser, '{'); }
static int on_array(void *parser) { return open_value(parser, '['); }

static struct Json *close_value(struct Parser *p)
{
    struct Json *node = &p->nodes[p->open[--p->depth]];
    node->span = (uint32_t)(p->nodes + p->count - node);
    return node;
}

static int on_array_end(void *parser)
{
    close_value(parser);
    return 1;
}

// --------------------------------------------------------------------------------------- duplicate keys

static bool same_key(const struct Json *a, const struct Json *b)
{
    return a->key == b->key && memcmp(json_key(a), json_key(b), a->key) == 0;
}

// `earlier` and `later` have the same key: an error, or the later one counts, as in Python.
static int key_twice(struct Parser *p, struct Json *earlier, const struct Json *later)
{
    earlier->replaced = p->python;
    if (p->python) return 0;
    return fail(p->err, VKGPT_BAD_FILE, "%s: the key \"%.200s\" is there twice", p->what, json_key(later));
}

static int few_keys(struct Parser *p, const struct Json *object)
{
    int code = 0;
    for (const struct Json *later = json_first(object); later && !code; later = json_next(later))
        for (const struct Json *m = json_first(object); m != later && !code; m = json_next(m))
            if (same_key(m, later)) {
                code = key_twice(p, &p->nodes[m - p->nodes], later);
                break;
            }
    return code;
}

// Uses a hash table of the members' indices, at most half full. It hashes with a secret, for the reason in base/map.h.
static int many_keys(struct Parser *p, const struct Json *object, size_t count)
{
    uint64_t secret[2];
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    uint32_t *table = calloc(slots, sizeof *table);
    if (!table) return fail_memory(p->err, p->what, slots * sizeof *table);
    os_random(secret, sizeof secret);
    int code = 0;
    for (const struct Json *m = json_first(object); m && !code; m = json_next(m)) {
        size_t i = (size_t)map_hash(secret, json_key(m), m->key) & (slots - 1);
        while (table[i] && !same_key(object + table[i], m)) i = (i + 1) & (slots - 1);
        if (table[i]) code = key_twice(p, &p->nodes[object - p->nodes + table[i]], m);
        table[i] = (uint32_t)(m - object);
    }
    free(table);
    return code;
}

static int on_object_end(void *parser)
{
    struct Parser *p = parser;
    const struct Json *object = close_value(p);
    size_t count = json_count(object);
    p->code = count <= FEW ? few_keys(p, object) : many_keys(p, object, count);
    return !p->code;
}

// ------------------------------------------------------------------------------------------------- whole texts

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_object_end,
    .yajl_start_array = on_array,
    .yajl_end_array = on_array_end,
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static int run_yajl(struct Parser *p, yajl_handle yajl, const char *text, size_t bytes)
{
    size_t mark = utf8_mark(text, bytes);
    yajl_config(yajl, yajl_dont_validate_strings, 1); // the scan did this
    yajl_config(yajl, yajl_allow_trailing_garbage, 1);
    yajl_status status = yajl_parse(yajl, (const unsigned char *)text + mark, bytes - mark);
    size_t at = mark + yajl_get_bytes_consumed(yajl);
    if (status == yajl_status_ok) status = yajl_complete_parse(yajl);
    if (p->code) return p->code;
    if (status != yajl_status_ok)
        return fail(p->err, VKGPT_BAD_FILE, "%s: not JSON: byte %zu of %zu does not fit", p->what, at - (at > 0),
                    bytes);
    while (at < bytes && is_blank(text[at])) at++;
    if (at == bytes) return 0;
    return fail(p->err, VKGPT_BAD_FILE, "%s: more text after the JSON value, from byte %zu of %zu on", p->what, at,
                bytes);
}

// `marked` is NULL, or the same pointer as text: then the text is read as Python does.
static int parse(const char *what, const char *text, size_t bytes, char *marked, struct Json **json, vkgpt_error *err)
{
    *json = NULL;
    struct Need need;
    if (!bytes) return fail(err, VKGPT_BAD_FILE, "%s: is empty", what);
    if (bytes > MAX_BYTES)
        return fail(err, VKGPT_BAD_FILE, "%s: JSON of %zu bytes, more than %zu", what, bytes, MAX_BYTES);
    int code = scan(what, text, bytes, marked, &need, err);
    if (code) return code;

    // a value or key needs at most its bytes in the text; a number that is the whole text needs 1 more, for its NUL
    size_t room = need.values * sizeof(struct Json) + bytes + 1;
    struct Json *nodes = malloc(room);
    struct Arena arena = {.data = malloc(arena_bytes(&need)), .bytes = arena_bytes(&need)};
    struct Parser parser = {
        .what = what, .python = marked, .nodes = nodes, .texts = (char *)(nodes + need.values), .err = err};
    yajl_alloc_funcs memory = {arena_get, arena_resize, arena_keep, &arena};
    if (nodes && arena.data) code = run_yajl(&parser, yajl_alloc(&callbacks, &memory, &parser), text, bytes);
    else code = fail_memory(err, what, room + arena.bytes);
    free(arena.data);
    if (code) free(nodes);
    else *json = nodes;
    return code;
}

int json_parse(const char *what, const char *text, size_t bytes, struct Json **json, vkgpt_error *err)
{
    return parse(what, text, bytes, NULL, json, err);
}

static int read_file(const char *path, size_t limit, bool python, struct Json **json, vkgpt_error *err)
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

int json_read(const char *path, size_t limit, struct Json **json, vkgpt_error *err)
{
    return read_file(path, limit, false, json, err);
}

int json_read_python(const char *path, size_t limit, struct Json **json, vkgpt_error *err)
{
    return read_file(path, limit, true, json, err);
}

void json_free(struct Json *json) { free(json); }
