#include "model/formats.h"

const struct FormatInfo FORMAT_INFO[VKGPT_Q4_K + 1] = {
    [VKGPT_AUTO] = {.name = "auto"},
    [VKGPT_F32] = {"f32", DTYPE_F32, 0, 0},
    [VKGPT_F16] = {"f16", DTYPE_F16, 0, 1},
    [VKGPT_Q8_0] = {"q8_0", DTYPE_BLOCKS, BLOCK_Q8_0, 7},
    [VKGPT_Q4_0] = {"q4_0", DTYPE_BLOCKS, BLOCK_Q4_0, 2},
    [VKGPT_Q4_K] = {"q4_k", DTYPE_BLOCKS, BLOCK_Q4_K, 14},
};

struct BlockInfo format_block(vkgpt_format format)
{
    const struct FormatInfo *info = &FORMAT_INFO[format];
    if (info->dtype == DTYPE_BLOCKS) return BLOCK_INFO[info->block];
    bool wide = info->dtype == DTYPE_F32;
    return (struct BlockInfo){.name = info->name, .weights = 1, .bytes = wide ? 4 : 2, .gguf = wide ? 0 : 1};
}
