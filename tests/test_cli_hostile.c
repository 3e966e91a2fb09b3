// The program with untrusted input: pipes in place of files, names with control bytes for the terminal, files that
// shrink; and with a full disk, and signals that end it.
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "gguf_file.h"
#include "program.h"
#include "synthetic_model.h"

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/gpt2/"
#define TRIES 200

static char model[DIR_BYTES], out[2 * DIR_BYTES];

static int setup(void **state)
{
    test_dir_setup(state);
    snprintf(model, sizeof model, "%.480s/model", test_dir);
    snprintf(out, sizeof out, "%s/out", test_dir);
    return mkdir(model, 0700);
}

static int teardown(void **state)
{
    if (os_is_dir(out)) dir_remove(out);
    dir_remove(model);
    return test_dir_teardown(state);
}

static void copy(const char *from, const char *to, const char *but)
{
    char name[256] = "";
    while (os_next(from, "", name, sizeof name)) {
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, but)) continue;
        struct Bytes file = file_read(from, name);
        file_write(to, name, file.data, file.count);
        bytes_free(&file);
    }
}

// ------------------------------------------------------------------------------------------------ no files

// Each file of a model in turn is a pipe without a writer, or a link to itself.
static void test_no_file(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "vocab.json",
                                        "merges.txt"};
    char path[DIR_BYTES + 64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        // clang-format off
        copy(FIXTURES "gelu-new-48", model, "");
        copy(VKGPT_SOURCE_DIR "/models/tales", model, "");
        // clang-format on
        snprintf(path, sizeof path, "%s/%s", model, names[i]);
        if (!strcmp(names[i], "vocab.json") || !strcmp(names[i], "merges.txt")) {
            char json[DIR_BYTES + 64];
            snprintf(json, sizeof json, "%s/tokenizer.json", model);
            unlink(json);
        }
        bool tokens = i >= 2;
        for (int circle = 0; circle < 2; circle++) {
            unlink(path);
            assert_int_equal(circle ? symlink(names[i], path) : mkfifo(path, 0600), 0);
            alarm(20);
            struct Output o =
                tokens ? RUN("tokenize", "-m", model, "-p", "Once") : RUN("convert", "-m", model, "-o", out);
            alarm(0);
            if (!strstr(o.err, names[i])) fail_msg("%s: %s", names[i], o.err);
            assert_sentence(o, 1, circle ? "Too many levels of symbolic links" : "pipe or device");
            assert_false(os_exists(out));
        }
        unlink(path);
    }
}

// ------------------------------------------------------------------------------------------------ names that speak

#define EVIL "\\u001b]0;owned\\u0007\\nvkgpt: all is well\\u009b2J\\u007f" // in JSON
#define RAW "\x1b]0;owned\x07\nvkgpt: fine\xc2\x9b"                        // in a file of bytes

// Each line of stderr begins with the program's name and has no control byte. A run that failed has exactly one line.
static void expect_quiet(struct Output o, size_t i)
{
    size_t lines = 0;
    for (const unsigned char *c = (const unsigned char *)o.err; *c; c++) {
        lines += *c == '\n';
        if ((*c < ' ' && *c != '\n') || *c == 127 || (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
            fail_msg("case %zu: byte %02x in: %s", i, *c, o.err);
        if (*c == '\n' && c[1] && strncmp((const char *)c + 1, "vkgpt: ", 7)) fail_msg("case %zu: %s", i, o.err);
    }
    if (o.status > 2 || (o.status && lines != 1) || strstr(o.err, "\nvkgpt: all is well"))
        fail_msg("case %zu, status %d: %s", i, o.status, o.err);
    output_free(&o);
}

static void run_all(size_t i)
{
    expect_quiet(RUN("plan", "-m", model), i);
    expect_quiet(RUN("tokenize", "-m", model, "-p", "Once"), i);
    expect_quiet(RUN("convert", "-m", model, "-o", out, "--force"), i);
    if (os_is_dir(out)) dir_remove(out);
}

// Text from a file is quoted in sentences about it; a terminal must not obey it.
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *from, *to;
        // clang-format off
    } cases[] = {
        {"config.json", "\"silu\"", "\"" EVIL "\""},
        {"config.json", "\"GPT2LMHeadModel\"", "\"" EVIL "\""},
        {"config.json", "\"model_type\": \"gpt2\"", "\"model_type\": \"" EVIL "\""},
        {"config.json", "\"n_embd\": 160", "\"n_embd\": \"" EVIL "\""},
        {"config.json", "\"n_embd\": 160", "\"" EVIL "\": 1, \"" EVIL "\": 2, \"n_embd\": 160"},
        {"config.json", "{", "{" RAW},
        {"model.safetensors.index.json", "transformer.wte.weight", EVIL},
        {"model.safetensors.index.json", "model-00001-of-00003.safetensors", EVIL},
        {"model.safetensors.index.json", "model-00001-of-00003.safetensors", "../" EVIL},
        {"model.safetensors.index.json", "\"transformer.wte.weight\"", "\"" EVIL "\": \"x\", \"" EVIL "\": \"y\", \"transformer.wte.weight\""},
        {"vocab.json", "\"the\"", "\"" EVIL "\""},
        {"vocab.json", "{", "{\"" EVIL "\": \"" EVIL "\","},
        {"vocab.json", "{", "{\"" EVIL "\": 1, \"" EVIL "\": 2,"},
        {"merges.txt", "\n", "\n" RAW " x\n"},
        {"tokenizer.json", NULL, "{\"model\": {\"type\": \"" EVIL "\"}}"},
        {"tokenizer.json", NULL, "{\"" EVIL "\": 1, \"" EVIL "\": 2}"},
        {"tokenizer.json", NULL, "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"" EVIL "\": 0}, \"merges\": [\"" EVIL " b\"]}}"},
        {"tokenizer.json", NULL, "{\"normalizer\": {\"type\": \"" EVIL "\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}"},
        {"tokenizer_config.json", NULL, "{\"tokenizer_class\": \"" EVIL "\"}"},
        {"generation_config.json", NULL, "{\"eos_token_id\": \"" EVIL "\"}"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        // clang-format off
        copy(FIXTURES "silu-160-shards", model, "");
        copy(VKGPT_SOURCE_DIR "/models/tales", model, "model.safetensors");
        copy(FIXTURES "silu-160-shards", model, "");
        // clang-format on
        char *text = NULL;
        if (cases[i].from) {
            struct Bytes file = file_read(model, cases[i].name);
            bytes_add(&file, "", 1);
            if (strstr((char *)file.data, cases[i].from))
                text = text_replace((char *)file.data, cases[i].from, cases[i].to);
            else fail_msg("case %zu: no %s", i, cases[i].from);
            bytes_free(&file);
        }
        const char *written = text ? text : cases[i].to;
        file_write(model, cases[i].name, written, strlen(written));
        run_all(i);
        free(text);
        dir_remove(model);
        assert_int_equal(mkdir(model, 0700), 0);
    }
}

// The same in binary files, where the new name has the length of the old one.
static void test_names_of_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *from, *name; // a fixture, or NULL for a GGUF file
        const char *text;
    } cases[] = {
        {FIXTURES "gelu-new-48", "model.safetensors", "transformer.h.0.attn.c_attn.weight"},
        {FIXTURES "gelu-new-48", "model.safetensors", "\"F32\",\"shape\":[144],\"data_offsets\":[0,576]"},
        {FIXTURES "quick-gelu-48-bin", "pytorch_model.bin", "transformer.h.0.attn.c_attn.weight"},
        {FIXTURES "quick-gelu-48-bin", "pytorch_model.bin", "torch._utils\n_rebuild_tensor_v2\n"},
        {FIXTURES "quick-gelu-48-bin", "pytorch_model.bin", "collections\nOrderedDict\n"},
        {FIXTURES "quick-gelu-48-bin", "pytorch_model.bin", "pytorch_model/data.pklFB"},
        {NULL, "tiny.gguf", "general.architecture"},
        {NULL, "tiny.gguf", "gpt2.attention.head_count"},
        {NULL, "tiny.gguf", "token_embd.weight"},
        {NULL, "tiny.gguf", "position_embd.weight"},
        {NULL, "tiny.gguf", "tokenizer.ggml.tokens"},
        {NULL, "tiny.gguf", "<|endoftext|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct Bytes file = cases[i].from ? file_read(cases[i].from, cases[i].name) : gguf_tiny(3, 32);
        if (cases[i].from) copy(cases[i].from, model, "");
        size_t length = strlen(cases[i].text), end = gguf_behind(&file, cases[i].text);
        for (size_t k = 0; k < length; k++) file.data[end - length + k] = (uint8_t)RAW[k % (sizeof RAW - 1)];
        file_write(model, cases[i].name, file.data, file.count);
        bytes_free(&file);
        run_all(100 + i);
        dir_remove(model);
        assert_int_equal(mkdir(model, 0700), 0);
    }
}

// Names of folders are quoted in notes.
static void test_folder(void **state)
{
    (void)state;
    char folder[2 * DIR_BYTES];
    snprintf(folder, sizeof folder, "%s/checkpoint-7" RAW, model);
    assert_int_equal(mkdir(folder, 0700), 0);
    // clang-format off
    copy(FIXTURES "gelu-new-48", folder, "");
    // clang-format on
    expect_quiet(RUN("plan", "-m", model), 200);
    expect_quiet(RUN("plan", "-m", folder), 201);
    expect_quiet(RUN("tokenize", "-m", folder, "-p", "x"), 202);
    dir_remove(folder);
}

// ------------------------------------------------------------------------------------------------ signals

static int count_names(const char *dir)
{
    DIR *list = opendir(dir);
    int count = 0;
    for (struct dirent *e; list && (e = readdir(list));) count += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    if (list) closedir(list);
    return count;
}

// stderr goes to `err`, or nowhere.
static pid_t start(const char *const *arguments, FILE *err)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) return child;
    if (!freopen("/dev/null", "w", stdout) || (!err && !freopen("/dev/null", "w", stderr))) _exit(126);
    if (err) dup2(fileno(err), 2);
    execv(VKGPT_PROGRAM, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

// Sends a signal twice, as soon as `dir` has more than `names` names. False: the program ended before.
static bool interrupt(const char *const *arguments, const char *dir, int names, int number, int *status)
{
    pid_t child = start(arguments, NULL);
    const struct timespec nap = {0, 500000};
    while (count_names(dir) <= names && waitpid(child, status, WNOHANG) == 0) nanosleep(&nap, NULL);
    double sent = os_seconds();
    if (kill(child, number)) return false;
    nanosleep(&nap, NULL);
    if (kill(child, number) || waitpid(child, status, 0) != child) return false;
    if (os_seconds() - sent > 1.0) fail_msg("%.2f s from the signal to the end", os_seconds() - sent);
    return !(WIFEXITED(*status) && WEXITSTATUS(*status) == 0);
}

static void expect_clean_end(const char *const *arguments, int number)
{
    char dir[DIR_BYTES];
    int status = 0;
    snprintf(dir, sizeof dir, "%s", test_dir);
    for (int i = 0; i < TRIES; i++) {
        int before = count_names(dir);
        bool caught = interrupt(arguments, dir, before, number, &status);
        if (caught) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + number)
                fail_msg("%s, signal %d: status %x", arguments[1], number, status);
            assert_int_equal(count_names(dir), before);
            return;
        }
        if (os_is_dir(out)) dir_remove(out);
        else unlink(arguments[5]);
    }
    fail_msg("%s is never interrupted", arguments[1]);
}

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

// The status is 128 + the signal's number, within a second, and nothing is left.
static void test_signals(void **state)
{
    (void)state;
    vkgpt_error err;
    char file[2 * DIR_BYTES], big[2 * DIR_BYTES];
    const struct SyntheticModel m = {
        .layers = 4, .heads = 4, .dim = 256, .context = 64, .vocab = 30000, .seed = 3, .dtype = DTYPE_F16};
    copy(VKGPT_SOURCE_DIR "/models/tales", model, "model.safetensors");
    if (synthetic_model_write(model, &m, &err)) fail_msg("%s", err.text);
    snprintf(file, sizeof file, "%s/out.gguf", test_dir);
    snprintf(big, sizeof big, "%s/big", test_dir);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        expect_clean_end((const char *const[]){"vkgpt", "convert", "-m", model, "-o", out, "--type", "f32", NULL},
                         numbers[i]);
        expect_clean_end((const char *const[]){"vkgpt", "convert", "-m", model, "-o", file, "--type", "q4_k", NULL},
                         numbers[i]);
        expect_clean_end((const char *const[]){"vkgpt", "make-model", "gpt2", "--layers", "1", "-o", out, NULL},
                         numbers[i]);
    }
}

// ------------------------------------------------------------------------------------------------ a file that shrinks

// Cuts the weights while `convert` reads them. False: it ended before.
static bool cut_while_converting(const char *weights, const char *file)
{
    const char *const arguments[] = {"vkgpt", "convert", "-m", model, "-o", file, "--type", "q4_k", NULL};
    const struct timespec nap = {0, 500000};
    char said[1024] = "";
    int status = 0, before = count_names(test_dir);
    FILE *err = tmpfile();
    assert_non_null(err);
    fflush(NULL);
    pid_t child = start(arguments, err);
    while (count_names(test_dir) <= before && waitpid(child, &status, WNOHANG) == 0) nanosleep(&nap, NULL);
    bool runs = !truncate(weights, 4096) && waitpid(child, &status, 0) == child;
    rewind(err);
    size_t bytes = fread(said, 1, sizeof said - 1, err);
    fclose(err);
    if (!runs || status == 0) return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) fail_msg("status %x: %s", status, said);
    if (strncmp(said, "vkgpt: ", 7) || strchr(said, '\n') != said + bytes - 1 || !strstr(said, "cut while it was read"))
        fail_msg("not one sentence of the cut: %s", said);
    assert_int_equal(count_names(test_dir), before);
    return true;
}

// The mapped weights are cut: one sentence, and the temporary file is gone.
static void test_shrinks(void **state)
{
    (void)state;
    vkgpt_error err;
    char file[2 * DIR_BYTES], weights[2 * DIR_BYTES];
    const struct SyntheticModel m = {
        .layers = 4, .heads = 4, .dim = 256, .context = 64, .vocab = 30000, .seed = 3, .dtype = DTYPE_F16};
    bool cut = false;
    copy(VKGPT_SOURCE_DIR "/models/tales", model, "model.safetensors");
    snprintf(file, sizeof file, "%s/out.gguf", test_dir);
    snprintf(weights, sizeof weights, "%s/model.safetensors", model);
    for (int i = 0; i < TRIES / 10 && !cut; i++) {
        if (synthetic_model_write(model, &m, &err)) fail_msg("%s", err.text);
        cut = cut_while_converting(weights, file);
        if (!cut) unlink(file);
    }
    assert_true(cut);
}

// ------------------------------------------------------------------------------------------------ a full disk

// Files cannot grow above a size: no half-written file stays, also when a GGUF file becomes a directory.
static void test_full_disk(void **state)
{
    (void)state;
    char file[2 * DIR_BYTES], gguf[2 * DIR_BYTES];
    struct Output o = RUN("convert", "-m", VKGPT_SOURCE_DIR "/models/tales", "-o",
                          (snprintf(gguf, sizeof gguf, "%s/in.gguf", test_dir), gguf));
    assert_status(&o, 0);
    output_free(&o);
    snprintf(file, sizeof file, "%s/out.gguf", test_dir);
    int before = count_names(test_dir);
    const size_t sizes[] = {1, 100, 1024, 8192, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_sentence(program_limited(sizes[i], (const char *const[]){"convert", "-m", gguf, "-o", out, NULL}), 1,
                        "cannot write");
        assert_int_equal(count_names(test_dir), before);
        assert_sentence(program_limited(sizes[i], (const char *const[]){"convert", "-m", gguf, "-o", file, NULL}), 1,
                        "cannot write");
        assert_int_equal(count_names(test_dir), before);
        assert_sentence(
            program_limited(sizes[i], (const char *const[]){"make-model", "gpt2", "--layers", "1", "-o", out, NULL}), 1,
            "cannot write");
        assert_int_equal(count_names(test_dir), before);
    }
    unlink(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shrinks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
