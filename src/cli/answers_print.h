// What `task` prints where the answers are given.
#ifndef VKGPT_CLI_ANSWERS_PRINT_H
#define VKGPT_CLI_ANSWERS_PRINT_H

#include <cjson/cJSON.h>

#include "cli/run.h"
#include "tasks/task_answers.h"

// Prints the best answer, and all scores on stderr; or the JSON object, which begins with the members of `json`. Frees
// `json`. Returns the exit status.
int answers_print(const struct Answers *answers, const struct Run *run, bool as_json, cJSON *json);

#endif
