// Making and printing JSON: what cJSON cannot hold (64-bit numbers, bytes) goes in as raw text.
#ifndef VKGPT_CLI_PRINT_JSON_H
#define VKGPT_CLI_PRINT_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

cJSON *json_ids(const uint32_t *ids, size_t count);
cJSON *json_bytes(const char *bytes, size_t count); // a string, by utf8_json
void json_add_unsigned(cJSON *object, const char *name, uint64_t value);
// Prints with a newline, and frees. Returns the exit status.
int json_print(cJSON *json);

#endif
