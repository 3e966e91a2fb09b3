#include "engine/formats.h"

// Indexed by WEIGHTS_...
static const vkgpt_format ASKED[FORMATS] = {
    [WEIGHTS_F32] = VKGPT_F32,   [WEIGHTS_F16] = VKGPT_F16,   [WEIGHTS_Q8_0] = VKGPT_Q8_0,
    [WEIGHTS_Q4_0] = VKGPT_Q4_0, [WEIGHTS_Q4_K] = VKGPT_Q4_K,
};

bool format_is_small(uint32_t format) { return format >= WEIGHTS_Q8_0; }

enum BlockFormat format_blocks(uint32_t format) { return FORMAT_INFO[ASKED[format]].block; }

const char *format_name(uint32_t format) { return FORMAT_INFO[ASKED[format]].name; }

uint32_t format_of(vkgpt_format asked)
{
    for (uint32_t f = 0; f < FORMATS; f++)
        if (ASKED[f] == asked) return f;
    return WEIGHTS_F16;
}

uint32_t format_of_blocks(enum BlockFormat blocks)
{
    for (uint32_t f = WEIGHTS_Q8_0; f < FORMATS; f++)
        if (format_blocks(f) == blocks) return f;
    return WEIGHTS_Q8_0;
}

uint32_t format_kv(vkgpt_format asked) { return asked == VKGPT_F32 ? KV_F32 : asked == VKGPT_Q8_0 ? KV_Q8_0 : KV_F16; }
