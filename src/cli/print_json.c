#include "cli/print_json.h"

#include "cli/cli.h"

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
