// The tuning file, for a device of which nothing is known.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tuning.h"
#include "fuzz.h"
#include "gpu/device.h"

static void no_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties)
{
    (void)device;
    memset(properties, 0, sizeof *properties);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vkgpt_device *device = calloc(1, sizeof *device);
    vkgpt_error err = {0};
    if (!device) abort();
    vkGetPhysicalDeviceProperties = no_properties;
    snprintf(device->info.name, sizeof device->info.name, "no device");
    setenv("VKGPT_TUNING", fuzz_file("tuning", data, size), 1);
    fuzz_check(tuning_open(device, &err), &err);
    const char *note = tuning_note(device);
    for (; note && *note; note++)
        if ((unsigned char)*note < ' ') abort();
    free(device->tuning);
    free(device);
    return 0;
}
