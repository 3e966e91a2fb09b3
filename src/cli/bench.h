// Timing a model on a device: prompts (time to the first token) and generation, several times each, beside what the
// device can reach at most.
#ifndef VKGPT_CLI_BENCH_H
#define VKGPT_CLI_BENCH_H

#include <cjson/cJSON.h>

#include "cli/run.h"

struct BenchTest {
    bool generates;       // tg: `tokens` are generated; else pp: a prompt of `tokens`, and one token after it
    size_t tokens, depth; // depth: tokens in the cache before
    size_t repetitions;
    uint32_t sequences; // side by side, each of so many tokens
};

struct BenchResult {
    char name[64];          // llama-bench's: "pp512", "tg128 @ d1024"; of several sequences "tg128 x 8"
    double mean, deviation; // tokens/s, of all sequences
    vkgpt_limits limits;    // of the device
    // of generation only
    double gigabytes;               // of weights read, per second
    double dispatches, submissions; // per token
    double limit;                   // tokens/s that the limits allow
    double busy;                    // device time over wall time; 0: the device has no timestamps
};

// Runs one test, after one run that is not counted.
int bench_run(struct Run *run, const struct BenchTest *test, const vkgpt_limits *limits, struct BenchResult *result,
              vkgpt_error *err);
// The same ids every time, to be freed.
uint32_t *bench_ids(size_t count, uint32_t vocab);
// A cache that holds these tokens and no others.
int bench_fill(struct Run *run, const struct BenchTest *test, size_t tokens, const uint32_t *ids, vkgpt_error *err);

// ---- bench_profile.c

struct BenchProfile {
    char name[128];    // "tg128: one token at position 64"
    uint32_t position; // of the last token
    vkgpt_profile_line *lines;
    size_t count;
    double plain_seconds; // of the same without timestamps between its dispatches
};

// The same test's name as in its result.
void bench_name(const struct BenchTest *test, char *name, size_t size);
// One decode step in the middle of a test of generation, or the last block of a prompt.
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
void bench_print_end(struct BenchOutput *out, bool whole); // what is not whole gets no JSON
// One result with the model's and the device's facts, as `bench -o json` prints it.
cJSON *bench_json(const struct Run *run, const struct BenchTest *test, const struct BenchResult *result);

#endif
