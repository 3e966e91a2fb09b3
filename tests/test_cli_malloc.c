// Memory that runs out in the rooms of the program, which have no errors for it: each allocation fails once alone and
// once with all that follow, in a process of its own, as in `vkgpt`. It ends with one sentence and status 1, or with
// the right result; it never goes on with a part that is missing.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h" // these two before cmocka, which has a macro named fail
#include "tasks/eval_record.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "failing_malloc.h"
#include "model_files.h"
#include "short_run.h"
#include "tasks/answer.h"
#include "tasks/shots.h"
#include "tasks/task_file.h"

#define EVAL VKGPT_SOURCE_DIR "/tests/fixtures/eval/"
#define MOST 150 // allocations of one reading that fail in a short run, spread over all

static uint64_t mix(uint64_t sum, const char *text)
{
    for (; text && *text; text++) sum = (sum ^ (uint8_t)*text) * 1099511628211u;
    return sum + 1;
}

// Each reads something, and reduces it to a number.
static int read_items(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct Items items;
    int code = items_read(&items, path, ITEM_AUTO, err);
    for (size_t i = 0; !code && i < items.count; i++) {
        *result = mix(mix(*result, items.items[i].context), items.items[i].completion);
        for (size_t c = 0; c < items.items[i].choice_count; c++) *result = mix(*result, items.items[i].choices[c].text);
    }
    items_free(&items);
    return code;
}

static int make_prompt(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct Items items;
    struct Shots shots;
    struct Buffer prompt = {0}, answer = {0};
    int code = items_read(&items, path, ITEM_AUTO, err);
    if (!code) {
        shots_open(&shots, &items, &items, 7);
        shots_prompt(&shots, 1, shots_draw(&shots, 1, 4), 0, &prompt);
        shots_close(&shots);
        code = answer_normalize(prompt.data, prompt.bytes, &answer, err);
        *result = mix(mix(0, prompt.data), answer.data);
    }
    buffer_free(&prompt);
    buffer_free(&answer);
    items_free(&items);
    return code;
}

static int fill_task(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct Task task;
    struct Buffer values[TASK_MAX_FIELDS] = {0}, prompt = {0};
    int code = task_read(path, &task, NULL, err);
    for (size_t i = 0; !code && i < task.field_count; i++) buffer_text(&values[i], "a value");
    if (!code) task_fill(&task, values, &prompt);
    *result = mix(0, prompt.data);
    for (size_t i = 0; i < TASK_MAX_FIELDS; i++) buffer_free(&values[i]);
    buffer_free(&prompt);
    task_free(&task);
    return code;
}

// The list of tasks, and the record of a run, which is written, and read again.
static int run_record(const char *list, uint64_t *result, vkgpt_error *err)
{
    static const vkgpt_model_info info = {.name = "tales", .weights = "f32"};
    const struct EvalSubject subject = {.dir = test_dir, .model = &info, .context = 256};
    struct EvalTask *tasks;
    struct EvalRecord record = {0};
    size_t count;
    const char *path = test_path("record");
    unlink(path);
    int code = eval_tasks_read(list, 2, &tasks, &count, err);
    if (!code) code = eval_record_open(&record, path, &subject, tasks, count, err);
    for (size_t t = 0; !code && t < count; t++) {
        for (size_t i = 0; i < tasks[t].count; i++)
            for (size_t a = 0; a < tasks[t].items[i].count; a++) tasks[t].items[i].logprobs[a] = -1.5 * (double)(a + 1);
        code = eval_record_add(&record, &tasks[t], 0, tasks[t].count, err);
    }
    int closed = eval_record_close(&record, code ? NULL : err);
    eval_tasks_free(tasks, count);
    if (code || closed) return code ? code : closed;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;) *result = (*result ^ (uint8_t)c) * 1099511628211u;
    fclose(file);
    return 0;
}

typedef int (*Work)(const char *path, uint64_t *result, vkgpt_error *err);

// In a process of its own, as main() does. Its stderr is a pipe.
static void child_run(Work work, const char *path, uint64_t n, bool all, uint64_t right, int pipe)
{
    vkgpt_error err = {0};
    uint64_t result = 0;
    dup2(pipe, 2);
    malloc_fail_at(n, all);
    int code = work(path, &result, &err);
    bool came = malloc_has_failed();
    malloc_fail_at(0, false);
    if (!came) _exit(3);
    if (code) _exit(failed(&err));
    _exit(result == right ? EXIT_OK : 4);
}

static void allocation_fails(Work work, const char *path, uint64_t n, bool all, uint64_t right)
{
    char said[1024] = "";
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) child_run(work, path, n, all, right, ends[1]);
    close(ends[1]);
    size_t used = 0;
    for (ssize_t got = 1; got > 0 && used<sizeof said - 1; used += got> 0 ? (size_t)got : 0)
        got = read(ends[0], said + used, sizeof said - 1 - used);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    bool sentence =
        !strncmp(said, "vkgpt: ", 7) && strstr(said, "no host memory") && strchr(said, '\n') == said + used - 1;
    bool good =
        WIFEXITED(status) && (WEXITSTATUS(status) == EXIT_OK ? !used && !all : WEXITSTATUS(status) == 1 && sentence);
    if (!good) fail_msg("%s, allocation %llu: status %x, '%s'", path, (unsigned long long)n, status, said);
}

static void each_allocation_fails(Work work, const char *path)
{
    vkgpt_error err;
    uint64_t right = 0, result = 0;
    if (work(path, &result, &err)) fail_msg("%s: %s", path, err.text);
    malloc_fail_at(0, false);
    if (work(path, &right, &err)) fail_msg("%s: %s", path, err.text);
    assert_true(right == result);
    uint64_t calls = malloc_calls(), stride = short_run() && calls > MOST ? calls / MOST : 1;
    for (uint64_t n = 1; n <= calls; n += stride) {
        allocation_fails(work, path, n, false, right);
        allocation_fails(work, path, n, true, right);
    }
}

static void test_items(void **state)
{
    (void)state;
    each_allocation_fails(read_items, EVAL "lambada.jsonl");
    each_allocation_fails(read_items, EVAL "hellaswag.jsonl");
    each_allocation_fails(read_items, EVAL "piqa.jsonl");
    each_allocation_fails(read_items, EVAL "arc.jsonl");
    each_allocation_fails(read_items, EVAL "winogrande.jsonl");
}

static void test_prompts(void **state)
{
    (void)state;
    each_allocation_fails(make_prompt, VKGPT_SOURCE_DIR "/models/tasks/english_to_french.jsonl");
    each_allocation_fails(fill_task, VKGPT_SOURCE_DIR "/models/tasks/translate.task");
    each_allocation_fails(fill_task, VKGPT_SOURCE_DIR "/models/tasks/classify.task");
}

static void test_records(void **state)
{
    (void)state;
    each_allocation_fails(run_record,
                          "lambada:" EVAL "lambada.jsonl,piqa:" EVAL "piqa.jsonl,wikitext:" EVAL "wikitext.txt");
}

int main(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){malloc, free}); // so that its allocations fail too; the next line replaces them
    end_without_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
