// Runs every command from its arguments to its output, on a small model: the loop goes over the program's own table,
// and a command without a row here fails the test. The other tests check the numbers. Each command that uses a device
// runs again on one that is lost.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/commands.h"
#include "faults.h"
#include "model_files.h"
#include "program.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

#define MOST 16
#define TALES "-m", VKGPT_SOURCE_DIR "/models/tales"
#define LABELS "-m", VKGPT_SOURCE_DIR "/tests/fixtures/heads/gpt2-labels"
#define CHOICE "-m", VKGPT_SOURCE_DIR "/tests/fixtures/heads/gpt2-choice"
#define EVAL VKGPT_SOURCE_DIR "/tests/fixtures/eval"

static const struct Row {
    const char *name, *arguments[MOST];     // "@x": the path of x in the test's directory
    const char *out;                        // part of stdout; NULL: not checked
    const char *written;                    // the file that the command writes
    const char *program;                    // the other test program that runs it, if it takes too long for this one
    enum { NO_DEVICE, ENDS, GOES_ON } lost; // what a lost device does to the command
    // clang-format off
} ROWS[] = {
    {"generate", {TALES, "-p", "Once", "-n", "2", "--temp", "0", "--json"}, .out = "\"ids\":", .lost = GOES_ON},
    {"chat", .program = "chat.py"},
    {"serve", .program = "serve.py"},
    {"task", {"question", TALES, "-p", "Who?", "-n", "2", "--json"}, .out = "\"task\":", .lost = GOES_ON},
    {"eval", {TALES, "--tasks", "lambada:" EVAL "/lambada.jsonl", "--limit", "1", "--json"}, .out = "\"perplexity\":", .lost = GOES_ON},
    {"score", {TALES, "-p", "Once upon a", "--continuation", " time", "--json"}, .out = "\"logprob\":", .lost = ENDS},
    {"few-shot", {TALES, "--task", "two_digit_addition", "--limit", "1", "-n", "2", "--json"}, .out = "\"curve\":", .lost = ENDS},
    {"logits", {TALES, "--ids", "1,2", "-o", "@logits.npy"}, .written = "logits.npy", .lost = ENDS},
    {"embed", {TALES, "-p", "Once", "-o", "@embed.npy", "--json"}, .out = "\"embedding\":", .written = "embed.npy", .lost = ENDS},
    {"explain", {TALES, "-p", "Once", "-o", "@page.html"}, .written = "page.html", .lost = ENDS},
    {"perplexity", {TALES, "--ids", "1,2,3,4", "--json"}, .out = "\"ppl\":", .lost = ENDS},
    {"quality", {LABELS, "--ids", "1,2,3,4,5,6", "--json"}, .out = "\"weights\":\t\"q4_k\"", .lost = ENDS},
    {"classify", {LABELS, "-p", "A fine film.", "--json"}, .out = "\"label\":", .lost = ENDS},
    {"entail", {LABELS, "--premise", "It rains.", "--hypothesis", "It is wet.", "--json"}, .out = "\"label\":", .lost = ENDS},
    {"similar", {LABELS, "It rains.", "Rain falls.", "--json"}, .out = "\"label\":", .lost = ENDS},
    {"choose", {CHOICE, "-p", "It rains, so", "--answer", " I stay.", "--answer", " I melt.", "--json"}, .out = "\"best\":", .lost = ENDS},
    {"tokenize", {TALES, "-p", "Once upon a time"}, .out = " "},
    {"detokenize", {TALES, "--ids", "2846,814"}, .out = "Once upon"},
    {"devices", {"--json"}, .out = "\"name\":"},
    {"bench", {TALES, "-p", "4", "-n", "2", "-r", "1"}, .out = "| ", .lost = ENDS},
    {"tune", {LABELS, "--dry-run", "--json"}, .out = "\"results\":", .lost = ENDS},
    {"selftest", .program = "test_gpu_cli_selftest.c", .lost = ENDS},
    {"convert", {TALES, "-o", "@tales.gguf", "--type", "q8_0"}, .written = "tales.gguf"},
    {"pull", .program = "hub.py"},
    {"models", {"--json"}, .out = "\"name\":"},
    {"plan", {"gpt2", "--json"}, .out = "\"weights_read\":"},
    {"make-model", {"gpt2", TALES, "-o", "@small", "--layers", "1", "--dim", "8", "--heads", "2"}, .written = "small/model.safetensors"},
};
// clang-format on

static const struct Row *row_of(const char *name)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        if (strcmp(ROWS[i].name, name) == 0) return &ROWS[i];
    fail_msg("%s has no row, and would have no test that runs it", name);
    return NULL;
}

static struct Output output_of(const struct Row *row)
{
    const char *arguments[MOST + 2] = {row->name};
    for (size_t i = 0; i < MOST && row->arguments[i]; i++)
        arguments[i + 1] = row->arguments[i][0] == '@' ? test_path(row->arguments[i] + 1) : row->arguments[i];
    return program_run(NULL, 0, arguments);
}

static void run_row(const struct Row *row)
{
    struct Output o = output_of(row);
    if (o.status) fail_msg("%s: exit status %d: %s", row->name, o.status, o.err);
    if (row->out && !strstr(o.out, row->out)) fail_msg("%s: no '%s' in %s", row->name, row->out, o.out);
    output_free(&o);
    if (!row->written) return;
    struct Bytes file = file_read(test_dir, row->written);
    assert_true(file.count > 128);
    bytes_free(&file);
}

// Checks that the other test program runs the command: ("selftest", ...).
static void check_program(const struct Row *row)
{
    char call[64];
    struct Bytes source = file_read(VKGPT_SOURCE_DIR "/tests", row->program);
    bytes_add(&source, "", 1);
    snprintf(call, sizeof call, "(\"%s\",", row->name);
    if (!strstr((const char *)source.data, call)) fail_msg("%s does not run %s", row->program, row->name);
    bytes_free(&source);
}

static void test_commands(void **state)
{
    (void)state;
    for (const struct Command *command = COMMANDS; command->name; command++) {
        const struct Row *row = row_of(command->name);
        if (row->program) check_program(row);
        else run_row(row);
    }
}

// The second submission is lost: one sentence, or one that says that the command begins again, and its result.
static void lose_device(const struct Row *row)
{
    struct Output o = output_of(row);
    bool goes_on = row->lost == GOES_ON;
    const char *said = strstr(o.err, "device lost"), *again = strstr(o.err, "begins again on a new device");
    if (o.status != (goes_on ? 0 : 1) || !said || strstr(said + 1, "device lost") || (again != NULL) != goes_on)
        fail_msg("%s: exit status %d: %s", row->name, o.status, o.err);
    if (goes_on && !strstr(o.out, row->out)) fail_msg("%s: no '%s' in %s", row->name, row->out, o.out);
    if (row->written && os_exists(test_path(row->written))) fail_msg("%s wrote %s", row->name, row->written);
    output_free(&o);
}

static void test_lost_device(void **state)
{
    (void)state;
    setenv("VK_ADD_LAYER_PATH", VKGPT_FAULTS_DIR, 1);
    setenv("VK_INSTANCE_LAYERS", FAULTS_LAYER, 1);
    setenv("VKGPT_FAULT", "vkQueueSubmit 2 -4", 1);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        if (ROWS[i].lost != NO_DEVICE) lose_device(&ROWS[i]);
    unsetenv("VK_ADD_LAYER_PATH");
    unsetenv("VK_INSTANCE_LAYERS");
    unsetenv("VKGPT_FAULT");
}

// The output of `convert` is a model that runs: both checkpoints give the same tokens.
static void test_convert_runs(void **state)
{
    (void)state;
    struct Output o = RUN("convert", TALES, "-o", test_path("tales.gguf"), "--type", "f16");
    assert_status(&o, 0);
    output_free(&o);
    struct Output whole = RUN("generate", TALES, "-p", "Once upon a", "-n", "8", "--temp", "0");
    struct Output written =
        RUN("generate", "-m", test_path("tales.gguf"), "-p", "Once upon a", "-n", "8", "--temp", "0");
    assert_status(&whole, 0);
    assert_status(&written, 0);
    assert_true(whole.out_bytes > 0);
    assert_string_equal(whole.out, written.out);
    output_free(&whole);
    output_free(&written);
}

// fp32 agrees with itself, and every format has its row.
static void test_quality(void **state)
{
    (void)state;
    cJSON *json = output_json(
        RUN("quality", TALES, "-c", "16", "--ids", "5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22", "--json"));
    static const char *const NAMES[] = {"f32", "f16", "q8_0", "q4_0", "q4_k"};
    const cJSON *formats = json_member(json, "formats");
    assert_int_equal(json_member(json, "counted")->valueint, 16); // 15 of the first window, 1 of the second
    assert_int_equal(cJSON_GetArraySize(formats), 5);
    for (int i = 0; i < 5; i++) {
        const cJSON *row = cJSON_GetArrayItem(formats, i);
        double divergence = json_member(row, "kl")->valuedouble;
        assert_string_equal(json_member(row, "weights")->valuestring, NAMES[i]);
        assert_true(json_member(row, "ppl")->valuedouble > 1);
        assert_true(i ? divergence > -1e-9 && divergence < 1 : divergence == 0);
        assert_true(i || json_member(row, "top1")->valuedouble == 1);
    }
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commands, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_lost_device, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_convert_runs, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_quality),
    };
    return cmocka_run_group_tests_name("gpu_cli_commands", tests, NULL, NULL);
}
