// Prints the results of bench: as llama-bench's table with more columns, as CSV, or as a JSON array.
#include <stdio.h>

#include "base/units.h"
#include "cli/bench.h"
#include "cli/print_json.h"

// ------------------------------------------------------------------------------------------------- JSON

static void add_generation(cJSON *json, const struct BenchResult *r)
{
    cJSON_AddNumberToObject(json, "gb_per_s", r->gigabytes);
    cJSON_AddNumberToObject(json, "submissions_per_token", r->submissions);
    if (r->limit <= 0) return;
    cJSON_AddNumberToObject(json, "dispatches_per_token", r->dispatches);
    cJSON_AddNumberToObject(json, "limit_tokens_per_s", r->limit);
    cJSON_AddNumberToObject(json, "limit_ms_per_token", 1e3 / r->limit);
    cJSON_AddNumberToObject(json, "share_of_limit", r->mean / r->limit);
    if (r->busy > 0) cJSON_AddNumberToObject(json, "busy_share", r->busy);
}

cJSON *bench_json(const struct Run *run, const struct BenchTest *test, const struct BenchResult *r)
{
    const vkgpt_model_info *model = run_model(run);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", model->name);
    cJSON_AddStringToObject(json, "weights", model->weights);
    json_add_unsigned(json, "size", model->device_bytes);
    json_add_unsigned(json, "params", model->params);
    cJSON_AddStringToObject(json, "backend", "Vulkan");
    cJSON_AddStringToObject(json, "device", run_device_names(run));
    cJSON_AddStringToObject(json, "driver", run_device(run)->driver);
    if (r->limits.copy_bytes_per_s > 0) {
        cJSON_AddNumberToObject(json, "copy_gb_per_s", r->limits.copy_bytes_per_s * 1e-9);
        cJSON_AddNumberToObject(json, "dispatch_us", r->limits.dispatch_seconds * 1e6);
    }
    cJSON_AddStringToObject(json, "test", r->name);
    cJSON_AddNumberToObject(json, "tokens", (double)test->tokens);
    cJSON_AddNumberToObject(json, "depth", (double)test->depth);
    cJSON_AddNumberToObject(json, "avg_ts", r->mean);
    cJSON_AddNumberToObject(json, "stddev_ts", r->deviation);
    cJSON_AddNumberToObject(json, "ms_per_token", 1e3 / r->mean);
    cJSON_AddNumberToObject(json, "repetitions", (double)test->repetitions);
    cJSON_AddNumberToObject(json, "sequences", test->sequences);
    if (test->generates) add_generation(json, r);
    return json;
}

// -------------------------------------------------------------------------------------------------- CSV

static void print_csv_header(void)
{
    printf(
        "model,weights,size,params,backend,device,test,avg_ts,stddev_ts,gb_per_s,dispatches_per_token,submissions_per_token,"
        "tokens,depth,copy_gb_per_s,dispatch_us,limit_tokens_per_s,share_of_limit,busy_share\n");
}

// A text field of CSV (RFC 4180): in quotes, with its own quotes doubled.
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
    print_field(run_device_names(run));
    print_field(r->name);
    printf("%.6g,%.6g,", r->mean, r->deviation);
    if (r->limit > 0) printf("%.6g,%.0f,%.6g,", r->gigabytes, r->dispatches, r->submissions);
    else if (test->generates) printf("%.6g,,%.6g,", r->gigabytes, r->submissions);
    else printf(",,,");
    printf("%zu,%zu,", test->tokens, test->depth);
    if (r->limits.copy_bytes_per_s > 0)
        printf("%.6g,%.6g,", r->limits.copy_bytes_per_s * 1e-9, r->limits.dispatch_seconds * 1e6);
    else printf(",,");
    if (r->limit > 0) printf("%.6g,%.6g,", r->limit, r->mean / r->limit);
    else printf(",,");
    if (r->busy > 0) printf("%.6g", r->busy);
    printf("\n");
}

// -------------------------------------------------------------------------------------------------- table

static void print_md_header(void)
{
    printf(
        "| model | size | params | backend | device | test | t/s | GB/s | dispatches/token | submissions/token | limit t/s | of limit |\n"
        "| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
}

static void print_md(const struct Run *run, const struct BenchTest *test, const struct BenchResult *r)
{
    const vkgpt_model_info *model = run_model(run);
    printf("| %s %s | %.2f MiB | %.2f M | Vulkan | %s | %s | %.2f ± %.2f ", model->name, model->weights,
           (double)model->device_bytes / MIB, (double)model->params * 1e-6, run_device_names(run), r->name, r->mean,
           r->deviation);
    if (r->limit > 0)
        printf("| %.2f | %.0f | %.3f | %.2f | %.1f %% |\n", r->gigabytes, r->dispatches, r->submissions, r->limit,
               100 * r->mean / r->limit);
    else if (test->generates) printf("| %.2f | | %.3f | | |\n", r->gigabytes, r->submissions);
    else printf("| | | | | |\n");
}

static void print_md_limits(const vkgpt_limits *limits)
{
    printf("\nlimits of the device: a large copy reads and writes %.2f GB/s, an empty dispatch takes %.2f µs\n",
           limits->copy_bytes_per_s * 1e-9, limits->dispatch_seconds * 1e6);
}

// -------------------------------------------------------------------------------------------- all of them

void bench_print_begin(struct BenchOutput *out)
{
    if (out->format == BENCH_MD) print_md_header();
    else if (out->format == BENCH_CSV) print_csv_header();
    else out->rows = cJSON_CreateArray();
    fflush(stdout);
}

void bench_print(struct BenchOutput *out, const struct Run *run, const struct BenchTest *test,
                 const struct BenchResult *result)
{
    if (out->format == BENCH_MD) print_md(run, test, result);
    else if (out->format == BENCH_CSV) print_csv(run, test, result);
    else cJSON_AddItemToArray(out->rows, bench_json(run, test, result));
    fflush(stdout);
}

void bench_print_profile(struct BenchOutput *out, size_t index, const struct BenchProfile *profile)
{
    if (out->format == BENCH_MD) bench_profile_md(profile, &out->limits);
    else
        cJSON_AddItemToObject(cJSON_GetArrayItem(out->rows, (int)index), "profile",
                              bench_profile_json(profile, &out->limits));
    fflush(stdout);
}

void bench_print_end(struct BenchOutput *out, bool whole)
{
    if (whole && out->format == BENCH_MD && out->limits.copy_bytes_per_s > 0) print_md_limits(&out->limits);
    if (whole && out->rows) json_print(out->rows);
    else cJSON_Delete(out->rows);
    out->rows = NULL;
}
