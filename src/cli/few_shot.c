// vkgpt few-shot: in-context learning, as the GPT-3 paper measures it: K examples in the prompt, no training, and
// accuracy against K (Brown et al. 2020, sections 2.1 and 2.4, figure 1.2).
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/few_shot.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "tasks/blanks.h"
#include "tasks/escapes.h"
#include "tasks/utf8_stream.h"

#define TASKS "models/tasks"
#define SUFFIX ".jsonl"

// ------------------------------------------------------------------------------------------- the flags

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

// Reads "0,1,2,4": whole numbers, which are then sorted, each once.
static bool read_shots(const char *text, struct FewShotCommand *f)
{
    size_t numbers[CURVE_MAX], count = 0;
    for (const char *at = text;; at++) {
        char *end;
        unsigned long long number = strtoull(at, &end, 10);
        if (*at < '0' || *at > '9' || number > MAX_SHOTS || count == CURVE_MAX || (*end && *end != ',')) return false;
        numbers[count++] = (size_t)number;
        at = end;
        if (!*at) break;
    }
    qsort(numbers, count, sizeof *numbers, compare_sizes);
    for (size_t i = 0; i < count; i++)
        if (!i || numbers[i] != numbers[i - 1]) f->curve.points[f->curve.count++].shots = numbers[i];
    return true;
}

static const char *read_text(const struct Options *options, const char *text, struct Buffer *kept)
{
    if (!text) return NULL;
    buffer_text(kept, text);
    if (options->escape) escapes_replace_in(kept);
    return kept->data;
}

// The path of a file, or of a task that comes with the program if there is no file of this name.
static const char *find_task(const char *name, char *path, size_t size)
{
    char dir[4096];
    if (os_exists(name) || !data_path(TASKS, dir, sizeof dir)) return name;
    int n = snprintf(path, size, "%s/%s" SUFFIX, dir, name);
    return n > 0 && (size_t)n < size && os_exists(path) ? path : name;
}

// The measure decides whether answers are chosen or written. If they are written, the choices are not used.
static int choose_measure(struct FewShotCommand *f, const struct Options *options)
{
    bool choices = f->items.items[0].choice_count != 0;
    f->curve.measure = options->measure ? (enum Measure)(options->measure - 1)
                       : choices        ? MEASURE_CHOICE
                                        : MEASURE_EXACT;
    f->curve.chosen = measure_is_of(f->curve.measure, true);
    if (choices || !f->curve.chosen) return EXIT_OK;
    return wrong_usage("--measure is %s: %s has no answers to choose from, exact and f1 measure written ones",
                       measure_name(f->curve.measure), f->items.path);
}

static int read_items(struct FewShotCommand *f, const struct Options *options)
{
    vkgpt_error err;
    const char *path = find_task(options->task_file, f->path, sizeof f->path);
    int code = items_read(&f->items, path, ITEM_AUTO, &err);
    if (!code && options->examples) code = items_read(&f->examples, options->examples, ITEM_AUTO, &err);
    const struct Items *examples = options->examples ? &f->examples : &f->items;
    size_t most = f->curve.points[f->curve.count - 1].shots, others = options->examples ? 0 : 1;
    if (!code && examples->count < most + others)
        code = fail(&err, VKGPT_BAD_FILE, "%s: has %zu items, %zu shots need %zu%s", examples->path, examples->count,
                    most, most + others, others ? ", the query and its examples" : "");
    if (code) return failed(&err);
    shots_open(&f->shots, &f->items, examples, (uint64_t)options->draw_seed);
    f->shots.description = read_text(options, options->description, &f->description);
    f->shots.separator = read_text(options, options->separator, &f->separator);
    read_text(options, options->answer_context, &f->answer_context);
    f->limit = options->limit && (size_t)options->limit < f->items.count ? (size_t)options->limit : f->items.count;
    f->curve.task = options->task_file;
    return choose_measure(f, options);
}

// Prints a task that comes with the program, its number of items and one of them.
static int list_task(const char *path, const char *name, vkgpt_error *err)
{
    struct Items items;
    int code = items_read(&items, path, ITEM_AUTO, err);
    if (!code) {
        const struct Item *item = &items.items[0];
        printf("%-28s %5zu items, such as ", name, items.count);
        for (const char *c = item->context + blanks_at_start(item->context, strlen(item->context)); *c; c++)
            putchar(*c == '\n' ? ' ' : *c);
        printf("%s\n", item->completion);
    }
    items_free(&items);
    return code;
}

// ------------------------------------------------------------------------------------------- the prompts

int few_shot_rules(struct FewShotCommand *f, const vkgpt_tokenizer *tok, const vkgpt_model_info *model,
                   uint32_t positions, struct QueryRules *rules, vkgpt_error *err)
{
    const struct Options *options = f->options;
    *rules = (struct QueryRules){
        .tokens = {tok, model, !options->no_special}, .shots = &f->shots, .chosen = f->curve.chosen};
    rules->positions = positions;
    rules->answer_tokens = (size_t)options->answer_tokens;
    return rules->answer_tokens || rules->chosen
               ? 0
               : few_shot_answer_tokens(&f->items, &rules->tokens, &rules->answer_tokens, err);
}

void few_shot_say_cut(const struct FewShotCommand *f, const struct Point *point, size_t positions)
{
    if (!point->cut) return;
    fprintf(
        stderr,
        "vkgpt: %s: at %zu shots %zu of %zu prompts did not fit the context of %zu tokens: %zu examples were left out of them\n",
        f->items.path, point->shots, point->cut, point->items, positions, point->dropped);
}

// ------------------------------------------------------------------------------------------------ the run

static bool goes_on(void *user)
{
    (void)user;
    return !os_interrupted();
}

static void show_progress(const struct FewShotCommand *f, size_t shots)
{
    double seconds = os_seconds() - f->start;
    size_t total = f->limit * f->curve.count;
    if (os_is_terminal(2) && seconds > 1)
        fprintf(stderr, "\r%zu shots: %zu of %zu prompts, %.0f s left \033[K", shots, f->done, total,
                seconds * (double)(total - f->done) / (double)f->done);
}

static void clear_progress(void)
{
    if (os_is_terminal(2)) fprintf(stderr, "\r\033[K");
}

// With -v: prints the result of an item.
static void say_result(const struct FewShotCommand *f, const struct FewShotResult *result)
{
    const char *right = result->item->completion;
    char *given = utf8_json(result->answer, result->bytes), *wanted = utf8_json(right, strlen(right));
    fprintf(stderr, "%s:%zu, %zu shots: %s %s, %s\n", f->items.path, result->item->line, result->query->shots,
            result->right ? "right" : "wrong", given, wanted);
    free(given);
    free(wanted);
}

static void on_result(void *user, const struct FewShotResult *result)
{
    struct FewShotCommand *f = user;
    f->done++;
    show_progress(f, result->query->shots);
    if (f->options->verbose) say_result(f, result);
}

static void on_point(void *user, const struct Point *point)
{
    const struct FewShotCommand *f = user;
    clear_progress();
    few_shot_say_cut(f, point, f->positions);
}

static int run_items(struct FewShotCommand *f, const struct Run *run, vkgpt_error *err)
{
    struct QueryRules rules;
    int code = few_shot_rules(f, run->tokenizer, run_model(run), run->context, &rules, err);
    if (code) return code;
    const struct FewShot few_shot = {
        .session = run->session,
        .sequences = (size_t)f->options->parallel,
        .rules = &rules,
        .limit = f->limit,
        .stop = few_shot_stop(&f->items, f->shots.separator),
        .answer_context = f->options->answer_context ? f->answer_context.data : NULL,
        .goes_on = goes_on,
        .on_result = on_result,
        .on_point = on_point,
        .user = f,
    };
    f->start = os_seconds();
    f->positions = rules.positions;
    os_catch_interrupt();
    code = few_shot_run(&few_shot, &f->curve, &f->interrupted, err);
    clear_progress();
    return code;
}

static int print_json(const struct FewShotCommand *f, const struct Run *run)
{
    cJSON *json = curve_json(&f->curve);
    cJSON_AddStringToObject(json, "form", item_form_name(f->items.form));
    json_add_unsigned(json, "seed", (uint64_t)f->options->draw_seed);
    cJSON_AddStringToObject(json, "device", run_device_names(run));
    return json_print(json);
}

static int report(struct FewShotCommand *f, const struct Run *run)
{
    const struct Options *options = f->options;
    vkgpt_error err;
    int status = EXIT_OK;
    if (options->json) status = print_json(f, run);
    else if (f->curve.count) few_shot_print(&f->curve);
    status = finish_output(status);
    if (!status && options->plot && curve_plot(&f->curve, options->plot, &err)) status = failed(&err);
    if (options->verbose) run_counters(run);
    return status ? status : f->interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

static int run_all(struct FewShotCommand *f)
{
    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, f->options, true, &err);
    if (!code) run_tell_default(&run);
    if (!code) f->curve.model = run_model(&run)->name;
    if (!code) code = run_items(f, &run, &err);
    int status = code ? failed(&err) : report(f, &run);
    run_close(&run);
    return status;
}

int few_shot_main(const struct Options *options)
{
    if (options->list) return list_data(TASKS, SUFFIX, list_task);
    if (!options->task_file)
        return wrong_usage(
            "few-shot needs the task's examples: --task FILE.jsonl, or the name of one that --list shows");
    struct FewShotCommand f = {.options = options};
    const char *shots = options->shots ? options->shots : "0";
    if (!read_shots(shots, &f))
        return wrong_usage("--shots is '%s', it has to be up to %d whole numbers from 0 to %d with commas between them",
                           shots, CURVE_MAX, MAX_SHOTS);
    int status = read_items(&f, options);
    if (!status) status = options->show ? few_shot_show(&f) : run_all(&f);
    shots_close(&f.shots);
    items_free(&f.items);
    items_free(&f.examples);
    buffer_free(&f.description);
    buffer_free(&f.separator);
    buffer_free(&f.answer_context);
    return status;
}
