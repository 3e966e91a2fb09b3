// What VKGPT_DISABLE switches off.
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdlib.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "model_files.h"

// Each switch hides what it names; a name that is none is an error, and a sentence lists them.
static void test_switches(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
    } shown[] = {
#define SHOWN(name, field) {name, offsetof(vkgpt_device_info, field)}
        SHOWN("f16", f16), SHOWN("f16", coopmat), SHOWN("coopmat", coopmat), SHOWN("shuffle", subgroup_shuffle),
        SHOWN("subgroup_size_control", subgroup_size_control), SHOWN("subgroup_size_control", coopmat),
        SHOWN("memory_budget", memory_budget), SHOWN("device_fault", device_fault), SHOWN("timestamps", timestamps),
        SHOWN("unified", unified),
    };
    static const char *const wrong[] = {"storage16", "lanes,int8", "shuffle,f1", "f16,lanes,Unified", ",f16 "};
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_device_info *list;
    size_t count;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        setenv("VKGPT_DISABLE", shown[i].name, 1);
        assert_int_equal(vkgpt_devices(&list, &count, &err), VKGPT_OK);
        for (size_t d = 0; d < count; d++)
            if (*(const bool *)((const char *)&list[d] + shown[i].offset)) fail_msg("%s: %s is still there", list[d].name, shown[i].name);
        free(list);
    }
    setenv("VKGPT_DISABLE", "lanes,,f16,full_subgroups,persistent,", 1);
    assert_int_equal(vkgpt_device_open(NULL, &device, &err), VKGPT_OK);
    assert_true(!device->lanes && !device->matrix.m && !device->full_subgroups && !device->addresses);
    vkgpt_device_close(device);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("VKGPT_DISABLE", wrong[i], 1);
        expect_sentence(vkgpt_device_open(NULL, &device, &err), VKGPT_BAD_ARGUMENT, &err, "VKGPT_DISABLE", "is not one of coopmat, ", "unified", NULL);
        expect_sentence(vkgpt_devices(&list, &count, &err), VKGPT_BAD_ARGUMENT, &err, "VKGPT_DISABLE", NULL);
    }
    unsetenv("VKGPT_DISABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_switches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
