#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>

#include "base/os.h"
#include "cli/buffer.h"
#include "cli/cli.h"
#include "cli/print_json.h"

#define MIB (1024.0 * 1024.0)

enum BenchFormat { BENCH_MD, BENCH_CSV, BENCH_JSON }; // in the order of the flag's choices

// ---------------------------------------------------------------------------------------------- timing

// The same ids every time, spread over the vocabulary (Knuth's 64-bit linear congruence).
static uint32_t *random_ids(size_t count, uint32_t vocab)
{
    uint32_t *ids = allocate(count * sizeof *ids);
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (uint32_t)(state >> 33) % vocab;
    }
    return ids;
}

static bool on_token(void *user, uint32_t id)
{
    (void)user;
    (void)id;
    return true;
}

static int generate(struct Run *run, size_t tokens, vkgpt_error *err)
{
    vkgpt_sampling greedy = VKGPT_SAMPLING_DEFAULT;
    greedy.temperature = 0;
    greedy.ignore_eos = true;
    vkgpt_stop stop;
    return vkgpt_generate(run->session, &greedy, tokens, on_token, NULL, &stop, err);
}

// One run, on a cache that holds `depth` tokens. Generation starts after a token that is not timed.
static int time_once(struct Run *run, const struct BenchTest *test, const uint32_t *ids, double *seconds, vkgpt_error *err)
{
    int code = vkgpt_session_rewind(run->session, (uint32_t)test->depth, err);
    if (!code && test->generates) code = vkgpt_prompt(run->session, ids, 1, err);
    double start = os_seconds();
    if (!code && !test->generates) code = vkgpt_prompt(run->session, ids, test->tokens, err);
    if (!code) code = generate(run, test->generates ? test->tokens : 1, err);
    *seconds = os_seconds() - start;
    return code;
}

static void name_test(const struct BenchTest *test, char *name, size_t size)
{
    int n = snprintf(name, size, "%s%zu", test->generates ? "tg" : "pp", test->tokens);
    if (test->depth) snprintf(name + n, size - (size_t)n, " @ d%zu", test->depth);
}

static void summarize(struct BenchResult *result, const double *rates, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += rates[i];
    result->mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) squares += (rates[i] - result->mean) * (rates[i] - result->mean);
    result->deviation = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

static int fill_cache(struct Run *run, size_t depth, const uint32_t *ids, vkgpt_error *err)
{
    int code = vkgpt_session_rewind(run->session, 0, err);
    return code || !depth ? code : vkgpt_prompt(run->session, ids, depth, err);
}

int bench_run(struct Run *run, const struct BenchTest *test, struct BenchResult *result, vkgpt_error *err)
{
    *result = (struct BenchResult){0};
    name_test(test, result->name, sizeof result->name);
    size_t most = test->tokens > test->depth ? test->tokens : test->depth;
    uint32_t *ids = random_ids(most, run_model(run)->vocab);
    double *rates = allocate(test->repetitions * sizeof *rates), seconds;

    int code = fill_cache(run, test->depth, ids, err);
    if (!code) code = time_once(run, test, ids, &seconds, err); // to warm up
    vkgpt_counters before = vkgpt_session_counters(run->session);
    for (size_t i = 0; !code && i < test->repetitions; i++) {
        code = time_once(run, test, ids, &seconds, err);
        rates[i] = (double)test->tokens / seconds;
    }
    vkgpt_counters after = vkgpt_session_counters(run->session);
    if (!code) summarize(result, rates, test->repetitions);
    if (!code && test->generates) {
        result->gigabytes = result->mean * (double)run_model(run)->step_bytes * 1e-9;
        result->dispatches = (double)after.dispatches_per_token;
        result->submissions = (double)(after.submissions - before.submissions) / (double)(test->tokens * test->repetitions);
    }
    free(rates);
    free(ids);
    return code;
}

// --------------------------------------------------------------------------------------------- printing

cJSON *bench_json(const struct Run *run, const struct BenchTest *test, const struct BenchResult *r)
{
    const vkgpt_model_info *model = run_model(run);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", model->name);
    cJSON_AddStringToObject(json, "weights", model->weights);
    json_add_unsigned(json, "size", model->device_bytes);
    json_add_unsigned(json, "params", model->params);
    cJSON_AddStringToObject(json, "backend", "Vulkan");
    cJSON_AddStringToObject(json, "device", run_device(run)->name);
    cJSON_AddStringToObject(json, "driver", run_device(run)->driver);
    cJSON_AddStringToObject(json, "test", r->name);
    cJSON_AddNumberToObject(json, "avg_ts", r->mean);
    cJSON_AddNumberToObject(json, "stddev_ts", r->deviation);
    cJSON_AddNumberToObject(json, "repetitions", (double)test->repetitions);
    if (test->generates) {
        cJSON_AddNumberToObject(json, "gb_per_s", r->gigabytes);
        cJSON_AddNumberToObject(json, "dispatches_per_token", r->dispatches);
        cJSON_AddNumberToObject(json, "submissions_per_token", r->submissions);
    }
    return json;
}

static void print_header(enum BenchFormat format)
{
    if (format == BENCH_MD)
        printf("| model | size | params | backend | device | test | t/s | GB/s | dispatches/token | submissions/token |\n"
               "| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    else if (format == BENCH_CSV)
        printf("model,weights,size,params,backend,device,test,avg_ts,stddev_ts,gb_per_s,dispatches_per_token,submissions_per_token\n");
    fflush(stdout);
}

static void print_md(const struct Run *run, const struct BenchTest *test, const struct BenchResult *r)
{
    const vkgpt_model_info *model = run_model(run);
    printf("| %s %s | %.2f MiB | %.2f M | Vulkan | %s | %s | %.2f ± %.2f ", model->name, model->weights,
           (double)model->device_bytes / MIB, (double)model->params * 1e-6, run_device(run)->name, r->name, r->mean, r->deviation);
    if (test->generates) printf("| %.2f | %.0f | %.3f |\n", r->gigabytes, r->dispatches, r->submissions);
    else printf("| | | |\n");
}

// A text field of CSV (RFC 4180): in quotes, its own quotes twice.
static void print_field(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    printf("\",");
}

static void print_csv(const struct Run *run, const struct BenchTest *test, const struct BenchResult *r)
{
    const vkgpt_model_info *model = run_model(run);
    print_field(model->name);
    print_field(model->weights);
    printf("%llu,%llu,", (unsigned long long)model->device_bytes, (unsigned long long)model->params);
    print_field("Vulkan");
    print_field(run_device(run)->name);
    print_field(r->name);
    printf("%.6g,%.6g,", r->mean, r->deviation);
    if (test->generates) printf("%.6g,%.0f,%.6g\n", r->gigabytes, r->dispatches, r->submissions);
    else printf(",,\n");
}

// ------------------------------------------------------------------------------------------ the command

// A size that was given has to fit; one that was not becomes what fits, and the test's name says which.
static int size_of(int64_t given, size_t usual, size_t room, const char *flag, size_t depth, size_t *size, vkgpt_error *err)
{
    if (given > 0 && (size_t)given > room)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s %lld does not fit: the context has room for %zu tokens after a depth of %zu", flag,
                    (long long)given, room, depth);
    *size = given >= 0 ? (size_t)given : usual < room ? usual : room;
    return 0;
}

static int plan(const struct Options *options, uint32_t model_context, struct BenchTest tests[2], size_t *count, vkgpt_error *err)
{
    size_t context = options->context ? (size_t)options->context : model_context;
    size_t depth = (size_t)options->bench_depth;
    if (depth >= context) return fail(err, VKGPT_BAD_ARGUMENT, "-d %zu leaves no room in a context of %zu", depth, context);
    size_t prompt = 0, predict = 0;
    int code = size_of(options->bench_prompt, 512, context - depth, "-p", depth, &prompt, err);
    if (!code) code = size_of(options->bench_predict, 128, context - depth, "-n", depth, &predict, err);
    if (code) return code;
    *count = 0;
    if (prompt) tests[(*count)++] = (struct BenchTest){false, prompt, depth, (size_t)options->repetitions};
    if (predict) tests[(*count)++] = (struct BenchTest){true, predict, depth, (size_t)options->repetitions};
    return 0;
}

static int run_tests(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    struct BenchTest tests[2];
    size_t count = 0;
    int code = plan(options, run_model(run)->context, tests, &count, err);
    if (code) return code;
    enum BenchFormat format = (enum BenchFormat)options->bench_format;
    cJSON *rows = cJSON_CreateArray();
    print_header(format);
    for (size_t i = 0; !code && i < count; i++) {
        struct BenchResult result;
        code = bench_run(run, &tests[i], &result, err);
        if (code) break;
        if (format == BENCH_MD) print_md(run, &tests[i], &result);
        else if (format == BENCH_CSV) print_csv(run, &tests[i], &result);
        else cJSON_AddItemToArray(rows, bench_json(run, &tests[i], &result));
        fflush(stdout);
    }
    if (!code && format == BENCH_JSON) json_print(rows);
    else cJSON_Delete(rows);
    return code;
}

int bench_main(const struct Options *options)
{
    if (options->bench_prompt == 0 && options->bench_predict == 0) return wrong_usage("-p 0 -n 0 leaves nothing to measure");
    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, options, false, &err);
    if (!code) code = run_tests(&run, options, &err);
    if (!code && options->verbose) run_counters(&run);
    run_close(&run);
    return code ? failed(&err) : finish_output(EXIT_OK);
}
