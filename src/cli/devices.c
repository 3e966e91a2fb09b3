// vkgpt devices: every Vulkan device, and whether vkgpt can use it.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/device_json.h"
#include "cli/print_json.h"

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) i++;
        if (!part[i]) return true;
    }
    return false;
}

// Whether --device names this device: by number or by a part of its name, as vkgpt_device_open reads it.
static bool is_wanted(const vkgpt_device_info *device, const char *which)
{
    if (!which) return true;
    char *end;
    long index = strtol(which, &end, 10);
    if (*which && !*end) return index == device->index;
    return contains(device->name, which);
}

static void print_device(const vkgpt_device_info *d)
{
    printf("%d  %s\n", d->index, d->name);
    if (d->usable) printf("   usable     yes\n");
    else printf("   usable     no: %s\n", d->why_not);
    printf("   type       %s\n", d->type);
    printf("   driver     %s, Vulkan %s\n", d->driver, d->api);
    printf("   memory     %.0f MiB\n", (double)d->memory_bytes / MIB);
    printf("   limits     buffer range %.0f MiB, allocation %.0f MiB, offset alignment %u\n",
           (double)d->max_buffer_range / MIB, (double)d->max_allocation / MIB, d->offset_alignment);
    printf("   workgroup  %u invocations, %.0f KiB shared\n", d->max_workgroup, d->shared_bytes / KIB);
    printf("   subgroup   %u (%u to %u)\n", d->subgroup_size, d->subgroup_min, d->subgroup_max);
    printf("   features  ");
    for (const struct DeviceFeature *f = DEVICE_FEATURES; f->name; f++)
        if (device_has(d, f)) printf(" %s", f->name);
    printf("\n");
}

int devices_main(const struct Options *options)
{
    vkgpt_error err;
    vkgpt_device_info *list;
    size_t count, shown = 0;
    if (vkgpt_devices(&list, &count, &err)) return failed(&err);
    cJSON *devices = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(&list[i], options->device)) continue;
        if (options->json) cJSON_AddItemToArray(devices, device_json(&list[i]));
        else print_device(&list[i]);
        shown++;
    }
    free(list);

    if (options->device && !shown) {
        cJSON_Delete(devices);
        fail(&err, VKGPT_NO_DEVICE, "no device of the %zu here is called '%s'", count, options->device);
        return failed(&err);
    }
    if (!options->json) {
        cJSON_Delete(devices);
        return finish_output(EXIT_OK);
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "devices", devices);
    return finish_output(json_print(json));
}
