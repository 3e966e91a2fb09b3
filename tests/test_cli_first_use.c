// What somebody who tries the program for the first time does, as far as it needs no device.
#define _POSIX_C_SOURCE 200809L
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
    assert_sentence(RUN("tokenize", "Once", "upon"), 2, "'upon' stands alone");
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

// One Ctrl-D ends the text, wherever it is pressed.
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

// What bash offers behind -m, with a folder that holds one GGUF file and one folder.
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
    };
    return cmocka_run_group_tests_name("cli_first_use", tests, NULL, NULL);
}
