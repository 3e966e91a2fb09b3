#include "cli/device_json.h"

#include "cli/print_json.h"

#define FEATURE(name_, member)                                                                                         \
    {                                                                                                                  \
        name_, offsetof(vkgpt_device_info, member)                                                                     \
    }

const struct DeviceFeature DEVICE_FEATURES[] = {
    FEATURE("f16", f16),
    FEATURE("storage16", storage16),
    FEATURE("int8", int8),
    FEATURE("storage8", storage8),
    FEATURE("coopmat", coopmat),
    FEATURE("shuffle", subgroup_shuffle),
    FEATURE("subgroup_size_control", subgroup_size_control),
    FEATURE("memory_budget", memory_budget),
    FEATURE("device_fault", device_fault),
    FEATURE("timestamps", timestamps),
    FEATURE("unified", unified),
    {0},
};

bool device_has(const vkgpt_device_info *device, const struct DeviceFeature *feature)
{
    return *(const bool *)((const char *)device + feature->offset);
}

static cJSON *limits_json(const vkgpt_device_info *d)
{
    cJSON *limits = cJSON_CreateObject();
    json_add_unsigned(limits, "max_buffer_range", d->max_buffer_range);
    json_add_unsigned(limits, "max_allocation", d->max_allocation);
    cJSON_AddNumberToObject(limits, "offset_alignment", d->offset_alignment);
    cJSON_AddNumberToObject(limits, "max_workgroup", d->max_workgroup);
    cJSON_AddNumberToObject(limits, "shared_bytes", d->shared_bytes);
    cJSON_AddNumberToObject(limits, "subgroup_size", d->subgroup_size);
    cJSON_AddNumberToObject(limits, "subgroup_min", d->subgroup_min);
    cJSON_AddNumberToObject(limits, "subgroup_max", d->subgroup_max);
    return limits;
}

static cJSON *features_json(const vkgpt_device_info *d)
{
    cJSON *features = cJSON_CreateObject();
    for (const struct DeviceFeature *f = DEVICE_FEATURES; f->name; f++)
        cJSON_AddBoolToObject(features, f->name, device_has(d, f));
    return features;
}

cJSON *device_json(const vkgpt_device_info *d)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "index", d->index);
    cJSON_AddStringToObject(json, "name", d->name);
    cJSON_AddStringToObject(json, "type", d->type);
    cJSON_AddStringToObject(json, "driver", d->driver);
    cJSON_AddStringToObject(json, "api", d->api);
    cJSON_AddNumberToObject(json, "vendor_id", d->vendor_id);
    cJSON_AddNumberToObject(json, "device_id", d->device_id);
    json_add_unsigned(json, "memory_bytes", d->memory_bytes);
    cJSON_AddItemToObject(json, "limits", limits_json(d));
    cJSON_AddItemToObject(json, "features", features_json(d));
    cJSON_AddBoolToObject(json, "usable", d->usable);
    if (!d->usable) cJSON_AddStringToObject(json, "why_not", d->why_not);
    return json;
}
