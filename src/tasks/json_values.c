#include "tasks/json_values.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tasks/buffer.h"
#include "tasks/utf8_stream.h"

// One node of raw text for all ids: one node for each id would need much more memory than the ids.
cJSON *json_ids(const uint32_t *ids, size_t count)
{
    struct Buffer text = {0};
    buffer_text(&text, "[");
    for (size_t i = 0; i < count; i++) buffer_format(&text, "%s%" PRIu32, i ? ", " : "", ids[i]);
    buffer_text(&text, "]");
    cJSON *json = cJSON_CreateRaw(text.data);
    buffer_free(&text);
    return json;
}

cJSON *json_floats(const float *values, size_t count)
{
    struct Buffer text = {0};
    buffer_text(&text, "[");
    for (size_t i = 0; i < count; i++) buffer_format(&text, "%s%.9g", i ? ", " : "", (double)values[i]);
    buffer_text(&text, "]");
    cJSON *json = cJSON_CreateRaw(text.data);
    buffer_free(&text);
    return json;
}

cJSON *json_bytes(const char *bytes, size_t count)
{
    char *text = utf8_json(bytes, count);
    cJSON *json = text ? cJSON_CreateRaw(text) : NULL;
    free(text);
    return json;
}

void json_add_unsigned(cJSON *object, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}
