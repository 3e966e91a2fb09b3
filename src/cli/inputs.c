#include "cli/inputs.h"

#include <stdlib.h>
#include <string.h>

#include "tasks/escapes.h"

#define MAX_PROMPTS ((size_t)1 << 28) // bytes of the file

static void add_line(struct Inputs *inputs, bool escape, const char *line, size_t bytes)
{
    size_t number = inputs->count + 1;
    inputs->list = reallocate(inputs->list, number * sizeof *inputs->list);
    inputs->names = reallocate(inputs->names, number * sizeof *inputs->names);
    struct Input *input = &inputs->list[inputs->count];
    *input = (struct Input){0};
    buffer_add(&input->text, line, bytes);
    buffer_add(&input->text, "", 0);
    if (escape) input->text.bytes = escapes_replace(input->text.data, bytes);
    snprintf(inputs->names[inputs->count++], sizeof *inputs->names, "line %zu", number);
}

int inputs_read(struct Inputs *inputs, const struct Options *options, vkgpt_error *err)
{
    char *data;
    size_t bytes;
    *inputs = (struct Inputs){0};
    int code = os_read(options->prompts, MAX_PROMPTS, &data, &bytes, err);
    if (code) return code;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(data + at, '\n', bytes - at);
        size_t length = end ? (size_t)(end - data) - at : bytes - at;
        bool carriage = length && data[at + length - 1] == '\r';
        add_line(inputs, options->escape, data + at, carriage ? length - 1 : length);
        at += length + 1;
    }
    free(data);
    if (!inputs->count)
        return fail(err, VKGPT_BAD_FILE, "%s: holds no line, and a prompt is wanted on each", options->prompts);
    for (size_t i = 0; i < inputs->count; i++) inputs->list[i].name = inputs->names[i];
    return 0;
}

int inputs_read_one(struct Inputs *inputs, const struct Options *options)
{
    *inputs = (struct Inputs){.list = allocate(sizeof *inputs->list)};
    int status = input_read(inputs->list, options, true);
    if (status) inputs_free(inputs);
    else inputs->count = 1;
    return status;
}

int inputs_encode(struct Inputs *inputs, InputEncoder *encode, const struct Run *run, const struct Options *options,
                  vkgpt_error *err)
{
    const vkgpt_model_info *model = run_model(run);
    for (size_t i = 0; i < inputs->count; i++) {
        struct Input *input = &inputs->list[i];
        int code = encode(input, run->tokenizer, model->vocab, !options->no_special, err);
        if (!code) code = input_never_empty(input, model, err);
        if (!code) code = run_fits(run, input->name, input->count, err);
        if (code) return code;
    }
    return 0;
}

void inputs_free(struct Inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) input_free(&inputs->list[i]);
    free(inputs->list);
    free(inputs->names);
    *inputs = (struct Inputs){0};
}
