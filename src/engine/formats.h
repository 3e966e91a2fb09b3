// The formats in which a device holds numbers, and their counterparts in the interface, in a file, and by name.
#ifndef VKGPT_ENGINE_FORMATS_H
#define VKGPT_ENGINE_FORMATS_H

#include "gpu/recording.h"
#include "model/formats.h"

// Formats of weights: WEIGHTS_F32, WEIGHTS_F16, and the quantised ("small") ones, which have blocks with a scale.
bool format_is_small(uint32_t format);
enum BlockFormat format_blocks(uint32_t format);    // of a quantised format, in GGUF
const char *format_name(uint32_t format);           // "q8_0"
uint32_t format_of(vkgpt_format asked);             // VKGPT_AUTO: fp16
uint32_t format_of_blocks(enum BlockFormat blocks); // for blocks of a file; q8_0 where no kernel reads them
uint32_t format_kv(vkgpt_format asked);             // of the cache: KV_F32, KV_F16, KV_Q8_0; VKGPT_AUTO: fp16

#endif
