// A GGUF file: its tensors, its config and its vocabulary.
#include "fuzz.h"
#include "model/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vkgpt_tokenizer *tok;
    vkgpt_error err = {0};
    struct Checkpoint checkpoint;
    const char *path = fuzz_file("m.gguf", data, size);
    int code = checkpoint_open(path, &checkpoint, &err);
    fuzz_check(code, &err);
    if (!code) checkpoint_close(&checkpoint);
    code = vkgpt_tokenizer_open(path, 0, &tok, &err);
    fuzz_check(code, &err);
    if (!code) vkgpt_tokenizer_close(tok);
    return 0;
}
