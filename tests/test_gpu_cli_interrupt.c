// Ctrl-C while a prompt is read: the command ends before the next block, with the status of an interrupted command.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/generation.h"

#include <cmocka.h> // last: it has a macro called fail

// Ctrl-C comes before the first block.
static void test_prompt(void **state)
{
    (void)state;
    vkgpt_error err = {0};
    struct Run run;
    uint32_t ids[40] = {0};
    struct Input input = {.is_ids = true, .name = "ids", .ids = ids, .count = 40};
    struct Options options = options_default();
    struct Generation generation;
    options.model = VKGPT_SOURCE_DIR "/models/tales";
    options.predict = 8;
    if (run_open(&run, &options, true, &err)) fail_msg("%s", err.text);
    generation_begin(&generation, &options);
    os_catch_interrupt();
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(generation_run(&generation, &run, &input, &err), 0);
    assert_int_equal(vkgpt_session_counters(run.session).tokens_prefilled, 0);
    assert_int_equal(generation.count, 0);
    assert_int_equal(vkgpt_session_position(run.session), 40);
    assert_int_equal(generation_report(&generation, &run, &input, NULL), EXIT_INTERRUPTED);
    generation_end(&generation);
    run_close(&run);
}

// Whether a process has a handler for a signal: proc(5), SigCgt.
static bool handles(pid_t process, int number)
{
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "SigCgt: %llx", &caught) == 1) break;
    fclose(file);
    return caught >> (number - 1) & 1;
}

// main() installs the handlers; the libraries of a program are loaded before that, which takes long on a busy machine.
static void wait_for_main(pid_t process, int number)
{
    for (int i = 0; i < 10000 && !handles(process, number); i++) nanosleep(&(struct timespec){0, 1000000}, NULL);
}

// Starts a command, sends it a signal `delay` nanoseconds after its start, and returns the seconds until it has ended.
static double seconds_to_end(const char *const *command, long delay, int number)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(126);
        execv(VKGPT_PROGRAM, (char *const *)(uintptr_t)command);
        _exit(127);
    }
    wait_for_main(child, number);
    nanosleep(&(struct timespec){0, delay}, NULL);
    double sent = os_seconds();
    int status;
    assert_int_equal(kill(child, number), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + number)
        fail_msg("%s, signal %d: status %x", command[1], number, status);
    return os_seconds() - sent;
}

// A signal at any time of a command that would take long: while it loads, tunes or reads its prompt. It ends in a
// second; beside other tests one of three times has to.
static void test_any_time(void **state)
{
    (void)state;
    static const char *const commands[][10] = {
        {"vkgpt", "tune", "-m", VKGPT_SOURCE_DIR "/models/tales", "--dry-run", NULL},
        {"vkgpt", "selftest", NULL},
        {"vkgpt", "bench", "-m", VKGPT_SOURCE_DIR "/models/tales", "-r", "500", NULL},
    };
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static const long delays[] = {20000000, 120000000, 600000000};
    for (size_t i = 0; i < 9; i++) {
        double seconds = 10;
        for (int n = 0; n < 3 && !(seconds <= 1.0); n++)
            seconds = seconds_to_end(commands[i / 3], delays[i % 3], numbers[(i / 3 + i) % 3]);
        if (!(seconds <= 1.0)) fail_msg("%s: %.2f s to the end", commands[i / 3][1], seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_time), cmocka_unit_test(test_prompt)};
    return cmocka_run_group_tests_name("gpu_cli_interrupt", tests, NULL, NULL);
}
