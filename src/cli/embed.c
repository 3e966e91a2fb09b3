// vkgpt embed: texts as vectors, from their hidden states after the final norm.
#include <math.h>
#include <stdlib.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/inputs.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "tasks/npy_write.h"

static const char *const POOLINGS[] = {[VKGPT_POOL_MEAN] = "mean", [VKGPT_POOL_LAST] = "last"};

struct Embeddings {
    const struct Options *options;
    struct Run run;
    struct Inputs inputs;
    size_t width;
    float *rows; // (inputs.count, width)
};

// Divides a row by its L2 norm. A row of zeros stays.
static void normalize(float *row, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++) sum += (double)row[i] * (double)row[i];
    for (size_t i = 0; sum > 0 && i < width; i++) row[i] = (float)((double)row[i] / sqrt(sum));
}

static int embed(struct Embeddings *e, vkgpt_error *err)
{
    size_t count = e->inputs.count;
    e->width = run_model(&e->run)->hidden;
    e->rows = allocate(count * e->width * sizeof *e->rows);
    vkgpt_ids *texts = allocate(count * sizeof *texts);
    for (size_t i = 0; i < count; i++) texts[i] = (vkgpt_ids){e->inputs.list[i].ids, e->inputs.list[i].count};
    int code = vkgpt_embed(e->run.session, texts, count, (vkgpt_pooling)e->options->pooling, e->rows, err);
    for (size_t i = 0; !code && e->options->unit_length && i < count; i++) normalize(e->rows + i * e->width, e->width);
    free(texts);
    return code;
}

// ---------------------------------------------------------------------------------------------- output

static int write_npy(const struct Embeddings *e, vkgpt_error *err)
{
    struct Buffer out = {0};
    npy_header(&out, e->inputs.count, e->width);
    buffer_add(&out, e->rows, e->inputs.count * e->width * sizeof *e->rows);
    int code = os_write(e->options->output, out.data, out.bytes, err);
    buffer_free(&out);
    return code;
}

static int print_json(const struct Embeddings *e)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "embeddings");
    for (size_t i = 0; i < e->inputs.count; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToObject(one, "ids", json_ids(e->inputs.list[i].ids, e->inputs.list[i].count));
        cJSON_AddItemToObject(one, "embedding", json_floats(e->rows + i * e->width, e->width));
        cJSON_AddItemToArray(list, one);
    }
    cJSON_AddNumberToObject(json, "width", (double)e->width);
    cJSON_AddStringToObject(json, "pooling", POOLINGS[e->options->pooling]);
    cJSON_AddBoolToObject(json, "normalized", e->options->unit_length);
    cJSON_AddStringToObject(json, "model", run_model(&e->run)->name);
    cJSON_AddStringToObject(json, "device", run_device_names(&e->run));
    return json_print(json);
}

// ----------------------------------------------------------------------------------------- all of it

static int open_and_embed(struct Embeddings *e, vkgpt_error *err)
{
    struct Options options = *e->options;
    if (options.parallel > (int64_t)e->inputs.count) options.parallel = (int64_t)e->inputs.count;
    int code = run_open_hidden(&e->run, &options, !e->inputs.list[0].is_ids, err);
    if (!code) code = inputs_encode(&e->inputs, input_encode_whole, &e->run, e->options, err);
    if (!code) code = embed(e, err);
    if (!code && options.output) code = write_npy(e, err);
    if (!code && options.verbose) run_counters(&e->run);
    return code;
}

int embed_main(const struct Options *options)
{
    struct Embeddings e = {.options = options};
    vkgpt_error err;
    if (options->prompts && (options->prompt || options->file || options->ids || options->ids_file))
        return wrong_usage("the text is given twice: use one of --prompts, -p, -f, --ids and --ids-file");
    int status = options->prompts ? EXIT_OK : inputs_read_one(&e.inputs, options);
    if (status) return status;
    int code = options->prompts ? inputs_read(&e.inputs, options, &err) : 0;
    if (!code) code = open_and_embed(&e, &err);
    if (code) status = failed(&err);
    else if (options->json || !options->output) status = finish_output(print_json(&e));
    run_close(&e.run);
    inputs_free(&e.inputs);
    free(e.rows);
    return status;
}
