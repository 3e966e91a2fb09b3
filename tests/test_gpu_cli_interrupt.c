// Ctrl-C while a prompt is read: the command ends before the next block, as one that was interrupted.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/generation.h"

#include <cmocka.h> // last: it has a macro called fail

// It was pressed before the first block.
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prompt)};
    return cmocka_run_group_tests_name("gpu_cli_interrupt", tests, NULL, NULL);
}
