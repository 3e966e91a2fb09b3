// Characters come one by one, and gather in a word until something ends it; only then are its marks put in order, and
// only then is it cut at punctuation. Assigned characters don't change, so utf8proc and Python agree on those that
// both know (Unicode 15 against 14 in Debian 12: tried on all); a character that is newer than utf8proc is dropped.
#include "text/words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/added.h"

// ----------------------------------------------------------------------------------------- lower case

static size_t put_character(char *out, utf8proc_int32_t c)
{
    return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
}

// Lower-cases the character at text, of `bytes` bytes, and returns the bytes written: at most 3 for every 2. The dot
// that Python leaves over İ is Mn, and no word would have it.
static size_t lower_character(const char *text, size_t bytes, char *out)
{
    utf8proc_int32_t c;
    utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &c);
    return put_character(out, utf8proc_tolower(c));
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

// Belongs to no word, and does not end one either.
static bool is_dropped(utf8proc_int32_t c, utf8proc_category_t category)
{
    return c == 0xFFFD || category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

// The blocks that BERT's tokenizer names; later extensions (from U+2CEB0 and U+30000 on) are not among them.
static bool is_ideograph(utf8proc_int32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_punctuation(utf8proc_int32_t c)
{
    if (c > 0x20 && c < 0x7F) return !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// ---------------------------------------------------------------------------------------------- words

struct Words {
    uint64_t *characters; // of the word that gathers: combining class << 56 | place << 21 | character
    size_t count, capacity;
    char *utf8;           // a word that is done
    size_t utf8_capacity;
    bool (*on_word)(void *user, const char *word, size_t bytes);
    void *user;
    bool stopped, out_of_memory;
};

static utf8proc_int32_t character_of(uint64_t key)
{
    return (utf8proc_int32_t)(key & 0x1FFFFF);
}

static void *grown(void *memory, size_t needed, size_t *capacity, size_t item)
{
    if (needed <= *capacity) return memory;
    size_t wider = needed < 64 ? 64 : needed * 2;
    void *p = wider > SIZE_MAX / item ? NULL : realloc(memory, wider * item);
    if (p) *capacity = wider;
    return p;
}

static void gather_one(struct Words *w, utf8proc_int32_t c)
{
    const utf8proc_property_t *property = utf8proc_get_property(c);
    uint64_t class = (uint64_t)(uint16_t)property->combining_class;
    // dropped in the end; one of class 0 stays till then, because marks don't move past it
    if (class && property->category == UTF8PROC_CATEGORY_MN) return;
    uint64_t *wider = grown(w->characters, w->count + 1, &w->capacity, sizeof *wider);
    w->out_of_memory = !wider;
    if (!wider) return;
    w->characters = wider;
    wider[w->count] = class << 56 | (uint64_t)w->count << 21 | (uint64_t)c;
    w->count++;
}

// Adds a character to the word, decomposed.
static void gather(struct Words *w, utf8proc_int32_t c)
{
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(c, parts, 8, UTF8PROC_DECOMPOSE, &boundary); // 4 at most
    for (utf8proc_ssize_t i = 0; i < n && !w->out_of_memory; i++) gather_one(w, parts[i]);
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Unicode's canonical order: each run of marks by class, those of one class in the order they came.
static void order_marks(struct Words *w)
{
    for (size_t i = 0, end; i < w->count; i = end + 1) {
        for (end = i; end < w->count && w->characters[end] >> 56; end++) {}
        if (end > i + 1) qsort(w->characters + i, end - i, sizeof *w->characters, by_key);
    }
}

// Hands on characters [start, end), which hold no punctuation but a single one.
static void hand_on(struct Words *w, size_t start, size_t end)
{
    size_t bytes = 0;
    char *wider = grown(w->utf8, (end - start) * 4, &w->utf8_capacity, 1);
    w->out_of_memory = !wider;
    if (!wider) return;
    w->utf8 = wider;
    for (size_t i = start; i < end; i++) {
        utf8proc_int32_t c = character_of(w->characters[i]);
        if (utf8proc_category(c) != UTF8PROC_CATEGORY_MN) bytes += put_character(wider + bytes, c);
    }
    if (bytes) w->stopped = !w->on_word(w->user, wider, bytes);
}

static bool goes_on(const struct Words *w)
{
    return !w->stopped && !w->out_of_memory;
}

static void end_word(struct Words *w)
{
    order_marks(w);
    size_t start = 0;
    for (size_t i = 0; i < w->count && goes_on(w); i++) {
        if (!is_punctuation(character_of(w->characters[i]))) continue;
        if (start < i) hand_on(w, start, i);
        if (goes_on(w)) hand_on(w, i, i + 1);
        start = i + 1;
    }
    if (start < w->count && goes_on(w)) hand_on(w, start, w->count);
    w->count = 0;
}

static void take_character(struct Words *w, utf8proc_int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    bool alone = is_ideograph(c), blank = is_blank(c, category);
    if (!blank && is_dropped(c, category)) return;
    if (blank || alone) end_word(w);
    if (!blank && goes_on(w)) gather(w, c);
    if (alone && goes_on(w)) end_word(w);
}

int words_split(const char *text, size_t bytes, bool (*on_word)(void *user, const char *word, size_t bytes),
                void *user, vkgpt_error *err)
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
    int code = w.out_of_memory ? fail_memory(err, "a text's words", (w.count + w.utf8_capacity) * 2) : 0;
    free(w.characters);
    free(w.utf8);
    return code;
}
