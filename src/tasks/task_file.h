// A task is a text file. Its header names the fields of the prompt and says how the answer is drawn; after a blank line
// follows the prompt itself, with the fields in braces. models/tasks/README.md is the manual of the format.
#ifndef VKGPT_TASKS_TASK_FILE_H
#define VKGPT_TASKS_TASK_FILE_H

#include "tasks/buffer.h"
#include "tasks/keep.h"
#include "vkgpt.h"

#define TASK_MAX_FIELDS 16
#define TASK_MAX_STOPS 16
#define TASK_MAX_SETTINGS 16

struct TaskField {
    const char *name, *about;
    struct Buffer fallback; // the value of a field that is not given
    bool optional;          // it has a fallback, and may be empty
    bool used;              // in the prompt or the answers
    unsigned line;
};

struct TaskSetting { // n, temp, normalize ...: a flag that applies if the command line does not give it
    const char *name, *value;
    unsigned line;
};

struct Task {
    const char *path, *about;
    struct TaskField fields[TASK_MAX_FIELDS]; // the first is the one that -p, -f and stdin fill
    struct Buffer stops[TASK_MAX_STOPS];
    struct TaskSetting settings[TASK_MAX_SETTINGS];
    size_t field_count, stop_count, setting_count;
    struct Keep keep;      // how much of a generated answer is kept
    struct Buffer answers; // the answers to choose from; none: the answer is generated
    struct Buffer gap;     // the answer replaces this text; none: it follows the prompt
    struct Buffer prompt;  // with its fields in braces
    unsigned answers_line, prompt_line;
    char *text; // the text of the file; names and values point into it
};

// Whether the value of a setting is valid; on false, `sentence` says what is wrong.
typedef bool task_check(const char *name, const char *value, char *sentence, size_t size);

// Reads and checks a task; `path` has to outlive it. Settings are checked by `check`, which may be NULL. Errors
// (VKGPT_BAD_FILE) name the file and the line.
int task_read(const char *path, struct Task *task, task_check *check, vkgpt_error *err);
void task_free(struct Task *task);

// The field of this name, or task->field_count.
size_t task_field(const struct Task *task, const char *name, size_t bytes);
// Puts values (one for each field) into the prompt, or into the answers. A line of the prompt with nothing but empty
// fields is left out, with its line break and the empty lines after it.
void task_fill(const struct Task *task, const struct Buffer *values, struct Buffer *prompt);
void task_fill_answers(const struct Task *task, const struct Buffer *values, struct Buffer *answers);
// Refuses a setting, with the file and the line before the sentence. Returns the error's code.
int task_refuse_setting(const struct Task *task, const struct TaskSetting *setting, const char *sentence,
                        vkgpt_error *err);

#endif
