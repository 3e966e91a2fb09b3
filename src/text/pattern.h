// Patterns of a tokenizer.json: written for Oniguruma, translated for PCRE2, and used to cut texts.
#ifndef VKGPT_TEXT_PATTERN_H
#define VKGPT_TEXT_PATTERN_H

#include "text/buffer.h"
#include "vkgpt.h"

#define BLANK "\\p{White_Space}" // PCRE2's own \s matches U+180E too

// Rewrites what PCRE2 reads differently: \s, \w, \b, \h and their opposites, \uHHHH, {,n}. Free *pcre2. Errors
// (VKGPT_BAD_MODEL): what PCRE2 cannot express (classes inside classes, && in a class, names such as [:alpha:]).
// Source: https://github.com/kkos/oniguruma/blob/master/doc/RE
int pattern_translate(const char *file, const char *oniguruma, char **pcre2, vkgpt_error *err);

// Compiles a PCRE2 pattern, in UTF-8; ^ and $ match at every line, as in Oniguruma. Free with pattern_free. Errors
// (VKGPT_BAD_MODEL): PCRE2's own, with the pattern.
int pattern_compile(const char *file, const char *pcre2, void **code, vkgpt_error *err);
// The same for a literal text; an empty one matches between all characters.
int pattern_literal(const char *file, const char *text, void **code, vkgpt_error *err);
void pattern_free(void *code); // accepts NULL

struct Segment { // a part of a text; it may be empty
    size_t start, end;
    bool match;
};

struct Segments { // a growing list; zeroed is empty
    struct Segment *list;
    size_t count, capacity;
};

bool segments_add(struct Segments *segments, struct Segment segment); // false: no memory
void segments_free(struct Segments *segments);

// Cuts a text into the matches and the parts between them, in order; bytes that are not UTF-8 count as U+0001. An empty
// match directly after another match does not count. Errors (VKGPT_BAD_ARGUMENT): PCRE2's limits.
int pattern_segments(const void *code, const char *text, size_t bytes, struct Segments *segments, vkgpt_error *err);
// Replaces every match in the text by `content`.
int pattern_replace(const void *code, const char *text, size_t bytes, const char *content, struct TextBuffer *out,
                    vkgpt_error *err);

#endif
