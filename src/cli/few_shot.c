// vkgpt few-shot: learning in context, as the GPT-3 paper measures it: K examples in the prompt, no training, and
// accuracy against K (Brown et al. 2020, sections 2.1 and 2.4, figure 1.2).
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/blanks.h"
#include "cli/cli.h"
#include "cli/curve.h"
#include "cli/few_shot.h"
#include "cli/input.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "cli/query.h"
#include "cli/run.h"

#define TASKS "models/tasks"
#define SUFFIX ".jsonl"

// ------------------------------------------------------------------------------------------- the flags

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

// "0,1,2,4": whole numbers; in order and each once afterwards.
static bool read_shots(const char *text, struct FewShot *f)
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
    if (options->escape) buffer_cut(kept, unescape(kept->data, kept->bytes));
    return kept->data;
}

// A name that is no file, and has no slash, is that of a task that comes with the program.
static const char *find_task(const char *name, char *path, size_t size)
{
    char dir[4096];
    if (os_exists(name) || strchr(name, '/') || !data_path(TASKS, dir, sizeof dir)) return name;
    int n = snprintf(path, size, "%s/%s" SUFFIX, dir, name);
    return n > 0 && (size_t)n < size && os_exists(path) ? path : name;
}

// The measure decides whether answers are chosen or written: those to choose from can be left aside.
static int choose_measure(struct FewShot *f, const struct Options *options)
{
    bool choices = f->items.items[0].choice_count != 0;
    f->curve.measure = options->measure ? (enum Measure)(options->measure - 1) : choices ? MEASURE_CHOICE : MEASURE_EXACT;
    f->curve.chosen = measure_is_of(f->curve.measure, true);
    if (choices || !f->curve.chosen) return EXIT_OK;
    return wrong_usage("--measure is %s: %s has no answers to choose from, exact and f1 measure written ones", measure_name(f->curve.measure), f->items.path);
}

// An answer that has line breaks in it ends at an empty line, or at the separator; any other with its line.
static void choose_stop(struct FewShot *f)
{
    f->stop = "\n";
    for (size_t i = 0; i < f->items.count; i++) {
        const char *text = f->items.items[i].completion;
        size_t start = blanks_at_start(text, strlen(text)), end = strlen(text) - blanks_at_end(text, strlen(text));
        if (memchr(text + start, '\n', end - start)) f->stop = f->shots.separator && *f->shots.separator ? f->shots.separator : "\n\n";
    }
}

static int read_items(struct FewShot *f, const struct Options *options)
{
    vkgpt_error err;
    const char *path = find_task(options->task_file, f->path, sizeof f->path);
    int code = items_read(&f->items, path, ITEM_AUTO, &err);
    if (!code && options->examples) code = items_read(&f->examples, options->examples, ITEM_AUTO, &err);
    const struct Items *examples = options->examples ? &f->examples : &f->items;
    size_t most = f->curve.points[f->curve.count - 1].shots, others = options->examples ? 0 : 1;
    if (!code && examples->count < most + others)
        code = fail(&err, VKGPT_BAD_FILE, "%s: has %zu items, %zu shots need %zu%s", examples->path, examples->count, most, most + others,
                    others ? ", the query and its examples" : "");
    if (code) return failed(&err);
    shots_open(&f->shots, &f->items, examples, (uint64_t)options->draw_seed);
    f->shots.description = read_text(options, options->description, &f->description);
    f->shots.separator = read_text(options, options->separator, &f->separator);
    read_text(options, options->answer_context, &f->answer_context);
    f->limit = options->limit && (size_t)options->limit < f->items.count ? (size_t)options->limit : f->items.count;
    f->curve.task = options->task_file;
    choose_stop(f);
    return choose_measure(f, options);
}

// A task that comes with the program, with its number of items and one of them.
static int list_task(const char *path, const char *name, vkgpt_error *err)
{
    struct Items items;
    int code = items_read(&items, path, ITEM_AUTO, err);
    if (!code) {
        const struct Item *item = &items.items[0];
        printf("%-28s %5zu items, such as ", name, items.count);
        for (const char *c = item->context + blanks_at_start(item->context, strlen(item->context)); *c; c++) putchar(*c == '\n' ? ' ' : *c);
        printf("%s\n", item->completion);
    }
    items_free(&items);
    return code;
}

// ------------------------------------------------------------------------------------------- the prompts

// Room for a written answer: twice the tokens of the longest one, and some, unless -n says how many.
static int count_answer_tokens(const struct FewShot *f, const struct Options *options, struct QueryRules *rules, vkgpt_error *err)
{
    size_t longest = 0;
    int code = 0;
    for (size_t i = 0; !code && !f->curve.chosen && i < f->items.count; i++) {
        uint32_t *ids;
        size_t count;
        const char *text = f->items.items[i].completion;
        code = vkgpt_encode(rules->tokens.tokenizer, text, strlen(text), rules->tokens.special, &ids, &count, err);
        if (!code) free(ids);
        if (!code && count > longest) longest = count;
    }
    rules->answer_tokens = options->answer_tokens ? (size_t)options->answer_tokens : 2 * longest + 8;
    return code;
}

int few_shot_rules(struct FewShot *f, const struct Options *options, const vkgpt_tokenizer *tok, const vkgpt_model_info *model, struct QueryRules *rules,
                   vkgpt_error *err)
{
    *rules = (struct QueryRules){.tokens = {tok, model, !options->no_special}, .shots = &f->shots, .chosen = f->curve.chosen};
    rules->positions = options->context ? (size_t)options->context : model->context;
    return count_answer_tokens(f, options, rules, err);
}

void few_shot_say_cut(const struct FewShot *f, const struct Point *point, size_t positions)
{
    if (!point->cut) return;
    fprintf(stderr, "vkgpt: %s: at %zu shots %zu of %zu prompts did not fit the context of %zu tokens: %zu examples were left out of them\n", f->items.path,
            point->shots, point->cut, point->items, positions, point->dropped);
}

// ------------------------------------------------------------------------------------------------ the run

static int print_json(const struct FewShot *f, const struct Run *run, const struct Options *options)
{
    cJSON *json = curve_json(&f->curve);
    cJSON_AddStringToObject(json, "form", item_form_name(f->items.form));
    json_add_unsigned(json, "seed", (uint64_t)options->draw_seed);
    cJSON_AddStringToObject(json, "device", run_device(run)->name);
    return json_print(json);
}

static int report(struct FewShot *f, const struct Run *run, const struct Options *options)
{
    vkgpt_error err;
    int status = f->curve.count && !options->json ? (curve_print(&f->curve), EXIT_OK) : EXIT_OK;
    if (options->json) status = print_json(f, run, options);
    status = finish_output(status);
    if (!status && options->plot && curve_plot(&f->curve, options->plot, &err)) status = failed(&err);
    if (options->verbose) run_counters(run);
    return status ? status : f->interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

static int run_all(struct FewShot *f, const struct Options *options)
{
    struct Run run;
    struct QueryRules rules;
    vkgpt_error err;
    int code = run_open(&run, options, true, &err);
    if (!code) f->curve.model = run_model(&run)->name;
    if (!code) code = few_shot_rules(f, options, run.tokenizer, run_model(&run), &rules, &err);
    if (!code) code = few_shot_run(f, options, &run, &rules, &err);
    int status = code ? failed(&err) : report(f, &run, options);
    run_close(&run);
    return status;
}

int few_shot_main(const struct Options *options)
{
    if (options->list) return list_data(TASKS, SUFFIX, list_task);
    if (!options->task_file) return wrong_usage("few-shot needs the task's examples: --task FILE.jsonl, or the name of one that --list shows");
    struct FewShot f = {.limit = 0};
    const char *shots = options->shots ? options->shots : "0";
    if (!read_shots(shots, &f)) return wrong_usage("--shots is '%s', it has to be up to %d whole numbers from 0 to %d with commas between them", shots, CURVE_MAX, MAX_SHOTS);
    int status = read_items(&f, options);
    if (!status) status = options->show ? few_shot_show(&f, options) : run_all(&f, options);
    shots_close(&f.shots);
    items_free(&f.items);
    items_free(&f.examples);
    buffer_free(&f.description);
    buffer_free(&f.separator);
    buffer_free(&f.answer_context);
    return status;
}
