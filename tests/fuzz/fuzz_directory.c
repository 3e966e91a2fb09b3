// A checkpoint's directory as a whole, its head for a task, and what the path is said to be.
#include "fuzz.h"
#include "model/checkpoint.h"
#include "model/locate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "model.safetensors",
                                        "pytorch_model.bin",
                                        "model.safetensors.index.json",
                                        "pytorch_model.bin.index.json",
                                        "a.safetensors",
                                        "adapter_config.json",
                                        "m.gguf",
                                        NULL};
    struct Checkpoint checkpoint;
    struct Located at;
    vkgpt_error err = {0};
    fuzz_files(data, size, names);
    int code = checkpoint_open(fuzz_dir(), &checkpoint, &err);
    fuzz_check(code, &err);
    if (!code) checkpoint_close(&checkpoint);
    fuzz_check(model_locate(fuzz_dir(), NEED_WEIGHTS, &at, &err), &err);
    return 0;
}
