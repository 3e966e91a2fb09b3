// What `vkgpt tune` has measured on a device: choices of variants that take the place of the built-in ones. They are
// kept in a text file in the user's cache folder, one for each device and driver:
//
//   vkgpt-tuning 1 10005 0000 00000001 7661...3134 llvmpipe (LLVM 15.0.6, 256 bits)
//   # product kernels weights width outputs tokens, rows size staged
//   qkv lanes f16 768 2304 1 4 32 1
//
// The first line has the format's version, and vendor, device, driver version, the driver's own UUID and the name of the
// device. A file that is damaged or of another device or driver is ignored whole, and a sentence says so.
#ifndef VKGPT_ENGINE_TUNING_H
#define VKGPT_ENGINE_TUNING_H

#include "engine/variants.h"

// Reads the device's file on first use. The environment variable VKGPT_TUNING names another file, or is "off".
int tuning_open(vkgpt_device *device, vkgpt_error *err);
// Why a file is ignored, to be said once: NULL where none is, and from the second call on.
const char *tuning_note(vkgpt_device *device);
// NULL: none was measured. Only after tuning_open.
const struct Variant *tuning_find(const vkgpt_device *device, const struct ProductKey *key);
// Replaces or adds a choice. Errors (VKGPT_BAD_ARGUMENT): there are too many.
int tuning_set(vkgpt_device *device, const struct ProductKey *key, struct Variant variant, vkgpt_error *err);

#endif
