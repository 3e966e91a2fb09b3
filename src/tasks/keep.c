#include "tasks/keep.h"

#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

static bool is_in(char c, const char *set) { return c && strchr(set, c); }

static bool word_ends(struct Keep *keep, char c)
{
    bool ends = is_blank(c) || is_in(c, ".,;:!?\"()[]");
    bool ended = ends && keep->inside;
    keep->inside = !ends;
    return ended;
}

static bool line_ends(struct Keep *keep, char c)
{
    bool ended = c == '\n' && keep->inside;
    if (c == '\n') keep->inside = false;
    else if (!is_blank(c)) keep->inside = true;
    return ended;
}

// 。 ！ ？ end a sentence without white space.
static bool is_wide_mark(const char *text, size_t at)
{
    static const char *const marks[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F"};
    for (size_t i = 0; at >= 2 && i < sizeof marks / sizeof marks[0]; i++)
        if (memcmp(text + at - 2, marks[i], 3) == 0) return true;
    return false;
}

static bool sentence_ends(struct Keep *keep, char c)
{
    if (is_blank(c)) {
        bool ended = keep->inside;
        keep->inside = false;
        return ended;
    }
    // closing quotes and brackets belong to the sentence; the four bytes are those of ’ and ”
    if (keep->inside && is_in(c, "'\")]\xE2\x80\x99\x9D")) return false;
    keep->inside = is_in(c, ".!?");
    return false;
}

bool keep_reached(struct Keep *keep, struct Buffer *text)
{
    if (keep->unit == KEEP_ALL) return false;
    for (; keep->scanned < text->bytes; keep->scanned++) {
        size_t at = keep->scanned;
        char c = text->data[at];
        bool wide = keep->unit == KEEP_SENTENCES && is_wide_mark(text->data, at);
        bool ended = keep->unit == KEEP_WORDS   ? word_ends(keep, c)
                     : keep->unit == KEEP_LINES ? line_ends(keep, c)
                                                : sentence_ends(keep, c);
        if (!ended && !wide) continue;
        if (++keep->seen < keep->limit) continue;
        buffer_cut(text, wide ? at + 1 : at);
        return true;
    }
    return false;
}
