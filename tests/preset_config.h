// The config of a preset of make-model and plan, for tests of what is computed from it.
#ifndef TESTS_PRESET_CONFIG_H
#define TESTS_PRESET_CONFIG_H

#include "model/presets.h"

#include "compare.h"

static inline struct Config config_of(const char *name)
{
    struct Config config;
    assert_non_null(preset_find(name));
    preset_config(preset_find(name), &config);
    return config;
}

#endif
