// `vkgpt selftest --report`: the report that users send in. A test program of its own, because it takes a minute.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "program.h"
#include "short_run.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static cJSON *read_report(const char *path)
{
    static char report[1 << 20]; // hundreds of results
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(fread(report, 1, sizeof report - 1, file) > 0);
    fclose(file);
    remove(path);
    cJSON *json = cJSON_Parse(report);
    assert_non_null(json);
    return json;
}

static void test_selftest(void **state)
{
    (void)state;
    char path[64];
    if (short_run_on_swiftshader()) skip(); // it takes minutes, and test_gpu_kernels has the same results there
    snprintf(path, sizeof path, "test_gpu_cli_selftest.%ld.tmp", (long)getpid());
    struct Output o = RUN("selftest", "-m", TALES, "--report", path);
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, "pass"));
    assert_null(strstr(o.out, "FAIL"));
    output_free(&o);
    cJSON *json = read_report(path);
    assert_int_equal(cJSON_GetNumberValue(json_member(json, "failures")), 0);
    assert_true(cJSON_GetArraySize(json_member(json, "results")) > 0);
    assert_int_equal(cJSON_GetArraySize(json_member(json, "bench")), 2);
    assert_true(cJSON_GetNumberValue(json_member(json_member(json_member(json, "device"), "limits"), "subgroup_size")) >
                0);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_selftest)};
    return cmocka_run_group_tests_name("gpu_cli_selftest", tests, NULL, NULL);
}
