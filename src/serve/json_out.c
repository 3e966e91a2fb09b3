#include "serve/json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/utf8_stream.h"

void json_out_bytes(struct Buffer *out, const char *bytes, size_t count)
{
    char *json = utf8_json(count ? bytes : "", count);
    out->failed = out->failed || !json;
    if (json) buffer_text(out, json);
    free(json);
}

void json_out_text(struct Buffer *out, const char *text)
{
    if (text) json_out_bytes(out, text, strlen(text));
    else buffer_text(out, "null");
}

void json_out_ids(struct Buffer *out, const uint32_t *ids, size_t count)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < count; i++) buffer_format(out, "%s%" PRIu32, i ? "," : "", ids[i]);
    buffer_text(out, "]");
}

void json_out_real(struct Buffer *out, float value)
{
    if (isnan(value)) buffer_text(out, "null");
    else buffer_format(out, "%.9g", isinf(value) ? copysign(9999, value) : (double)value);
}
