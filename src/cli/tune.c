// vkgpt tune: finds the fastest variant of each product of decode and of a prompt on this device, for the sizes of a
// model.
#include <stdio.h>

#include "cli/cli.h"
#include "cli/device_json.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "cli/progress.h"

struct Tune {
    vkgpt_device *device;
    vkgpt_model *model;
    cJSON *results; // NULL: a table is printed, row by row
    cJSON *step;    // NULL: no whole step was timed
};

// "8 x 128, 12, staged": rows of the matrix per subgroup or lane, lanes of a workgroup, loads in flight. For a prompt
// "64 x 64, 128, split": rows and outputs of a tile, lanes
static void variant_text(char *text, size_t size, const vkgpt_variant *v)
{
    if (v->outputs) snprintf(text, size, "%u x %u, %u%s", v->rows, v->outputs, v->size, v->split ? ", split" : "");
    else snprintf(text, size, "%u x %u, %u%s", v->rows, v->size, v->loads, v->staged ? ", staged" : "");
}

static void print_head(void)
{
    printf("%-9s %-7s %-15s %4s  %-20s %9s   %-20s %9s  %7s\n", "kernel", "weights", "matrix", "rows", "built in", "us",
           "best", "us", "quicker");
}

static void print_result(const vkgpt_tuned *t)
{
    char matrix[32], usual[32] = "", best[32] = "";
    snprintf(matrix, sizeof matrix, "%u x %u", t->outputs, t->width);
    if (t->settings) snprintf(best, sizeof best, "%.31s", t->settings);
    else {
        variant_text(usual, sizeof usual, &t->built_in);
        variant_text(best, sizeof best, &t->best);
    }
    printf("%-9s %-7s %-15s %4u  %-20s %9.2f   %-20s %9.2f  %6.1f%%\n", t->kernel, t->weights,
           t->settings ? "" : matrix, t->tokens, usual, t->built_in_seconds * 1e6, best, t->best_seconds * 1e6,
           100 * (t->built_in_seconds / t->best_seconds - 1));
    fflush(stdout);
}

static cJSON *variant_json(const vkgpt_variant *v, double seconds)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "rows", v->rows);
    cJSON_AddNumberToObject(json, "size", v->size);
    if (v->outputs) cJSON_AddNumberToObject(json, "outputs", v->outputs);
    if (v->outputs) cJSON_AddBoolToObject(json, "split", v->split);
    cJSON_AddNumberToObject(json, "loads", v->loads);
    cJSON_AddBoolToObject(json, "staged", v->staged);
    cJSON_AddNumberToObject(json, "seconds", seconds);
    return json;
}

static void add_result(cJSON *results, const vkgpt_tuned *t)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "kernel", t->kernel);
    cJSON_AddStringToObject(json, "weights", t->weights);
    cJSON_AddNumberToObject(json, "outputs", t->outputs);
    cJSON_AddNumberToObject(json, "width", t->width);
    cJSON_AddNumberToObject(json, "rows", t->tokens);
    cJSON_AddNumberToObject(json, "tried", t->tried);
    cJSON_AddItemToObject(json, "built_in", variant_json(&t->built_in, t->built_in_seconds));
    cJSON_AddItemToObject(json, "best", variant_json(&t->best, t->best_seconds));
    cJSON_AddItemToArray(results, json);
}

static cJSON *step_json(const vkgpt_tuned *t)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "tried", t->tried);
    cJSON_AddNumberToObject(json, "built_in_seconds", t->built_in_seconds);
    cJSON_AddNumberToObject(json, "best_seconds", t->best_seconds);
    cJSON_AddStringToObject(json, "settings", t->settings);
    return json;
}

static void on_result(void *user, const vkgpt_tuned *tuned)
{
    struct Tune *tune = user;
    if (!tune->results) print_result(tuned), fflush(stdout); // the output stays if a signal ends the search
    else if (tuned->settings) tune->step = step_json(tuned);
    else add_result(tune->results, tuned);
}

static int tune_open(struct Tune *tune, const struct Options *options, vkgpt_error *err)
{
    char dir[4096];
    struct Progress progress;
    const vkgpt_model_options model = {
        .weights = (vkgpt_format)options->weights, .progress = progress_bytes, .user = &progress};
    int code = model_path(options->model, dir, sizeof dir, err);
    if (!code) code = vkgpt_device_open(options->device, &tune->device, err);
    if (code) return code;
    progress_start(&progress);
    code = vkgpt_model_open(tune->device, dir, &model, &tune->model, err);
    progress_end(&progress);
    if (code) return code;
    const vkgpt_device_info *device = vkgpt_device_describe(tune->device);
    const vkgpt_model_info *info = vkgpt_model_describe(tune->model);
    if (info->note[0]) fprintf(stderr, "vkgpt: %s\n", info->note);
    fprintf(stderr, "tuning %s, %s, on %s\n", info->name, info->weights, device->name);
    return 0;
}

// Writes the file and says where, unless it is a dry run.
static int tune_save(struct Tune *tune, const struct Options *options, vkgpt_error *err)
{
    char path[4096];
    if (options->dry_run) return 0;
    if (options->output) snprintf(path, sizeof path, "%s", options->output);
    int code = vkgpt_tuning_save(tune->device, options->output, err);
    if (!code && (options->output || vkgpt_tuning_path(tune->device, path, sizeof path)))
        fprintf(stderr, "kept in %s\n", path);
    return code;
}

static cJSON *tune_json(const struct Tune *tune)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "vkgpt", VKGPT_VERSION);
    cJSON_AddItemToObject(json, "device", device_json(vkgpt_device_describe(tune->device)));
    cJSON_AddStringToObject(json, "model", vkgpt_model_describe(tune->model)->name);
    cJSON_AddItemToObject(json, "results", tune->results);
    if (tune->step) cJSON_AddItemToObject(json, "step", tune->step);
    return json;
}

int tune_main(const struct Options *options)
{
    struct Tune tune = {0};
    vkgpt_error err;
    int code = tune_open(&tune, options, &err), status = EXIT_OK;
    if (options->json) tune.results = cJSON_CreateArray();
    else if (!code) print_head();
    if (!code) code = vkgpt_tune(tune.model, on_result, &tune, &err);
    if (!code) code = tune_save(&tune, options, &err);
    if (code) cJSON_Delete(tune.results), cJSON_Delete(tune.step);
    else if (tune.results) status = json_print(tune_json(&tune));
    vkgpt_model_close(tune.model);
    vkgpt_device_close(tune.device);
    return code ? failed(&err) : finish_output(status);
}
