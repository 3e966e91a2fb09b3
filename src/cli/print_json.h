// Printing JSON.
#ifndef VKGPT_CLI_PRINT_JSON_H
#define VKGPT_CLI_PRINT_JSON_H

#include "tasks/json_values.h"

// Prints with a newline, and frees. Returns the exit status.
int json_print(cJSON *json);

#endif
