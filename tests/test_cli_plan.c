// plan and make-model as a user runs them, without a device.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define MISSING VKGPT_SOURCE_DIR "/no/such/place"

static double number(const cJSON *json, const char *section, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(json, section), key);
    if (!cJSON_IsNumber(item)) fail_msg("%s.%s is not a number", section, key);
    return item->valuedouble;
}

static void assert_says(struct Output o, const char *const *parts)
{
    assert_status(&o, 0);
    for (; *parts; parts++)
        if (!strstr(o.out, *parts)) fail_msg("'%s' is not in\n%s", *parts, o.out);
    output_free(&o);
}

#define SAYS(...)                                                                                                      \
    (const char *const[]) { __VA_ARGS__, NULL }

static void test_papers(void **state)
{
    (void)state;
    assert_says(RUN("plan", "gpt2"), SAYS("124,439,808", " 498 MB", " 249 MB"));
    assert_says(RUN("plan", "-m", "gpt3-175b", "--price", "1.5"),
                SAYS("174,600,720,384", "698 GB", "3.14e+23", "355.7", "4.68e+06"));
    assert_says(RUN("plan", "gpt3-1.3b"), SAYS("24 heads of 128", "16 heads of 128", "256, as GPT-Neo"));
    assert_says(RUN("plan", "gpt3-13b"), SAYS("width of 5140", "12,850M"));
    assert_says(RUN("plan", "gpt3-175b", "--explain"),
                SAYS("= 6 x parameters x tokens (GPT-3 paper, appendix D)", "= 2 x 96 layers x 1 sequence x 96 heads"));
}

static void test_json(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("plan", "gpt2-xl", "--weights", "f32", "--kv", "f32", "-c", "100", "--batch", "3",
                                  "--bandwidth", "1TB/s", "--json", "--explain"));
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "model"), "name")->valuestring, "gpt2-xl");
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "model"), "weights")->valuestring, "f32");
    assert_true(number(json, "model", "parameters") == 1557611200);
    assert_true(number(json, "model", "heads") == 25);
    assert_true(number(json, "memory", "cache") == 2.0 * 48 * 3 * 100 * 1600 * 4);
    assert_true(number(json, "heaps", "device") > 4.0 * 1557611200);
    assert_true(fabs(number(json, "inference", "least_ms") - number(json, "inference", "weights_read") * 1e-9) < 1e-9);
    const char *keys[] = {"memory.cache", "training.flops", "inference.least_ms"};
    for (int i = 0; i < 3; i++)
        assert_true(cJSON_IsString(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "formulas"), keys[i])));
    assert_null(cJSON_GetObjectItem(json, "fit"));
    cJSON_Delete(json);
}

static void test_fit(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("plan", "gpt2", "--device-memory", "1GiB", "--json"));
    const cJSON *fit = cJSON_GetObjectItem(json, "fit");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(fit, "fits")));
    assert_true(number(json, "fit", "device_memory") == 1 << 30);
    assert_string_equal(cJSON_GetObjectItem(fit, "source")->valuestring, "--device-memory");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(fit, "advice")), 0);
    cJSON_Delete(json);
    json = output_json(RUN("plan", "gpt3-175b", "--device-memory", "80GiB", "--json"));
    fit = cJSON_GetObjectItem(json, "fit");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(fit, "fits")));
    const cJSON *advice = cJSON_GetArrayItem(cJSON_GetObjectItem(fit, "advice"), 0);
    assert_string_equal(cJSON_GetObjectItem(advice, "flags")->valuestring, "--devices-per-machine 5");
    assert_true(number(json, "fit", "least_devices") == 5);
    assert_true(cJSON_GetObjectItem(advice, "needed")->valuedouble <= 80.0 * (1 << 30));
    cJSON_Delete(json);
    assert_says(RUN("plan", "gpt3-175b", "--device-memory", "80GiB"),
                SAYS("of 80.0 GiB (--device-memory): does not fit", "--devices-per-machine 5", "that fits: 5"));
    assert_says(RUN("plan", "gpt3-175b", "--device-memory", "80GiB", "--devices-per-machine", "5"),
                SAYS(": fits (each device)", "that fits: 5"));
}

// The times of a chain follow from the numbers that the plan prints.
static void test_chain(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("plan", "gpt3-175b", "--machines", "2", "--devices-per-machine", "4",
                                  "--device-memory", "80GiB", "--bandwidth", "3.3TB/s", "--link", "50GB/s", "--latency",
                                  "5us", "--dispatch", "0us", "--flops", "1e30", "--parallel", "16", "--json"));
    const cJSON *stages = cJSON_GetObjectItem(json, "stages"), *stage;
    double sum = 0, slowest = 0, layers = 0, place = 0, transfer = 5e-3 + 4.0 * 12288 / 50e9 * 1e3;
    assert_int_equal(cJSON_GetArraySize(stages), 8);
    cJSON_ArrayForEach(stage, stages)
    {
        double ms = cJSON_GetObjectItem(stage, "ms")->valuedouble;
        sum += ms, slowest = fmax(slowest, ms);
        assert_true(cJSON_GetObjectItem(stage, "machine")->valuedouble == floor(place++ / 4) + 1);
        assert_true(cJSON_GetObjectItem(stage, "first")->valuedouble == layers);
        layers = cJSON_GetObjectItem(stage, "end")->valuedouble;
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(stage, "fits")));
        assert_true(cJSON_GetObjectItem(stage, "weights")->valuedouble > 43e9);
        assert_true(cJSON_GetObjectItem(stage, "needed")->valuedouble <= number(json, "heaps", "device"));
    }
    assert_true(layers == 96);
    assert_true(fabs(number(json, "time", "transfers_ms") - (7 * transfer + 5e-3)) < 1e-9);
    assert_true(fabs(number(json, "time", "ms") - (sum + 7 * transfer + 5e-3)) < 1e-6);
    assert_true(number(json, "time", "micro_batches") == 8);
    assert_true(fabs(number(json, "time", "streams_ms") - 8 * slowest) < 1e-6); // each stage always works
    assert_true(fabs(number(json, "time", "tokens_per_s") - 16 / (8e-3 * slowest)) < 1e-6);
    assert_true(number(json, "time", "bubble") == 0);
    assert_true(number(json, "time", "ms_full") > number(json, "time", "ms"));
    cJSON_Delete(json);
    json =
        output_json(RUN("plan", "gpt3-175b", "--devices-per-machine", "8", "--parallel", "16", "--micro-batches", "1",
                        "--json")); // the stages work one after another
    assert_in_range((int)number(json, "time", "bubble"), 85, 88);
    cJSON_Delete(json);
    json = output_json(RUN("plan", "gpt2", "--machines", "3", "--devices-per-machine", "8", "--json"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "stages")), 12);
    const cJSON *note = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "notes"), 0);
    assert_string_equal(note->valuestring, "12 of the 24 devices stay idle: the model has 12 layers to cut over them");
    cJSON_Delete(json);
    assert_says(RUN("plan", "gpt3-175b", "--machines", "2", "--devices-per-machine", "2", "--device-memory", "80GiB"),
                SAYS("does not fit\n           2-3", "  does not fit\n", "--machines 3 ", "that fits: 5"));
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bytes;
    } sizes[] = {{"1000000", 1e6}, {"80GiB", 80 * 0x1p30}, {"24GB", 24e9},
                 {"0.5TB", 5e11},  {"1.5KiB", 1536},       {"2e3B", 2000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cJSON *json = output_json(RUN("plan", "gpt2", "--json", "--device-memory", sizes[i].text));
        assert_true(number(json, "fit", "device_memory") == sizes[i].bytes);
        cJSON_Delete(json);
    }
    static const char *const wrong[] = {"",    "GiB",   "80G", "80gib", "80 GiB", "x",
                                        "nan", "8GiBs", "0x",  " 8GB",  "8GB/h",  "7MB/s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_sentence(RUN("plan", "gpt2", "--device-memory", wrong[i]), 2, "takes bytes with a unit of KB, ");
    static const char *const no_speeds[] = {"0", "-1GiB/s", "0.1", "1e99GB/s", "inf"};
    for (size_t i = 0; i < sizeof no_speeds / sizeof *no_speeds; i++)
        assert_sentence(RUN("plan", "gpt2", "--bandwidth", no_speeds[i]), 2, "has to lie between");
    static const char *const no_rates[] = {"", "GB/s", "3.3TB", "3.3TB/S", "3.3 TB/s", "3.3tb/s", "3.3T/s"};
    for (size_t i = 0; i < sizeof no_rates / sizeof *no_rates; i++) {
        assert_sentence(RUN("plan", "gpt2", "--bandwidth", no_rates[i]), 2, "takes bytes with a unit of KB/s, ");
        assert_sentence(RUN("plan", "gpt2", "--link", no_rates[i]), 2, "takes bytes with a unit of KB/s, ");
    }
    static const char *const no_times[] = {"", "us", "5", "5US", "5 us", "5m", "nanus", "5us/s"};
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++) {
        assert_sentence(RUN("plan", "gpt2", "--latency", no_times[i]), 2,
                        "takes a time with a unit of ns, us, ms or s, not");
        assert_sentence(RUN("plan", "gpt2", "--dispatch", no_times[i]), 2,
                        "takes a time with a unit of ns, us, ms or s, not");
    }
    assert_sentence(RUN("plan", "gpt2", "--latency", "-5us"), 2,
                    "--latency is -5us, it has to lie between 0 and 3600 s");
    assert_sentence(RUN("plan", "gpt2", "--dispatch", "3601s"), 2, "--dispatch is 3601s");
    static const char *const range[] = {"0", "-1GiB", "0.1", "1e99GB", "inf"};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        assert_sentence(RUN("plan", "gpt2", "--device-memory", range[i]), 2, "has to lie between");
    }
}

static void test_bad_values(void **state)
{
    (void)state;
    assert_sentence(RUN("plan", "gpt2", "--device", "0"), 1, "Vulkan"); // there is no device, which matters only here
    assert_sentence(RUN("plan", "gpt4"), 1, "there is no preset 'gpt4'; there are gpt2, ");
    assert_sentence(RUN("plan", "-m", MISSING), 1, MISSING);
    assert_sentence(RUN("plan", "gpt2", "-m", "gpt2"), 2, "not both");
    assert_sentence(RUN("plan", "gpt2", "gpt3"), 2, "'gpt3' belongs to no flag");
    struct Output all = RUN("plan", "gpt2"), more = RUN("plan", "gpt2", "-c", "1025");
    assert_status(&more, 0);
    assert_string_equal(all.out, more.out);
    assert_string_equal(more.err, "vkgpt: -c 1025: the model has 1024 positions, and all of them are taken\n");
    output_free(&all);
    output_free(&more);
    assert_sentence(RUN("plan", "gpt2", "-c", "-1"), 2, "-c is -1");
    assert_sentence(RUN("plan", "gpt2", "--devices", "2"), 2, "--machines N and --devices-per-machine N say how many");
    assert_sentence(RUN("plan", "gpt2", "--devices-per-machine", "0"), 2, "--devices-per-machine is 0");
    assert_sentence(RUN("plan", "gpt2", "--machines", "4097"), 2, "--machines is 4097");
    assert_sentence(RUN("plan", "gpt2", "--batch", "0"), 2, "--batch is 0");
    assert_sentence(RUN("plan", "gpt2", "--batch", "99999999999999999999"), 2, "--batch is 9999");
    assert_sentence(RUN("plan", "gpt2", "--tokens", "0"), 2, "--tokens is 0");
    assert_sentence(RUN("plan", "gpt2", "--flops", "-1"), 2, "--flops is -1");
    assert_sentence(RUN("plan", "gpt2", "--flops", "nan"), 2, "--flops takes a number");
    assert_sentence(RUN("plan", "gpt2", "--price", "1e99"), 2, "--price is 1e99");
    assert_sentence(RUN("plan", "gpt2", "--weights", "q5_0"), 2, "one of auto|f32|f16|q8_0|q4_0|q4_k");
    assert_sentence(RUN("plan", "gpt2", "--kv", "q4_0"), 2, "one of auto|f32|f16|q8_0");
}

static void test_directories(void **state)
{
    (void)state;
    cJSON *given = output_json(RUN("plan", "-m", TALES, "--json")), *found = output_json(RUN("plan", "--json"));
    assert_true(number(given, "model", "parameters") == number(found, "model", "parameters"));
    cJSON_Delete(given);
    cJSON_Delete(found);

    char dir[DIR_BYTES], path[2 * DIR_BYTES], model[DIR_BYTES + 32];
    dir_make(dir);
    snprintf(path, sizeof path, "%s/config.json", dir); // that alone is enough
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"model_type\": \"gpt2\", \"n_layer\": 16777216}", file);
    fclose(file);
    assert_sentence(RUN("plan", "-m", dir), 1, "n_layer is 16777216");
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(
        "{\"model_type\": \"gpt2\", \"n_layer\": 4096, \"n_embd\": 1048576, \"n_head\": 1, \"n_inner\": 16777216, \"vocab_size\": 16777216}",
        file);
    fclose(file);
    cJSON *vast = output_json(RUN("plan", "-m", dir, "--batch", "65536", "--json"));
    assert_true(number(vast, "model", "parameters") > 1e17);
    assert_true(number(vast, "heaps", "device") > 2e17);
    assert_true(number(vast, "memory", "cache") == 2.0 * 4096 * 65536 * 1024 * 1048576 * 2);
    cJSON_Delete(vast);
    remove(path);

    snprintf(model, sizeof model, "%s/made", dir); // the files of make-model are read back the same
    assert_says(RUN("make-model", "gpt3-125m", "-o", model, "--layers", "3", "--dim", "48", "--heads", "3", "--dtype",
                    "bf16", "--context", "99"),
                SAYS("2,5", " parameters, 0.01 GB in bf16"));
    cJSON *made = output_json(RUN("plan", "-m", model, "--json"));
    assert_true(number(made, "model", "context") == 99);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(made, "model"), "architecture")->valuestring,
                        "gpt_neo");
    cJSON_Delete(made);
    assert_sentence(RUN("make-model", "gpt2", "-o", model, "--layers", "1", "--dim", "8", "--heads", "1"), 1,
                    "holds a model already (config.json); --force replaces it");
    assert_says(RUN("make-model", "gpt2", "-o", model, "--layers", "1", "--dim", "8", "--heads", "1", "--force"),
                SAYS("parameters"));
    struct Output text = RUN("detokenize", "-m", model, "--ids", "4095,4096,50256"); // each id has a text
    assert_string_equal(text.out, "<|endoftext|> <4096> <50256>");
    output_free(&text);
    struct Output tokens = RUN("tokenize", "-m", model, "-p", "Once upon a time");
    assert_status(&tokens, 0);
    output_free(&tokens);
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.json", "merges.txt"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", model, files[i]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(model), 0);
    dir_remove(dir);
    assert_sentence(RUN("make-model", "gpt2", "-o", TALES), 1, "holds a model already (config.json)");
}

int main(void)
{
    // whatever opens a device here fails
    setenv("VK_DRIVER_FILES", MISSING, 1);
    setenv("VK_ICD_FILENAMES", MISSING, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_papers),      cmocka_unit_test(test_json),  cmocka_unit_test(test_fit),
        cmocka_unit_test(test_chain),       cmocka_unit_test(test_units), cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_directories),
    };
    return cmocka_run_group_tests_name("cli_plan", tests, NULL, NULL);
}
