// The tuning file, for a GPU that is made up: as it is, and with the first line that is right here. What is taken can
// be written, and is taken again.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "engine/tuning.h"
#include "fuzz.h"
#include "gpu/device.h"

static void no_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties)
{
    (void)device;
    memset(properties, 0, sizeof *properties);
}

static vkgpt_device *device_make(void)
{
    vkgpt_device *device = calloc(1, sizeof *device);
    if (!device) abort();
    vkGetPhysicalDeviceProperties = no_properties;
    snprintf(device->info.name, sizeof device->info.name, "no device");
    device->info.subgroup_size = device->info.subgroup_min = device->info.subgroup_max = 32;
    device->info.max_workgroup = 1024;
    device->info.shared_bytes = 49152;
    return device;
}

static void forget(vkgpt_device *device)
{
    free(device->tuning);
    device->tuning = NULL;
}

// True: the file is taken.
static bool read_file(vkgpt_device *device, const char *path)
{
    vkgpt_error err = {0};
    forget(device);
    setenv("VKGPT_TUNING", path, 1);
    fuzz_check(tuning_open(device, &err), &err);
    const char *note = tuning_note(device);
    for (const char *c = note; c && *c; c++)
        if ((unsigned char)*c < ' ') abort();
    return !note;
}

// The first line of a file for this device, with its line end.
static size_t first_line(vkgpt_device *device, char **text)
{
    vkgpt_error err;
    size_t bytes;
    const char *path = fuzz_path("empty");
    setenv("VKGPT_TUNING", "off", 1);
    if (vkgpt_tuning_save(device, path, &err) || os_read_file(path, 1 << 20, text, &bytes, &err)) abort();
    return (size_t)(strchr(*text, '\n') - *text) + 1;
}

static void check_again(vkgpt_device *device)
{
    vkgpt_error err;
    const char *path = fuzz_path("again");
    if (vkgpt_tuning_save(device, path, &err) || !read_file(device, path)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *right;
    static size_t line;
    vkgpt_device *device = device_make();
    if (!right) line = first_line(device, &right);
    read_file(device, fuzz_file("tuning", data, size));

    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t rest = end ? size - (size_t)(end + 1 - data) : 0;
    char *whole = malloc(line + rest);
    if (!whole) abort();
    memcpy(whole, right, line);
    if (rest) memcpy(whole + line, end + 1, rest);
    bool taken = read_file(device, fuzz_file("tuning", (const uint8_t *)whole, line + rest));
    if (taken && size % 16 == 0) check_again(device); // it writes to the disk, which takes time
    free(whole);
    forget(device);
    free(device);
    return 0;
}
