// The data of a device as JSON, for `devices` and the reports of `selftest`.
#ifndef VKGPT_CLI_DEVICE_JSON_H
#define VKGPT_CLI_DEVICE_JSON_H

#include <cjson/cJSON.h>

#include "vkgpt.h"

// The features that a device may have. VKGPT_DISABLE takes the same names, for the features that a kernel or the host
// uses.
struct DeviceFeature {
    const char *name;
    size_t offset; // of a bool in vkgpt_device_info
};
extern const struct DeviceFeature DEVICE_FEATURES[]; // ends with a NULL name

bool device_has(const vkgpt_device_info *device, const struct DeviceFeature *feature);

cJSON *device_json(const vkgpt_device_info *device);

#endif
