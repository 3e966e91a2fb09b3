// The record of `vkgpt eval`, against a task and a model that are good.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tasks/eval_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char items[] = "{\"text\": \"one two\"}\n{\"text\": \"three four\"}\n";
    static vkgpt_model_info info = {.name = "tales", .weights = "f32"};
    struct EvalSubject subject = {.dir = fuzz_dir(), .model = &info, .context = 256};
    struct EvalTask *tasks;
    struct EvalRecord record = {0};
    size_t count;
    char list[400] = "lambada:";
    vkgpt_error err = {0};
    strcat(list, fuzz_file("t.jsonl", (const uint8_t *)items, sizeof items - 1));
    if (eval_tasks_read(list, 0, &tasks, &count, &err)) abort();
    int code = eval_record_open(&record, fuzz_file("r.jsonl", data, size), &subject, tasks, count, &err);
    fuzz_check(code, &err);
    if (!code) fuzz_check(eval_record_close(&record, &err), &err);
    eval_tasks_free(tasks, count);
    return 0;
}
