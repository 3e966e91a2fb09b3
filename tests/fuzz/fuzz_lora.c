// An adapter, merged into a checkpoint that is good.
#include <stdlib.h>

#include "fuzz.h"
#include "model/lora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", NULL};
    struct Checkpoint checkpoint;
    struct LoraMerged merged;
    vkgpt_error err = {0};
    if (checkpoint_open(VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt2-patterns", &checkpoint, &err)) abort();
    fuzz_files(data, size, names);
    fuzz_check(lora_merge(fuzz_dir(), &checkpoint, &merged, &err), &err);
    checkpoint_close(&checkpoint);
    return 0;
}
