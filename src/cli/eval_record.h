// The results of every item in a file, so that an interrupted run goes on where it stopped. One JSON object a line:
// the first says for which model and settings, one for each task for which file, and then one for each item. Lines
// are only ever added; what a crash left of the last one is ignored.
#ifndef VKGPT_CLI_EVAL_RECORD_H
#define VKGPT_CLI_EVAL_RECORD_H

#include <stdio.h>

#include "cli/eval.h"

struct EvalRecord {
    const char *path;
    FILE *file;
};

// Opens or begins a record, and takes over what it knows of these tasks. Errors: it is of another model, another
// file or other settings (with both values); a line is not one of a record.
int eval_record_open(struct EvalRecord *record, const char *path, const struct Run *run, const struct Options *options,
                     struct EvalTask *tasks, size_t count, vkgpt_error *err);
// Adds the items [first, first + count), which are done, and hands them to the system.
int eval_record_add(struct EvalRecord *record, const struct EvalTask *task, size_t first, size_t count, vkgpt_error *err);
int eval_record_close(struct EvalRecord *record, vkgpt_error *err);

#endif
