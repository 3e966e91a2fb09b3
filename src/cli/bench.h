// Timing a model on a device: prompts (time to the first token) and generation, several times each, next to the most
// that the device can reach.
#ifndef VKGPT_CLI_BENCH_H
#define VKGPT_CLI_BENCH_H

#include <cjson/cJSON.h>

#include "cli/run.h"

struct BenchTest {
    bool generates;       // tg: generates `tokens`; else pp: reads a prompt of `tokens` and generates one token
    size_t tokens, depth; // depth: tokens in the cache before the test
    size_t repetitions;
    uint32_t sequences; // side by side, each with this many tokens
};

struct BenchResult {
    char name[64];          // as in llama-bench: "pp512", "tg128 @ d1024"; for several sequences "tg128 x 8"
    double mean, deviation; // tokens/s, of all sequences
    vkgpt_limits limits;    // of the device
    // for generation only
    double gigabytes;               // of weights read, per second
    double dispatches, submissions; // per token
    double limit;                   // tokens/s that the limits allow; 0: over several devices
    double busy;                    // device time over wall time; 0: the device has no timestamps
};

// Runs one test, after one run that is not counted.
int bench_run(struct Run *run, const struct BenchTest *test, const vkgpt_limits *limits, struct BenchResult *result,
              vkgpt_error *err);
// The same ids every time; free them with free().
uint32_t *bench_ids(size_t count, uint32_t vocab);
// Fills the cache with these tokens and no others.
int bench_fill(struct Run *run, const struct BenchTest *test, size_t tokens, const uint32_t *ids, vkgpt_error *err);

// ---- bench_profile.c

struct BenchProfile {
    char name[128];    // "tg128: one token at position 64"
    uint32_t position; // of the last token
    vkgpt_profile_line *lines;
    size_t count;
    double plain_seconds; // of the same run without timestamps between dispatches
};

// The name of the test, as in its result.
void bench_name(const struct BenchTest *test, char *name, size_t size);
// Profiles one decode step in the middle of a generation test, or the last block of a prompt.
int bench_profile(struct Run *run, const struct BenchTest *test, struct BenchProfile *profile, vkgpt_error *err);
void bench_profile_free(struct BenchProfile *profile);
void bench_profile_md(const struct BenchProfile *profile, const vkgpt_limits *limits);
cJSON *bench_profile_json(const struct BenchProfile *profile, const vkgpt_limits *limits);

// ---- bench_print.c

enum BenchFormat { BENCH_MD, BENCH_CSV, BENCH_JSON }; // in the order of the flag's choices

struct BenchOutput {
    enum BenchFormat format;
    vkgpt_limits limits;
    cJSON *rows; // BENCH_JSON: printed at the end
};

void bench_print_begin(struct BenchOutput *out);
void bench_print(struct BenchOutput *out, const struct Run *run, const struct BenchTest *test,
                 const struct BenchResult *result);
// The profile of test `index`, after all results.
void bench_print_profile(struct BenchOutput *out, size_t index, const struct BenchProfile *profile);
void bench_print_end(struct BenchOutput *out, bool whole); // incomplete results are not printed as JSON
// One result with the data of the model and the device, as `bench -o json` prints it.
cJSON *bench_json(const struct Run *run, const struct BenchTest *test, const struct BenchResult *result);

#endif
