// PCRE2 runs without its own UTF check, with which a search takes quadratic time: texts are masked first (split.h).
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/split.h"

// ---------------------------------------------------------------------------------------------- translation

// Oniguruma's \w, which matches superscripts and fractions of Latin-1 too.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

struct Escape { // the meaning of a backslash and a letter, alone and inside a class; NULL: not supported
    char letter;
    const char *alone, *in_class;
};

static const struct Escape escapes[] = {
    {'s', BLANK, BLANK},
    {'S', "[^" BLANK "]", "\\P{White_Space}"},
    {'w', "[" WORD "]", WORD},
    {'W', "[^" WORD "]", NULL},
    {'h', "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {'H', "[^0-9A-Fa-f]", NULL},
    {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", "\\x08"},
    {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", NULL},
};

struct Translation {
    const char *file, *pattern, *at;
    size_t in_class; // 1 inside brackets
    bool first;      // directly after [ or [^
    struct TextBuffer out;
    bool no_memory;
    vkgpt_error *err;
};

static void put(struct Translation *t, const char *text, size_t bytes)
{
    if (!text_add(&t->out, text, bytes)) t->no_memory = true;
}

static int fail_pattern(const struct Translation *t, const char *what)
{
    return fail(t->err, VKGPT_BAD_MODEL, "%s: the pattern %.80s has %s, which is not supported", t->file, t->pattern,
                what);
}

// Translates a backslash and the rest of its escape.
static int translate_escape(struct Translation *t)
{
    const char *s = t->at;
    if (s[1] == 'u' && isxdigit((unsigned char)s[2]) && isxdigit((unsigned char)s[3]) &&
        isxdigit((unsigned char)s[4]) && isxdigit((unsigned char)s[5])) {
        put(t, "\\x{", 3);
        put(t, s + 2, 4);
        put(t, "}", 1);
        t->at += 6;
        return 0;
    }
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (s[1] != escapes[i].letter) continue;
        const char *means = t->in_class ? escapes[i].in_class : escapes[i].alone;
        if (!means) return fail_pattern(t, "\\W, \\H or \\B in a class");
        put(t, means, strlen(means));
        t->at += 2;
        return 0;
    }
    size_t bytes = s[1] ? 1 + utf8_length(s + 1, strlen(s + 1)) : 1;
    put(t, s, bytes);
    t->at += bytes;
    return 0;
}

static int translate_next(struct Translation *t)
{
    const char *s = t->at;
    bool first = t->first;
    t->first = false;
    if (*s == '\\') return translate_escape(t);
    if (!t->in_class && *s == '[') {
        size_t bytes = s[1] == '^' ? 2 : 1;
        t->in_class = 1;
        t->first = true;
        put(t, s, bytes);
        t->at += bytes;
        return 0;
    }
    if (t->in_class && *s == '[') return fail_pattern(t, s[1] == ':' ? "a class by name" : "a class inside a class");
    if (t->in_class && *s == '&' && s[1] == '&') return fail_pattern(t, "an intersection of classes");
    if (t->in_class && *s == ']' && !first) t->in_class = 0;
    if (!t->in_class && *s == '{' && s[1] == ',' && isdigit((unsigned char)s[2])) {
        put(t, "{0", 2);
        t->at++;
        return 0;
    }
    put(t, s, 1);
    t->at++;
    return 0;
}

int pattern_translate(const char *file, const char *oniguruma, char **pcre2, vkgpt_error *err)
{
    struct Translation t = {.file = file, .pattern = oniguruma, .at = oniguruma, .err = err};
    int code = 0;
    while (!code && *t.at) code = translate_next(&t);
    put(&t, "", 1);
    if (!code && t.no_memory) code = fail_memory(err, file, t.out.bytes * 2);
    *pcre2 = t.out.data;
    if (code) text_free(&t.out);
    return code;
}

// ------------------------------------------------------------------------------------------------ compiling

int pattern_compile(const char *file, const char *pcre2, void **code, vkgpt_error *err)
{
    int number;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)pcre2, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &number, &offset, NULL);
    if (!*code) {
        PCRE2_UCHAR text[200];
        pcre2_get_error_message(number, text, sizeof text);
        return fail(err, VKGPT_BAD_MODEL, "%s: PCRE2 does not take the pattern %.80s at byte %zu: %s", file, pcre2,
                    (size_t)offset, (const char *)text);
    }
    (void)pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); // without it: same results, but slower
    return 0;
}

int pattern_literal(const char *file, const char *text, void **code, vkgpt_error *err)
{
    char *pattern = malloc(2 * strlen(text) + 1), *p = pattern;
    if (!pattern) return fail_memory(err, file, 2 * strlen(text) + 1);
    for (const char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x80 && ispunct((unsigned char)*s)) *p++ = '\\';
        *p++ = *s;
    }
    *p = '\0';
    int status = pattern_compile(file, pattern, code, err);
    free(pattern);
    return status;
}

void pattern_free(void *code) { pcre2_code_free(code); }

// ------------------------------------------------------------------------------------------------- matching

bool segments_add(struct Segments *segments, struct Segment segment)
{
    if (segments->count == segments->capacity) {
        size_t capacity = segments->capacity ? segments->capacity * 2 : 16;
        if (capacity > SIZE_MAX / sizeof segment) return false;
        struct Segment *wider = realloc(segments->list, capacity * sizeof *wider);
        if (!wider) return false;
        segments->list = wider;
        segments->capacity = capacity;
    }
    segments->list[segments->count++] = segment;
    return true;
}

void segments_free(struct Segments *segments)
{
    free(segments->list);
    *segments = (struct Segments){0};
}

struct Search {
    const void *code;
    const char *text; // masked
    size_t bytes, from;
    bool after_match; // a match ends at `from`
    pcre2_match_data *match;
};

// The next match; *found is false when there is none.
static int search_next(struct Search *s, struct Segment *found, vkgpt_error *err)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->match);
    *found = (struct Segment){s->bytes, s->bytes, false};
    while (s->from <= s->bytes) {
        int n = pcre2_match(s->code, (PCRE2_SPTR)s->text, s->bytes, s->from, PCRE2_NO_UTF_CHECK, s->match, NULL);
        if (n == PCRE2_ERROR_JIT_STACKLIMIT)
            n = pcre2_match(s->code, (PCRE2_SPTR)s->text, s->bytes, s->from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                            s->match, NULL);
        if (n == PCRE2_ERROR_NOMATCH) return 0;
        if (n < 0 || span[1] < span[0])
            return fail(err, VKGPT_BAD_ARGUMENT, "PCRE2 cannot split the text after byte %zu of %zu (code %d)", s->from,
                        s->bytes, n);
        bool again = span[0] == span[1] && s->after_match && span[0] == s->from;
        if (!again) {
            *found = (struct Segment){span[0], span[1], true};
            s->from = span[1];
            s->after_match = true;
            return 0;
        }
        size_t length = s->from < s->bytes ? utf8_length(s->text + s->from, s->bytes - s->from) : 1;
        s->from += length ? length : 1;
        s->after_match = false;
    }
    return 0;
}

int pattern_segments(const void *code, const char *text, size_t bytes, struct Segments *segments, vkgpt_error *err)
{
    char *masked;
    int status = split_mask(text, bytes, &masked, err);
    if (status) return status;
    struct Search s = {code, masked ? masked : text, bytes, 0, false, pcre2_match_data_create_from_pattern(code, NULL)};
    struct Segment next = {.match = true};
    bool room = s.match != NULL;
    for (size_t at = 0; room && !status && next.match; at = next.end) {
        status = search_next(&s, &next, err);
        if (!status && at < next.start) room = segments_add(segments, (struct Segment){at, next.start, false});
        if (!status && room && next.match) room = segments_add(segments, next);
    }
    pcre2_match_data_free(s.match);
    free(masked);
    return room ? status : fail_memory(err, "the pieces of a text", (segments->count + 1) * 2 * sizeof next);
}

int pattern_replace(const void *code, const char *text, size_t bytes, const char *content, struct TextBuffer *out,
                    vkgpt_error *err)
{
    struct Segments segments = {0};
    int status = pattern_segments(code, text, bytes, &segments, err);
    bool room = true;
    for (size_t i = 0; !status && room && i < segments.count; i++) {
        const struct Segment *s = &segments.list[i];
        room = s->match ? text_add(out, content, strlen(content)) : text_add(out, text + s->start, s->end - s->start);
    }
    segments_free(&segments);
    return room ? status : fail_memory(err, "a text", out->bytes * 2);
}
