#include "layer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model_files.h"
#include "program.h"

#include <cmocka.h>

#ifndef VKGPT_SOURCE_DIR
#define VKGPT_SOURCE_DIR "."
#endif

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures"

const char *layer_fixture_name(size_t index)
{
    static const char *const names[] = {"gpt1", "gpt2", "neo", "opt", "opt-projected"};
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

struct LayerFixture layer_fixture_open(const char *name)
{
    struct LayerFixture f = {.layers = 0};
    char file[64];
    snprintf(file, sizeof file, "%s.json", name);
    struct Bytes text = file_read(FIXTURES "/layers", file);
    f.json = cJSON_ParseWithLength((const char *)text.data, text.count);
    bytes_free(&text);
    if (!f.json) fail_msg("%s: not JSON", file);
    snprintf(f.dir, sizeof f.dir, "%s/%s", FIXTURES, json_member(f.json, "checkpoint")->valuestring);
    const cJSON *id, *attentions = json_member(f.json, "attentions");
    size_t at = 0;
    cJSON_ArrayForEach(id, json_member(f.json, "ids")) at +=
        (size_t)snprintf(f.ids + at, sizeof f.ids - at, "%s%d", at ? "," : "", id->valueint);
    f.tokens = (size_t)cJSON_GetArraySize(json_member(f.json, "ids"));
    f.layers = (size_t)cJSON_GetArraySize(attentions);
    f.heads = (size_t)cJSON_GetArraySize(attentions->child);
    assert_true(f.tokens > 0 && f.tokens <= 64 && at < sizeof f.ids);
    return f;
}

void layer_fixture_close(struct LayerFixture *f)
{
    cJSON_Delete(f->json);
    *f = (struct LayerFixture){.layers = 0};
}

static size_t numbers(const cJSON *list, double *values, size_t most)
{
    size_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        assert_true(count < most && cJSON_IsNumber(item));
        values[count++] = item->valuedouble;
    }
    return count;
}

static const cJSON *at(const cJSON *list, size_t index)
{
    const cJSON *item = cJSON_GetArrayItem(list, (int)index);
    assert_non_null(item);
    return item;
}

size_t layer_fixture_hidden(const struct LayerFixture *f, size_t layer, size_t token, double values[512])
{
    return numbers(at(at(json_member(f->json, "hidden"), layer), token), values, 512);
}

void layer_fixture_attention(const struct LayerFixture *f, size_t layer, size_t head, size_t token, double weights[64])
{
    const cJSON *row = at(at(at(json_member(f->json, "attentions"), layer), head), token);
    assert_int_equal(numbers(row, weights, 64), token + 1);
}
