// bench --profile: the time of one token, or of one block of a prompt, by kernel.
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench.h"
#include "cli/print_json.h"
#include "tasks/buffer.h"

static void keep_line(void *user, const vkgpt_profile_line *line)
{
    struct BenchProfile *profile = user;
    profile->lines = reallocate(profile->lines, (profile->count + 1) * sizeof *profile->lines);
    profile->lines[profile->count++] = *line;
}

static void name_profile(const struct BenchTest *test, struct BenchProfile *profile)
{
    char name[48];
    bench_name(test, name, sizeof name);
    if (test->generates)
        snprintf(profile->name, sizeof profile->name, "%s: one token at position %u", name, profile->position);
    else
        snprintf(profile->name, sizeof profile->name, "%s: a block of %u tokens up to position %u", name,
                 profile->lines[0].rows, profile->position);
}

int bench_profile(struct Run *run, const struct BenchTest *test, struct BenchProfile *profile, vkgpt_error *err)
{
    size_t tokens = test->depth + (test->generates ? test->tokens / 2 + 1 : test->tokens);
    uint32_t rows = test->generates ? 0 : (uint32_t)test->tokens, *ids = bench_ids(tokens, run_model(run)->vocab);
    *profile = (struct BenchProfile){.position = (uint32_t)tokens - 1};
    int code = bench_fill(run, test, tokens, ids, err);
    if (!code)
        code = vkgpt_profile(run->session, rows, (uint32_t)test->repetitions, keep_line, profile,
                             &profile->plain_seconds, err);
    if (!code) name_profile(test, profile);
    free(ids);
    return code;
}

void bench_profile_free(struct BenchProfile *profile)
{
    free(profile->lines);
    *profile = (struct BenchProfile){0};
}

static vkgpt_profile_line sum_of(const struct BenchProfile *profile)
{
    vkgpt_profile_line sum = {.step = "all", .kernel = "", .rows = profile->lines[0].rows};
    for (size_t i = 0; i < profile->count; i++) {
        sum.calls += profile->lines[i].calls;
        sum.seconds += profile->lines[i].seconds;
        sum.bytes += profile->lines[i].bytes;
        sum.flops += profile->lines[i].flops;
        sum.flops_done += profile->lines[i].flops_done;
    }
    return sum;
}

// FLOPs that the tiles of a block do in addition, as a fraction of the FLOPs that the block needs.
static double padding_of(const vkgpt_profile_line *line) { return line->flops_done / line->flops - 1; }

static double rate_of(const vkgpt_profile_line *line)
{
    return line->seconds > 0 ? (double)line->bytes / line->seconds : 0;
}

// The cost of the timestamps, in seconds; 0 when it is too small to measure.
static double cost_of(const struct BenchProfile *profile, const vkgpt_profile_line *sum)
{
    return sum->seconds > profile->plain_seconds ? sum->seconds - profile->plain_seconds : 0;
}

// ------------------------------------------------------------------------------------------------ printing

static void print_line(const vkgpt_profile_line *line, const vkgpt_profile_line *sum, const vkgpt_limits *limits)
{
    printf("| %s | %s | %u | %.2f | %.1f %% ", line->step, line->kernel, line->calls, line->seconds / line->rows * 1e6,
           100 * line->seconds / sum->seconds);
    if (line->bytes)
        printf("| %.2f | %.2f | %.1f %% ", (double)line->bytes * 1e-6, rate_of(line) * 1e-9,
               100 * rate_of(line) / limits->copy_bytes_per_s);
    else printf("| | | ");
    if (line->flops > 0)
        printf("| %.4g | %.4g | %.1f %% |\n", line->flops * 1e-9, line->flops_done * 1e-9, 100 * padding_of(line));
    else printf("| | | |\n");
}

void bench_profile_md(const struct BenchProfile *profile, const vkgpt_limits *limits)
{
    vkgpt_profile_line sum = sum_of(profile);
    printf(
        "\n%s\n\n| step | kernel | dispatches | µs/token | of the time | MB read | GB/s | of a copy | GFLOP needed | done | padding |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        profile->name);
    for (size_t i = 0; i < profile->count; i++) print_line(&profile->lines[i], &sum, limits);
    print_line(&sum, &sum, limits);
    double cost = cost_of(profile, &sum) * 1e6;
    printf("\nWithout a timestamp after each dispatch: %.2f µs/token. "
           "Profiling itself costs %.2f µs/token, %.2f µs a dispatch; the table holds it.\n",
           profile->plain_seconds / sum.rows * 1e6, cost / sum.rows, cost / sum.calls);
}

static void add_work(cJSON *json, const vkgpt_profile_line *line)
{
    if (!(line->flops > 0)) return;
    cJSON_AddNumberToObject(json, "flops", line->flops);
    cJSON_AddNumberToObject(json, "flops_done", line->flops_done);
    cJSON_AddNumberToObject(json, "padding", padding_of(line));
}

static cJSON *line_json(const vkgpt_profile_line *line, const vkgpt_profile_line *sum, const vkgpt_limits *limits)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "step", line->step);
    cJSON_AddStringToObject(json, "kernel", line->kernel);
    cJSON_AddNumberToObject(json, "dispatches", line->calls);
    cJSON_AddNumberToObject(json, "us_per_token", line->seconds / line->rows * 1e6);
    cJSON_AddNumberToObject(json, "share_of_time", line->seconds / sum->seconds);
    json_add_unsigned(json, "bytes", line->bytes);
    add_work(json, line);
    if (!line->bytes) return json;
    cJSON_AddNumberToObject(json, "gb_per_s", rate_of(line) * 1e-9);
    cJSON_AddNumberToObject(json, "share_of_copy", rate_of(line) / limits->copy_bytes_per_s);
    return json;
}

cJSON *bench_profile_json(const struct BenchProfile *profile, const vkgpt_limits *limits)
{
    vkgpt_profile_line sum = sum_of(profile);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "position", profile->position);
    cJSON_AddNumberToObject(json, "rows", sum.rows);
    cJSON_AddNumberToObject(json, "dispatches", sum.calls);
    cJSON_AddNumberToObject(json, "us_per_token", sum.seconds / sum.rows * 1e6);
    cJSON_AddNumberToObject(json, "us_per_token_unprofiled", profile->plain_seconds / sum.rows * 1e6);
    cJSON_AddNumberToObject(json, "us_per_dispatch_of_profiling", cost_of(profile, &sum) / sum.calls * 1e6);
    add_work(json, &sum);
    cJSON *kernels = cJSON_AddArrayToObject(json, "kernels");
    for (size_t i = 0; i < profile->count; i++)
        cJSON_AddItemToArray(kernels, line_json(&profile->lines[i], &sum, limits));
    return json;
}
