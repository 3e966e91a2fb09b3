// Merges LoRA weights (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models"), as Hugging Face's PEFT
// saves them, into the weights of a checkpoint.
#ifndef VKGPT_MODEL_LORA_H
#define VKGPT_MODEL_LORA_H

#include "model/checkpoint.h"

struct LoraMerged {
    char name[256];    // of the adapter's folder
    uint32_t weights;  // matrices that B A was added to
    uint32_t replaced; // biases and whole tensors that the adapter replaces
};

// Does the same as PEFT's merge_and_unload: W + scale B A for every pair in the adapter's file, for any module, also
// embedding tables. The scale is lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora; rank_pattern and
// alpha_pattern can set r and lora_alpha per module. A (r, in) and B (out, r) belong to the product y = W x even if the
// file stores W as (in, out), as GPT-2's Conv1D does; fan_in_fan_out only says so. Trained biases (bias
// "all", "lora_only", lora_bias) are merged too. The sums are in fp32; a changed weight stays in fp32 in host memory
// until the checkpoint is closed.
//
// `path` is a folder with adapter_config.json and adapter_model.safetensors or adapter_model.bin, or a path for which
// model_locate finds one. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL, VKGPT_OUT_OF_MEMORY): another type than LORA; DoRA,
// modules_to_save and other settings that change the product, by name; a tensor for a module that the model does not
// have; shapes and ranks that disagree, with both. After an error the checkpoint can only be closed.
int lora_merge(const char *path, struct Checkpoint *checkpoint, struct LoraMerged *merged, vkgpt_error *err);

#endif
