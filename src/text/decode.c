#include "text/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/characters.h"

bool pieces_add(struct Pieces *pieces, const char *text, size_t bytes)
{
    if (pieces->count == pieces->capacity) {
        size_t capacity = pieces->capacity ? pieces->capacity * 2 : 64;
        size_t *wider = capacity > SIZE_MAX / sizeof *wider ? NULL : realloc(pieces->ends, capacity * sizeof *wider);
        if (!wider) return false;
        pieces->ends = wider;
        pieces->capacity = capacity;
    }
    if (!text_add(&pieces->text, text, bytes)) return false;
    pieces->ends[pieces->count++] = pieces->text.bytes;
    return true;
}

// Ends a piece whose text is already in the buffer.
static bool end_piece(struct Pieces *pieces) { return pieces_add(pieces, "", 0); }

void pieces_free(struct Pieces *pieces)
{
    text_free(&pieces->text);
    free(pieces->ends);
    *pieces = (struct Pieces){0};
}

struct View { // a piece
    const char *text;
    size_t bytes;
};

static struct View view(const struct Pieces *pieces, size_t index)
{
    size_t start = index ? pieces->ends[index - 1] : 0;
    return (struct View){pieces->text.data ? pieces->text.data + start : "", pieces->ends[index] - start};
}

static int done(bool good, const struct Pieces *out, vkgpt_error *err)
{
    return good ? 0 : fail_memory(err, "the text of tokens", out->text.bytes * 2 + out->count * sizeof *out->ends);
}

// Appends the bytes that the text means in GPT-2's alphabet, or the text itself if a character is not in the alphabet.
static bool put_bytes(struct Pieces *out, struct View v)
{
    size_t bytes;
    if (!text_room(&out->text, v.bytes)) return false;
    if (!vocab_bytes(v.text, v.bytes, out->text.data + out->text.bytes, &bytes))
        return text_add(&out->text, v.text, v.bytes);
    out->text.bytes += bytes;
    return true;
}

static int byte_level(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    (void)step;
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) good = put_bytes(out, view(in, i));
    return done(good && end_piece(out), out, err);
}

static int fuse(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    (void)step;
    out->fused = true;
    return done(pieces_add(out, in->text.data, in->count ? in->ends[in->count - 1] : 0), out, err);
}

// ---------------------------------------------------------------------------------------------------- WordPiece

// Appends the text with every `from` replaced by `to`.
static bool put_replaced(struct TextBuffer *out, struct View v, const char *from, const char *to)
{
    size_t length = strlen(from), i = 0;
    bool good = true;
    while (good && i < v.bytes) {
        bool there = v.bytes - i >= length && memcmp(v.text + i, from, length) == 0;
        good = there ? text_add(out, to, strlen(to)) : text_add(out, v.text + i, 1);
        i += there ? length : 1;
    }
    return good;
}

// Makes the replacements of clean_up_tokenization in Hugging Face's tokenizers, in their order.
static bool put_clean(struct Pieces *out, struct TextBuffer *token)
{
    static const char *const pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    struct TextBuffer other = {0};
    bool good = true;
    for (size_t i = 0; good && i < sizeof pairs / sizeof *pairs; i++) {
        other.bytes = 0;
        good = put_replaced(&other, (struct View){token->data, token->bytes}, pairs[i][0], pairs[i][1]);
        struct TextBuffer swapped = *token;
        *token = other;
        other = swapped;
    }
    good = good && pieces_add(out, token->data, token->bytes);
    text_free(&other);
    return good;
}

static int word_piece(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    size_t prefix = strlen(step->text);
    struct TextBuffer token = {0};
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) {
        struct View v = view(in, i);
        bool first = i == 0 && !in->middle, goes_on = v.bytes >= prefix && memcmp(v.text, step->text, prefix) == 0;
        token.bytes = 0;
        if (first) good = text_add(&token, v.text, v.bytes);
        else if (goes_on) good = text_add(&token, v.text + prefix, v.bytes - prefix);
        else good = text_add(&token, " ", 1) && text_add(&token, v.text, v.bytes);
        if (good) good = step->cleanup ? put_clean(out, &token) : pieces_add(out, token.data, token.bytes);
    }
    text_free(&token);
    return done(good, out, err);
}

static int read_word_piece(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_text(r, json, "prefix", &step->text);
    return code ? code : reader_flag(r, json, "cleanup", true, &step->cleanup);
}

// -------------------------------------------------------------------------- Metaspace, BPEDecoder, ByteFallback

// Replaces the character by a blank; in the first token removes it, if Metaspace prepends one.
static int metaspace(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) {
        bool first = i == 0 && !in->middle && step->prepend != PREPEND_NEVER;
        good = put_replaced(&out->text, view(in, i), step->text, first ? "" : " ") && end_piece(out);
    }
    return done(good, out, err);
}

static int read_metaspace(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    int32_t character;
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_character(r, json, "replacement", &character);
    if (!code) code = steps_read_text(r, json, "replacement", &step->text);
    return code ? code : steps_read_prepend(r, json, &step->prepend);
}

// Replaces the suffix of a word by a blank; removes it from the last token.
static int bpe(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) {
        bool last = i + 1 == in->count && !in->middle;
        good = put_replaced(&out->text, view(in, i), step->text, last ? "" : " ") && end_piece(out);
    }
    return done(good, out, err);
}

static int read_bpe(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_text(r, json, "suffix", &step->text);
    return code || *step->text ? code : reader_fail_type(r, "suffix", "a string that is not empty");
}

// The byte of "<0x41>", or -1.
static int byte_of(struct View v)
{
    int byte = 0;
    if (v.bytes != 6 || memcmp(v.text, "<0x", 3) != 0 || v.text[5] != '>') return -1;
    for (size_t i = 3; i < 5; i++) {
        char c = v.text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0) return -1;
        byte = byte << 4 | digit;
    }
    return byte;
}

static bool all_utf8(const char *text, size_t bytes)
{
    for (size_t i = 0, length; i < bytes; i += length) {
        length = utf8_length(text + i, bytes - i);
        if (!length) return false;
    }
    return true;
}

// A run of byte tokens becomes one text, or U+FFFD for each token if the bytes together are not UTF-8.
static bool end_run(struct Pieces *out, struct TextBuffer *run, bool middle)
{
    bool good = true;
    if (!run->bytes) return true;
    if (middle || all_utf8(run->data, run->bytes)) good = pieces_add(out, run->data, run->bytes);
    else
        for (size_t i = 0; good && i < run->bytes; i++) good = pieces_add(out, "\xef\xbf\xbd", 3);
    run->bytes = 0;
    return good;
}

static int byte_fallback(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    (void)step;
    struct TextBuffer run = {0};
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) {
        struct View v = view(in, i);
        int byte = byte_of(v);
        if (byte >= 0) good = text_add(&run, &(char){(char)byte}, 1);
        else good = end_run(out, &run, in->middle) && pieces_add(out, v.text, v.bytes);
    }
    good = good && end_run(out, &run, in->middle);
    text_free(&run);
    return done(good, out, err);
}

// ---------------------------------------------------------------------------------------------- Strip, Replace

// Removes the character from both ends of each piece, at most `start` and `stop` times.
static int strip(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0; good && i < in->count; i++) {
        struct View v = view(in, i);
        size_t length;
        bool skip = in->middle && in->fused;
        for (uint32_t n = 0; !skip && n < step->start && v.bytes; n++) {
            if (characters_first(v.text, v.bytes, &length) != step->character) break;
            v.text += length;
            v.bytes -= length;
        }
        for (uint32_t n = 0; !skip && n < step->stop && v.bytes; n++) {
            if (characters_last(v.text, v.bytes, &length) != step->character) break;
            v.bytes -= length;
        }
        good = pieces_add(out, v.text, v.bytes);
    }
    return done(good, out, err);
}

static int read_strip(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    int64_t start, stop;
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    if (!json_integer(json_get(json, "start"), 0, UINT32_MAX, &start) ||
        !json_integer(json_get(json, "stop"), 0, UINT32_MAX, &stop))
        return reader_fail_type(r, "start or stop of Strip", "a whole number");
    step->start = (uint32_t)start;
    step->stop = (uint32_t)stop;
    return steps_read_character(r, json, "content", &step->character);
}

static int replace(const struct Step *step, const struct Pieces *in, struct Pieces *out, vkgpt_error *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < in->count; i++) {
        struct View v = view(in, i);
        code = pattern_replace(step->pattern, v.text, v.bytes, step->text, &out->text, err);
        if (!code) code = done(end_piece(out), out, err);
    }
    return code;
}

static int read_replace(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_text(r, json, "content", &step->text);
    return code ? code : steps_read_pattern(r, json, &step->pattern);
}

// ---------------------------------------------------------------------------------------------------- the stage

static const struct StepKind kinds[] = {
    {.type = "ByteLevel", .read = steps_read_plain, .decode = byte_level},
    {.type = "WordPiece", .read = read_word_piece, .decode = word_piece},
    {.type = "Metaspace", .read = read_metaspace, .decode = metaspace},
    {.type = "BPEDecoder", .read = read_bpe, .decode = bpe},
    {.type = "ByteFallback", .read = steps_read_plain, .decode = byte_fallback},
    {.type = "Fuse", .read = steps_read_plain, .decode = fuse},
    {.type = "Strip", .read = read_strip, .decode = strip},
    {.type = "Replace", .read = read_replace, .decode = replace},
};

int decoders_read(struct Reader *r, const struct Json *json, struct Steps *steps)
{
    static const struct Stage stage = {"decoder", "decoders", kinds, sizeof kinds / sizeof *kinds};
    return steps_read(r, &stage, json, steps);
}

int decoders_run(const struct Steps *steps, struct Pieces *pieces, vkgpt_error *err)
{
    struct Pieces out = {0};
    int code = 0;
    for (size_t i = 0; !code && i < steps->count; i++) {
        out.text.bytes = out.count = 0;
        out.middle = pieces->middle;
        out.fused = pieces->fused;
        code = steps->list[i].kind->decode(&steps->list[i], pieces, &out, err);
        struct Pieces swapped = *pieces;
        *pieces = out;
        out = swapped;
    }
    pieces_free(&out);
    return code;
}
