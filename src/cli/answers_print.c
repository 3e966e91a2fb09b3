#include "cli/answers_print.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/print_json.h"

static cJSON *json_answer(const struct Answer *answer)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "text", json_bytes(answer->text, strlen(answer->text)));
    cJSON_AddItemToObject(json, "continuation", json_bytes(answer->continuation.data, answer->continuation.bytes));
    cJSON_AddItemToObject(json, "ids",
                          json_ids(answer->pair.ids + answer->pair.context, answer->pair.count - answer->pair.context));
    cJSON_AddNumberToObject(json, "logprob", answer->logprob);
    cJSON_AddNumberToObject(json, "score", answer->score);
    return json;
}

int answers_print(const struct Answers *answers, const struct Run *run, bool as_json, cJSON *json)
{
    const char *best = answers->list[answers->best].text;
    if (!as_json) {
        cJSON_Delete(json);
        printf("%s\n", best);
        int status = finish_output(EXIT_OK);
        for (size_t i = 0; i < answers->count; i++)
            fprintf(stderr, "%12.4f  %s\n", answers->list[i].score, answers->list[i].text);
        return status;
    }
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < answers->count; i++) cJSON_AddItemToArray(list, json_answer(&answers->list[i]));
    cJSON_AddItemToObject(json, "answers", list);
    cJSON_AddNumberToObject(json, "best", (double)answers->best);
    cJSON_AddItemToObject(json, "answer", json_bytes(best, strlen(best)));
    cJSON_AddStringToObject(json, "model", run_model(run)->name);
    cJSON_AddStringToObject(json, "device", run_device_names(run));
    return finish_output(json_print(json));
}
