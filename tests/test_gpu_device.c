// What VKGPT_DISABLE switches off.
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "gpu/spirv.h"
#include "gpu/uniform_flow.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "model_files.h"

// Each switch hides the feature that it names. An unknown name is an error, and the sentence lists the switches.
static void test_switches(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
    } shown[] = {
#define SHOWN(name, field) {name, offsetof(vkgpt_device_info, field)}
        SHOWN("f16", f16),
        SHOWN("f16", coopmat),
        SHOWN("coopmat", coopmat),
        SHOWN("shuffle", subgroup_shuffle),
        SHOWN("subgroup_size_control", subgroup_size_control),
        SHOWN("subgroup_size_control", coopmat),
        SHOWN("memory_budget", memory_budget),
        SHOWN("device_fault", device_fault),
        SHOWN("timestamps", timestamps),
        SHOWN("unified", unified),
    };
    static const char *const wrong[] = {"storage16", "software_kernels,int8", "shuffle,f1",
                                        "f16,software_kernels,Unified", ",f16 "};
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_device_info *list;
    size_t count;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        setenv("VKGPT_DISABLE", shown[i].name, 1);
        assert_int_equal(vkgpt_devices(&list, &count, &err), VKGPT_OK);
        for (size_t d = 0; d < count; d++)
            if (*(const bool *)((const char *)&list[d] + shown[i].offset))
                fail_msg("%s: %s is still there", list[d].name, shown[i].name);
        free(list);
    }
    setenv("VKGPT_DISABLE", "software_kernels,,f16,full_subgroups,persistent,uniform_control_flow,", 1);
    assert_int_equal(vkgpt_device_open(NULL, &device, &err), VKGPT_OK);
    assert_true(!device->software_kernels && !device->matrix.m && !device->full_subgroups && !device->addresses &&
                !device->uniform_flow);
    vkgpt_device_close(device);
    setenv("VKGPT_DISABLE", "lanes", 1); // the older name of software_kernels
    assert_int_equal(vkgpt_device_open(NULL, &device, &err), VKGPT_OK);
    assert_false(device->software_kernels);
    vkgpt_device_close(device);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("VKGPT_DISABLE", wrong[i], 1);
        expect_sentence(vkgpt_device_open(NULL, &device, &err), VKGPT_BAD_ARGUMENT, &err, "VKGPT_DISABLE",
                        "is not one of coopmat, ", "unified", NULL);
        expect_sentence(vkgpt_devices(&list, &count, &err), VKGPT_BAD_ARGUMENT, &err, "VKGPT_DISABLE", NULL);
    }
    unsetenv("VKGPT_DISABLE");
}

// The first instruction of a kind in a module, and how many there are.
static const uint32_t *find(const uint32_t *words, size_t bytes, uint32_t operation, uint32_t *count)
{
    const uint32_t *first = NULL;
    *count = 0;
    for (size_t i = 5; i < bytes / 4; i += words[i] >> 16) {
        if ((words[i] & 0xffff) != operation) continue;
        if (!(*count)++) first = words + i;
    }
    return first;
}

// Every kernel can be changed to ask for uniform control flow: an extension after the capabilities, a mode of the entry
// point, and nothing else.
static void test_uniform_flow(void **state)
{
    (void)state;
    enum { EXTENSION = 10, ENTRY_POINT = 15, EXECUTION_MODE = 16, CAPABILITY = 17 };
    for (size_t i = 0; i < SPIRV_COUNT; i++) {
        const struct Spirv *spirv = &SPIRV_TABLE[i];
        size_t bytes = spirv->bytes;
        uint32_t before, after, capabilities;
        const struct ModuleAsk ask = uniform_flow_ask();
        uint32_t *module = module_ask(spirv->words, &bytes, &ask, 1);
        assert_non_null(module);
        assert_int_equal(bytes, spirv->bytes + 4 * (11 + 3));
        find(spirv->words, spirv->bytes, EXTENSION, &before);
        const uint32_t *extension = find(module, bytes, EXTENSION, &after);
        assert_int_equal(after, before + 1);
        assert_string_equal((const char *)(extension + 1), "SPV_KHR_subgroup_uniform_control_flow");
        find(module, (size_t)((const uint8_t *)extension - (const uint8_t *)module), CAPABILITY, &before);
        find(module, bytes, CAPABILITY, &capabilities);
        assert_int_equal(before, capabilities);
        const uint32_t *entry = find(module, bytes, ENTRY_POINT, &before), *mode = entry + (entry[0] >> 16);
        assert_int_equal(mode[0], 3u << 16 | EXECUTION_MODE);
        assert_true(mode[1] == entry[2] && mode[2] == 4421);
        free(module);
    }
}

// Openings after the first one do not write function pointers that other threads may be using.
static void test_globals(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_device_info *list;
    size_t count;
    assert_int_equal(vkgpt_device_open(NULL, &device, &err), VKGPT_OK);
    vkgpt_device_close(device);
    PFN_vkDeviceWaitIdle idle = vkDeviceWaitIdle; // a device's: not used
    PFN_vkGetPhysicalDeviceSparseImageFormatProperties unused = vkGetPhysicalDeviceSparseImageFormatProperties;
    vkGetPhysicalDeviceSparseImageFormatProperties = NULL; // an instance's, which vkgpt does not call
    assert_int_equal(vkgpt_device_open(NULL, &device, &err), VKGPT_OK);
    assert_int_equal(vkgpt_devices(&list, &count, &err), VKGPT_OK);
    assert_true(vkGetPhysicalDeviceSparseImageFormatProperties == NULL && vkDeviceWaitIdle == idle);
    vkGetPhysicalDeviceSparseImageFormatProperties = unused;
    vkgpt_device_close(device);
    free(list);
}

static void *open_often(void *argument)
{
    int *failures = argument;
    for (int i = 0; i < 5; i++) {
        vkgpt_error err;
        vkgpt_device *device;
        if (vkgpt_device_open(NULL, &device, &err)) ++*failures;
        else vkgpt_device_close(device);
    }
    return NULL;
}

// Two devices in two threads, in a program that a thread sanitizer may watch.
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[2];
    int failures[2] = {0};
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_often, &failures[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_true(failures[0] == 0 && failures[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_globals),
                                       cmocka_unit_test(test_switches), cmocka_unit_test(test_uniform_flow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
