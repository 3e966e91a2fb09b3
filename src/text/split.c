// PCRE2 with Unicode properties. \s is written out as White_Space, because PCRE2's own takes U+180E. Texts are
// masked first (every byte is then UTF-8), so the matches run without a check that would make them quadratic.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/split.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

#define BLANK "\\p{White_Space}"

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ (encoder.py of GPT-2)
static const char pieces_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" BLANK "\\p{L}\\p{N}]+|" BLANK
                                     "+(?![^" BLANK "])|" BLANK "+";
static const char blanks_pattern[] = BLANK "+";
static const char word_pattern[] = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"; // UTS 18, annex C

static int compile(const char *pattern, uint32_t options, void **code, vkgpt_error *err)
{
    int number;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | options, &number,
                          &offset, NULL);
    if (!*code) {
        PCRE2_UCHAR text[200];
        pcre2_get_error_message(number, text, sizeof text);
        return fail(err, VKGPT_BAD_ARGUMENT, "PCRE2 does not take the split pattern at character %zu: %s",
                    (size_t)offset, (const char *)text);
    }
    (void)pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); // where it cannot, the same answers come more slowly
    return 0;
}

int splitter_open(struct Splitter *splitter, vkgpt_error *err)
{
    int code = compile(pieces_pattern, 0, &splitter->pieces, err);
    if (!code) code = compile(blanks_pattern, PCRE2_ANCHORED, &splitter->blanks, err);
    if (!code) code = compile(word_pattern, PCRE2_ANCHORED, &splitter->word, err);
    return code;
}

void splitter_close(struct Splitter *splitter)
{
    pcre2_code_free(splitter->pieces);
    pcre2_code_free(splitter->blanks);
    pcre2_code_free(splitter->word);
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

int split_pieces(const struct Splitter *splitter, const char *masked, size_t bytes,
                 bool (*on_piece)(void *user, size_t offset, size_t length), void *user, vkgpt_error *err)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!match) return fail_memory(err, "a split", sizeof(PCRE2_SIZE) * 2);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(match);
    int code = 0;
    for (size_t at = 0; at < bytes; at = span[1]) {
        int found = pcre2_match(splitter->pieces, (PCRE2_SPTR)masked, bytes, at, PCRE2_NO_UTF_CHECK, match, NULL);
        if (found < 1 || span[0] != at || span[1] <= at) { // the alternatives cover every character
            code = fail(err, VKGPT_BAD_ARGUMENT, "PCRE2 cannot split the text at byte %zu of %zu (code %d)", at, bytes,
                        found);
            break;
        }
        if (!on_piece(user, span[0], span[1] - span[0])) break;
    }
    pcre2_match_data_free(match);
    return code;
}

// The bytes that an anchored pattern takes at `offset`.
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
