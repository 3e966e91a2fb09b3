// JSON from files that nobody vouches for: cJSON parses, this checks. What cJSON lets pass is caught here:
// duplicate keys, look-ups that are linear and ignore case, numbers that are no whole numbers, invalid
// UTF-8, text behind the end. Objects with many keys (vocabularies, safetensors headers) are walked once.
#ifndef VKGPT_BASE_JSON_H
#define VKGPT_BASE_JSON_H

#include <cjson/cJSON.h>

#include "vkgpt.h"

// Parses `bytes` of text; `what` names the file in sentences. Free with cJSON_Delete.
// Errors (VKGPT_BAD_FILE): not JSON (with the byte where it stops), nesting too deep, a duplicate key.
int json_parse(const char *what, const char *text, size_t bytes, cJSON **json, vkgpt_error *err);
// The same for a whole file of at most `limit` bytes.
int json_read(const char *path, size_t limit, cJSON **json, vkgpt_error *err);
// The same for a file that Python's json module reads elsewhere, such as config.json, as that reads it: of a key that
// is there twice the last value counts, and NaN, Infinity and -Infinity are numbers.
// Source: https://docs.python.org/3/library/json.html, "Standard Compliance and Interoperability".
int json_read_python(const char *path, size_t limit, cJSON **json, vkgpt_error *err);

// The member of an object by exact name, or NULL; also NULL for a JSON null.
const cJSON *json_get(const cJSON *object, const char *key);

// Whole numbers, exact up to 2^53. False when the item is no number, fractional or out of [min, max].
bool json_integer(const cJSON *item, int64_t min, int64_t max, int64_t *value);

#endif
