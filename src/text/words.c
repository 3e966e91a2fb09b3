// Characters are collected into a word until something ends it; only then its marks are put in order, and it is cut at
// punctuation. Assigned characters do not change, so utf8proc (Unicode 15) and Python (Unicode 14 in Debian 12) agree
// on those that both know: all were tested. A character that is newer than utf8proc is dropped.
#include "text/words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/added.h"
#include "text/characters.h"
#include "text/properties.h"

// ----------------------------------------------------------------------------------------- lower case

// Lower-cases the character at text, of `bytes` bytes, and returns the number of bytes written: at most 3 for every 2.
// The dot that Python keeps from İ is left out: it is Mn, so no word would have it.
static size_t lower_character(const char *text, size_t bytes, char *out)
{
    utf8proc_int32_t c;
    utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &c);
    return characters_put(out, utf8proc_tolower(c));
}

int words_lower(const struct Vocab *vocab, bool keep_added, const char *text, size_t bytes, char **lower,
                size_t *lower_bytes, vkgpt_error *err)
{
    size_t n = 0;
    char *out = malloc(bytes + bytes / 2 + 1);
    if (!out) return fail_memory(err, "a text in lower case", bytes + bytes / 2 + 1);
    for (size_t i = 0, length; i < bytes; i += length) {
        const struct AddedToken *kept = keep_added ? added_longest(vocab, text + i, bytes - i, false) : NULL;
        length = kept ? kept->length : utf8_length(text + i, bytes - i);
        if (kept) {
            memcpy(out + n, text + i, length);
            n += length;
        } else if (length == 0) {
            out[n++] = '\0';
            length = 1;
        } else {
            n += lower_character(text + i, length, out + n);
        }
    }
    *lower = out;
    *lower_bytes = n;
    return 0;
}

// ----------------------------------------------------------------------------------------- characters

static bool is_blank(utf8proc_int32_t c, utf8proc_category_t category)
{
    return c == '\t' || c == '\n' || c == '\r' || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

// Whether a character is in no word, and does not end one either.
static bool is_dropped(utf8proc_int32_t c, utf8proc_category_t category)
{
    return c == 0xFFFD || category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

// The blocks that BERT's tokenizer lists; later extensions (from U+2CEB0 and U+30000 on) are not among them.
static bool is_ideograph(utf8proc_int32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// ---------------------------------------------------------------------------------------------- words

struct Words {
    struct Characters characters; // the current word, decomposed
    char *utf8;                   // a finished word
    size_t utf8_capacity;
    bool (*on_word)(void *user, const char *word, size_t bytes);
    void *user;
    bool stopped, out_of_memory;
};

// Passes characters [start, end) to on_word; they are one punctuation character, or have none.
static void hand_on(struct Words *w, size_t start, size_t end)
{
    size_t bytes = 0;
    if (w->utf8_capacity < (end - start) * 4) {
        char *wider = realloc(w->utf8, (end - start) * 8);
        w->out_of_memory = !wider;
        if (!wider) return;
        w->utf8 = wider;
        w->utf8_capacity = (end - start) * 8;
    }
    for (size_t i = start; i < end; i++) {
        utf8proc_int32_t c = characters_at(&w->characters, i);
        if (utf8proc_category(c) != UTF8PROC_CATEGORY_MN) bytes += characters_put(w->utf8 + bytes, c);
    }
    if (bytes) w->stopped = !w->on_word(w->user, w->utf8, bytes);
}

static bool goes_on(const struct Words *w) { return !w->stopped && !w->out_of_memory; }

static void end_word(struct Words *w)
{
    size_t start = 0, count = w->characters.count;
    characters_order(&w->characters);
    for (size_t i = 0; i < count && goes_on(w); i++) {
        if (!is_punctuation(characters_at(&w->characters, i))) continue;
        if (start < i) hand_on(w, start, i);
        if (goes_on(w)) hand_on(w, i, i + 1);
        start = i + 1;
    }
    if (start < count && goes_on(w)) hand_on(w, start, count);
    w->characters.count = 0;
}

static void take_character(struct Words *w, utf8proc_int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    bool alone = is_ideograph(c), blank = is_blank(c, category);
    if (!blank && is_dropped(c, category)) return;
    if (blank || alone) end_word(w);
    if (!blank && goes_on(w)) w->out_of_memory = !characters_add(&w->characters, c, false);
    if (alone && goes_on(w)) end_word(w);
}

int words_split(const char *text, size_t bytes, bool (*on_word)(void *user, const char *word, size_t bytes), void *user,
                vkgpt_error *err)
{
    struct Words w = {.on_word = on_word, .user = user};
    for (size_t i = 0; i < bytes && goes_on(&w);) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(bytes - i), &c);
        if (n < 1) c = 0xFFFD;
        i += n < 1 ? 1 : (size_t)n;
        take_character(&w, c);
    }
    if (goes_on(&w)) end_word(&w);
    int code = w.out_of_memory ? fail_memory(err, "a text's words", w.characters.capacity * 2 * sizeof(uint64_t)) : 0;
    characters_free(&w.characters);
    free(w.utf8);
    return code;
}
