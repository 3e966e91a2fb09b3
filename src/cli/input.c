#include "cli/input.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "tasks/encode.h"
#include "tasks/escapes.h"

#define MAX_INPUT ((size_t)1 << 30)

// ------------------------------------------------------------------------------------------------ text

// "-" is stdin.
static int read_file(struct Buffer *text, const char *path)
{
    vkgpt_error err;
    char *data;
    size_t bytes;
    if (strcmp(path, "-") == 0 && os_is_terminal(0))
        fprintf(stderr, "vkgpt: reading from the terminal; Ctrl-D ends the text\n");
    if (os_read(path, MAX_INPUT, &data, &bytes, &err)) return failed(&err);
    buffer_add(text, data, bytes);
    free(data);
    return 0;
}

// ------------------------------------------------------------------------------------------------- ids

static bool separates(char c) { return c == ',' || isspace((unsigned char)c); }

// Reads the next number. False when there is something else. Numbers above 64 bits saturate: they are out of range
// anyway.
static bool next_id(const struct Buffer *text, size_t *at, int64_t *id)
{
    size_t i = *at;
    bool negative = text->data[i] == '-';
    i += negative;
    size_t first = i;
    int64_t value = 0;
    for (; i < text->bytes && isdigit((unsigned char)text->data[i]); i++)
        value = value > (INT64_MAX - 9) / 10 ? INT64_MAX - 9 : value * 10 + (text->data[i] - '0');
    bool ends = i == text->bytes || separates(text->data[i]);
    *id = negative ? -value : value;
    *at = i;
    return i > first && ends;
}

static void skip_separators(const struct Buffer *text, size_t *at)
{
    while (*at < text->bytes && separates(text->data[*at])) ++*at;
}

// Walks over the ids. With ids NULL it counts them and checks the spelling; else it also fills them in and checks their
// range.
static int walk_ids(const struct Input *input, uint32_t vocab, uint32_t *ids, size_t *count, vkgpt_error *err)
{
    const struct Buffer *text = &input->text;
    *count = 0;
    size_t at = 0;
    for (skip_separators(text, &at); at < text->bytes; skip_separators(text, &at)) {
        size_t start = at, length = 0;
        int64_t id;
        bool good = next_id(text, &at, &id);
        while (start + length < text->bytes && !separates(text->data[start + length])) length++;
        int shown = length < 40 ? (int)length : 40;
        if (!good)
            return fail(err, VKGPT_BAD_FILE,
                        "%s: '%.*s' is not a token id; ids are whole numbers, separated by commas or white space",
                        input->name, shown, text->data + start);
        if (ids && (id < 0 || id >= (int64_t)vocab))
            return fail(err, VKGPT_BAD_ARGUMENT, "%s: id %.*s is outside the vocabulary of %u tokens", input->name,
                        shown, text->data + start, vocab);
        if (ids) ids[*count] = (uint32_t)id;
        ++*count;
    }
    return 0;
}

static int encode_ids(struct Input *input, uint32_t vocab, vkgpt_error *err)
{
    size_t count;
    int code = walk_ids(input, vocab, NULL, &count, err);
    if (code) return code;
    input->ids = allocate(count * sizeof *input->ids);
    return walk_ids(input, vocab, input->ids, &input->count, err);
}

// ----------------------------------------------------------------------------------------------- input

static int wrong_sources(const struct Options *options, bool use_stdin)
{
    int given =
        (options->prompt != NULL) + (options->file != NULL) + (options->ids != NULL) + (options->ids_file != NULL);
    if (given > 1) return wrong_usage("the text is given twice: use one of -p, -f, --ids and --ids-file");
    if (given == 0 && !use_stdin) return wrong_usage("no text is given: use one of the flags for it, such as -f FILE");
    return 0;
}

int input_read(struct Input *input, const struct Options *options, bool use_stdin)
{
    *input = (struct Input){.name = "stdin"};
    int status = wrong_sources(options, use_stdin);
    if (status) return status;
    input->is_ids = options->ids || options->ids_file;
    if (options->prompt) {
        input->name = "-p";
        buffer_text(&input->text, options->prompt);
        if (options->escape) input->text.bytes = escapes_replace(input->text.data, input->text.bytes);
    } else if (options->ids) {
        input->name = "--ids";
        buffer_text(&input->text, options->ids);
    } else if (options->file || options->ids_file) {
        const char *path = options->file ? options->file : options->ids_file;
        if (strcmp(path, "-") != 0) input->name = path;
        status = read_file(&input->text, path);
    } else {
        status = read_file(&input->text, "-");
    }
    if (!status) buffer_add(&input->text, "", 0); // a NUL after it, even when it is empty

    vkgpt_error err;
    size_t count;
    if (!status && input->is_ids && walk_ids(input, 0, NULL, &count, &err)) {
        failed(&err);
        status = options->ids ? EXIT_USAGE : EXIT_FAILED;
    }
    if (status) input_free(input);
    return status;
}

// A tokenizer may have more tokens than the model has rows. The model has to have a row for each token of the text.
static int check_rows(const struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, vkgpt_error *err)
{
    size_t bytes;
    for (size_t i = 0; i < input->count; i++) {
        if (input->ids[i] < vocab) continue;
        const char *token = vkgpt_token_bytes(tok, input->ids[i], &bytes);
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: token '%.*s' has the id %u, and the model has ids below %u",
                    input->name, bytes < 40 ? (int)bytes : 40, token, input->ids[i], vocab);
    }
    return 0;
}

int input_encode(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special, vkgpt_error *err)
{
    if (input->is_ids) return encode_ids(input, vocab, err);
    int code = encode_open(tok, &input->text, special, &input->ids, &input->count, err);
    return code || !vocab ? code : check_rows(input, tok, vocab, err);
}

int input_encode_whole(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special, vkgpt_error *err)
{
    if (input->is_ids) return encode_ids(input, vocab, err);
    int code = vkgpt_encode(tok, input->text.data, input->text.bytes, special, &input->ids, &input->count, err);
    return code ? code : check_rows(input, tok, vocab, err);
}

void tokenizer_notes(const vkgpt_tokenizer *tok)
{
    const char *note = tok ? vkgpt_tokenizer_note(tok) : NULL;
    if (note) fprintf(stderr, "vkgpt: %s\n", note);
}

int input_never_empty(struct Input *input, const vkgpt_model_info *model, vkgpt_error *err)
{
    uint32_t first;
    if (input->count) return 0;
    if (!encode_first_token(model, &first))
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: the prompt is empty, and %s has no bos or eos token to begin with",
                    input->name, model->name);
    free(input->ids);
    input->ids = allocate(sizeof *input->ids);
    input->ids[0] = first;
    input->count = 1;
    return 0;
}

void input_free(struct Input *input)
{
    buffer_free(&input->text);
    free(input->ids);
    *input = (struct Input){0};
}
