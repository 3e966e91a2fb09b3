// Any bytes as a text, with the tokenizers of the models that ship and of the fixtures. What byte-level BPE encodes
// decodes to the same bytes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const struct Known {
    const char *path;
    bool same; // the text comes back as it was
} known[] = {
    {VKGPT_SOURCE_DIR "/models/tales", true},
    {VKGPT_SOURCE_DIR "/tests/fixtures/tokenizer/bert_vocab", false},
    {VKGPT_SOURCE_DIR "/tests/fixtures/tokenizer/spiece", false},
    {VKGPT_SOURCE_DIR "/tests/fixtures/tokenizer/gpt1", false},
};
#define KNOWN (sizeof known / sizeof *known)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vkgpt_tokenizer *toks[KNOWN];
    static bool opened;
    vkgpt_error err = {0};
    for (size_t i = 0; i < KNOWN && !opened; i++)
        if (vkgpt_tokenizer_open(known[i].path, 0, &toks[i], &err)) fprintf(stderr, "%s\n", err.text);
    opened = true;
    if (!toks[0]) abort();
    for (size_t i = 0; i < KNOWN; i++) {
        uint32_t *ids;
        char *text;
        size_t count, bytes;
        if (!toks[i]) continue;
        int code = vkgpt_encode(toks[i], (const char *)data, size, false, &ids, &count, &err);
        fuzz_check(code, &err);
        if (code) continue;
        if (vkgpt_decode(toks[i], ids, count, &text, &bytes, &err)) abort();
        if (known[i].same && (bytes != size || memcmp(text, data, size) != 0)) abort();
        free(ids);
        free(text);
    }
    return 0;
}
