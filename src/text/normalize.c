#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/characters.h"
#include "text/charsmap.h"
#include "text/properties.h"

static int fail_text(vkgpt_error *err, const struct TextBuffer *out)
{
    return fail_memory(err, "a normalized text", out->bytes * 2);
}

static int done(bool good, const struct TextBuffer *out, vkgpt_error *err) { return good ? 0 : fail_text(err, out); }

// ------------------------------------------------------------------------------------------- Unicode's forms

static int to_form(enum NormalForm form, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    char *normal;
    size_t length;
    int code = characters_normalize(form, text, bytes, &normal, &length, err);
    if (code) return code;
    bool good = text_add(out, normal, length);
    free(normal);
    return done(good, out, err);
}

static int nfc(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return to_form(FORM_NFC, text, bytes, out, err);
}

static int nfd(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return to_form(FORM_NFD, text, bytes, out, err);
}

static int nfkc(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return to_form(FORM_NFKC, text, bytes, out, err);
}

static int nfkd(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return to_form(FORM_NFKD, text, bytes, out, err);
}

// ------------------------------------------------------------------------------------- character by character

// Calls `change` for each character.
static int each(bool (*change)(int32_t c, struct TextBuffer *out), const char *text, size_t bytes,
                struct TextBuffer *out, vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0, length; good && i < bytes; i += length)
        good = change(characters_first(text + i, bytes - i, &length), out);
    return done(good, out, err);
}

static bool put_lower(int32_t c, struct TextBuffer *out)
{
    int32_t lower[2];
    bool two = lower_case(c, lower) == 2;
    return text_put(out, lower[0]) && (!two || text_put(out, lower[1]));
}

static bool put_no_mark(int32_t c, struct TextBuffer *out) { return is_mark(c) || text_put(out, c); }

static bool put_no_nonspacing(int32_t c, struct TextBuffer *out) { return is_nonspacing_mark(c) || text_put(out, c); }

static bool put_clean(int32_t c, struct TextBuffer *out)
{
    return is_control(c) || text_put(out, is_white_space(c) ? ' ' : c);
}

static bool put_apart(int32_t c, struct TextBuffer *out)
{
    if (!is_bert_ideograph(c)) return text_put(out, c);
    return text_put(out, ' ') && text_put(out, c) && text_put(out, ' ');
}

// SentencePiece's nmt_nfkc without the NFKC (builder.cc): drops controls, and replaces unusual blanks by spaces.
static bool put_nmt(int32_t c, struct TextBuffer *out)
{
    bool dropped =
        (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    bool blank = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    return dropped || text_put(out, blank ? ' ' : c);
}

static int lowercase(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return each(put_lower, text, bytes, out, err);
}

static int strip_accents(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out,
                         vkgpt_error *err)
{
    (void)step;
    return each(put_no_mark, text, bytes, out, err);
}

static int nmt(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    return each(put_nmt, text, bytes, out, err);
}

// Writes the bytes in GPT-2's alphabet.
static int byte_level(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    (void)step;
    if (!text_room(out, 2 * bytes)) return fail_text(err, out);
    out->bytes += vocab_symbols(text, bytes, out->data + out->bytes);
    return 0;
}

// ------------------------------------------------------------------------------------------------------- BERT

// clean_text, then blanks around ideographs, then without nonspacing marks, then lower case.
static int bert(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    struct TextBuffer a = {0}, b = {0};
    int code = step->clean ? each(put_clean, text, bytes, &a, err) : done(text_add(&a, text, bytes), &a, err);
    if (!code)
        code =
            step->ideographs ? each(put_apart, a.data, a.bytes, &b, err) : done(text_add(&b, a.data, a.bytes), &b, err);
    if (!code && step->accents) {
        a.bytes = 0;
        code = to_form(FORM_NFD, b.data, b.bytes, &a, err);
        b.bytes = 0;
        if (!code) code = each(put_no_nonspacing, a.data, a.bytes, &b, err);
    }
    if (!code)
        code =
            step->lower ? each(put_lower, b.data, b.bytes, out, err) : done(text_add(out, b.data, b.bytes), out, err);
    text_free(&a);
    text_free(&b);
    return code;
}

static int read_bert(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = reader_flag(r, json, "clean_text", true, &step->clean);
    if (!code) code = reader_flag(r, json, "handle_chinese_chars", true, &step->ideographs);
    if (!code) code = reader_flag(r, json, "lowercase", true, &step->lower);
    return code ? code : reader_flag(r, json, "strip_accents", step->lower, &step->accents);
}

// ----------------------------------------------------------------------------- Strip, Replace, Prepend, Precompiled

static int strip(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    size_t length;
    while (step->left && bytes && is_white_space(characters_first(text, bytes, &length))) {
        text += length;
        bytes -= length;
    }
    while (step->right && bytes && is_white_space(characters_last(text, bytes, &length))) bytes -= length;
    return done(text_add(out, text, bytes), out, err);
}

static int read_strip(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = reader_flag(r, json, "strip_left", false, &step->left);
    return code ? code : reader_flag(r, json, "strip_right", false, &step->right);
}

static int replace(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    return pattern_replace(step->pattern, text, bytes, step->text, out, err);
}

static int read_replace(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_text(r, json, "content", &step->text);
    return code ? code : steps_read_pattern(r, json, &step->pattern);
}

static int prepend(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    if (!bytes) return 0;
    return done(text_add(out, step->text, strlen(step->text)) && text_add(out, text, bytes), out, err);
}

static int read_prepend(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    return step ? steps_read_text(r, json, "prepend", &step->text) : VKGPT_BAD_MODEL;
}

static int precompiled(const struct Step *step, const char *text, size_t bytes, struct TextBuffer *out,
                       vkgpt_error *err)
{
    return step->charsmap ? charsmap_run(step->charsmap, text, bytes, out, err)
                          : done(text_add(out, text, bytes), out, err);
}

static int read_precompiled(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    const struct Json *map = json_get(json, "precompiled_charsmap");
    if (!step) return VKGPT_BAD_MODEL;
    if (!json_text(map)) return reader_fail_type(r, "precompiled_charsmap", "a string");
    return charsmap_open_base64(r->path, json_text(map), &step->charsmap, r->err);
}

// ---------------------------------------------------------------------------------------------------- the stage

static const struct StepKind kinds[] = {
    {.type = "NFC", .read = steps_read_plain, .normalize = nfc},
    {.type = "NFD", .read = steps_read_plain, .normalize = nfd},
    {.type = "NFKC", .read = steps_read_plain, .normalize = nfkc},
    {.type = "NFKD", .read = steps_read_plain, .normalize = nfkd},
    {.type = "Lowercase", .read = steps_read_plain, .normalize = lowercase},
    {.type = "StripAccents", .read = steps_read_plain, .normalize = strip_accents},
    {.type = "Nmt", .read = steps_read_plain, .normalize = nmt},
    {.type = "ByteLevel", .read = steps_read_plain, .normalize = byte_level},
    {.type = "BertNormalizer", .read = read_bert, .normalize = bert},
    {.type = "Strip", .read = read_strip, .normalize = strip},
    {.type = "Replace", .read = read_replace, .normalize = replace},
    {.type = "Prepend", .read = read_prepend, .normalize = prepend},
    {.type = "Precompiled", .read = read_precompiled, .normalize = precompiled},
};

int normalizers_read(struct Reader *r, const struct Json *json, struct Steps *steps)
{
    static const struct Stage stage = {"normalizer", "normalizers", kinds, sizeof kinds / sizeof *kinds};
    return steps_read(r, &stage, json, steps);
}

int normalizers_run(const struct Steps *steps, const char *text, size_t bytes, struct TextBuffer *out, vkgpt_error *err)
{
    struct TextBuffer before = {0};
    int code = done(text_add(out, text, bytes), out, err);
    for (size_t i = 0; !code && i < steps->count; i++) {
        struct TextBuffer reused = before;
        before = *out;
        *out = reused;
        out->bytes = 0;
        code = steps->list[i].kind->normalize(&steps->list[i], before.data, before.bytes, out, err);
    }
    text_free(&before);
    return code;
}
