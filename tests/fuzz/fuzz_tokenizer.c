// A tokenizer's files, of every kind. One that opens encodes a text and decodes what comes of it.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "spiece.model",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "config.json",
                                        "encoder_bpe_40000.json",
                                        "vocab_40000.bpe",
                                        NULL};
    static const char text[] = "Hello, W\xc3\xb6rld! 123  <|endoftext|>\xf0\x9f\x98\x80 a\xff\x00z";
    vkgpt_tokenizer *tok;
    vkgpt_error err = {0};
    uint32_t *ids = NULL;
    char *back = NULL;
    size_t count, bytes;
    fuzz_files(data, size, names);
    int code = vkgpt_tokenizer_open(fuzz_dir(), 0, &tok, &err);
    fuzz_check(code, &err);
    if (code) return 0;
    code = vkgpt_encode(tok, text, sizeof text - 1, true, &ids, &count, &err);
    fuzz_check(code, &err);
    if (!code) fuzz_check(vkgpt_decode(tok, ids, count, &back, &bytes, &err), &err);
    free(ids);
    free(back);
    vkgpt_tokenizer_close(tok);
    return 0;
}
