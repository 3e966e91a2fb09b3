// PCRE2 with Unicode properties. White_Space replaces \s, because PCRE2's own \s matches U+180E too. Texts are masked
// first: every byte is then UTF-8, so matches run without PCRE2's check, which would make them take quadratic time.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/split.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static const char pieces_pattern[] = SPLIT_GPT2;
static const char blanks_pattern[] = BLANK "+";
static const char word_pattern[] = "[" SPLIT_WORD "]";

static int compile(const char *pattern, uint32_t options, void **code, vkgpt_error *err)
{
    int number;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | options, &number, &offset,
                          NULL);
    if (!*code) {
        PCRE2_UCHAR text[200];
        pcre2_get_error_message(number, text, sizeof text);
        return fail(err, VKGPT_BAD_ARGUMENT, "PCRE2 does not take the split pattern at character %zu: %s",
                    (size_t)offset, (const char *)text);
    }
    (void)pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); // without it: same results, but slower
    return 0;
}

int splitter_open(struct Splitter *splitter, const struct Vocab *vocab, vkgpt_error *err)
{
    int code = compile(pieces_pattern, 0, &splitter->pieces, err);
    if (!code) code = compile(blanks_pattern, PCRE2_ANCHORED, &splitter->blanks, err);
    if (!code) code = compile(word_pattern, PCRE2_ANCHORED, &splitter->word, err);
    for (size_t i = 0; !code && i < vocab->rule_count; i++) {
        splitter->removed[i] = vocab->rules[i].removed;
        code = compile(vocab->rules[i].pattern, 0, &splitter->rules[splitter->rule_count++], err);
    }
    return code;
}

void splitter_close(struct Splitter *splitter)
{
    pcre2_code_free(splitter->pieces);
    pcre2_code_free(splitter->blanks);
    pcre2_code_free(splitter->word);
    for (size_t i = 0; i < splitter->rule_count; i++) pcre2_code_free(splitter->rules[i]);
    *splitter = (struct Splitter){0};
}

// ----------------------------------------------------------------------------------------------- masking

int split_mask(const char *text, size_t bytes, char **copy, vkgpt_error *err)
{
    *copy = NULL;
    for (size_t i = 0; i < bytes;) {
        size_t n = utf8_length(text + i, bytes - i);
        if (n == 0) {
            if (!*copy) {
                *copy = malloc(bytes);
                if (!*copy) return fail_memory(err, "a text", bytes);
                memcpy(*copy, text, bytes);
            }
            (*copy)[i] = '\x01';
            n = 1;
        }
        i += n;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------- matching

struct Split { // a call of split_pieces
    const struct Splitter *splitter;
    const char *masked;
    pcre2_match_data *match;
    bool (*on_piece)(void *user, size_t offset, size_t length);
    void *user;
    bool stopped;
    vkgpt_error *err;
};

// Cuts [start, end) by GPT-2's pattern, as if it were a whole text.
static int cut_pieces(struct Split *s, size_t start, size_t end)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->match);
    PCRE2_SPTR text = (PCRE2_SPTR)s->masked + start;
    for (size_t at = 0, bytes = end - start; at < bytes && !s->stopped; at = span[1]) {
        int found = pcre2_match(s->splitter->pieces, text, bytes, at, PCRE2_NO_UTF_CHECK, s->match, NULL);
        if (found < 1 || span[0] != at || span[1] <= at) // the alternatives cover every character
            return fail(s->err, VKGPT_BAD_ARGUMENT, "PCRE2 cannot split the text at byte %zu of %zu (code %d)",
                        start + at, end, found);
        s->stopped = !s->on_piece(s->user, start + at, span[1] - at);
    }
    return 0;
}

// Cuts [start, end) by this rule, and the parts by the next rules.
static int cut_by_rule(struct Split *s, size_t rule, size_t start, size_t end)
{
    if (start == end || s->stopped) return 0;
    if (rule == s->splitter->rule_count) return cut_pieces(s, start, end);
    PCRE2_SPTR text = (PCRE2_SPTR)s->masked + start;
    int code = 0;
    for (size_t at = 0, bytes = end - start; !code && at < bytes;) {
        int found = pcre2_match(s->splitter->rules[rule], text, bytes, at, PCRE2_NO_UTF_CHECK, s->match, NULL);
        if (found < 1 && found != PCRE2_ERROR_NOMATCH)
            return fail(s->err, VKGPT_BAD_ARGUMENT, "PCRE2 cannot split the text after byte %zu of %zu (code %d)",
                        start + at, end, found);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->match);
        size_t from = found < 1 ? bytes : span[0], to = found < 1 ? bytes : span[1]; // the next rules reuse it
        code = cut_by_rule(s, rule + 1, start + at, start + from);
        if (!code && !s->splitter->removed[rule]) code = cut_by_rule(s, rule + 1, start + from, start + to);
        at = to;
    }
    return code;
}

int split_pieces(const struct Splitter *splitter, const char *masked, size_t bytes,
                 bool (*on_piece)(void *user, size_t offset, size_t length), void *user, vkgpt_error *err)
{
    struct Split s = {splitter, masked, pcre2_match_data_create(4, NULL), on_piece, user, false, err};
    if (!s.match) return fail_memory(err, "a split", sizeof(PCRE2_SIZE) * 8);
    int code = cut_by_rule(&s, 0, 0, bytes);
    pcre2_match_data_free(s.match);
    return code;
}

// The length of the match of an anchored pattern at `offset`.
static size_t match_here(const void *pattern, const char *masked, size_t bytes, size_t offset)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!match) return 0;
    int found = pcre2_match(pattern, (PCRE2_SPTR)masked, bytes, offset, PCRE2_NO_UTF_CHECK, match, NULL);
    size_t length = found < 1 ? 0 : pcre2_get_ovector_pointer(match)[1] - offset;
    pcre2_match_data_free(match);
    return length;
}

// Where the last character begins; bytes is not 0.
static size_t last_character(const char *masked, size_t bytes)
{
    size_t i = bytes - 1;
    while (i > 0 && ((unsigned char)masked[i] & 0xC0) == 0x80) i--;
    return i;
}

size_t split_blanks_first(const struct Splitter *splitter, const char *masked, size_t bytes)
{
    return bytes ? match_here(splitter->blanks, masked, bytes, 0) : 0;
}

size_t split_blanks_last(const struct Splitter *splitter, const char *masked, size_t bytes)
{
    size_t start = bytes;
    while (start > 0) {
        size_t i = last_character(masked, start);
        if (!match_here(splitter->blanks, masked, start, i)) break;
        start = i;
    }
    return bytes - start;
}

bool split_word_first(const struct Splitter *splitter, const char *masked, size_t bytes)
{
    return bytes && match_here(splitter->word, masked, bytes, 0) > 0;
}

bool split_word_last(const struct Splitter *splitter, const char *masked, size_t bytes)
{
    return bytes && match_here(splitter->word, masked, bytes, last_character(masked, bytes)) > 0;
}
