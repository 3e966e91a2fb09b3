// vkgpt task without a device: the tasks that come with the program, their prompts, and bad files.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_files.h"
#include "program.h"

static char task_path[DIR_BYTES + 16];

static const char *write_task(const char *text)
{
    file_write(test_dir, "my.task", text, strlen(text));
    snprintf(task_path, sizeof task_path, "%s/my.task", test_dir);
    return task_path;
}

static void assert_shown(struct Output o, const char *expected)
{
    assert_status(&o, 0);
    assert_string_equal(o.out, expected);
    assert_int_equal(o.err_bytes, 0);
    output_free(&o);
}

// Checks that a task with this text is refused with a sentence that names the line and has `part`.
static void assert_refused(const char *text, unsigned line, const char *part)
{
    char where[DIR_BYTES + 32];
    snprintf(where, sizeof where, "%s:%u: ", write_task(text), line);
    struct Output o = RUN("task", task_path, "-p", "x", "--show");
    if (!strstr(o.err, where)) fail_msg("the sentence lacks '%s': %s", where, o.err);
    assert_sentence(o, 1, part);
}

static void test_list(void **state)
{
    (void)state;
    struct Output o = RUN("task", "--list");
    assert_status(&o, 0);
    static const char *const names[] = {"classify: ",
                                        "\ncloze: ",
                                        "\nquestion: ",
                                        "\nread: ",
                                        "\nsummarize: ",
                                        "\ntranslate: ",
                                        "    history      earlier",
                                        "(may be left out)"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strstr(o.out, names[i])) fail_msg("'%s' is not in %s", names[i], o.out);
    output_free(&o);
}

static void test_own_prompts(void **state)
{
    (void)state;
    assert_shown(RUN("task", "summarize", "-p", "A text.\n\n", "--show"), "A text.\nTL;DR:");
    assert_shown(RUN("task", "translate", "-p", "I see.", "--field", "pairs=a = b\nc = d", "--show"),
                 "a = b\nc = d\nI see. =");
    assert_shown(RUN("task", "question", "--field", "question=Who?", "--field", "examples=", "--show"), "Q: Who?\nA:");
    assert_shown(RUN("task", "read", "-p", "A cat.", "--field", "question=Who?", "--show"), "A cat.\n\nQ: Who?\nA:");
    assert_shown(
        RUN("task", "read", "-p", "A cat.", "--field", "question=Who?", "--field", "history=Q: a\nA: b\n", "--show"),
        "A cat.\n\nQ: a\nA: b\nQ: Who?\nA:");
    struct Output o = RUN("task", "question", "-p", "Who?", "--show");
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, "A: 1914\n\nQ: Who?\nA:"));
    output_free(&o);
}

static void test_sources(void **state)
{
    (void)state;
    write_task("field a: one\nfield b: two\ndefault b: x\\ty\n\n{a}|{b}");
    file_write(test_dir, "a.txt", "from a file\r\n\n", 14);
    char path[DIR_BYTES + 16], field[DIR_BYTES + 32];
    snprintf(path, sizeof path, "%s/a.txt", test_dir);
    snprintf(field, sizeof field, "b=@%s", path);
    assert_shown(RUN("task", task_path, "-f", path, "--show"), "from a file|x\ty");
    assert_shown(RUN("task", task_path, "--field", "a=1", "--field", field, "--show"), "1|from a file");
    assert_shown(RUN("task", task_path, "-p", "1", "--field", "b=", "--show"), "1|");
    assert_shown(RUN("task", task_path, "-p", "1\\n2", "-e", "--field", "b=\\x41", "--show"), "1\n2|A");
    assert_shown(program_run("piped\n", 6, (const char *const[]){"task", task_path, "--show", NULL}), "piped|x\ty");
}

static void test_template(void **state)
{
    (void)state;
    assert_shown(
        RUN("task", write_task("\xEF\xBB\xBF# said by nobody\r\nfield a : one\r\n\r\n{{a}}, {a}}\r\n{a}{a}\r\nend\r\n"),
            "-p", "x", "--show"),
        "{a}}, x}\nxx\nend");
    assert_shown(RUN("task", write_task("field a: one\ndefault a:\n\n{a}\n\n\nb{a}\n{a}{a}\n"), "--show"), "b\n");
    assert_shown(RUN("task", write_task("\nno field\n"), "--show"), "no field");
}

static void test_bad_files(void **state)
{
    (void)state;
    assert_refused("field a: one\n\n\n{a} {b}\n", 4, "there is no field 'b'; the header has a");
    assert_refused("\n{b}", 2, "there is no field 'b'; the header has none");
    assert_refused("field a: one\n\n{a} {\n", 3, "'{' opens no field");
    assert_refused("field a: one\n\n{a} {}\n", 3, "'{' opens no field");
    assert_refused("field a: one\n\n{a} {x y}\n", 3, "'{' opens no field");
    assert_refused("field a: one\n{a}\n", 2, "not a line of the form key: value");
    assert_refused("field a: one\n# more", 2, "the file ends in its header");
    assert_refused("field a: one\n\n", 2, "the file ends with its header");
    assert_refused("field a: one\ncolour: red\n\n{a}", 2, "'colour' is nothing that a task's header can say");
    assert_refused("field a: one\nfield a: two\n\n{a}", 2, "field a is here twice");
    assert_refused("field a b: one\n\n{a}", 1, "'a b' is not a name of a field");
    assert_refused("field a: one\nfield b: two\n\n{a}", 2, "field b is neither in the prompt nor in the answers");
    assert_refused("default a: x\nfield a: one\n\n{a}", 1, "there is no field of this name above it");
    assert_refused("field a: one\ndefault a: x\ndefault a: y\n\n{a}", 3, "default a is here twice");
    assert_refused("field a: one\nstop:\n\n{a}", 2, "stop needs a text");
    assert_refused("field a: one\nkeep: some words\n\n{a}", 2, "keep is 'some words'");
    assert_refused("field a: one\nkeep: 0 words\n\n{a}", 2, "keep is '0 words'");
    assert_refused("field a: one\nkeep: 99999999999999999999 words\n\n{a}", 2, "keep is '9999");
    assert_refused("field a: one\nnormalize: length\n\n{a}", 2, "normalize is 'length'");
    assert_refused("field a: one\ntemp: warm\n\n{a}", 2, "temp takes a number, not 'warm'");
    assert_refused("field a: one\ntemp: 1\nn: 3\ntemp: 2\n\n{a}", 4, "temp is here twice");
    assert_refused("field a: one\ntop-p: 2\n\n{a}", 2, "top-p is 2, it has to lie between 0 and 1");
    assert_refused("field a: one\nanswers: {b}\n\n{a}", 2, "there is no field 'b'");
    assert_refused("field a: one\nanswers:\n\n{a}", 2, "answers needs a text");
    file_write(test_dir, "my.task", "field a: one\0\n\n{a}", 18);
    assert_sentence(RUN("task", task_path, "-p", "x"), 1, "byte 12 of it is a NUL");
}

static void test_bad_use(void **state)
{
    (void)state;
    assert_sentence(RUN("task"), 2, "task needs the name of a task");
    assert_sentence(
        RUN("task", "sing", "-p", "x"), 1,
        "there is no task 'sing'; there are classify, cloze, question, read, summarize, translate, and files of your own");
    assert_sentence(RUN("task", "./no-such", "-p", "x"), 1, "./no-such");
    assert_sentence(RUN("task", "read", "-p", "x"), 1, "field question of ");
    assert_sentence(RUN("task", "read", "-p", "x"), 1, "is not given: --field question=TEXT gives it (the question)");
    assert_sentence(RUN("task", "summarize"), 1, "is empty (the text to summarize)");
    assert_sentence(RUN("task", "summarize", "-p", "\n\n"), 1, "field text of ");
    assert_sentence(RUN("task", "summarize", "-p", "x", "--field", "txt=y"), 1, "--field txt: ");
    assert_sentence(RUN("task", "summarize", "-p", "x", "--field", "txt"), 2, "--field takes NAME=TEXT, not 'txt'");
    assert_sentence(RUN("task", "summarize", "-p", "x", "--field", "text=y"), 2, "field text is given twice");
    assert_sentence(RUN("task", "summarize", "--field", "text=x", "--field", "text=y"), 1, "field text is given twice");
    assert_sentence(RUN("task", "summarize", "-f", "/no/such/file"), 1, "/no/such/file");
    assert_sentence(RUN("task", "summarize", "--field", "text=@/no/such/file"), 1, "/no/such/file");
    assert_sentence(RUN("task", write_task("\nno field"), "-p", "x"), 2, "has no field that -p or -f could fill");
    assert_sentence(RUN("task", "summarize", "-p", "x", "-n", "5"), 1, "Vulkan");
}

int main(void)
{
    // whatever opens a device here fails
    setenv("VK_DRIVER_FILES", "/no/such/place", 1);
    setenv("VK_ICD_FILENAMES", "/no/such/place", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),     cmocka_unit_test(test_own_prompts), cmocka_unit_test(test_sources),
        cmocka_unit_test(test_template), cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_bad_use),
    };
    return cmocka_run_group_tests_name("cli_task", tests, test_dir_setup, test_dir_teardown);
}
