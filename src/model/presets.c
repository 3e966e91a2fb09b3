#include "model/presets.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define VOCAB 50257
#define WINDOW 256

const struct Preset PRESETS[] = {
    {"gpt2", 12, 12, 768, 1024, false, NULL},
    {"gpt2-medium", 24, 16, 1024, 1024, false, NULL},
    {"gpt2-large", 36, 20, 1280, 1024, false, NULL},
    {"gpt2-xl", 48, 25, 1600, 1024, false, NULL},
    {"gpt3-125m", 12, 12, 768, 2048, true, NULL},
    {"gpt3-350m", 24, 16, 1024, 2048, true, NULL},
    {"gpt3-760m", 24, 16, 1536, 2048, true, NULL},
    {"gpt3-1.3b", 24, 16, 2048, 2048, true,
     "table 2.1 gives 24 heads of 128 for a width of 2048, which 16 heads of 128 fill: 16 it is"},
    {"gpt3-2.7b", 32, 32, 2560, 2048, true, NULL},
    {"gpt3-6.7b", 32, 32, 4096, 2048, true, NULL},
    {"gpt3-13b", 40, 40, 5120, 2048, true,
     "table 2.1 gives a width of 5140 for 40 heads of 128, which is 5120; table D.1's 12,850M parameters are those of 5120"},
    {"gpt3-175b", 96, 96, 12288, 2048, true, NULL},
    {0},
};

const char PRESET_GPT3_NOTE[] =
    "the GPT-3 paper gives no width of the banded layers: 256, as GPT-Neo has, whose class this is (no biases on q, k "
    "and v)";

const struct Preset *preset_find(const char *name)
{
    for (const struct Preset *preset = PRESETS; preset->name; preset++)
        if (strcmp(preset->name, name) == 0) return preset;
    return NULL;
}

void preset_names(char *text, size_t size)
{
    size_t n = 0;
    for (const struct Preset *preset = PRESETS; preset->name && n < size; preset++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", preset->name);
}

// Layers 1, 3, 5, ... are local.
static void band_layers(struct Config *config)
{
    memset(config->local, 0, sizeof config->local);
    for (uint32_t l = 1; config->window && l < config->layers; l += 2) config->local[l / 8] |= (uint8_t)(1 << l % 8);
}

void preset_config(const struct Preset *preset, struct Config *config)
{
    *config = (struct Config){
        .architecture = preset->banded ? "gpt_neo" : "gpt2",
        .layers = preset->layers,
        .heads = preset->heads,
        .dim = preset->dim,
        .head_dim = preset->dim / preset->heads,
        .inner = 4 * preset->dim,
        .context = preset->context,
        .vocab = VOCAB,
        .eps = 1e-5f,
        .activation = ACTIVATION_GELU_TANH,
        .scale_attention = !preset->banded,
        .tied_head = true,
        .final_norm = true,
        .norm_affine = true,
        .qkv_bias = !preset->banded,
        .bias = true,
        .embed_dim = preset->dim,
        .window = preset->banded ? WINDOW : 0,
        .bos = -1,
    };
    band_layers(config);
}

static int size_take(const char *name, uint32_t asked, uint32_t most, uint32_t *size, vkgpt_error *err)
{
    if (asked > most) return fail(err, VKGPT_BAD_ARGUMENT, "%s of %u: %u at most", name, asked, most);
    if (asked) *size = asked;
    return VKGPT_OK;
}

int preset_resize(struct Config *config, const struct PresetSizes *sizes, vkgpt_error *err)
{
    bool four_times = config->inner == 4 * config->dim;
    int status = size_take("layers", sizes->layers, CONFIG_MAX_LAYERS, &config->layers, err);
    if (!status) status = size_take("heads", sizes->heads, CONFIG_MAX_DIM, &config->heads, err);
    if (!status) status = size_take("a width", sizes->dim, CONFIG_MAX_DIM, &config->dim, err);
    if (four_times) config->inner = 4 * config->dim;
    if (!status) status = size_take("an inner width", sizes->inner, CONFIG_MAX_ROWS, &config->inner, err);
    if (!status) status = size_take("a context", sizes->context, CONFIG_MAX_ROWS, &config->context, err);
    if (!status) status = size_take("a vocabulary", sizes->vocab, CONFIG_MAX_ROWS, &config->vocab, err);
    if (!status && config->dim % config->heads)
        status =
            fail(err, VKGPT_BAD_ARGUMENT, "a width of %u is not a multiple of %u heads", config->dim, config->heads);
    if (status) return status;
    config->head_dim = config->dim / config->heads;
    config->embed_dim = config->dim;
    band_layers(config);
    return VKGPT_OK;
}
