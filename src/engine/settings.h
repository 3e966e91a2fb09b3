// How a decode step of one sequence runs as a whole: a variant for each product of a model, and the step's switches.
// None of them changes a bit of the result. Tuning tries the changes of a table, each against the best settings so far
// (engine/step_search.h).
#ifndef VKGPT_ENGINE_SETTINGS_H
#define VKGPT_ENGINE_SETTINGS_H

#include "engine/model.h"
#include "engine/tuning.h"

#define SETTINGS_PRODUCTS (PRODUCT_KERNELS * FORMATS)

struct Settings {
    uint32_t count;
    struct ProductKey keys[SETTINGS_PRODUCTS]; // of the model's products of one row
    struct Variant variants[SETTINGS_PRODUCTS];
    bool fixed[SETTINGS_PRODUCTS]; // the variant stays as it is
    struct StepKey step;
    uint32_t switches[STEP_SWITCHES]; // 0: not measured
};

struct StepKey step_key(const vkgpt_model *model);

// The built-in settings; and those that are kept, where the variants that were found thoroughly are fixed.
void settings_built_in(const vkgpt_model *model, struct Settings *settings);
void settings_kept(const vkgpt_model *model, struct Settings *settings);
// Whether a product that has several variants has no choice yet.
bool settings_incomplete(const vkgpt_model *model);
// Whether decode could be one kernel, and that was not tried yet: it may not have been compiled in time.
bool settings_form_unknown(const vkgpt_model *model);
// How many kernels differ.
uint32_t settings_differ(const struct Settings *a, const struct Settings *b);
// Sessions that are opened from then on run with these settings. A fixed choice stays as it is kept.
int settings_install(vkgpt_model *model, const struct Settings *settings, enum FoundBy by, vkgpt_error *err);

// One line of the table.
struct Change {
    const char *name; // "24 loads": for people
    // Makes the change in settings that are the best so far; false if it changes nothing, or if the device or the model
    // does not allow it.
    bool (*apply)(const vkgpt_model *model, struct Settings *settings, uint32_t value);
    uint32_t value;
    bool whole; // of the step, not of its products: `vkgpt tune` tries it too
};

const struct Change *changes(uint32_t *count);

#endif
