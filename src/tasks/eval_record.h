// The results of every item in a file, so that an interrupted run goes on where it stopped. One JSON object a line:
// the first says for which model and settings, one for each task for which file, and then one for each item. Lines
// are only ever added; what a crash left of the last one is ignored.
#ifndef VKGPT_TASKS_EVAL_RECORD_H
#define VKGPT_TASKS_EVAL_RECORD_H

#include <stdio.h>

#include "tasks/eval.h"

// What a record's results are of. Results of another model or of other settings are refused.
struct EvalSubject {
    const char *dir;              // of the model
    const char *tokenizer, *lora; // that are used with it, elsewhere than in dir; NULL: none
    const vkgpt_model_info *model;
    vkgpt_format kv; // 0: the usual one
    uint32_t context;
};

struct EvalRecord {
    const char *path;
    FILE *file;
};

// Opens or begins a record, and takes over what it knows of these tasks. Errors: it is of another model, another
// file or other settings (with both values); a line is not one of a record.
int eval_record_open(struct EvalRecord *record, const char *path, const struct EvalSubject *subject,
                     struct EvalTask *tasks, size_t count, vkgpt_error *err);
// Adds the items [first, first + count), which are done, and hands them to the system.
int eval_record_add(struct EvalRecord *record, const struct EvalTask *task, size_t first, size_t count,
                    vkgpt_error *err);
int eval_record_close(struct EvalRecord *record, vkgpt_error *err);

#endif
