// Printing JSON.
#ifndef VKGPT_CLI_PRINT_JSON_H
#define VKGPT_CLI_PRINT_JSON_H

#include "tasks/json_values.h"

// Prints `json` with a newline, and frees it. Returns the exit status.
int json_print(cJSON *json);

#endif
