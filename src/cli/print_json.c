#include "cli/print_json.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/buffer.h"
#include "cli/cli.h"
#include "cli/utf8.h"

// as one raw piece of text: a node for each of some thousand ids costs more than the ids
cJSON *json_ids(const uint32_t *ids, size_t count)
{
    struct Buffer text = {0};
    buffer_text(&text, "[");
    for (size_t i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%s%" PRIu32, i ? ", " : "", ids[i]);
        buffer_text(&text, id);
    }
    buffer_text(&text, "]");
    cJSON *json = cJSON_CreateRaw(text.data);
    buffer_free(&text);
    return json;
}

cJSON *json_bytes(const char *bytes, size_t count)
{
    char *text = utf8_json(bytes, count);
    cJSON *json = cJSON_CreateRaw(text);
    free(text);
    return json;
}

void json_add_unsigned(cJSON *object, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}

int json_print(cJSON *json)
{
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) {
        fprintf(stderr, "vkgpt: no host memory for the JSON\n");
        return EXIT_FAILED;
    }
    printf("%s\n", text);
    cJSON_free(text);
    return EXIT_OK;
}
