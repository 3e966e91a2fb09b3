// vkgpt task: a task stated in the text, without training, and without examples other than those in the prompt (Radford
// et al. 2019). Finds the task's file, fills in its fields, and lets the model write the answer.
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/answers_print.h"
#include "cli/cli.h"
#include "cli/generation.h"
#include "cli/model_path.h"
#include "cli/nearest.h"
#include "cli/print_json.h"
#include "tasks/blanks.h"
#include "tasks/escapes.h"
#include "tasks/task_answers.h"
#include "tasks/task_file.h"

#define TASKS "models/tasks"
#define SUFFIX ".task"
#define MAX_FIELD ((size_t)1 << 30)

// -------------------------------------------------------------------------------------------- the tasks

// "classify, cloze, ..."
static void task_names(const char *dir, struct Buffer *names)
{
    char name[FILE_NAME_BYTES] = "";
    while (os_next(dir, SUFFIX, name, sizeof name)) {
        if (names->bytes) buffer_text(names, ", ");
        buffer_add(names, name, strlen(name) - strlen(SUFFIX));
    }
    if (!names->bytes) buffer_text(names, "none");
}

// A name with a slash or the suffix is a file; any other is a task that comes with the program.
static int find_task(const char *name, char *path, size_t size, vkgpt_error *err)
{
    size_t length = strlen(name), suffix = strlen(SUFFIX);
    bool is_path = strchr(name, '/') || (length > suffix && strcmp(name + length - suffix, SUFFIX) == 0);
    char dir[4096] = "";
    if (!is_path && !data_path(TASKS, dir, sizeof dir))
        return fail(err, VKGPT_BAD_FILE, "the tasks that come with vkgpt should be in %s, which is not there", dir);
    int n = is_path ? snprintf(path, size, "%s", name) : snprintf(path, size, "%s/%s" SUFFIX, dir, name);
    if (n < 0 || (size_t)n >= size)
        return fail(err, VKGPT_BAD_FILE, "the task's name is %zu bytes long, that is too much", length);
    if (is_path || os_exists(path)) return 0;
    struct Buffer names = {0};
    struct Nearest nearest = nearest_to(name, length);
    char hint[96];
    task_names(dir, &names);
    nearest_add_list(&nearest, names.data);
    // clang-format off
    fail(err, VKGPT_BAD_FILE, "there is no task '%s'; there are %s, and files of your own (%s" SUFFIX ", ./%s)%s", name, names.data, name, name,
         nearest_hint(&nearest, hint));
    // clang-format on
    buffer_free(&names);
    return VKGPT_BAD_FILE;
}

// Reads a setting of a task's header like the flag of the same name.
static bool check_setting(const char *name, const char *value, char *sentence, size_t size)
{
    struct Options scratch = options_default();
    return options_preset(TASK, &scratch, name, value, sentence, size);
}

// Applies the settings that the command line did not set.
static int apply_settings(const struct Task *task, struct Options *options, vkgpt_error *err)
{
    char sentence[256];
    for (size_t i = 0; i < task->setting_count; i++) {
        const struct TaskSetting *setting = &task->settings[i];
        if (!options_preset(TASK, options, setting->name, setting->value, sentence, sizeof sentence))
            return task_refuse_setting(task, setting, sentence, err);
    }
    return 0;
}

static void print_task(const char *name, const struct Task *task)
{
    printf("%s: %s\n", name, task->about ? task->about : "");
    for (size_t i = 0; i < task->field_count; i++)
        printf("    %-12s %s%s\n", task->fields[i].name, task->fields[i].about,
               task->fields[i].optional ? " (may be left out)" : "");
}

static int list_task(const char *path, const char *name, vkgpt_error *err)
{
    struct Task task;
    int code = task_read(path, &task, check_setting, err);
    if (!code) print_task(name, &task);
    task_free(&task);
    return code;
}

// ------------------------------------------------------------------------------------------- the fields

// What one run of a task holds.
struct TaskRun {
    struct Options options; // the command line's, and where it says nothing the task's
    struct Task task;
    struct Buffer values[TASK_MAX_FIELDS];
    bool given[TASK_MAX_FIELDS];
    struct Input input; // the prompt, up to its gap
    struct Answers answers;
};

// name=text, or name=@file
static int read_field(struct TaskRun *job, const char *pair, vkgpt_error *err)
{
    const struct Task *task = &job->task;
    const char *text = strchr(pair, '=') + 1;
    size_t length = (size_t)(text - pair) - 1, at = task_field(task, pair, length);
    if (at == task->field_count)
        return fail(err, VKGPT_BAD_ARGUMENT, "--field %.*s: %s has no such field", length < 40 ? (int)length : 40, pair,
                    task->path);
    if (job->given[at]) return fail(err, VKGPT_BAD_ARGUMENT, "field %s is given twice", task->fields[at].name);
    job->given[at] = true;
    if (*text != '@') {
        buffer_text(&job->values[at], text);
        if (job->options.escape) escapes_replace_in(&job->values[at]);
        return 0;
    }
    char *data;
    size_t bytes;
    int code = os_read(text + 1, MAX_FIELD, &data, &bytes, err);
    if (code) return code;
    buffer_add(&job->values[at], data, bytes);
    free(data);
    return 0;
}

// Reads the first field from -p, -f or stdin. Returns the exit status, after it has printed the sentence.
static int read_first(struct TaskRun *job)
{
    const struct Options *options = &job->options;
    bool flag = options->prompt || options->file;
    if (flag && !job->task.field_count) return wrong_usage("%s has no field that -p or -f could fill", job->task.path);
    if (flag && job->given[0])
        return wrong_usage("field %s is given twice: by --field and by -p or -f", job->task.fields[0].name);
    if (!job->task.field_count || job->given[0] || (!flag && job->task.fields[0].optional)) return 0;
    struct Input input;
    int status = input_read(&input, options, true);
    if (status) return status;
    job->values[0] = input.text;
    job->given[0] = true;
    input.text = (struct Buffer){0};
    input_free(&input);
    return 0;
}

// Sets the fallbacks of fields that were not given. Line breaks at the end of a text are removed: a file ends with one.
static int finish_fields(struct TaskRun *job, vkgpt_error *err)
{
    for (size_t i = 0; i < job->task.field_count; i++) {
        const struct TaskField *field = &job->task.fields[i];
        struct Buffer *value = &job->values[i];
        if (!job->given[i] && !field->optional)
            return fail(err, VKGPT_BAD_ARGUMENT, "field %s of %s is not given: --field %s=TEXT gives it (%s)",
                        field->name, job->task.path, field->name, field->about);
        if (!job->given[i]) buffer_add(value, field->fallback.data, field->fallback.bytes);
        size_t end = value->bytes;
        while (job->given[i] && end && strchr("\r\n", value->data[end - 1])) end--;
        buffer_cut(value, end);
        if (!field->optional && !value->bytes)
            return fail(err, VKGPT_BAD_ARGUMENT, "field %s of %s is empty (%s)", field->name, job->task.path,
                        field->about);
    }
    return 0;
}

static int read_fields(struct TaskRun *job, vkgpt_error *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < job->options.field_count; i++) code = read_field(job, job->options.fields[i], err);
    if (code) return failed(err);
    int status = read_first(job);
    if (status) return status;
    return finish_fields(job, err) ? failed(err) : EXIT_OK;
}

// -------------------------------------------------------------------------------------------- the answer

static int encode_prompt(struct TaskRun *job, struct Run *run, vkgpt_error *err)
{
    const struct Options *options = &job->options;
    const vkgpt_model_info *model = run_model(run);
    char name[PATH_BYTES];
    int code = input_encode(&job->input, run->tokenizer, model->vocab, !options->no_special, err);
    if (!code) code = input_never_empty(&job->input, model, err);
    snprintf(name, sizeof name, "%.4000s with its fields", job->task.path);
    if (!code) code = run_fits(run, name, job->input.count, err);
    size_t left = code ? 0 : run->context + 1 - job->input.count;
    if (!code && options->predict > 0 && (size_t)options->predict > left)
        fprintf(stderr, "vkgpt: a prompt of %zu tokens leaves room for %zu of %lld new ones\n", job->input.count, left,
                (long long)options->predict);
    return code;
}

static cJSON *json_task(const struct TaskRun *job)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "task", job->options.task);
    cJSON_AddItemToObject(json, "prompt", json_bytes(job->input.text.data, job->input.text.bytes));
    return json;
}

static int write_answer(struct TaskRun *job)
{
    struct Generation generation;
    struct Run run;
    vkgpt_error err;
    generation_begin(&generation, &job->options);
    generation.keep = job->task.keep;
    generation.trim = true;
    for (size_t i = 0; i < job->task.stop_count; i++)
        generation_add_stop(&generation, job->task.stops[i].data, job->task.stops[i].bytes);
    int code = run_open(&run, &job->options, true, &err);
    if (!code) code = generation_configure(&generation, &job->options, TASK, &run, &err);
    if (!code) code = encode_prompt(job, &run, &err);
    if (!code) run_tell_default(&run);
    if (!code) code = generation_run(&generation, &run, &job->input, &err);
    int status = code ? failed(&err) : generation_report(&generation, &run, &job->input, json_task(job));
    generation_end(&generation);
    run_close(&run);
    return status;
}

static int score_answers(struct TaskRun *job, const struct Run *run, vkgpt_error *err)
{
    const struct Options *options = &job->options;
    const struct PairRules rules = {run->tokenizer, run_model(run), !options->no_special};
    return answers_score(&job->answers, &job->task, run->session, run->context, &rules,
                         (enum Normalize)options->normalize, err);
}

static int choose_answer(struct TaskRun *job)
{
    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, &job->options, true, &err);
    if (!code) run_tell_default(&run);
    if (!code) code = score_answers(job, &run, &err);
    int status = code ? failed(&err) : answers_print(&job->answers, &run, job->options.json, json_task(job));
    run_close(&run);
    return status;
}

// ---------------------------------------------------------------------------------------------- the task

// Fills in the prompt, and the answers if the task has some.
static int fill(struct TaskRun *job, vkgpt_error *err)
{
    const struct Task *task = &job->task;
    struct Buffer behind = {0}, list = {0};
    job->input = (struct Input){.name = task->path};
    task_fill(task, job->values, &job->input.text);
    task_fill_answers(task, job->values, &list);
    int code = task_cut_gap(task, &job->input.text, &behind, err);
    if (!code) code = answers_read(&job->answers, task, &list, &job->input.text, &behind, err);
    if (!code && !job->answers.count && task->gap.bytes) // a generated word brings its own space
        buffer_cut(&job->input.text,
                   job->input.text.bytes - blanks_at_end(job->input.text.data, job->input.text.bytes));
    buffer_free(&behind);
    buffer_free(&list);
    return code;
}

// Prints the exact prompt; if there are answers, the prompt with each of them.
static int show(const struct TaskRun *job)
{
    const struct Buffer *prompt = &job->input.text;
    size_t count = job->answers.count ? job->answers.count : 1;
    for (size_t i = 0; i < count; i++) {
        fwrite(prompt->data, 1, prompt->bytes, stdout);
        if (job->answers.count) printf("%s\n", job->answers.list[i].continuation.data);
    }
    return finish_output(EXIT_OK);
}

static int run_task(struct TaskRun *job)
{
    vkgpt_error err;
    if (apply_settings(&job->task, &job->options, &err)) return failed(&err);
    int status = read_fields(job, &err);
    if (status) return status;
    if (fill(job, &err)) return failed(&err);
    if (job->options.show) return show(job);
    return job->answers.count ? choose_answer(job) : write_answer(job);
}

int task_main(const struct Options *options)
{
    if (options->list) return list_data(TASKS, SUFFIX, list_task);
    if (!options->task)
        return wrong_usage("task needs the name of a task, or a file; --list shows those that come with vkgpt");
    struct TaskRun job = {.options = *options};
    char path[4096];
    vkgpt_error err;
    int code = find_task(options->task, path, sizeof path, &err);
    if (!code) code = task_read(path, &job.task, check_setting, &err);
    int status = code ? failed(&err) : run_task(&job);

    for (size_t i = 0; i < TASK_MAX_FIELDS; i++) buffer_free(&job.values[i]);
    input_free(&job.input);
    answers_free(&job.answers);
    task_free(&job.task);
    return status;
}
