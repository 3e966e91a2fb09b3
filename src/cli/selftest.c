// vkgpt selftest: runs every kernel against the plain C reference on this device; with --report, writes a JSON report
// to send in.
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/device_json.h"
#include "cli/print_json.h"

static void on_result(void *user, const vkgpt_selftest_result *r)
{
    cJSON *results = user, *json = cJSON_CreateObject();
    printf("%-22s %-60s %10.2e of %8.1e  %s\n", r->kernel, r->size, r->error, r->bound, r->pass ? "pass" : "FAIL");
    fflush(stdout);
    cJSON_AddStringToObject(json, "kernel", r->kernel);
    cJSON_AddStringToObject(json, "size", r->size);
    cJSON_AddNumberToObject(json, "error", r->error); // null when it is not finite
    cJSON_AddNumberToObject(json, "bound", r->bound);
    cJSON_AddBoolToObject(json, "pass", r->pass);
    cJSON_AddItemToArray(results, json);
}

// The largest sizes, up to 64 and 32, that fit into the model's context.
static int short_bench(struct Run *run, cJSON *rows, vkgpt_error *err)
{
    size_t context = run_model(run)->context;
    const struct BenchTest tests[] = {{false, context < 64 ? context : 64, 0, 3, 1},
                                      {true, context < 32 ? context : 32, 0, 3, 1}};
    vkgpt_limits limits;
    int code = vkgpt_device_limits(run->device, &limits, err);
    for (size_t i = 0; !code && i < 2; i++) {
        struct BenchResult result;
        code = bench_run(run, &tests[i], &limits, &result, err);
        if (!code) cJSON_AddItemToArray(rows, bench_json(run, &tests[i], &result));
    }
    return code;
}

// Without a model the report is still written, with the reason why the bench did not run.
static void add_bench(cJSON *report, const struct Options *options)
{
    vkgpt_error err;
    struct Run run;
    cJSON *rows = cJSON_CreateArray();
    int code = run_open(&run, options, false, &err);
    if (!code) code = short_bench(&run, rows, &err);
    run_close(&run);
    cJSON_AddItemToObject(report, "bench", rows);
    if (!code) return;
    cJSON_AddStringToObject(report, "bench_error", err.text);
    fprintf(stderr, "vkgpt: the report has no bench: %s\n", err.text);
}

static int write_report(const struct Options *options, const cJSON *report, vkgpt_error *err)
{
    char *text = cJSON_Print(report);
    if (!text) return fail_memory(err, options->report, 0);
    int code = os_write(options->report, text, strlen(text), err);
    cJSON_free(text);
    return code;
}

static int test_device(const struct Options *options, cJSON *report, size_t *failures, vkgpt_error *err)
{
    vkgpt_device *device;
    int code = vkgpt_device_open(options->device, &device, err);
    if (code) return code;
    const vkgpt_device_info *info = vkgpt_device_describe(device);
    printf("%d: %s, %s, Vulkan %s\n", info->index, info->name, info->driver, info->api);
    cJSON_AddStringToObject(report, "vkgpt", VKGPT_VERSION);
    cJSON_AddItemToObject(report, "device", device_json(info));
    cJSON *results = cJSON_AddArrayToObject(report, "results");
    code = vkgpt_selftest(device, on_result, results, failures, err);
    if (!code) printf("%d results, %zu failed\n", cJSON_GetArraySize(results), *failures);
    cJSON_AddNumberToObject(report, "failures", (double)*failures);
    vkgpt_device_close(device);
    return code;
}

int selftest_main(const struct Options *options)
{
    vkgpt_error err;
    size_t failures = 0;
    cJSON *report = cJSON_CreateObject();
    int code = test_device(options, report, &failures, &err);
    if (!code && options->report) {
        add_bench(report, options);
        code = write_report(options, report, &err);
    }
    cJSON_Delete(report);
    if (code) return failed(&err);
    return finish_output(failures ? EXIT_FAILED : EXIT_OK);
}
