// Each type of tokenizer.json becomes one to three simple steps: a cut by a pattern or by a class of characters, a text
// before a piece, a replacement of characters.
#include "text/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/characters.h"
#include "text/properties.h"
#include "text/split.h"

struct Cut {
    const struct Steps *steps;
    int (*on_piece)(void *user, struct Piece piece);
    void *user;
    vkgpt_error *err;
};

// Passes a piece to the next step, or to on_piece after the last step.
static int hand_on(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    if (!piece.bytes) return 0;
    const struct Step *next = step + 1;
    return next < cut->steps->list + cut->steps->count ? next->kind->cut(cut, next, piece)
                                                       : cut->on_piece(cut->user, piece);
}

// ----------------------------------------------------------------------------------------------------- cutting

// Whether a segment and the next one stay one piece; left and right say which of them match.
static bool stay_together(enum Behavior behavior, bool left, bool right)
{
    switch (behavior) {
    case BEHAVIOR_WITH_PREVIOUS: return right && !left;
    case BEHAVIOR_WITH_NEXT: return left && !right;
    case BEHAVIOR_CONTIGUOUS: return left == right;
    default: return false;
    }
}

static int cut_segments(struct Cut *cut, const struct Step *step, struct Piece piece, const struct Segments *segments)
{
    int code = 0;
    for (size_t i = 0, end; !code && i < segments->count; i = end) {
        const struct Segment *s = segments->list;
        for (end = i + 1; end < segments->count; end++)
            if (!stay_together(step->behavior, s[end - 1].match != step->invert, s[end].match != step->invert)) break;
        if (step->behavior == BEHAVIOR_REMOVED && s[i].match != step->invert) continue;
        size_t start = s[i].start;
        code =
            hand_on(cut, step, (struct Piece){piece.text + start, s[end - 1].end - start, piece.first && start == 0});
    }
    return code;
}

static int cut_pattern(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    struct Segments segments = {0};
    int code = pattern_segments(step->pattern, piece.text, piece.bytes, &segments, cut->err);
    if (!code) code = cut_segments(cut, step, piece, &segments);
    segments_free(&segments);
    return code;
}

// Each character of the class is a match of its own.
static int cut_class(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    struct Segments segments = {0};
    size_t start = 0;
    bool room = true;
    for (size_t i = 0, length; room && i < piece.bytes; i += length) {
        int32_t c = characters_first(piece.text + i, piece.bytes - i, &length);
        if (step->is_in ? !step->is_in(c) : c != step->character) continue;
        if (start < i) room = segments_add(&segments, (struct Segment){start, i, false});
        start = i + length;
        room = room && segments_add(&segments, (struct Segment){i, start, true});
    }
    if (room && start < piece.bytes) room = segments_add(&segments, (struct Segment){start, piece.bytes, false});
    int code = room ? cut_segments(cut, step, piece, &segments)
                    : fail_memory(cut->err, "the pieces of a text", segments.count * 2 * sizeof *segments.list);
    segments_free(&segments);
    return code;
}

// Cuts into pieces of `stop` characters.
static int cut_length(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    int code = 0;
    for (size_t at = 0, end; !code && at < piece.bytes; at = end) {
        end = at;
        for (uint32_t n = 0, length; n < step->stop && end < piece.bytes; n++) {
            size_t bytes;
            characters_first(piece.text + end, piece.bytes - end, &bytes);
            length = (uint32_t)bytes;
            end += length;
        }
        code = hand_on(cut, step, (struct Piece){piece.text + at, end - at, piece.first && at == 0});
    }
    return code;
}

// ---------------------------------------------------------------------------------------------------- changing

static int hand_on_copy(struct Cut *cut, const struct Step *step, struct TextBuffer *copy, bool first, bool good)
{
    int code = good ? hand_on(cut, step, (struct Piece){copy->data, copy->bytes, first})
                    : fail_memory(cut->err, "a piece of a text", copy->bytes * 2);
    text_free(copy);
    return code;
}

// Puts the text before a piece, unless the piece begins with it.
static int put_before(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    size_t bytes = strlen(step->text);
    bool there = piece.bytes >= bytes && memcmp(piece.text, step->text, bytes) == 0;
    if (there || step->prepend == PREPEND_NEVER || (step->prepend == PREPEND_FIRST && !piece.first))
        return hand_on(cut, step, piece);
    struct TextBuffer copy = {0};
    bool good = text_add(&copy, step->text, bytes) && text_add(&copy, piece.text, piece.bytes);
    return hand_on_copy(cut, step, &copy, piece.first, good);
}

// Metaspace: replaces every space by its character.
static int put_for_spaces(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    struct TextBuffer copy = {0};
    bool good = true;
    for (size_t i = 0, end; good && i < piece.bytes; i = end) {
        const char *space = memchr(piece.text + i, ' ', piece.bytes - i);
        end = space ? (size_t)(space - piece.text) : piece.bytes;
        good = text_add(&copy, piece.text + i, end - i) && (!space || text_add(&copy, step->text, strlen(step->text)));
        if (space) end++;
    }
    return hand_on_copy(cut, step, &copy, piece.first, good);
}

// Writes the bytes in GPT-2's alphabet.
static int put_symbols(struct Cut *cut, const struct Step *step, struct Piece piece)
{
    struct TextBuffer copy = {0};
    bool good = text_room(&copy, 2 * piece.bytes);
    if (good) copy.bytes = vocab_symbols(piece.text, piece.bytes, copy.data);
    return hand_on_copy(cut, step, &copy, piece.first, good);
}

static const struct StepKind before = {.cut = put_before}, spaces = {.cut = put_for_spaces},
                             symbols = {.cut = put_symbols}, by_class = {.cut = cut_class},
                             by_pattern = {.cut = cut_pattern};

// ------------------------------------------------------------------------------------------------------ reading

static struct Step *add_pattern(struct Reader *r, struct Steps *steps, const char *pattern, int *code)
{
    struct Step *step = steps_next(r, steps, &by_pattern);
    *code = step ? pattern_compile(r->path, pattern, &step->pattern, r->err) : VKGPT_BAD_MODEL;
    return *code ? NULL : step;
}

static int add_class(struct Reader *r, struct Steps *steps, bool (*is_in)(int32_t c), enum Behavior behavior)
{
    struct Step *step = steps_next(r, steps, &by_class);
    if (!step) return VKGPT_BAD_MODEL;
    step->is_in = is_in;
    step->behavior = behavior;
    return 0;
}

static int read_byte_level(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    bool space, regex;
    (void)kind;
    int code = reader_flag(r, json, "add_prefix_space", true, &space);
    if (!code) code = reader_flag(r, json, "use_regex", true, &regex);
    if (code) return code;
    struct Step *step = space ? steps_next(r, steps, &before) : NULL;
    if (space && !step) return VKGPT_BAD_MODEL;
    if (space) {
        step->text = " ";
        step->prepend = PREPEND_ALWAYS;
    }
    step = regex ? add_pattern(r, steps, SPLIT_GPT2, &code) : NULL;
    if (step) step->behavior = BEHAVIOR_ISOLATED;
    return code ? code : steps_read_plain(r, json, steps, &symbols);
}

static int read_split(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    int code = steps_read_behavior(r, json, &step->behavior);
    if (!code) code = reader_flag(r, json, "invert", false, &step->invert);
    return code ? code : steps_read_pattern(r, json, &step->pattern);
}

static int read_metaspace(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    bool split;
    int32_t character;
    (void)kind;
    struct Step *replaced = steps_next(r, steps, &spaces), *prepended = replaced ? steps_next(r, steps, &before) : NULL;
    if (!prepended) return VKGPT_BAD_MODEL;
    int code = steps_read_character(r, json, "replacement", &character);
    if (!code) code = steps_read_text(r, json, "replacement", &replaced->text);
    if (!code) code = steps_read_prepend(r, json, &prepended->prepend);
    if (!code) code = reader_flag(r, json, "split", true, &split);
    if (code) return code;
    prepended->text = replaced->text;
    if (!split) return 0;
    code = add_class(r, steps, NULL, BEHAVIOR_WITH_NEXT);
    if (!code) steps->list[steps->count - 1].character = character;
    return code;
}

static int read_digits(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    bool each;
    (void)kind;
    int code = reader_flag(r, json, "individual_digits", false, &each);
    return code ? code : add_class(r, steps, is_number, each ? BEHAVIOR_ISOLATED : BEHAVIOR_CONTIGUOUS);
}

static int read_punctuation(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    enum Behavior behavior = BEHAVIOR_ISOLATED;
    (void)kind;
    int code = json_get(json, "behavior") ? steps_read_behavior(r, json, &behavior) : 0;
    return code ? code : add_class(r, steps, is_punctuation, behavior);
}

static int read_whitespace(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    int code;
    (void)json;
    (void)kind;
    struct Step *step = add_pattern(r, steps, "[" SPLIT_WORD "]+|[^" SPLIT_WORD BLANK "]+", &code);
    if (!step) return code;
    step->behavior = BEHAVIOR_REMOVED;
    step->invert = true;
    return 0;
}

static int read_whitespace_split(struct Reader *r, const struct Json *json, struct Steps *steps,
                                 const struct StepKind *kind)
{
    (void)json;
    (void)kind;
    return add_class(r, steps, is_white_space, BEHAVIOR_REMOVED);
}

static int read_bert(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    int code = read_whitespace_split(r, json, steps, kind);
    return code ? code : add_class(r, steps, is_punctuation, BEHAVIOR_ISOLATED);
}

static int read_delimiter(struct Reader *r, const struct Json *json, struct Steps *steps, const struct StepKind *kind)
{
    int32_t character;
    (void)kind;
    int code = steps_read_character(r, json, "delimiter", &character);
    if (!code) code = add_class(r, steps, NULL, BEHAVIOR_REMOVED);
    if (!code) steps->list[steps->count - 1].character = character;
    return code;
}

static int read_fixed_length(struct Reader *r, const struct Json *json, struct Steps *steps,
                             const struct StepKind *kind)
{
    int64_t length = 5;
    const struct Json *item = json_get(json, "length");
    struct Step *step = steps_next(r, steps, kind);
    if (!step) return VKGPT_BAD_MODEL;
    if (item && !json_integer(item, 1, UINT32_MAX, &length))
        return reader_fail_type(r, "length", "a whole number from 1 on");
    step->stop = (uint32_t)length;
    return 0;
}

// ---------------------------------------------------------------------------------------------------- the stage

static const struct StepKind kinds[] = {
    {.type = "ByteLevel", .read = read_byte_level},
    {.type = "Split", .read = read_split, .cut = cut_pattern},
    {.type = "Metaspace", .read = read_metaspace},
    {.type = "Digits", .read = read_digits},
    {.type = "Punctuation", .read = read_punctuation},
    {.type = "Whitespace", .read = read_whitespace},
    {.type = "WhitespaceSplit", .read = read_whitespace_split},
    {.type = "BertPreTokenizer", .read = read_bert},
    {.type = "CharDelimiterSplit", .read = read_delimiter},
    {.type = "FixedLength", .read = read_fixed_length, .cut = cut_length},
};

int pre_tokenizers_read(struct Reader *r, const struct Json *json, struct Steps *steps)
{
    static const struct Stage stage = {"pre_tokenizer", "pretokenizers", kinds, sizeof kinds / sizeof *kinds};
    return steps_read(r, &stage, json, steps);
}

int pre_tokenizers_run(const struct Steps *steps, struct Piece piece, int (*on_piece)(void *user, struct Piece piece),
                       void *user, vkgpt_error *err)
{
    struct Cut cut = {steps, on_piece, user, err};
    if (!piece.bytes) return 0;
    return steps->count ? steps->list[0].kind->cut(&cut, &steps->list[0], piece) : on_piece(user, piece);
}
