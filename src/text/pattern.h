// Patterns of a tokenizer.json, which are written for Oniguruma and run by PCRE2, and how a text is cut by them.
#ifndef VKGPT_TEXT_PATTERN_H
#define VKGPT_TEXT_PATTERN_H

#include "text/buffer.h"
#include "vkgpt.h"

#define BLANK "\\p{White_Space}" // PCRE2's own \s takes U+180E too

// Rewrites what the two read differently: \s, \w, \b, \h and their opposites, \uHHHH, {,n}. Free *pcre2. Errors
// (VKGPT_BAD_MODEL): what has no equal (classes inside classes, && in a class, [:alpha:] and its like).
// Source: https://github.com/kkos/oniguruma/blob/master/doc/RE
int pattern_translate(const char *file, const char *oniguruma, char **pcre2, vkgpt_error *err);

// Compiles a pattern of PCRE2, in UTF-8, ^ and $ at every line as Oniguruma has them. Free with pattern_free. Errors
// (VKGPT_BAD_MODEL): PCRE2's own, with the pattern.
int pattern_compile(const char *file, const char *pcre2, void **code, vkgpt_error *err);
// The same for text that stands for itself; an empty one matches between all characters.
int pattern_literal(const char *file, const char *text, void **code, vkgpt_error *err);
void pattern_free(void *code); // accepts NULL

struct Segment { // of a text; it may be empty
    size_t start, end;
    bool match;
};

struct Segments { // a growing list; zeroed is empty
    struct Segment *list;
    size_t count, capacity;
};

bool segments_add(struct Segments *segments, struct Segment segment); // false: no memory
void segments_free(struct Segments *segments);

// Cuts a text into what matches and what lies between, in order; bytes that are no UTF-8 count as U+0001. An empty
// match right behind another match is none. Errors (VKGPT_BAD_ARGUMENT): PCRE2's limits.
int pattern_segments(const void *code, const char *text, size_t bytes, struct Segments *segments, vkgpt_error *err);
// The text with `content` in place of every match.
int pattern_replace(const void *code, const char *text, size_t bytes, const char *content, struct TextBuffer *out,
                    vkgpt_error *err);

#endif
