// The formats that a device holds numbers in, and what they are elsewhere: to the caller, in a file, by name.
#ifndef VKGPT_ENGINE_FORMATS_H
#define VKGPT_ENGINE_FORMATS_H

#include "gpu/recording.h"
#include "model/blocks.h"

// Of weights: WEIGHTS_F32, WEIGHTS_F16, and the small ones, which have blocks with a scale.
bool format_is_small(uint32_t format);
enum BlockFormat format_blocks(uint32_t format);    // a small one's, in GGUF
const char *format_name(uint32_t format);           // "q8_0"
uint32_t format_of(vkgpt_format asked);             // VKGPT_AUTO: fp16
uint32_t format_of_blocks(enum BlockFormat blocks); // those of a file; q8_0 where no kernel reads them
uint32_t format_kv(vkgpt_format asked);             // of the cache: KV_F32, KV_F16, KV_Q8_0; VKGPT_AUTO: fp16

#endif
