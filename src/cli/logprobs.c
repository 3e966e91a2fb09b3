#include "cli/logprobs.h"

#include <stdlib.h>
#include <string.h>

#include "cli/print_json.h"
#include "engine/logits.h"
#include "tasks/buffer.h"

#define MOST_TOP 100

struct Reading {
    const struct Run *run;
    const struct Continued *text;
    size_t before; // rows that predict tokens of the prompt
    size_t top;
    cJSON *list;
};

static cJSON *json_token(const struct Run *run, uint32_t id, double logprob)
{
    cJSON *json = cJSON_CreateObject();
    size_t bytes = 0;
    const char *piece = run->tokenizer ? vkgpt_token_bytes(run->tokenizer, id, &bytes) : NULL;
    cJSON_AddNumberToObject(json, "id", id);
    if (piece) cJSON_AddItemToObject(json, "token", json_bytes(piece, bytes));
    else cJSON_AddNullToObject(json, "token");
    cJSON_AddNumberToObject(json, "logprob", logprob);
    return json;
}

static void add_row(struct Reading *r, const float *logits, uint32_t id)
{
    size_t vocab = run_model(r->run)->vocab;
    uint32_t ids[MOST_TOP];
    double sum = logits_log_sum(logits, vocab);
    cJSON *json = json_token(r->run, id, logits[id] - sum), *top = cJSON_AddArrayToObject(json, "top");
    size_t found = logits_top(logits, vocab, r->top < MOST_TOP ? r->top : MOST_TOP, ids);
    for (size_t i = 0; i < found; i++) cJSON_AddItemToArray(top, json_token(r->run, ids[i], logits[ids[i]] - sum));
    cJSON_AddItemToArray(r->list, json);
}

static bool on_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Reading *r = user;
    size_t vocab = run_model(r->run)->vocab;
    for (size_t i = 0; i < rows; i++)
        if (first + i >= r->before) add_row(r, logits + i * vocab, r->text->ids[first + i - r->before]);
    return true;
}

int logprobs_json(struct Run *run, const struct Continued *text, size_t top, cJSON **list, vkgpt_error *err)
{
    *list = cJSON_CreateArray();
    if (!text->count) return 0;
    size_t rest = text->prompt_count - text->kept, count = rest + text->count - 1; // the last one predicts nothing
    uint32_t *ids = allocate(count * sizeof *ids);
    memcpy(ids, text->prompt + text->kept, rest * sizeof *ids);
    memcpy(ids + rest, text->ids, (text->count - 1) * sizeof *ids);
    struct Reading reading = {run, text, rest - 1, top, *list};
    int code = vkgpt_session_rewind(run->session, text->kept, err);
    if (!code) code = vkgpt_logits(run->session, ids, count, on_rows, &reading, err);
    free(ids);
    return code;
}
