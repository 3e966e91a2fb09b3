// vkgpt bench: makes the list of tests and times them. bench_print.c prints the results, bench_profile.c profiles one
// token.
#include "cli/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "tasks/buffer.h"

// ---------------------------------------------------------------------------------------------- timing

// The same ids every time, spread over the vocabulary (Knuth's 64-bit linear congruence).
uint32_t *bench_ids(size_t count, uint32_t vocab)
{
    uint32_t *ids = allocate(count * sizeof *ids);
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (uint32_t)(state >> 33) % vocab;
    }
    return ids;
}

static int generate(struct Run *run, size_t tokens, vkgpt_error *err)
{
    vkgpt_sampling greedy[MAX_PARALLEL];
    for (size_t i = 0; i < MAX_PARALLEL; i++)
        greedy[i] = (vkgpt_sampling){.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
    return vkgpt_batch_generate(run->session, greedy, tokens, NULL, NULL, NULL, err);
}

static int prompt(struct Run *run, const struct BenchTest *test, const uint32_t *ids, size_t tokens, vkgpt_error *err)
{
    int code = 0;
    for (uint32_t i = 0; !code && i < test->sequences; i++)
        code = vkgpt_batch_prompt(run->session, i, ids, tokens, err);
    return code ? code : vkgpt_batch_prefill(run->session, err);
}

static int rewind_to(struct Run *run, const struct BenchTest *test, size_t tokens, vkgpt_error *err)
{
    int code = 0;
    for (uint32_t i = 0; !code && i < test->sequences; i++)
        code = vkgpt_batch_rewind(run->session, i, (uint32_t)tokens, err);
    return code;
}

// Times one run, on a cache with `depth` tokens. Generation starts after one token that is not timed.
static int time_once(struct Run *run, const struct BenchTest *test, const uint32_t *ids, double *seconds,
                     vkgpt_error *err)
{
    int code = rewind_to(run, test, test->depth, err);
    if (!code && test->generates) code = prompt(run, test, ids, 1, err);
    double start = os_seconds();
    if (!code && !test->generates) code = prompt(run, test, ids, test->tokens, err);
    if (!code) code = generate(run, test->generates ? test->tokens : 1, err);
    *seconds = os_seconds() - start;
    return code;
}

void bench_name(const struct BenchTest *test, char *name, size_t size)
{
    int n = snprintf(name, size, "%s%zu", test->generates ? "tg" : "pp", test->tokens);
    if (test->depth) n += snprintf(name + n, size - (size_t)n, " @ d%zu", test->depth);
    if (test->sequences > 1) snprintf(name + n, size - (size_t)n, " x %" PRIu32, test->sequences);
}

static void summarize(struct BenchResult *result, const double *rates, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += rates[i];
    result->mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) squares += (rates[i] - result->mean) * (rates[i] - result->mean);
    result->deviation = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

int bench_fill(struct Run *run, const struct BenchTest *test, size_t tokens, const uint32_t *ids, vkgpt_error *err)
{
    int code = rewind_to(run, test, 0, err);
    return code || !tokens ? code : prompt(run, test, ids, tokens, err);
}

// The most tokens/s: each token takes the time to read its bytes (the mean over the test) at the speed of a copy, plus
// the time of its dispatches.
static double limit_of(const struct Run *run, const struct BenchTest *test, const vkgpt_limits *limits,
                       double dispatches)
{
    double bytes = 0, weights = (double)run_model(run)->step_bytes; // shared by all sequences
    for (size_t i = 0; i < test->tokens; i++)
        bytes +=
            weights + test->sequences * ((double)vkgpt_step_bytes(run->session, (uint32_t)(test->depth + i)) - weights);
    return test->sequences /
           (bytes / (double)test->tokens / limits->copy_bytes_per_s + dispatches * limits->dispatch_seconds);
}

static void describe_generation(struct Run *run, const struct BenchTest *test, const vkgpt_counters *before,
                                double seconds, struct BenchResult *r)
{
    vkgpt_counters after = vkgpt_session_counters(run->session);
    r->gigabytes = r->mean / test->sequences * (double)run_model(run)->step_bytes * 1e-9;
    r->submissions = (double)(after.submissions - before->submissions) / (double)(test->tokens * test->repetitions);
    if (run->cut) return; // what follows is of one device
    r->dispatches = (double)after.dispatches_per_token;
    r->limit = limit_of(run, test, &r->limits, r->dispatches);
    r->busy = (after.device_seconds - before->device_seconds) / seconds;
}

int bench_run(struct Run *run, const struct BenchTest *test, const vkgpt_limits *limits, struct BenchResult *result,
              vkgpt_error *err)
{
    *result = (struct BenchResult){.limits = *limits};
    bench_name(test, result->name, sizeof result->name);
    size_t most = test->tokens > test->depth ? test->tokens : test->depth;
    uint32_t *ids = bench_ids(most, run_model(run)->vocab);
    double *rates = allocate(test->repetitions * sizeof *rates), seconds, sum = 0;

    int code = bench_fill(run, test, test->depth, ids, err);
    if (!code) code = time_once(run, test, ids, &seconds, err); // to warm up
    vkgpt_counters before = vkgpt_session_counters(run->session);
    for (size_t i = 0; !code && i < test->repetitions; i++) {
        code = time_once(run, test, ids, &seconds, err);
        rates[i] = (double)test->tokens * test->sequences / seconds;
        sum += seconds;
    }
    if (!code) summarize(result, rates, test->repetitions);
    if (!code && test->generates) describe_generation(run, test, &before, sum, result);
    free(rates);
    free(ids);
    return code;
}

// ------------------------------------------------------------------------------------------ the command

struct Plan {
    struct BenchTest *tests;
    size_t count, context, repetitions;
    uint32_t sequences;
};

// A given size has to fit; the default size is reduced to what fits, and the name of the test shows it.
static int add_tests(struct Plan *plan, bool generates, const struct IntList *given, size_t usual, size_t depth,
                     vkgpt_error *err)
{
    size_t room = plan->context - depth;
    for (size_t i = 0; i < (given->count ? given->count : 1); i++) {
        size_t tokens = given->count ? (size_t)given->values[i] : usual < room ? usual : room;
        if (tokens > room)
            return fail(err, VKGPT_BAD_ARGUMENT,
                        "%s %zu does not fit: the context has room for %zu tokens after a depth of %zu",
                        generates ? "-n" : "-p", tokens, room, depth);
        if (tokens)
            plan->tests[plan->count++] =
                (struct BenchTest){generates, tokens, depth, plan->repetitions, plan->sequences};
    }
    return 0;
}

// Every size at every depth, in llama-bench's order.
static int make_plan(const struct Options *o, uint32_t context, struct Plan *plan, vkgpt_error *err)
{
    static const struct IntList zero = {{0}, 1};
    const struct IntList *depths = o->bench_depth.count ? &o->bench_depth : &zero;
    size_t sizes = o->bench_prompt.count + o->bench_predict.count + 2;
    *plan = (struct Plan){.context = context,
                          .repetitions = (size_t)o->repetitions,
                          .sequences = o->parallel ? (uint32_t)o->parallel : 1};
    plan->tests = allocate(sizes * depths->count * sizeof *plan->tests);
    int code = 0;
    for (size_t i = 0; !code && i < depths->count; i++) {
        size_t depth = (size_t)depths->values[i];
        if (depth >= plan->context)
            return fail(err, VKGPT_BAD_ARGUMENT, "-d %zu leaves no room in a context of %zu", depth, plan->context);
        code = add_tests(plan, false, &o->bench_prompt, 512, depth, err);
        if (!code) code = add_tests(plan, true, &o->bench_predict, 128, depth, err);
    }
    return code;
}

static int run_tests(struct Run *run, const struct Options *options, const struct Plan *plan, struct BenchOutput *out,
                     vkgpt_error *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < plan->count; i++) {
        struct BenchResult result;
        code = bench_run(run, &plan->tests[i], &out->limits, &result, err);
        if (code) break;
        bench_print(out, run, &plan->tests[i], &result);
        if (options->verbose && result.busy > 0)
            fprintf(stderr, "busy     %.1f %% of the time, in %s\n", 100 * result.busy, result.name);
    }
    return code;
}

static int run_profiles(struct Run *run, const struct Plan *plan, struct BenchOutput *out, vkgpt_error *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < plan->count; i++) {
        struct BenchProfile profile;
        code = bench_profile(run, &plan->tests[i], &profile, err);
        if (!code) bench_print_profile(out, i, &profile);
        bench_profile_free(&profile);
    }
    return code;
}

static int run_plan(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    struct Plan plan;
    struct BenchOutput out = {.format = (enum BenchFormat)options->bench_format};
    int code = make_plan(options, run->context, &plan, err);
    if (!code && options->profile && !run_device(run)->timestamps)
        code = fail(err, VKGPT_NO_DEVICE, "%s has no timestamps to profile by", run_device_names(run));
    if (!code && !run->cut) code = vkgpt_device_limits(run->device, &out.limits, err);
    if (!code) {
        bench_print_begin(&out);
        code = run_tests(run, options, &plan, &out, err);
        if (!code && options->profile) code = run_profiles(run, &plan, &out, err);
        bench_print_end(&out, !code);
    }
    free(plan.tests);
    return code;
}

static bool is_none(const struct IntList *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->values[i]) return false;
    return list->count > 0;
}

int bench_main(const struct Options *options)
{
    if (is_none(&options->bench_prompt) && is_none(&options->bench_predict))
        return wrong_usage("-p 0 -n 0 leaves nothing to measure");
    if (options->profile && options->bench_format == BENCH_CSV)
        return wrong_usage("--profile is printed as md or json, not as csv");
    if (options->profile && (options->ranks || (options->devices && strchr(options->devices, ','))))
        return wrong_usage("--profile is of one device, which --device names");
    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, options, false, &err);
    if (!code) code = run_plan(&run, options, &err);
    if (!code && options->verbose) run_counters(&run);
    run_close(&run);
    return code ? failed(&err) : finish_output(EXIT_OK);
}
