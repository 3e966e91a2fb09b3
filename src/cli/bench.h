// Timing a model on a device: prompts (time to the first token) and generation, several times each.
#ifndef VKGPT_CLI_BENCH_H
#define VKGPT_CLI_BENCH_H

#include <cjson/cJSON.h>

#include "cli/run.h"

struct BenchTest {
    bool generates;      // tg: `tokens` are generated; else pp: a prompt of `tokens`, and one token after it
    size_t tokens, depth; // depth: tokens in the cache before
    size_t repetitions;
};

struct BenchResult {
    char name[48];         // llama-bench's: "pp512", "tg128 @ d1024"
    double mean, deviation; // tokens/s
    // of generation only
    double gigabytes;      // of weights read, per second
    double dispatches, submissions; // per token
};

// Runs one test, after one run that is not counted.
int bench_run(struct Run *run, const struct BenchTest *test, struct BenchResult *result, vkgpt_error *err);
// One result with the model's and the device's facts, as `bench -o json` prints it.
cJSON *bench_json(const struct Run *run, const struct BenchTest *test, const struct BenchResult *result);

#endif
