// Choices that were measured on a device and replace the built-in ones. `vkgpt tune` finds them product by product
// (thorough), the first session of a model in a second (quick: engine/quick.h). They are kept in a text file in the
// user's cache folder, one for each device, driver and version of vkgpt:
//
//   vkgpt-tuning 4 0.1.0 10005 0000 00000001 7661...3134 llvmpipe (LLVM 15.0.6, 256 bits)
//   # product kernels weights width outputs tokens, rows size loads staged, by
//   qkv lanes f16 768 2304 1 4 32 12 1 thorough
//   # tile product kind weights width outputs block, rows outputs size whole|split, by
//   tile contract matrices f16 3072 768 128 64 64 128 split thorough
//   # step what kernels weights layers width inner vocabulary, by
//   step dispatches lanes f16 12 768 3072 50264 quick
//
// The first line has the version of the format and of vkgpt, then vendor, device, driver version, the driver's own UUID
// and the name of the device. All of a file is ignored if it is damaged or for another device, driver or version, and a
// sentence says so.
#ifndef VKGPT_ENGINE_TUNING_H
#define VKGPT_ENGINE_TUNING_H

#include "engine/variants.h"

enum FoundBy { FOUND_QUICK, FOUND_THOROUGH };

// Reads the device's file on first use. The environment variable VKGPT_TUNING names another file, or is "off".
int tuning_open(vkgpt_device *device, vkgpt_error *err);
// Why a file is ignored. NULL: none is; also from the second call on, so that it is said only once.
const char *tuning_note(vkgpt_device *device);
// Whether VKGPT_TUNING is set: then what is missing in its file is not measured.
bool tuning_is_asked(void);

// NULL: none was measured. Only after tuning_open.
const struct Variant *tuning_find(const vkgpt_device *device, const struct ProductKey *key);
bool tuning_is_thorough(const vkgpt_device *device, const struct ProductKey *key);
// Replaces or adds a choice; a quick one never replaces a thorough one. Errors (VKGPT_BAD_ARGUMENT): there are too
// many.
int tuning_set(vkgpt_device *device, const struct ProductKey *key, struct Variant variant, enum FoundBy by,
               vkgpt_error *err);

// Switches of a whole decode step, for the steps of one model. 0: not measured; 1: as without tuning.
enum StepSwitch { STEP_FORM, STEP_PROLOGUE, STEP_SWITCHES };
enum StepForm { STEP_UNKNOWN, STEP_DISPATCHES, STEP_PERSISTENT }; // of STEP_FORM
enum StepPrologue { STEP_WEIGHTS_FIRST = 1, STEP_STATE_FIRST };   // of STEP_PROLOGUE: what a product loads first

struct StepKey {
    bool software;
    uint32_t format; // of the first layer's matrices
    uint32_t layers, width, inner, vocab;
};

uint32_t tuning_find_step(const vkgpt_device *device, const struct StepKey *key, enum StepSwitch which);
// As tuning_set. A value of 0 changes nothing.
int tuning_set_step(vkgpt_device *device, const struct StepKey *key, enum StepSwitch which, uint32_t value,
                    enum FoundBy by, vkgpt_error *err);

#endif
