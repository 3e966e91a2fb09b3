#include "model/classes.h"

#include <stdio.h>
#include <string.h>

#define LLAMA_CPP "llama.cpp and transformers run"
#define TRANSFORMERS "transformers runs"

static const struct Class {
    const char *type, *name, *runner;
    // clang-format off
} classes[] = {
    {"llama", "Llama", LLAMA_CPP},         {"mistral", "Mistral", LLAMA_CPP},      {"mixtral", "Mixtral", LLAMA_CPP},
    {"qwen2", "Qwen2", LLAMA_CPP},         {"qwen3", "Qwen3", LLAMA_CPP},          {"gemma", "Gemma", LLAMA_CPP},
    {"gemma2", "Gemma 2", LLAMA_CPP},      {"gemma3", "Gemma 3", LLAMA_CPP},       {"phi", "Phi", LLAMA_CPP},
    {"phi3", "Phi-3", LLAMA_CPP},          {"gpt_neox", "GPT-NeoX", LLAMA_CPP},    {"gptneox", "GPT-NeoX", LLAMA_CPP},
    {"bloom", "BLOOM", LLAMA_CPP},         {"falcon", "Falcon", LLAMA_CPP},        {"mpt", "MPT", LLAMA_CPP},
    {"gpt_bigcode", "GPTBigCode", LLAMA_CPP}, {"starcoder", "StarCoder", LLAMA_CPP}, {"stablelm", "StableLM", LLAMA_CPP},
    {"olmo", "OLMo", LLAMA_CPP},           {"mamba", "Mamba", LLAMA_CPP},          {"deepseek_v3", "DeepSeek-V3", LLAMA_CPP},
    {"gpt_oss", "gpt-oss", LLAMA_CPP},     {"gptj", "GPT-J", TRANSFORMERS},        {"codegen", "CodeGen", TRANSFORMERS},
    {"xglm", "XGLM", TRANSFORMERS},        {"biogpt", "BioGPT", TRANSFORMERS},     {"ctrl", "CTRL", TRANSFORMERS},
    {"imagegpt", "ImageGPT", TRANSFORMERS}, {"bert", "BERT", TRANSFORMERS},        {"roberta", "RoBERTa", TRANSFORMERS},
    {"distilbert", "DistilBERT", TRANSFORMERS}, {"t5", "T5", TRANSFORMERS},        {"bart", "BART", TRANSFORMERS},
    {"xlnet", "XLNet", TRANSFORMERS},      {"transfo-xl", "Transformer-XL", TRANSFORMERS},
};
// clang-format on

const char *class_told(const char *type, char text[CLASS_BYTES])
{
    const struct Class *found = NULL;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].type, type) == 0) found = &classes[i];
    if (found) snprintf(text, CLASS_BYTES, "this is a %s, which %s", found->name, found->runner);
    else snprintf(text, CLASS_BYTES, "transformers or llama.cpp may run it");
    return text;
}
