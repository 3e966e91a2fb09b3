// Shows the prompts of a task exactly as the model gets them, without a device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/few_shot.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "model/gguf.h"

static cJSON *json_query(const struct Items *items, const struct Query *query)
{
    const struct Item *item = &items->items[query->item];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "line", (double)item->line);
    cJSON_AddNumberToObject(json, "shots", (double)query->shots);
    cJSON_AddNumberToObject(json, "examples_dropped", (double)query->dropped);
    cJSON_AddNumberToObject(json, "tokens", (double)query->count);
    cJSON_AddItemToObject(json, "prompt", json_bytes(query->contexts[0].data, query->contexts[0].bytes));
    if (query->ids) cJSON_AddItemToObject(json, "ids", json_ids(query->ids, query->count));
    cJSON *answers = query->pair_count ? cJSON_AddArrayToObject(json, "answers") : NULL;
    for (size_t i = 0; i < query->pair_count; i++) {
        const struct Buffer *context = &query->contexts[query->context_count > 1 ? i : 0];
        cJSON *answer = cJSON_CreateObject();
        cJSON_AddItemToObject(answer, "context", json_bytes(context->data, context->bytes));
        cJSON_AddItemToObject(answer, "text", json_bytes(item->choices[i].text, strlen(item->choices[i].text)));
        cJSON_AddItemToObject(answer, "ids", json_ids(query->pairs[i].ids, query->pairs[i].count));
        cJSON_AddNumberToObject(answer, "context_tokens", (double)query->pairs[i].context);
        cJSON_AddItemToArray(answers, answer);
    }
    return json;
}

// A single prompt is printed without anything around it, so that it can go to a file or to `generate`.
static void print_query(const struct Items *items, const struct Query *query, bool single)
{
    for (size_t i = 0; i < query->context_count; i++) {
        const struct Buffer *prompt = &query->contexts[i];
        if (!single) {
            printf("---- line %zu, %zu shots", items->items[query->item].line, query->shots);
            if (query->dropped) printf(", %zu dropped", query->dropped);
            if (query->context_count > 1) printf(", answer %zu", i + 1);
            printf(", %zu tokens\n", query->count);
        }
        fwrite(prompt->data, 1, prompt->bytes, stdout);
        if (!single || i + 1 < query->context_count) printf("\n");
    }
}

static int show_all(struct FewShotCommand *f, const struct QueryRules *rules, cJSON *list, vkgpt_error *err)
{
    bool single = f->limit == 1 && f->curve.count == 1;
    int code = 0;
    for (size_t p = 0; !code && p < f->curve.count; p++) {
        struct Point *point = &f->curve.points[p];
        for (size_t i = 0; !code && i < f->limit; i++) {
            struct Query query;
            code = query_make(rules, i, point->shots, &query, err);
            if (!code && list) cJSON_AddItemToArray(list, json_query(&f->items, &query));
            else if (!code) print_query(&f->items, &query, single);
            point->items++;
            point->cut += query.dropped > 0;
            point->dropped += query.dropped;
            query_free(&query);
        }
        if (!code) few_shot_say_cut(f, point, rules->positions);
    }
    return code;
}

// The data of the model that the queries need.
static vkgpt_model_info describe(const struct Config *config, const char *dir)
{
    vkgpt_model_info info = {.name = dir,
                             .context = config->context,
                             .vocab = config->vocab,
                             .bos = config->bos,
                             .eos_count = config->eos_count};
    memcpy(info.eos, config->eos, config->eos_count * sizeof info.eos[0]);
    return info;
}

int few_shot_show(struct FewShotCommand *f)
{
    const struct Options *options = f->options;
    char dir[4096];
    vkgpt_error err;
    vkgpt_tokenizer *tok = NULL;
    struct Config config = {0};
    struct QueryRules rules;
    int code = model_path_for(NEED_CONFIG, options->model, dir, sizeof dir, &err);
    if (!code) code = open_tokenizer(options, dir, &tok, &err);
    if (!code) code = model_config_read(dir, &config, &err);
    vkgpt_model_info model = describe(&config, dir);
    if (!code) code = few_shot_rules(f, tok, &model, context_of(options, config.context), &rules, &err);
    cJSON *json = options->json ? cJSON_CreateObject() : NULL;
    cJSON *list = json ? cJSON_AddArrayToObject(json, "prompts") : NULL;
    if (!code) code = show_all(f, &rules, list, &err);
    int status = code ? failed(&err) : json ? json_print(json) : EXIT_OK;
    if (code) cJSON_Delete(json);
    vkgpt_tokenizer_close(tok);
    return status ? status : finish_output(status);
}
