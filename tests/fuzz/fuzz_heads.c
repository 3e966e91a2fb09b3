// The head of a checkpoint for a task, and the scores that it gives.
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {
        "config.json", "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "a.safetensors", NULL};
    static const uint32_t ids[] = {3, 1, 0, 1};
    vkgpt_head *head;
    vkgpt_error err = {0};
    fuzz_files(data, size, names);
    int code = vkgpt_head_open(fuzz_dir(), &head, &err);
    fuzz_check(code, &err);
    if (code) return 0;
    const vkgpt_head_info *info = vkgpt_head_describe(head);
    float *hidden = calloc(info->hidden, sizeof *hidden);
    double *scores = calloc(info->scores, sizeof *scores);
    if (!hidden || !scores) abort();
    fuzz_check(vkgpt_head_scores(head, hidden, scores, &err), &err);
    if (vkgpt_head_position(head, ids, 4) >= 4) abort();
    for (uint32_t i = 0; info->labels && i < info->scores; i++)
        if (!info->labels[i]) abort();
    free(hidden);
    free(scores);
    vkgpt_head_close(head);
    return 0;
}
