// What `task` prints if the task has a list of answers.
#ifndef VKGPT_CLI_ANSWERS_PRINT_H
#define VKGPT_CLI_ANSWERS_PRINT_H

#include <cjson/cJSON.h>

#include "cli/run.h"
#include "tasks/task_answers.h"

// Prints the best answer, and all scores on stderr; or adds them to the JSON object `json` and prints that. Frees
// `json`. Returns the exit status.
int answers_print(const struct Answers *answers, const struct Run *run, bool as_json, cJSON *json);

#endif
