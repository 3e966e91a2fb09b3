// Memory that runs out while files are read: each allocation fails once alone, and once with all that follow. There is
// one sentence and nothing is left; no failure is passed over, not even that of an optional look at a file. The next
// attempt succeeds.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "model_files.h"
#include "short_run.h"

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/"
#define MOST 400   // allocations of one reading that fail in a short run, spread over all
#define ALWAYS 100 // the first ones, each of which fails

// Reduces what was read to one number.
typedef int (*Reading)(const char *path, uint64_t *result, vkgpt_error *err);

static uint64_t mix(uint64_t sum, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    return sum;
}

static int read_checkpoint(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct Checkpoint checkpoint;
    int status = checkpoint_open(path, &checkpoint, err);
    if (status) return status;
    for (size_t i = 0; i < checkpoint.table.count; i++) {
        const struct Tensor *tensor = &checkpoint.table.tensors[i];
        *result = mix(*result, tensor->name, strlen(tensor->name));
        *result = mix(*result, tensor->data, tensor->bytes);
    }
    *result = mix(*result, checkpoint.name, strlen(checkpoint.name));
    checkpoint_close(&checkpoint);
    return VKGPT_OK;
}

static int read_tokenizer(const char *path, uint64_t *result, vkgpt_error *err)
{
    static const char text[] = "Once upon a time, caf\303\251 \360\237\230\200 <s> 12 there's.";
    vkgpt_tokenizer *tok;
    uint32_t *ids = NULL;
    char *back = NULL;
    size_t count = 0, bytes = 0;
    int status = vkgpt_tokenizer_open(path, 0, &tok, err);
    if (status) return status;
    status = vkgpt_encode(tok, text, strlen(text), true, &ids, &count, err);
    if (!status) status = vkgpt_decode(tok, ids, count, &back, &bytes, err);
    if (!status) *result = mix(mix(0, ids, count * sizeof *ids), back, bytes);
    free(ids);
    free(back);
    vkgpt_tokenizer_close(tok);
    return status;
}

static void allocation_fails(Reading read, const char *path, uint64_t n, bool all)
{
    vkgpt_error err = {0};
    uint64_t result = 0;
    malloc_fail_at(n, all);
    int status = read(path, &result, &err);
    bool came = malloc_has_failed();
    int64_t left = malloc_allocated();
    malloc_fail_at(0, false);
    if (!came) fail_msg("%s: allocation %llu did not come", path, (unsigned long long)n);
    if (left) fail_msg("%s, allocation %llu: %lld are left", path, (unsigned long long)n, (long long)left);
    if (!status) fail_msg("%s, allocation %llu: nothing is said of it", path, (unsigned long long)n);
    expect_sentence(status, VKGPT_OUT_OF_MEMORY, &err, NULL);
}

static void each_allocation_fails(Reading read, const char *path)
{
    vkgpt_error err;
    uint64_t right = 0, result = 0;
    if (read(path, &result, &err)) fail_msg("%s: %s", path, err.text); // what is made only once is made now
    malloc_fail_at(0, false);
    if (read(path, &right, &err)) fail_msg("%s: %s", path, err.text);
    uint64_t calls = malloc_calls(), stride = short_run() && calls > MOST ? calls / MOST : 1;
    for (uint64_t n = 1; n <= calls; n += n < ALWAYS ? 1 : stride) {
        allocation_fails(read, path, n, false);
        allocation_fails(read, path, n, true);
    }
    result = 0;
    if (read(path, &result, &err) || result != right) fail_msg("%s, afterwards: %s", path, err.text);
}

static void test_checkpoints(void **state)
{
    (void)state;
    static const char *const paths[] = {"gpt2/smallest",       "gpt2/silu-160-shards", "gpt2/quick-gelu-48-bin",
                                        "gpt1/openai-release", "gpt1/relu-45-bin",     "neo/types-40-shards",
                                        "opt/before-48"};
    char path[1024];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(path, sizeof path, FIXTURES "%s", paths[i]);
        each_allocation_fails(read_checkpoint, path);
    }
}

static void test_tokenizers(void **state)
{
    (void)state;
    static const char *const names[] = {"added", "bert_cased", "bert_json", "bos_json", "escaped", "gpt1"};
    char path[1024];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, FIXTURES "tokenizer/%s", names[i]);
        each_allocation_fails(read_tokenizer, path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_checkpoints), cmocka_unit_test(test_tokenizers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
