// Opens the devices that --devices names.
#ifndef VKGPT_CLI_OPEN_DEVICES_H
#define VKGPT_CLI_OPEN_DEVICES_H

#include "vkgpt.h"

// names: separated by commas, each as vkgpt_device_open takes it. *count becomes the number of devices that are open,
// `most` at most, also after an error. Errors: those of vkgpt_device_open; VKGPT_BAD_ARGUMENT: a name is empty, a
// device is named twice, or there are too many.
int open_devices(const char *names, vkgpt_device **devices, size_t most, size_t *count, vkgpt_error *err);

#endif
