// The program without a device: usage, help, and the two commands of the tokenizer.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include "cli/commands.h"
#include "program.h"

#include <cmocka.h> // last: its fail is a macro, ours a function

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define MISSING VKGPT_SOURCE_DIR "/no/such/place"

// A file under the name of the test's process, removed by file_drop.
static void file_make(char *path, size_t size, const char *data, size_t bytes)
{
    snprintf(path, size, "test_cli.%ld.tmp", (long)getpid());
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

// ------------------------------------------------------------------------------------------------ usage

static void test_no_command(void **state)
{
    (void)state;
    struct Output o = program_run(NULL, 0, (const char *const[]){NULL});
    assert_status(&o, 2);
    assert_non_null(strstr(o.err, "usage: vkgpt COMMAND"));
    assert_int_equal(o.out_bytes, 0);
    output_free(&o);
    assert_sentence(RUN("sing"), 2, "no command 'sing'");
}

static void test_wrong_flags(void **state)
{
    (void)state;
    assert_sentence(RUN("generate", "--tempo", "1"), 2, "no flag --tempo");
    assert_sentence(RUN("generate", "--stride", "1"), 2, "--stride is a flag of other commands");
    assert_sentence(RUN("tokenize", "-n", "1"), 2, "-n is a flag of other commands");
    assert_sentence(RUN("generate", "hello", "you"), 2, "'you' belongs to no flag");
    assert_sentence(RUN("perplexity", "hello"), 2, "'hello' belongs to no flag");
    assert_sentence(RUN("generate", "-p"), 2, "-p needs a value: TEXT");
    assert_sentence(RUN("generate", "--echo=1"), 2, "--echo takes no value");
    assert_sentence(RUN("generate", "-p", "a", "-f", "b"), 2, "given twice");
    assert_sentence(RUN("generate", "-p", "a", "--ids", "1"), 2, "given twice");
    assert_sentence(RUN("generate", "-p", "a", "-r", ""), 2, "-r needs a text");
    assert_sentence(RUN("logits", "-p", "a"), 2, "-o OUT.npy");
    assert_sentence(RUN("logits", "-o", "x.npy"), 2, "no text is given");
    assert_sentence(RUN("perplexity"), 2, "no text is given");
    assert_sentence(RUN("detokenize"), 2, "detokenize needs ids");
    assert_sentence(RUN("quality", "-p", "a"), 2, "-p is a flag of other commands");
    assert_sentence(RUN("classify"), 2, "no text is given");
    assert_sentence(RUN("classify", "-p", "a", "--delimiter", "b"), 2, "--delimiter is a flag of other commands");
    assert_sentence(RUN("classify", "-m", MISSING, "-p", "a"), 1, MISSING);
    assert_sentence(RUN("entail", "--premise", "a"), 2, "entail needs --premise TEXT and --hypothesis TEXT");
    assert_sentence(RUN("similar", "a"), 2, "similar needs two texts");
    assert_sentence(RUN("similar", "a", "b", "c"), 2, "'c' belongs to no flag");
    assert_sentence(RUN("choose", "-p", "a", "--answer", "b"), 2, "choose needs two answers or more");
    assert_sentence(RUN("choose", "--answer", "a", "--answer", "b"), 2, "no text is given");
    assert_sentence(RUN("choose", "-p", "a", "--answer", ""), 2, "--answer needs a text that is not empty");
    assert_sentence(RUN("bench", "-p", "0", "-n", "0"), 2, "nothing to measure");
    assert_sentence(RUN("bench", "-p", "0,0", "-n", "0"), 2, "nothing to measure");
    assert_sentence(RUN("bench", "--profile", "-o", "csv"), 2, "md or json, not as csv");
    assert_sentence(RUN("make-model"), 2, "make-model needs a preset: gpt2, gpt2-medium");
    assert_sentence(RUN("make-model", "gpt2"), 2, "-o DIR");
    assert_sentence(RUN("make-model", "gpt4", "-o", "x"), 2, "no preset 'gpt4'");
    assert_sentence(RUN("make-model", "gpt2", "gpt3-125m", "-o", "x"), 2, "'gpt3-125m' belongs to no flag");
    assert_sentence(RUN("make-model", "gpt2", "-o", "x", "--heads", "5"), 2, "768 is not a multiple of 5 heads");
    assert_sentence(RUN("make-model", "gpt2", "-o", "x", "--layers", "0"), 2, "--layers is 0");
    assert_sentence(RUN("make-model", "gpt2", "-o", "x", "--layers", "1", "-m", MISSING), 1, MISSING);
    assert_sentence(RUN("help", "sing"), 2, "help takes a command");
    assert_sentence(RUN("help", "--completions", "csh"), 2, "bash|zsh|fish");
}

static void test_values_out_of_range(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"-n", "abc", "whole number, not 'abc'"},
        {"-n", "", "whole number, not ''"},
        {"-n", "1.5", "whole number, not '1.5'"},
        {"-n", " 5", "whole number, not ' 5'"},
        {"-n", "5x", "whole number, not '5x'"},
        {"-n", "0x10", "whole number, not '0x10'"},
        {"-n", "-2", "between -1 and 2147483647"},
        {"-n", "99999999999999999999", "-n is 99999999999999999999, it has to lie"},
        {"-c", "-1", "-c is -1"},
        {"--submit", "33", "between 0 and 32"},
        {"--seed", "-2", "--seed is -2"},
        {"--temp", "warm", "number, not 'warm'"},
        {"--temp", "nan", "number, not 'nan'"},
        {"--temp", "inf", "--temp is inf"},
        {"--temp", "1e999", "--temp is 1e999"},
        {"--temp", "-0.1", "--temp is -0.1, it has to lie between 0 and 1000"},
        {"--top-p", "1.01", "between 0 and 1"},
        {"--min-p", "-1", "between 0 and 1"},
        {"--repeat-penalty", "0", "between 0.001 and 1000"},
        {"--weights", "f64", "one of auto|f32|f16|q8_0"},
        {"--weights", "f3", "one of auto|f32|f16|q8_0"},
        {"--kv", "", "one of auto|f32|f16|q8_0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_sentence(RUN("generate", "-p", "a", cases[i][0], cases[i][1]), 2, cases[i][2]);
    assert_sentence(RUN("generate", "-p", "a", "--top-k=x"), 2, "--top-k takes a whole number, not 'x'");
    assert_sentence(RUN("bench", "-r", "0"), 2, "-r is 0");
    static const char *const lists[][2] = {
        {"", "whole number, not ''"},
        {"1,", "whole number, not ''"},
        {",1", "whole number, not ''"},
        {"1,,2", "whole number, not ''"},
        {"1, 2", "whole number, not ' 2'"},
        {"1,x", "whole number, not 'x'"},
        {"1,-1", "-d is -1, it has to lie between 0 and 2147483647"},
        {"1,0000000000000000000000000000000000000000x", "whole numbers with commas"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        assert_sentence(RUN("bench", "-d", lists[i][0]), 2, lists[i][1]);
    char many[2 * 257 + 1];
    for (size_t i = 0; i < sizeof many; i++) many[i] = i % 2 ? ',' : '1';
    many[sizeof many - 2] = 0;
    assert_sentence(RUN("bench", "-d", many), 2, "-d takes 256 values at most");
    assert_sentence(RUN("bench", "-o", "xml"), 2, "md|csv|json");
    assert_sentence(RUN("perplexity", "-f", "a", "--stride", "0"), 2, "--stride is 0");
}

static void test_help(void **state)
{
    (void)state;
    for (const struct Command *c = COMMANDS; c->name; c++) {
        struct Output o = RUN(c->name, "--help"), by_help = RUN("help", c->name),
                      wrong = RUN(c->name, "-h", "--no-such-flag");
        assert_status(&o, 0);
        assert_non_null(strstr(o.out, "usage: vkgpt "));
        assert_non_null(strstr(o.out, "example:\n  vkgpt "));
        assert_non_null(strstr(o.out, "-m, --model DIR"));
        assert_non_null(strstr(o.out, "--device"));
        assert_non_null(strstr(o.out, "-v, --verbose"));
        assert_int_equal(o.err_bytes, 0);
        assert_string_equal(o.out, by_help.out);
        assert_string_equal(o.out, wrong.out);
        output_free(&o);
        output_free(&by_help);
        output_free(&wrong);
    }
    struct Output o = RUN("--help");
    assert_status(&o, 0);
    for (const struct Command *c = COMMANDS; c->name; c++) assert_non_null(strstr(o.out, c->name));
    output_free(&o);
}

static void test_version(void **state)
{
    (void)state;
    struct Output o = RUN("--version");
    assert_status(&o, 0);
    assert_int_equal(strncmp(o.out, "vkgpt 0.1.0, Vulkan headers 1.", 30), 0);
    output_free(&o);
}

static void test_manual(void **state)
{
    (void)state;
    struct Output o = RUN("help", "--man");
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, ".TH VKGPT 1"));
    assert_non_null(strstr(o.out, "\\-\\-repeat\\-penalty"));
    output_free(&o);
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (int i = 0; i < 3; i++) {
        o = RUN("help", "--completions", shells[i]);
        assert_status(&o, 0);
        for (const struct Command *c = COMMANDS; c->name; c++) assert_non_null(strstr(o.out, c->name));
        output_free(&o);
    }
}

// --------------------------------------------------------------------------------------------- tokenizer

// The ids of a text, as `tokenize` prints them.
static struct Output tokenize(const char *text, size_t bytes)
{
    struct Output o = program_run(text, bytes, (const char *const[]){"tokenize", "-m", TALES, NULL});
    assert_status(&o, 0);
    assert_true(o.out_bytes > 0 && o.out[o.out_bytes - 1] == '\n');
    return o;
}

static void assert_round_trip(const char *text, size_t bytes)
{
    struct Output ids = tokenize(text, bytes);
    struct Output back = RUN("detokenize", "-m", TALES, "--ids", ids.out);
    assert_status(&back, 0);
    assert_int_equal(back.out_bytes, bytes);
    assert_memory_equal(back.out, text, bytes);
    output_free(&ids);
    output_free(&back);
}

static void test_round_trip(void **state)
{
    (void)state;
    assert_round_trip("Once upon a time", 16);
    assert_round_trip("  two\n\n lines \t\n", 16);
    assert_round_trip("na\xC3\xAFve \xED\x95\x9C\xEA\xB8\x80 \xF0\x9F\x90\x88", 18);
    assert_round_trip("nul \0 byte", 10);
    assert_round_trip("broken \xC3( \xFF\xFE \xE2\x82", 14);
    assert_round_trip("<|endoftext|>", 13);
    assert_round_trip("", 0);
}

static void test_special_tokens(void **state)
{
    (void)state;
    struct Output o = RUN("tokenize", "-m", TALES, "-p", "<|endoftext|>");
    assert_string_equal(o.out, "4095\n");
    output_free(&o);
    o = RUN("tokenize", "-m", TALES, "-p", "<|endoftext|>", "--no-special");
    assert_status(&o, 0);
    assert_string_not_equal(o.out, "4095\n");
    output_free(&o);
}

static void test_text_sources(void **state)
{
    (void)state;
    char path[64];
    file_make(path, sizeof path, "a line\n", 7);
    struct Output file = RUN("tokenize", "-m", TALES, "-f", path), piped = tokenize("a line\n", 7);
    struct Output literal = RUN("tokenize", "-m", TALES, "-p", "a line\\n"),
                  escaped = RUN("tokenize", "-m", TALES, "-e", "-p", "a line\\n");
    assert_string_equal(file.out, piped.out);
    assert_string_equal(file.out, escaped.out);
    assert_string_not_equal(file.out, literal.out);
    output_free(&file);
    output_free(&piped);
    output_free(&literal);
    output_free(&escaped);
    remove(path);

    assert_sentence(RUN("tokenize", "-m", TALES, "-f", MISSING), 1, MISSING);
    assert_sentence(RUN("tokenize", "-m", TALES, "-f", TALES), 1, "is a directory");
}

static void test_tokenize_json(void **state)
{
    (void)state;
    struct Output plain = tokenize("Once upon\xFF", 10);
    struct Output o = program_run("Once upon\xFF", 10, (const char *const[]){"tokenize", "-m", TALES, "--json", NULL});
    assert_status(&o, 0);
    cJSON *json = cJSON_Parse(o.out);
    assert_non_null(json);
    const cJSON *ids = cJSON_GetObjectItem(json, "ids"), *tokens = cJSON_GetObjectItem(json, "tokens");
    int count = cJSON_GetArraySize(ids);
    assert_true(count > 2);
    assert_int_equal(cJSON_GetArraySize(tokens), count);
    assert_int_equal(cJSON_GetArrayItem(ids, 0)->valueint, atoi(plain.out));
    assert_string_equal(cJSON_GetArrayItem(tokens, count - 1)->valuestring, "\xEF\xBF\xBD");
    cJSON_Delete(json);
    output_free(&o);
    output_free(&plain);
}

static void test_ids(void **state)
{
    (void)state;
    char path[64];
    static const char mixed[] = "72,101\n 108\t,108,\r\n111 ";
    file_make(path, sizeof path, mixed, sizeof mixed - 1);
    struct Output file = RUN("detokenize", "-m", TALES, "--ids-file", path),
                  flag = RUN("detokenize", "-m", TALES, "--ids=72,101,108,108,111");
    assert_status(&file, 0);
    assert_status(&flag, 0);
    assert_true(flag.out_bytes >= 5);
    assert_string_equal(file.out, flag.out);
    output_free(&file);
    output_free(&flag);

    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "1,4096"), 1, "id 4096 is outside the vocabulary of 4096");
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "-1"), 1, "id -1 is outside");
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "99999999999999999999999"), 1,
                    "id 99999999999999999999999 is outside");
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "1,two"), 2, "'two' is not a token id");
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "1;2"), 2, "'1;2' is not a token id");
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids", "1.5"), 2, "'1.5' is not a token id");
    file_make(path, sizeof path, "1 2 x", 5);
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids-file", path), 1, "'x' is not a token id");
    remove(path);
    assert_sentence(RUN("detokenize", "-m", TALES, "--ids-file", MISSING), 1, MISSING);
}

static void test_model_places(void **state)
{
    (void)state;
    assert_sentence(RUN("tokenize", "-m", MISSING, "-p", "a"), 1, MISSING);
    struct Output given = RUN("tokenize", "-m", TALES, "-p", "a b"), found = RUN("tokenize", "-p", "a b");
    assert_status(&found, 0);
    assert_string_equal(given.out, found.out);
    output_free(&given);
    output_free(&found);
    setenv("VKGPT_MODEL", MISSING, 1);
    assert_sentence(RUN("tokenize", "-p", "a"), 1, MISSING);
    unsetenv("VKGPT_MODEL");
}

// --------------------------------------------------------------------------------------------- no driver

static void test_no_driver(void **state)
{
    (void)state;
    assert_sentence(RUN("generate", "-m", TALES, "-p", "a"), 1, "Vulkan");
    assert_sentence(RUN("devices"), 1, "Vulkan");
    assert_sentence(RUN("selftest"), 1, "Vulkan");
    assert_sentence(RUN("bench", "-m", TALES), 1, "Vulkan");
    assert_sentence(RUN("logits", "-m", TALES, "-p", "a", "-o", "no_driver.npy"), 1, "Vulkan");
    assert_int_not_equal(access("no_driver.npy", F_OK), 0);
}

// A driver that is installed but does not load is not "no driver": the sentence names its manifest and quotes the
// loader.
static void with_manifest(const char *name, const char *library, const char *wanted, bool nvidia)
{
    char path[300], old[300];
    snprintf(path, sizeof path, "%s", name);
    snprintf(old, sizeof old, "%s", getenv("VK_DRIVER_FILES"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"%s\", \"api_version\": \"1.3.0\"}}\n",
            library);
    fclose(file);
    setenv("VK_DRIVER_FILES", path, 1);
    setenv("VK_ICD_FILENAMES", path, 1);
    struct Output o = RUN("devices");
    setenv("VK_DRIVER_FILES", old, 1);
    setenv("VK_ICD_FILENAMES", old, 1);
    unlink(path);
    assert_int_equal(o.status, 1);
    assert_null(strstr(o.err, "no Vulkan driver is installed"));
    assert_non_null(strstr(o.err, path));
    assert_non_null(strstr(o.err, library));
    assert_non_null(strstr(o.err, wanted));
    assert_true((strstr(o.err, "libegl1 libgl1 libglx0 libgles2 libopengl0 libglvnd0 libvulkan1") != NULL) == nvidia);
    assert_true(strchr(o.err, '\n') == o.err + strlen(o.err) - 1); // one sentence
    output_free(&o);
}

static void test_driver_that_does_not_load(void **state)
{
    (void)state;
    with_manifest("missing_icd.json", "libno_such_driver.so.1",
                  "libno_such_driver.so.1: cannot open shared object file", false);
    with_manifest("nvidia_icd.json", "libGLX_nvidia_missing.so.0", "cannot open shared object file", true);
    with_manifest("libm_icd.json", "libm.so.6", "vk_icdGetInstanceProcAddr", false);
    assert_sentence(RUN("devices"), 1, "no Vulkan driver is installed");
}

int main(void)
{
    // whatever opens a device here fails
    setenv("VK_DRIVER_FILES", MISSING, 1);
    setenv("VK_ICD_FILENAMES", MISSING, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_command),     cmocka_unit_test(test_driver_that_does_not_load),
        cmocka_unit_test(test_wrong_flags),    cmocka_unit_test(test_values_out_of_range),
        cmocka_unit_test(test_help),           cmocka_unit_test(test_version),
        cmocka_unit_test(test_manual),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_text_sources),
        cmocka_unit_test(test_tokenize_json),  cmocka_unit_test(test_ids),
        cmocka_unit_test(test_model_places),   cmocka_unit_test(test_no_driver),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
