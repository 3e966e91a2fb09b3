#include "cli/open_devices.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

// Opens one more device.
static int open_next(const char *name, vkgpt_device **devices, size_t *count, vkgpt_error *err)
{
    int status = vkgpt_device_open(name, &devices[*count], err);
    if (status) return status;
    const vkgpt_device_info *info = vkgpt_device_describe(devices[*count]);
    const size_t before = (*count)++;
    for (size_t i = 0; i < before; i++)
        if (vkgpt_device_describe(devices[i])->index == info->index)
            return fail(err, VKGPT_BAD_ARGUMENT, "--devices: device %d, %s, is named twice", info->index, info->name);
    return 0;
}

int open_devices(const char *names, vkgpt_device **devices, size_t most, size_t *count, vkgpt_error *err)
{
    int status = 0;
    for (const char *from = names, *end; !status && from; from = *end ? end + 1 : NULL) {
        char name[256];
        end = from + strcspn(from, ",");
        snprintf(name, sizeof name, "%.*s", (int)(end - from), from);
        if (!name[0]) return fail(err, VKGPT_BAD_ARGUMENT, "--devices %s: a name is empty", names);
        if (*count == most) return fail(err, VKGPT_BAD_ARGUMENT, "--devices %s: more than %zu devices", names, most);
        status = open_next(name, devices, count, err);
    }
    return status;
}
