// The results of every item in a file, so that an interrupted run can go on where it stopped. Each line is one JSON
// object: the first names the model and the settings, one for each task names its file, and one for each item has its
// result. Lines are only added; a last line that a crash left incomplete is ignored.
#ifndef VKGPT_TASKS_EVAL_RECORD_H
#define VKGPT_TASKS_EVAL_RECORD_H

#include <stdio.h>

#include "tasks/eval.h"

// The model and the settings of a record. Results of another model or of other settings are refused.
struct EvalSubject {
    const char *dir;              // of the model
    const char *tokenizer, *lora; // used with the model, from outside dir; NULL: none
    const vkgpt_model_info *model;
    vkgpt_format kv; // 0: the default, f16
    uint32_t context;
};

struct EvalRecord {
    const char *path;
    FILE *file;
};

// Opens or begins a record, and copies its results into these tasks. Errors: it is of another model, another file or
// other settings (with both values); a line is not a line of a record.
int eval_record_open(struct EvalRecord *record, const char *path, const struct EvalSubject *subject,
                     struct EvalTask *tasks, size_t count, vkgpt_error *err);
// Adds the items [first, first + count), which are done, and flushes the file.
int eval_record_add(struct EvalRecord *record, const struct EvalTask *task, size_t first, size_t count,
                    vkgpt_error *err);
int eval_record_close(struct EvalRecord *record, vkgpt_error *err);

#endif
