// A task file, and its prompt filled.
#include "fuzz.h"
#include "tasks/task_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Task task;
    vkgpt_error err = {0};
    int code = task_read(fuzz_file("t.txt", data, size), &task, NULL, &err);
    fuzz_check(code, &err);
    struct Buffer values[TASK_MAX_FIELDS] = {0}, prompt = {0}, answers = {0};
    for (size_t i = 0; !code && i < task.field_count; i++) buffer_text(&values[i], i % 2 ? "" : "a value");
    if (!code) task_fill(&task, values, &prompt);
    if (!code) task_fill_answers(&task, values, &answers);
    for (size_t i = 0; i < TASK_MAX_FIELDS; i++) buffer_free(&values[i]);
    buffer_free(&prompt);
    buffer_free(&answers);
    task_free(&task);
    return 0;
}
