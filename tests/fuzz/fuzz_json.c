// JSON itself, as JSON and as Python reads it. Every value is walked over.
#include <string.h>

#include "base/json.h"
#include "fuzz.h"

static size_t walk(const struct Json *item)
{
    char text[JSON_SHOWN];
    size_t sum = strlen(json_shown(item, text));
    if (json_text(item)) sum += strlen(json_text(item));
    if (json_key(item)) sum += strlen(json_key(item));
    if (json_number(item) > 1) sum++;
    for (const struct Json *entry = json_first(item); entry; entry = json_next(entry)) sum += walk(entry);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Json *json;
    vkgpt_error err = {0};
    fuzz_check(json_parse("f.json", (const char *)data, size, &json, &err), &err);
    size_t sum = json ? walk(json) : 0;
    json_free(json);
    fuzz_check(json_read_python(fuzz_file("f.json", data, size), size, &json, &err), &err);
    sum += json ? walk(json) : 0;
    json_free(json);
    return (int)(sum & 0);
}
