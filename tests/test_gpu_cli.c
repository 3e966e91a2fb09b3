// The program on a device, with the default model: every command that uses a device.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define PROMPT "Once upon a time"
#define GENERATE(...) RUN("generate", "-m", TALES, __VA_ARGS__)
#define GREEDY(...) GENERATE("-p", PROMPT, "--temp", "0", __VA_ARGS__)
#define MAX_IDS 2048

static char out_path[64];

static int make_names(void **state)
{
    (void)state;
    snprintf(out_path, sizeof out_path, "test_gpu_cli.%ld.tmp", (long)getpid());
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    remove(out_path);
    return 0;
}

// ------------------------------------------------------------------------------------------------- JSON

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(json, name));
    assert_non_null(text);
    return text;
}

static double number_of(const cJSON *json, const char *name)
{
    assert_true(cJSON_IsNumber(json_member(json, name)));
    return json_member(json, name)->valuedouble;
}

static int length_of(const cJSON *json, const char *name)
{
    assert_true(cJSON_IsArray(json_member(json, name)));
    return cJSON_GetArraySize(json_member(json, name));
}

static void assert_same(struct Output a, struct Output b)
{
    assert_status(&a, 0);
    assert_status(&b, 0);
    assert_true(a.out_bytes > 0);
    assert_string_equal(a.out, b.out);
    output_free(&a);
    output_free(&b);
}

static void assert_different(struct Output a, struct Output b)
{
    assert_status(&a, 0);
    assert_status(&b, 0);
    assert_string_not_equal(a.out, b.out);
    output_free(&a);
    output_free(&b);
}

// --------------------------------------------------------------------------------------------- generate

static void test_greedy_repeats(void **state)
{
    (void)state;
    assert_same(GREEDY("-n", "24"), GREEDY("-n", "24"));
    assert_same(GREEDY("-n", "24", "--submit", "1"), GREEDY("-n", "24", "--submit", "7"));
}

static void test_seeds(void **state)
{
    (void)state;
    assert_same(GENERATE("-p", PROMPT, "-n", "24", "-s", "7"),
                GENERATE("-p", PROMPT, "-n", "24", "-s", "7", "--submit", "3"));
    assert_different(GENERATE("-p", PROMPT, "-n", "24", "-s", "7"), GENERATE("-p", PROMPT, "-n", "24", "-s", "8"));
    assert_different(GENERATE("-p", PROMPT, "-n", "24"), GENERATE("-p", PROMPT, "-n", "24")); // a new seed each time
}

static void test_json(void **state)
{
    (void)state;
    struct Output plain = GREEDY("-n", "16");
    assert_status(&plain, 0);
    assert_non_null(strstr(plain.err, "decode"));
    cJSON *json = output_json(GREEDY("-n", "16", "--json"));
    assert_string_equal(text_of(json, "text"), plain.out);
    assert_string_equal(text_of(json, "stop"), "length");
    assert_int_equal(length_of(json, "ids"), 16);
    assert_true(length_of(json, "prompt_ids") > 0);
    const cJSON *timings = json_member(json, "timings");
    assert_true(number_of(timings, "load_s") > 0);
    assert_true(number_of(timings, "decode_tokens_per_s") > 0);
    cJSON_Delete(json);
    output_free(&plain);
}

static void test_echo_and_ids(void **state)
{
    (void)state;
    struct Output ids = RUN("tokenize", "-m", TALES, "-p", PROMPT);
    struct Output bare = GREEDY("-n", "8"), echo = GREEDY("-n", "8", "--echo");
    struct Output from_ids = GENERATE("--ids", ids.out, "--temp", "0", "-n", "8", "--echo");
    assert_status(&echo, 0);
    assert_int_equal(strncmp(echo.out, PROMPT, strlen(PROMPT)), 0);
    assert_string_equal(echo.out + strlen(PROMPT), bare.out);
    assert_string_equal(from_ids.out, echo.out);
    output_free(&ids);
    output_free(&bare);
    output_free(&echo);
    output_free(&from_ids);
}

static void test_stop_string(void **state)
{
    (void)state;
    struct Output whole = GREEDY("-n", "32");
    assert_status(&whole, 0);
    assert_true(whole.out_bytes > 40);
    char stop[16] = {0};
    memcpy(stop, whole.out + 20, 9); // across tokens, very likely
    size_t before = (size_t)(strstr(whole.out, stop) - whole.out);
    cJSON *json = output_json(GREEDY("-n", "32", "-r", "no such text", "-r", stop, "--json"));
    assert_string_equal(text_of(json, "stop"), "stop");
    assert_int_equal(strlen(text_of(json, "text")), before);
    assert_int_equal(strncmp(text_of(json, "text"), whole.out, before), 0);
    cJSON_Delete(json);
    output_free(&whole);
}

static void test_lengths(void **state)
{
    (void)state;
    cJSON *json = output_json(GREEDY("-n", "0", "--json"));
    assert_int_equal(length_of(json, "ids"), 0);
    assert_string_equal(text_of(json, "text"), "");
    assert_string_equal(text_of(json, "stop"), "length");
    cJSON_Delete(json);

    // a context of exactly this many tokens gives one more, and ends
    json = output_json(GREEDY("-n", "-1", "-c", "24", "--ignore-eos", "--json"));
    assert_int_equal(length_of(json, "prompt_ids") + length_of(json, "ids"), 25);
    assert_string_equal(text_of(json, "stop"), "context");
    cJSON_Delete(json);
    assert_sentence(GREEDY("-c", "2"), 1, "context");
    assert_sentence(GREEDY("-c", "2", "--echo"), 1, "context");
    assert_sentence(RUN("generate", "-m", TALES, "-c", "2", "-p", "one two three"), 1, "has room for 2; -c ");
    struct Output o = GREEDY("-n", "2", "-c", "1000000");
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "vkgpt: -c 1000000: the model has 256 positions, and all of them are taken\n"));
    output_free(&o);
    char many[2 * 300] = "72";
    for (size_t i = 0; i < 290; i++) strcat(many, ",1");
    assert_sentence(RUN("generate", "-m", TALES, "--ids", many), 1,
                    "the model has 256 positions; a shorter text is needed");
}

static void test_empty_prompt(void **state)
{
    (void)state;
    cJSON *json = output_json(GENERATE("--temp", "0", "-n", "4", "--json"));
    assert_int_equal(length_of(json, "prompt_ids"), 1);
    assert_int_equal(cJSON_GetArrayItem(json_member(json, "prompt_ids"), 0)->valueint, 4095); // the model's bos
    cJSON_Delete(json);
    assert_same(GENERATE("--temp", "0", "-n", "4"), GENERATE("-p", "", "--temp", "0", "-n", "4"));
    assert_sentence(GENERATE("--ids", "1,4096"), 1, "id 4096 is outside the vocabulary of 4096");
}

static void test_interrupt(void **state)
{
    (void)state;
    struct Output o = program_interrupt(
        (const char *const[]){"generate", "-m", TALES, "-p", PROMPT, "--echo", "--ignore-eos", "-n", "-1", "-v", NULL});
    if (o.status != 0) { // a fast device may have finished before
        assert_status(&o, 130);
        assert_non_null(strstr(o.err, "stop: interrupt"));
    }
    assert_non_null(strstr(o.err, "counters"));
    output_free(&o);
}

// ---------------------------------------------------------------------------------- logits, perplexity

struct Matrix {
    size_t rows, columns;
    float *data;
};

static struct Matrix read_npy(const char *path)
{
    struct Matrix m = {0};
    char header[128];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(header, 1, 128, file), 128);
    const char *shape = strstr(header + 10, "'shape': (");
    assert_non_null(shape);
    assert_int_equal(sscanf(shape, "'shape': (%zu, %zu)", &m.rows, &m.columns), 2);
    assert_true(m.rows > 0 && m.rows <= MAX_IDS && m.columns == 4096);
    m.data = malloc(m.rows * m.columns * sizeof *m.data);
    assert_non_null(m.data);
    assert_int_equal(fread(m.data, sizeof *m.data, m.rows * m.columns, file), m.rows * m.columns);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    return m;
}

static struct Matrix logits(const char *ids, const char *last)
{
    struct Output o = RUN("logits", "-m", TALES, "--ids", ids, "-o", out_path, last);
    assert_status(&o, 0);
    assert_int_equal(o.out_bytes, 0);
    output_free(&o);
    return read_npy(out_path);
}

static size_t argmax(const float *row, size_t columns)
{
    size_t best = 0;
    for (size_t i = 1; i < columns; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

static void test_logits(void **state)
{
    (void)state;
    struct Matrix all = logits("71,72,500,33,1000", NULL), last = logits("71,72,500,33,1000", "--last");
    assert_int_equal(all.rows, 5);
    assert_int_equal(last.rows, 1);
    for (size_t i = 0; i < 5 * all.columns; i++) assert_true(isfinite(all.data[i]));
    assert_memory_equal(last.data, all.data + 4 * all.columns, all.columns * sizeof *all.data);

    cJSON *json =
        output_json(GENERATE("--ids", "71,72,500,33,1000", "--temp", "0", "-n", "1", "--ignore-eos", "--json"));
    assert_int_equal(cJSON_GetArrayItem(json_member(json, "ids"), 0)->valueint, argmax(last.data, last.columns));
    cJSON_Delete(json);
    free(all.data);
    free(last.data);
    assert_sentence(RUN("logits", "-m", TALES, "-p", "a", "-o", "no/such/place.npy"), 1, "no/such/place.npy");
    assert_sentence(RUN("logits", "-m", TALES, "-p", PROMPT, "-c", "1", "-o", out_path), 1, "context");
}

// The values of one model, exact in every type, in PyTorch's forms and in F64: they all give the same file of logits.
static void test_forms_of_the_weights(void **state)
{
    (void)state;
    static const char *const forms[] = {"metadata", "legacy", "legacy-4", "protocol-4", "protocol-5"};
    struct Bytes first = {0};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char model[512];
        snprintf(model, sizeof model, VKGPT_SOURCE_DIR "/tests/fixtures/torch/%s", forms[i]);
        struct Output o = RUN("logits", "-m", model, "--ids", "1,2,3,7", "-o", out_path);
        assert_status(&o, 0);
        output_free(&o);
        struct Bytes npy = file_read(".", out_path);
        if (!i) first = npy;
        if (!i) continue;
        assert_int_equal(npy.count, first.count);
        assert_memory_equal(npy.data, first.data, npy.count);
        bytes_free(&npy);
    }
    bytes_free(&first);
}

static double row_nll(const float *row, size_t columns, size_t target)
{
    double sum = 0, largest = (double)row[argmax(row, columns)];
    for (size_t i = 0; i < columns; i++) sum += exp((double)row[i] - largest);
    return log(sum) + largest - (double)row[target];
}

static void test_perplexity(void **state)
{
    (void)state;
    struct Matrix m = logits("71,72,500,33,1000", NULL);
    static const size_t targets[] = {72, 500, 33, 1000};
    double nll = 0;
    for (size_t i = 0; i < 4; i++) nll += row_nll(m.data + i * m.columns, m.columns, targets[i]) / 4;
    free(m.data);
    cJSON *json = output_json(RUN("perplexity", "-m", TALES, "--ids", "71,72,500,33,1000", "--json"));
    assert_float_equal(number_of(json, "nll"), nll, 1e-5);
    assert_float_equal(number_of(json, "ppl") / exp(nll), 1, 1e-5);
    assert_int_equal((int)number_of(json, "tokens"), 5);
    cJSON_Delete(json);
    assert_sentence(RUN("perplexity", "-m", TALES, "--ids", "71"), 1, "2 at least");
    assert_sentence(RUN("perplexity", "-m", TALES, "--ids", "71,72", "-c", "16", "--stride", "17"), 1,
                    "above the context of 16");
}

// Windows of 4 over 7 tokens, moving on by 2: 0-4, 2-6, 4-7 (Hugging Face's definition).
static void test_perplexity_windows(void **state)
{
    (void)state;
    static const size_t ids[] = {71, 72, 500, 33, 1000, 9, 250};
    struct Matrix first = logits("71,72,500,33", NULL), second = logits("500,33,1000,9", NULL),
                  third = logits("1000,9,250", NULL);
    double nll = 0;
    for (size_t t = 1; t < 4; t++) nll += row_nll(first.data + (t - 1) * first.columns, first.columns, ids[t]);
    for (size_t t = 4; t < 6; t++) nll += row_nll(second.data + (t - 3) * second.columns, second.columns, ids[t]);
    nll += row_nll(third.data + third.columns, third.columns, ids[6]);
    cJSON *json = output_json(RUN("perplexity", "-m", TALES, "--ids", "71,72,500,33,1000,9,250", "-c", "4", "--json"));
    assert_float_equal(number_of(json, "nll"), nll / 6, 1e-4);
    assert_int_equal((int)number_of(json, "counted"), 6);
    cJSON_Delete(json);

    // windows that do not overlap: 0-4, 4-7
    nll = 0;
    for (size_t t = 1; t < 4; t++) nll += row_nll(first.data + (t - 1) * first.columns, first.columns, ids[t]);
    for (size_t t = 5; t < 7; t++) nll += row_nll(third.data + (t - 5) * third.columns, third.columns, ids[t]);
    json = output_json(
        RUN("perplexity", "-m", TALES, "--ids", "71,72,500,33,1000,9,250", "-c", "4", "--stride", "4", "--json"));
    assert_float_equal(number_of(json, "nll"), nll / 5, 1e-4);
    assert_int_equal((int)number_of(json, "counted"), 5);
    cJSON_Delete(json);
    json = output_json(RUN("perplexity", "-m", TALES, "--ids", "71,72,500,33,1000", "-c", "4", "--stride", "4",
                           "--json")); // one is left over
    assert_int_equal((int)number_of(json, "counted"), 3);
    cJSON_Delete(json);
    free(first.data);
    free(second.data);
    free(third.data);
}

// ------------------------------------------------------------------------------------ devices, bench

static void test_devices(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("devices", "--json"));
    assert_true(length_of(json, "devices") >= 1);
    const cJSON *first = cJSON_GetArrayItem(json_member(json, "devices"), 0);
    assert_true(cJSON_IsTrue(json_member(first, "usable")));
    assert_int_equal((int)number_of(first, "index"), 0);
    char name[256];
    snprintf(name, sizeof name, "%s", text_of(first, "name"));
    cJSON_Delete(json);
    assert_same(GREEDY("-n", "2", "--device", "0"), GREEDY("-n", "2", "--device", name));
    assert_sentence(GREEDY("--device", "no such device"), 1, "no such device");
    assert_sentence(GREEDY("--device", "99"), 1, "99");
    assert_sentence(RUN("devices", "--device", "no such device"), 1, "no such device");
}

// plan opens a device only if one is named, and then uses its limits and memory.
static void test_plan(void **state)
{
    (void)state;
    struct Output o = RUN("plan", "gpt2", "--device", "0", "--json", "--explain");
    assert_status(&o, 0);
    cJSON *plan = cJSON_Parse(o.out), *fit = cJSON_GetObjectItem(plan, "fit");
    assert_non_null(fit);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(fit, "fits")));
    assert_true(cJSON_GetObjectItem(fit, "device_memory")->valuedouble > 1e8);
    const char *source = cJSON_GetObjectItem(fit, "source")->valuestring;
    bool known = strstr(source, "host") || strstr(source, "budget") || strstr(source, "heap");
    if (!known) fail_msg("the memory's source is '%s'", source);
    const cJSON *formula = cJSON_GetObjectItem(cJSON_GetObjectItem(plan, "formulas"), "fit.device_memory");
    assert_true(cJSON_IsString(formula) && strlen(formula->valuestring) > strlen(source));
    cJSON_Delete(plan);
    output_free(&o);

    struct Output usual = RUN("plan", "gpt2", "--json"),
                  given = RUN("plan", "gpt2", "--device", "0", "--device-memory", "100MiB");
    assert_status(&usual, 0);
    assert_null(strstr(usual.out, "\"fit\""));
    assert_status(&given, 0);
    assert_non_null(strstr(given.out, "of 100 MiB (--device-memory): does not fit"));
    assert_non_null(strstr(given.out, "in one allocation"));
    output_free(&usual);
    output_free(&given);
    assert_sentence(RUN("plan", "gpt2", "--device", "no such card"), 1, "no such card");
}

static void test_bench(void **state)
{
    (void)state;
    struct Output o = RUN("bench", "-m", TALES, "-p", "20", "-n", "6", "-d", "3", "-r", "2", "-o", "csv");
    assert_status(&o, 0);
    assert_int_equal(strncmp(o.out, "model,", 6), 0);
    assert_non_null(strstr(o.out, ",test,avg_ts,"));
    static const char *const tests[] = {"\"pp20 @ d3\",", "\"tg6 @ d3\","};
    for (int i = 0; i < 2; i++) {
        const char *test = strstr(o.out, tests[i]);
        assert_non_null(test);
        assert_true(atof(test + strlen(tests[i])) > 0);
    }
    output_free(&o);

    cJSON *json = output_json(RUN("bench", "-m", TALES, "-p", "0", "-n", "4", "-r", "1", "-o", "json"));
    assert_int_equal(cJSON_GetArraySize(json), 1);
    const cJSON *row = cJSON_GetArrayItem(json, 0);
    assert_string_equal(text_of(row, "test"), "tg4");
    assert_true(number_of(row, "avg_ts") > 0);
    assert_true(number_of(row, "gb_per_s") > 0);
    assert_true(number_of(row, "dispatches_per_token") > 0);
    cJSON_Delete(json);
    assert_sentence(RUN("bench", "-m", TALES, "-d", "100000", "-o", "json"), 1, "-d 100000");
    assert_sentence(RUN("bench", "-m", TALES, "-d", "0,256", "-o", "json"), 1,
                    "-d 256 leaves no room in a context of 256");
    assert_sentence(RUN("bench", "-m", TALES, "-d", "0,200", "-p", "0", "-n", "4,57", "-o", "json"), 1,
                    "-n 57 does not fit: the context has room for 56 tokens after a depth of 200");
}

// Every size at every depth, each with the speed that the device's limits allow.
static void test_bench_lists(void **state)
{
    (void)state;
    static const char *const tests[] = {"pp3", "tg1", "tg2", "pp3 @ d5", "tg1 @ d5", "tg2 @ d5"};
    cJSON *json =
        output_json(RUN("bench", "-m", TALES, "-p", "3,0", "-n", "1", "-n", "2", "-d", "0,5", "-r", "1", "-o", "json"));
    assert_int_equal(cJSON_GetArraySize(json), 6);
    for (int i = 0; i < 6; i++) {
        const cJSON *row = cJSON_GetArrayItem(json, i);
        assert_string_equal(text_of(row, "test"), tests[i]);
        assert_int_equal((int)number_of(row, "depth"), i < 3 ? 0 : 5);
        assert_int_equal((int)number_of(row, "tokens"), tests[i][2] - '0');
        assert_float_equal(number_of(row, "ms_per_token") * number_of(row, "avg_ts"), 1e3, 1);
        assert_true(number_of(row, "copy_gb_per_s") > 0);
        assert_true(number_of(row, "dispatch_us") >= 0);
        if (tests[i][0] == 'p') {
            assert_null(cJSON_GetObjectItem(row, "limit_tokens_per_s"));
            continue;
        }
        double weights = number_of(row, "gb_per_s") / number_of(row, "avg_ts"), copy = number_of(row, "copy_gb_per_s");
        double cache =
            2 * 6 * 256 * 2 * (number_of(row, "depth") + (number_of(row, "tokens") + 1) / 2) * 1e-9; // K and V in f16
        double floor =
            (weights + cache) / copy + number_of(row, "dispatch_us") * 1e-6 * number_of(row, "dispatches_per_token");
        double limit = number_of(row, "limit_tokens_per_s");
        assert_float_equal(limit * floor, 1, 1e-6);
        assert_float_equal(number_of(row, "share_of_limit") * limit / number_of(row, "avg_ts"), 1, 1e-6);
        assert_float_equal(number_of(row, "limit_ms_per_token") * limit, 1e3, 1);
        assert_true(number_of(row, "busy_share") > 0);
    }
    cJSON_Delete(json);
}

static void test_bench_profile(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("bench", "-m", TALES, "-p", "4", "-n", "3", "-r", "1", "--profile", "-o", "json"));
    for (int i = 0; i < 2; i++) {
        const cJSON *profile = json_member(cJSON_GetArrayItem(json, i), "profile"),
                    *kernels = json_member(profile, "kernels"), *kernel;
        double share = 0, us = 0;
        cJSON_ArrayForEach(kernel, kernels)
        {
            share += number_of(kernel, "share_of_time");
            us += number_of(kernel, "us_per_token");
        }
        assert_int_equal((int)number_of(profile, "rows"), i ? 1 : 4);
        assert_true(number_of(profile, "flops") > 1e6);
        assert_float_equal(number_of(profile, "flops_done") / number_of(profile, "flops") - 1,
                           number_of(profile, "padding"), 1e-9);
        assert_int_equal((int)number_of(profile, "position"), i ? 1 : 3);
        assert_true(cJSON_GetArraySize(kernels) >= 6);
        assert_float_equal(share, 1, 1e-6);
        assert_float_equal(us / number_of(profile, "us_per_token"), 1, 1e-6);
        double plain = number_of(profile, "us_per_token_unprofiled"), rows = number_of(profile, "rows"),
               dispatches = number_of(profile, "dispatches");
        double cost = us > plain ? (us - plain) * rows / dispatches : 0;
        assert_true(plain > 0);
        assert_float_equal(number_of(profile, "us_per_dispatch_of_profiling"), cost, 1e-3 + 1e-6 * us);
    }
    cJSON_Delete(json);

    struct Output o = RUN("bench", "-m", TALES, "-p", "0", "-n", "2", "-r", "1", "--profile", "-v");
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, "tg2: one token at position 1\n"));
    assert_non_null(strstr(o.out, "| qkv | qkv"));
    assert_non_null(strstr(o.out, "\nWithout a timestamp after each dispatch: "));
    assert_non_null(strstr(o.out, "limits of the device: a large copy"));
    assert_non_null(strstr(o.err, "busy "));
    output_free(&o);
    setenv("VKGPT_DISABLE", "timestamps", 1);
    assert_sentence(RUN("bench", "-m", TALES, "-p", "0", "-n", "2", "--profile", "-o", "json"), 1, "no timestamps");
    unsetenv("VKGPT_DISABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_repeats),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_echo_and_ids),
        cmocka_unit_test(test_stop_string),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_empty_prompt),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test_setup_teardown(test_logits, make_names, drop_files),
        cmocka_unit_test_setup_teardown(test_forms_of_the_weights, make_names, drop_files),
        cmocka_unit_test_setup_teardown(test_perplexity, make_names, drop_files),
        cmocka_unit_test_setup_teardown(test_perplexity_windows, make_names, drop_files),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_bench),
        cmocka_unit_test(test_bench_lists),
        cmocka_unit_test(test_bench_profile),
    };
    return cmocka_run_group_tests_name("gpu_cli", tests, NULL, NULL);
}
