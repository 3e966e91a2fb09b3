// vkgpt eval: standard tasks as lm-evaluation-harness defines them, in batches, with a record from which an interrupted
// run can go on.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/print_json.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "tasks/eval_record.h"

#define BATCH 32 // items of one call

struct Eval {
    const struct Options *options;
    struct Run run;
    struct EvalTask *tasks;
    size_t count;
    struct EvalRecord record;
};

static size_t items_done(const struct EvalTask *task)
{
    size_t done = 0;
    for (size_t i = 0; i < task->count; i++) done += task->items[i].done;
    return done;
}

// Runs the items of a task that are not done, in batches. Returns early after Ctrl-C.
static int run_items(struct Eval *e, struct EvalTask *task, vkgpt_error *err)
{
    const struct EvalScorer scorer = {e->run.session, {e->run.tokenizer, run_model(&e->run), true}, e->run.context + 1};
    size_t before = items_done(task), done = before;
    struct Progress progress;
    progress_start(&progress);
    int code = 0;
    for (size_t i = 0; !code && i < task->count && !os_interrupted();) {
        size_t count = 0;
        while (count < BATCH && i + count < task->count && !task->items[i + count].done) count++;
        if (!count) {
            i++;
            continue;
        }
        code = eval_score(task, i, count, &scorer, err);
        if (!code && e->record.file) code = eval_record_add(&e->record, task, i, count, err);
        i += count;
        done += count;
        if (!code) progress_work(&progress, task->name, before, done, task->count);
    }
    progress_end(&progress);
    return code == VKGPT_INTERRUPTED ? 0 : code;
}

// ---------------------------------------------------------------------------------------------- results

static void say_cut(const struct Eval *e)
{
    for (size_t t = 0; t < e->count; t++) {
        size_t cut = 0;
        for (size_t i = 0; i < e->tasks[t].count; i++) cut += e->tasks[t].items[i].cut > 0;
        if (cut)
            fprintf(
                stderr,
                "vkgpt: %s: %zu of %zu items are longer than the context; they lost their beginning, as in lm-evaluation-harness\n",
                e->tasks[t].name, cut, e->tasks[t].count);
    }
}

static cJSON *json_number(double value) { return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull(); }

static cJSON *json_task(const struct EvalTask *task)
{
    struct EvalMetric metrics[EVAL_MAX_METRICS];
    size_t count = eval_metrics(task, metrics), cut = 0;
    for (size_t i = 0; i < task->count; i++) cut += task->items[i].cut > 0;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "file", json_bytes(task->path, strlen(task->path)));
    cJSON_AddNumberToObject(json, "items", (double)task->count);
    cJSON_AddNumberToObject(json, "truncated", (double)cut);
    for (size_t m = 0; m < count; m++) {
        cJSON_AddItemToObject(json, metrics[m].name, json_number(metrics[m].value));
        cJSON_AddItemToObject(json, metrics[m].error_name, json_number(metrics[m].error));
    }
    return json;
}

static int print_json(const struct Eval *e)
{
    const vkgpt_model_info *model = run_model(&e->run);
    cJSON *json = cJSON_CreateObject(), *results = cJSON_CreateObject();
    for (size_t t = 0; t < e->count; t++) cJSON_AddItemToObject(results, e->tasks[t].name, json_task(&e->tasks[t]));
    cJSON_AddStringToObject(json, "model", model->name);
    cJSON_AddStringToObject(json, "weights", model->weights);
    cJSON_AddStringToObject(json, "device", run_device_names(&e->run));
    cJSON_AddNumberToObject(json, "context", (double)e->run.context);
    cJSON_AddItemToObject(json, "results", results);
    return json_print(json);
}

static void print_row(const struct EvalTask *task, const struct EvalMetric *metric)
{
    printf("| %s | %zu | %s | %.4f | ", task->name, task->count, metric->name, metric->value);
    if (isfinite(metric->error)) printf("± %.4f |\n", metric->error);
    else printf("|\n");
}

static int print_table(const struct Eval *e)
{
    printf("| task | items | measure | value | standard error |\n| --- | ---: | --- | ---: | ---: |\n");
    for (size_t t = 0; t < e->count; t++) {
        struct EvalMetric metrics[EVAL_MAX_METRICS];
        size_t count = eval_metrics(&e->tasks[t], metrics);
        for (size_t m = 0; m < count; m++) print_row(&e->tasks[t], &metrics[m]);
    }
    return EXIT_OK;
}

// --------------------------------------------------------------------------------------------- the whole

static int interrupted(const struct Eval *e)
{
    size_t done = 0, total = 0;
    for (size_t t = 0; t < e->count; t++) {
        done += items_done(&e->tasks[t]);
        total += e->tasks[t].count;
    }
    if (e->options->resume)
        fprintf(stderr, "vkgpt: interrupted after %zu of %zu items; the same command goes on from there\n", done,
                total);
    else
        fprintf(stderr, "vkgpt: interrupted after %zu of %zu items; with --resume FILE they would not be lost\n", done,
                total);
    return EXIT_INTERRUPTED;
}

static bool is_done(const struct Eval *e)
{
    size_t t = 0;
    while (t < e->count && items_done(&e->tasks[t]) == e->tasks[t].count) t++;
    return t == e->count;
}

static int open_record(struct Eval *e, vkgpt_error *err)
{
    const struct Options *options = e->options;
    const struct EvalSubject subject = {
        .dir = e->run.dir,
        .tokenizer = options->tokenizer,
        .lora = options->lora,
        .model = run_model(&e->run),
        .kv = (vkgpt_format)options->kv,
        .context = e->run.context,
    };
    return eval_record_open(&e->record, options->resume, &subject, e->tasks, e->count, err);
}

static int run_tasks(struct Eval *e, vkgpt_error *err)
{
    const struct Options *options = e->options;
    int code = eval_tasks_read(options->tasks, (size_t)options->limit, &e->tasks, &e->count, err);
    if (!code) code = run_open(&e->run, options, true, err);
    if (!code && options->resume) code = open_record(e, err);
    if (code) return code;
    os_catch_interrupt(); // only now: while reading and loading, a signal simply ends the program
    for (size_t t = 0; !code && t < e->count; t++) {
        code = run_items(e, &e->tasks[t], err);
        if (code && !(code = run_again(&e->run, options, code, err))) code = run_items(e, &e->tasks[t], err);
    }
    return code;
}

int eval_main(const struct Options *options)
{
    if (!options->tasks) return wrong_usage("eval needs --tasks, such as --tasks lambada:FILE,hellaswag:FILE");
    struct Eval e = {.options = options};
    vkgpt_error err;
    int code = run_tasks(&e, &err), status;
    if (!code) code = eval_record_close(&e.record, &err);
    else eval_record_close(&e.record, NULL);
    if (code) {
        status = failed(&err);
    } else if (!is_done(&e)) {
        status = interrupted(&e);
    } else {
        status = finish_output(options->json ? print_json(&e) : print_table(&e));
        say_cut(&e);
        if (options->verbose) run_counters(&e.run);
    }
    run_close(&e.run);
    eval_tasks_free(e.tasks, e.count);
    return status;
}
