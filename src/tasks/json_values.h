// JSON values that cJSON cannot hold: 64-bit numbers, bytes that are not UTF-8, and long lists of numbers. They become
// nodes of raw text.
#ifndef VKGPT_TASKS_JSON_VALUES_H
#define VKGPT_TASKS_JSON_VALUES_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

cJSON *json_ids(const uint32_t *ids, size_t count);
cJSON *json_floats(const float *values, size_t count); // with 9 digits, from which the same floats are read
cJSON *json_bytes(const char *bytes, size_t count);    // a string, as utf8_json writes it
void json_add_unsigned(cJSON *object, const char *name, uint64_t value);

#endif
