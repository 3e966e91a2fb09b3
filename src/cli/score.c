// vkgpt score: the log likelihood of continuations of a context, and which of them is the likeliest.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "tasks/escapes.h"
#include "tasks/pair.h"
#include "tasks/utf8_stream.h"

struct Scores {
    const struct Options *options;
    size_t count, best;
    struct Buffer *texts; // the continuations as they were given
    struct Pair *pairs;
    vkgpt_scored *scored;
};

static void read_continuations(struct Scores *s, const struct Options *options)
{
    *s = (struct Scores){.options = options, .count = options->continuation_count};
    s->texts = allocate(s->count * sizeof *s->texts);
    s->pairs = allocate(s->count * sizeof *s->pairs);
    s->scored = allocate(s->count * sizeof *s->scored);
    for (size_t i = 0; i < s->count; i++) {
        s->texts[i] = (struct Buffer){0};
        s->pairs[i] = (struct Pair){0};
        buffer_text(&s->texts[i], options->continuations[i]);
        if (options->escape) escapes_replace_in(&s->texts[i]);
    }
}

static void free_scores(struct Scores *s)
{
    for (size_t i = 0; i < s->count; i++) {
        buffer_free(&s->texts[i]);
        pair_free(&s->pairs[i]);
    }
    free(s->texts);
    free(s->pairs);
    free(s->scored);
}

static double normalized(const struct Scores *s, size_t i)
{
    return pair_normalized(&s->pairs[i], (enum Normalize)s->options->normalize, s->scored[i].logprob,
                           s->texts[i].bytes);
}

static int encode(struct Scores *s, const struct Run *run, const struct Input *context, vkgpt_error *err)
{
    struct PairRules rules = {run->tokenizer, run_model(run), !s->options->no_special};
    int code = 0;
    for (size_t i = 0; !code && i < s->count; i++) {
        char what[40];
        snprintf(what, sizeof what, "--continuation %zu", i + 1);
        code = pair_encode(&rules, &context->text, &s->texts[i], what, &s->pairs[i], err);
    }
    return code;
}

// A context that is too long loses its beginning, as in lm-evaluation-harness.
static int cut(struct Scores *s, const struct Run *run, vkgpt_error *err)
{
    size_t positions = run->context;
    for (size_t i = 0; i < s->count; i++) {
        struct Pair *pair = &s->pairs[i];
        size_t own = pair->count - pair->context;
        if (!pair_cut(pair, positions + 1)) // the last token needs no position
            return fail(err, VKGPT_BAD_ARGUMENT,
                        "--continuation %zu: is %zu tokens, a context of %zu has no room for a token in front of them",
                        i + 1, own, positions);
        if (pair->cut)
            fprintf(stderr,
                    "vkgpt: --continuation %zu: the context is longer than fits; it lost its first %zu of %zu tokens, "
                    "as in lm-evaluation-harness\n",
                    i + 1, pair->cut, pair->cut + pair->context);
    }
    return 0;
}

static int score(struct Scores *s, const struct Run *run, vkgpt_error *err)
{
    vkgpt_continuation *continuations = allocate(s->count * sizeof *continuations);
    for (size_t i = 0; i < s->count; i++)
        continuations[i] = (vkgpt_continuation){s->pairs[i].ids, s->pairs[i].count, s->pairs[i].context};
    int code = vkgpt_score(run->session, continuations, s->count, s->scored, err);
    free(continuations);
    for (size_t i = 1; !code && i < s->count; i++)
        if (normalized(s, i) > normalized(s, s->best)) s->best = i;
    return code;
}

// -------------------------------------------------------------------------------------------- printing

static void print_text(const struct Buffer *text)
{
    char *quoted = utf8_json(text->data, text->bytes); // always on one line
    printf("%s\n", quoted);
    free(quoted);
}

static int print_table(const struct Scores *s)
{
    bool divided = s->options->normalize != NORMALIZE_NONE;
    printf("     logprob%s  tokens  greedy  continuation\n", divided ? "       score" : "");
    for (size_t i = 0; i < s->count; i++) {
        printf("%c %10.4f", i == s->best ? '*' : ' ', s->scored[i].logprob);
        if (divided) printf("  %10.5f", normalized(s, i));
        printf("  %6zu  %-6s  ", s->pairs[i].count - s->pairs[i].context, s->scored[i].greedy ? "yes" : "no");
        print_text(&s->texts[i]);
    }
    return EXIT_OK;
}

static cJSON *json_continuation(const struct Scores *s, size_t i)
{
    const struct Pair *pair = &s->pairs[i];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "text", json_bytes(s->texts[i].data, s->texts[i].bytes));
    cJSON_AddItemToObject(json, "ids", json_ids(pair->ids + pair->context, pair->count - pair->context));
    cJSON_AddNumberToObject(json, "logprob", s->scored[i].logprob);
    cJSON_AddNumberToObject(json, "score", normalized(s, i));
    cJSON_AddBoolToObject(json, "greedy", s->scored[i].greedy);
    cJSON_AddNumberToObject(json, "cut", (double)pair->cut);
    cJSON_AddNumberToObject(json, "bytes", (double)s->texts[i].bytes);
    return json;
}

static int print_json(const struct Scores *s, const struct Run *run)
{
    static const char *const NAMES[] = {"none", "tokens", "bytes"};
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "continuations");
    for (size_t i = 0; i < s->count; i++) cJSON_AddItemToArray(list, json_continuation(s, i));
    cJSON_AddNumberToObject(json, "best", (double)s->best);
    cJSON_AddStringToObject(json, "normalize", NAMES[s->options->normalize]);
    cJSON_AddStringToObject(json, "model", run_model(run)->name);
    cJSON_AddStringToObject(json, "device", run_device_names(run));
    return json_print(json);
}

int score_main(const struct Options *options)
{
    if (!options->continuation_count)
        return wrong_usage("score needs something to score: --continuation TEXT, once or several times");
    struct Input context;
    int status = input_read(&context, options, true);
    if (status) return status;

    struct Scores s;
    struct Run run;
    vkgpt_error err;
    read_continuations(&s, options);
    int code = run_open(&run, options, true, &err);
    if (!code) code = encode(&s, &run, &context, &err);
    if (!code) code = cut(&s, &run, &err);
    if (!code) code = score(&s, &run, &err);
    if (!code && options->verbose) run_counters(&run);
    status = code ? failed(&err) : finish_output(options->json ? print_json(&s, &run) : print_table(&s));
    run_close(&run);
    free_scores(&s);
    input_free(&context);
    return status;
}
