// LoRA (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models") as Hugging Face's PEFT saves it, merged
// into the weights of a checkpoint.
#ifndef VKGPT_MODEL_LORA_H
#define VKGPT_MODEL_LORA_H

#include "model/checkpoint.h"

struct LoraMerged {
    char name[256];    // of the adapter's folder
    uint32_t weights;  // matrices that B A was added to
    uint32_t replaced; // biases and whole tensors that the adapter brings
};

// Does what PEFT's merge_and_unload does: W + scale B A for every pair that the adapter's file holds, whichever modules
// they are of, tables among them; scale is lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora, both by
// rank_pattern and alpha_pattern. A (r, in) and B (out, r) are of the product y = W x also where the file keeps W as
// (in, out), as GPT-2's Conv1D does: fan_in_fan_out says only that. Biases that were trained (bias "all", "lora_only",
// lora_bias) come with it. The sums are in fp32; a weight that is changed is kept in fp32 in host memory until the
// checkpoint is closed.
//
// `path` is a folder with adapter_config.json and adapter_model.safetensors or adapter_model.bin, or what model_locate
// makes one of. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL, VKGPT_OUT_OF_MEMORY), after which the checkpoint is good for
// closing only: another type than LORA, DoRA, modules_to_save, and what else changes the product, by name; a tensor of
// a module that the model has not; shapes and ranks that disagree, with both.
int lora_merge(const char *path, struct Checkpoint *checkpoint, struct LoraMerged *merged, vkgpt_error *err);

#endif
