// What a user does who tries the program for the first time, without a device.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "model_files.h"
#include "program.h"

#define MODELS VKGPT_SOURCE_DIR "/models/"
#define TALES MODELS "tales"
#define MISSING VKGPT_SOURCE_DIR "/no/such/place"

static void same_output(struct Output a, struct Output b)
{
    assert_status(&a, 0);
    assert_status(&b, 0);
    assert_string_equal(a.out, b.out);
    output_free(&a);
    output_free(&b);
}

static void test_spellings_of_a_text(void **state)
{
    (void)state;
    struct Output wanted = RUN("tokenize", "-p", "Once upon a time");
    same_output(RUN("tokenize", "Once upon a time"), RUN("tokenize", "-p", "Once upon a time"));
    same_output(RUN("tokenize", "-p=Once upon a time"), RUN("tokenize", "--prompt=Once upon a time"));
    same_output(RUN("tokenize", "-p=a=b"), RUN("tokenize", "a=b"));
    static const char *const from_stdin[] = {"tokenize", "-f", "-", NULL};
    struct Output o = program_run("Once upon a time", 16, from_stdin);
    assert_string_equal(o.out, wanted.out);
    output_free(&o);
    o = program_run(wanted.out, wanted.out_bytes, (const char *const[]){"detokenize", "--ids-file", "-", NULL});
    assert_string_equal(o.out, "Once upon a time");
    output_free(&o);
    output_free(&wanted);
    assert_sentence(RUN("tokenize", "Once", "upon"), 2, "'upon' belongs to no flag");
    assert_sentence(RUN("tokenize", "Once", "upon"), 2, "in quotes");
    assert_sentence(RUN("tokenize", "Once", "-p", "upon"), 2, "given twice");
    assert_sentence(RUN("tokenize", "Once", "-f", MISSING), 2, "given twice");
    assert_sentence(RUN("tokenize", "-n=1"), 2, "-n is a flag of other commands");
    o = RUN("task", "question", "Who wrote Hamlet?", "--show");
    assert_non_null(strstr(o.out, "Q: Who wrote Hamlet?\nA:"));
    output_free(&o);
    o = program_run("Who?", 4, (const char *const[]){"task", "question", "--field", "question=@-", "--show", NULL});
    assert_non_null(strstr(o.out, "Q: Who?\nA:"));
    output_free(&o);
}

// One Ctrl-D ends the text, no matter where it is pressed.
static void test_end_of_a_text_on_a_terminal(void **state)
{
    (void)state;
    static const char *const typed[] = {"Once upon\x04", "Once upon\n\x04", "\x04"}, *const texts[] = {"Once upon",
                                                                                                       "Once upon\n",
                                                                                                       ""};
    for (size_t i = 0; i < 3; i++) {
        struct Output o = program_terminal(typed[i], (const char *const[]){"tokenize", NULL});
        struct Output wanted = program_run(texts[i], strlen(texts[i]), (const char *const[]){"tokenize", NULL});
        assert_status(&o, 0);
        assert_non_null(strstr(o.out, "Ctrl-D ends the text"));
        wanted.out[strcspn(wanted.out, "\n")] = '\0'; // a terminal has another end of the line
        assert_non_null(strstr(o.out, wanted.out));
        output_free(&o);
        output_free(&wanted);
    }
}

static void test_models_that_ship(void **state)
{
    (void)state;
    same_output(RUN("tokenize", "-m", "tales", "abc"), RUN("tokenize", "-m", MODELS "tales", "abc"));
    same_output(RUN("tokenize", "-m", "shots", "abc"), RUN("tokenize", "-m", MODELS "shots", "abc"));
    same_output(RUN("tokenize", "--tokenizer", "shots", "abc"), RUN("tokenize", "-m", MODELS "shots", "abc"));
    setenv("VKGPT_MODEL", "shots", 1);
    same_output(RUN("tokenize", "abc"), RUN("tokenize", "-m", MODELS "shots", "abc"));
    unsetenv("VKGPT_MODEL");
    assert_sentence(RUN("tokenize", "-m", "tasks", "abc"), 1, "tasks: no such model"); // a folder there, and no model

    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(test_dir), 0);
    file_write(test_dir, "tales", "text", 4); // a path goes before a name
    assert_sentence(RUN("tokenize", "-m", "tales", "abc"), 1, "tales: is a file of a kind");
    assert_int_equal(chdir(here), 0);
}

// What bash offers after -m, in a folder with one GGUF file and one folder.
static void test_completion_of_models(void **state)
{
    (void)state;
    char line[4096 + 512], found[256] = "";
    file_write(test_dir, "x.gguf", "GGUF", 4);
    assert_int_equal(os_make_dirs(test_path("xdir")), 0);
    snprintf(
        line, sizeof line,
        "cd '%s' && bash --norc -c 'eval \"$(%s help --completions bash)\"; COMP_WORDS=(vkgpt generate -m x); COMP_CWORD=3; "
        "_vkgpt; printf \"%%s \" \"${COMPREPLY[@]}\"'",
        test_dir, VKGPT_PROGRAM);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(found, sizeof found, pipe));
    pclose(pipe);
    assert_non_null(strstr(found, "x.gguf "));
    assert_non_null(strstr(found, "xdir "));
}

// -------------------------------------------------------------------------------------- commands and flags

static void test_nearest(void **state)
{
    (void)state;
    static const char *const commands[][2] = {{"gnerate", "generate"},
                                              {"taks", "task"},
                                              {"perplexty", "perplexity"},
                                              {"hlep", "help"},
                                              {"few_shot", "few-shot"}};
    char wanted[64];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(wanted, sizeof wanted, "; did you mean %s? (", commands[i][1]);
        assert_sentence(RUN(commands[i][0]), 2, wanted);
    }
    assert_sentence(RUN("help", "gnerate"), 2, "did you mean generate?");
    assert_sentence(RUN("generate", "--tempature", "1"), 2,
                    "there is no flag --tempature; did you mean --temperature?");
    assert_sentence(RUN("generate", "--topk=1"), 2, "there is no flag --topk; did you mean --top-k?");
    assert_sentence(RUN("generate", "--kv", "q80"), 2, "one of auto|f32|f16|q8_0; did you mean q8_0?");
    assert_sentence(RUN("task", "sumarize", "a"), 1, "did you mean summarize?");
    assert_sentence(RUN("make-model", "gpt-2xl", "-o", "x"), 2, "did you mean gpt2-xl?");
    assert_sentence(RUN("plan", "gpt3-175"), 1, "did you mean gpt3-175b?");
    static const char *const far[][3] = {
        {"sing"}, {"generate", "--verbatim-output"}, {"generate", "-x"}, {"generate", "--kv", "int4"}};
    for (size_t i = 0; i < 4; i++) {
        struct Output o = RUN(far[i][0], far[i][1], far[i][2]);
        assert_status(&o, 2);
        assert_null(strstr(o.err, "did you mean"));
        output_free(&o);
    }
}

#define SHOW "few-shot", "-m", TALES, "--task", "two_digit_addition", "--limit", "1", "--show"

static void test_flags_of_llama_cpp(void **state)
{
    (void)state;
    struct Output plain = RUN(SHOW),
                  o = RUN(SHOW, "-ngl", "99", "-t", "8", "-fa", "-b", "512", "-ub", "512", "--mlock");
    assert_status(&o, 0);
    assert_string_equal(o.out, plain.out);
    static const char *const names[] = {"-ngl", "-t", "-fa", "-b", "-ub", "--mlock"};
    size_t lines = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "vkgpt: %s has no effect: ", names[i]);
        assert_non_null(strstr(o.err, wanted));
    }
    for (const char *c = o.err; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, 6);
    output_free(&o);
    same_output(RUN(SHOW, "-fa", "on", "--n-gpu-layers=99"), RUN(SHOW)); // its value is optional
    same_output(RUN(SHOW, "--flash-attn=off", "--seed", "0"), RUN(SHOW));
    assert_sentence(RUN("tokenize", "-ngl", "9", "a"), 2, "-ngl is a flag of other commands");
    output_free(&plain);
}

// The whole list fits into a terminal of 80 columns and 24 lines, with the command line above it.
static void test_list_on_one_screen(void **state)
{
    (void)state;
    struct Output o = RUN("--help");
    size_t lines = 0;
    for (char *line = strtok(o.out, "\n"); line; line = strtok(NULL, "\n"), lines++)
        if (strlen(line) > 79) fail_msg("too long: %s", line);
    assert_true(lines > 10 && lines <= 23);
    output_free(&o);
}

static void test_the_name_alone(void **state)
{
    (void)state;
    struct Output o = program_terminal("", (const char *const[]){NULL});
    size_t lines = 0;
    for (const char *c = o.out; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, 5);
    assert_non_null(strstr(o.out, "vkgpt generate \"Once upon a time\""));
    output_free(&o);
}

static double seconds_of_a_shell(void)
{
    double start = os_seconds();
    assert_int_equal(system(":"), 0);
    return os_seconds() - start;
}

// --help and --version answer in 20 ms, and do not look for a device. A machine that is slow or busy gets the time of
// 30 shells that do nothing, measured in turn with them.
static void test_start(void **state)
{
    (void)state;
    static const char *const flags[] = {"--help", "--version"};
    for (int f = 0; f < 2; f++) {
        double best = 1, shell = 1;
        for (int i = 0; i < 10; i++) {
            shell = fmin(shell, seconds_of_a_shell());
            double start = os_seconds();
            struct Output o = RUN(flags[f]);
            double took = os_seconds() - start;
            assert_status(&o, 0);
            best = fmin(best, took);
            output_free(&o);
        }
        print_message("%s: %.1f ms, a shell %.1f ms\n", flags[f], best * 1e3, shell * 1e3);
#if !defined(__SANITIZE_ADDRESS__)
        assert_true(best < fmax(0.02, 30 * shell));
#endif
        setenv("LD_DEBUG", "libs", 1); // the loader prints on stderr which libraries it looks for
        struct Output quiet = RUN(flags[f]), device = RUN("devices");
        unsetenv("LD_DEBUG");
        assert_null(strstr(quiet.err, "libvulkan"));
        assert_non_null(strstr(device.err, "libvulkan"));
        output_free(&quiet);
        output_free(&device);
    }
}

int main(void)
{
    setenv("VK_DRIVER_FILES", MISSING, 1); // no device here
    setenv("VK_ICD_FILENAMES", MISSING, 1);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_spellings_of_a_text),
        TEST(test_end_of_a_text_on_a_terminal),
        TEST(test_models_that_ship),
        TEST(test_completion_of_models),
        TEST(test_nearest),
        TEST(test_flags_of_llama_cpp),
        TEST(test_list_on_one_screen),
        TEST(test_the_name_alone),
        TEST(test_start),
    };
    return cmocka_run_group_tests_name("cli_first_use", tests, NULL, NULL);
}
