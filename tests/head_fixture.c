#include "head_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model_files.h"
#include "program.h"

#include <cmocka.h>

const char *head_fixture_name(size_t index)
{
    static const char *const names[] = {
        "gpt1-labels", "gpt1-choice", "gpt2-labels", "gpt2-choice",
        "gpt2-number", "opt-each",    "opt-labels",  "neo-labels",
    };
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

void head_fixture_dir(const char *name, char *dir, size_t size) { snprintf(dir, size, "%s/%s", HEAD_FIXTURES, name); }

cJSON *head_fixture_expected(const char *name)
{
    char dir[512];
    head_fixture_dir(name, dir, sizeof dir);
    struct Bytes text = file_read(dir, "expected.json");
    cJSON *json = cJSON_ParseWithLength((const char *)text.data, text.count);
    bytes_free(&text);
    if (!json) fail_msg("%s/expected.json: not JSON", dir);
    return json;
}

int head_int(const cJSON *json, const char *name)
{
    assert_true(cJSON_IsNumber(json_member(json, name)));
    return json_member(json, name)->valueint;
}

size_t head_ids(const cJSON *list, uint32_t ids[HEAD_MAX_IDS])
{
    size_t count = 0;
    for (const cJSON *item = list->child; item; item = item->next) {
        assert_true(count < HEAD_MAX_IDS && cJSON_IsNumber(item));
        ids[count++] = (uint32_t)item->valueint;
    }
    return count;
}

size_t head_numbers(const cJSON *list, double numbers[HEAD_MAX_NUMBERS])
{
    size_t count = 0;
    for (const cJSON *item = list->child; item; item = item->next) {
        assert_true(count < HEAD_MAX_NUMBERS && cJSON_IsNumber(item));
        numbers[count++] = item->valuedouble;
    }
    return count;
}
