// The fixtures of the heads (tests/fixtures/heads, made by tools/fixtures_heads.py): checkpoints of Hugging Face's
// classes for tasks, and their results in float64. Errors fail the test.
#ifndef TESTS_HEAD_FIXTURE_H
#define TESTS_HEAD_FIXTURE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#ifndef VKGPT_SOURCE_DIR
#define VKGPT_SOURCE_DIR "."
#endif

#define HEAD_FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/heads"
#define HEAD_MAX_IDS 128
#define HEAD_MAX_NUMBERS 64
#define HEAD_BOUND 1e-3 // of scores and hidden states, which are near 1

const char *head_fixture_name(size_t index); // NULL after the last
void head_fixture_dir(const char *name, char *dir, size_t size);
cJSON *head_fixture_expected(const char *name); // free with cJSON_Delete

int head_int(const cJSON *json, const char *name);
size_t head_ids(const cJSON *list, uint32_t ids[HEAD_MAX_IDS]);
size_t head_numbers(const cJSON *list, double numbers[HEAD_MAX_NUMBERS]);

#endif
