#include "tasks/wikitext.h"

#include <stdlib.h>
#include <string.h>

#include "tasks/blanks.h"

// ------------------------------------------------------------------------------------------------ pages

// Whether a line is "= Title =" with blanks around it, and not a heading of a lower level: "= = Section = =".
static bool is_title(const char *line, size_t bytes)
{
    size_t start = blanks_at_start(line, bytes);
    line += start;
    bytes -= start;
    bytes -= blanks_at_end(line, bytes);
    if (bytes < 3 || memcmp(line, "= ", 2) != 0 || memcmp(line + bytes - 2, " =", 2) != 0) return false;
    return line[2] != '=' && line[bytes - 3] != '=';
}

bool wikitext_page(const char **at, const char *end, const char **page, size_t *bytes)
{
    while (*at < end) {
        const char *start = *at, *line = start;
        const char *stop = end; // the end of the page
        while (line < end) {
            const char *line_end = memchr(line, '\n', (size_t)(end - line));
            if (!line_end) line_end = end;
            if (line > start && is_title(line, (size_t)(line_end - line))) {
                stop = line - 1;
                break;
            }
            line = line_end < end ? line_end + 1 : end;
        }
        *at = stop < end ? stop + 1 : end;
        *page = start;
        *bytes = (size_t)(stop - start);
        if (blanks_at_start(start, *bytes) < *bytes) return true;
    }
    return false;
}

size_t wikitext_words(const char *page, size_t bytes)
{
    size_t words = 1;
    for (size_t i = 0; i < bytes;) {
        size_t blank = blanks_at_start(page + i, bytes - i);
        words += blank > 0;
        i += blank ? blank : 1;
    }
    return words;
}

// ---------------------------------------------------------------------------------------- detokenization

static void replace(struct Buffer *text, const char *from, const char *to)
{
    struct Buffer out = {0};
    size_t length = strlen(from);
    const char *at = text->data;
    buffer_reserve(&out, text->bytes);
    for (const char *found; (found = strstr(at, from)); at = found + length) {
        buffer_add(&out, at, (size_t)(found - at));
        buffer_text(&out, to);
    }
    buffer_add(&out, at, text->bytes - (size_t)(at - text->data));
    buffer_free(text);
    *text = out;
}

// Removes the blanks at the ends inside each pair of brackets or quotes: ( so ) becomes (so).
static void tighten(struct Buffer *text, char open, char close)
{
    struct Buffer out = {0};
    const char *at = text->data, *end = at + text->bytes;
    buffer_reserve(&out, text->bytes);
    for (;;) {
        const char *first = memchr(at, open, (size_t)(end - at));
        const char *last = first ? memchr(first + 1, close, (size_t)(end - first - 1)) : NULL;
        if (!last) break;
        first++;
        buffer_add(&out, at, (size_t)(first - at));
        first += blanks_at_start(first, (size_t)(last - first));
        buffer_add(&out, first, (size_t)(last - first) - blanks_at_end(first, (size_t)(last - first)));
        at = last;
        buffer_add(&out, at++, 1);
    }
    buffer_add(&out, at, (size_t)(end - at));
    buffer_free(text);
    *text = out;
}

// The rules are those that the harness took from Megatron-LM. Their order matters. One is left out: it looks for a
// digit between slashes and quotes, which does not occur.
void wikitext_detokenize(const char *page, size_t bytes, struct Buffer *text)
{
    static const char *const words[][2] = {
        {"s '", "s'"}, {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."}, {" : ", ": "},
        {" ; ", "; "}, {" . ", ". "},  {" ! ", "! "},  {" ? ", "? "},  {" , ", ", "},
    };
    static const char pairs[][2] = {{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}};
    static const char *const rest[][2] = {
        {"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="},  {" \xC2\xB0 ", "\xC2\xB0"},
        {" \n", "\n"},       {"\n ", "\n"},    {" N ", " 1 "}, {" 's", "'s"},
    };
    buffer_cut(text, 0);
    buffer_add(text, page, bytes);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) replace(text, words[i][0], words[i][1]);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) tighten(text, pairs[i][0], pairs[i][1]);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) replace(text, rest[i][0], rest[i][1]);
}
