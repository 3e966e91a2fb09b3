// Memory that runs out while a server reads a request and puts an answer together: each allocation fails once alone,
// and once with all that follow. The request is refused with status 503, or its text is marked as failed; nothing is
// left, and the next one succeeds.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/answer.h"
#include "serve/assembly.h"
#include "serve/auth.h"
#include "serve/fields.h"
#include "serve/json_out.h"
#include "serve/prompts.h"
#include "serve/request.h"

#include <cmocka.h>

#include "failing_malloc.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static vkgpt_tokenizer *tok;
static const vkgpt_model_info MODEL = {.vocab = 4096, .bos = -1, .eos_count = 1, .eos = {4095}};

static int open_tok(void **state)
{
    (void)state;
    return vkgpt_tokenizer_open(TALES, 0, &tok, NULL);
}

static int close_tok(void **state)
{
    (void)state;
    vkgpt_tokenizer_close(tok);
    return 0;
}

// Returns 0, or a status that says that there was no memory. `sum` becomes something of the result.
typedef int Work(uint64_t *sum);

static void check(Work *work)
{
    uint64_t want = 0;
    malloc_fail_at(0, false);
    assert_int_equal(work(&want), 0);
    uint64_t calls = malloc_calls();
    assert_true(calls > 3);
    for (uint64_t n = 1; n <= calls; n++) {
        for (int all = 0; all < 2; all++) {
            uint64_t sum = 0;
            malloc_fail_at(n, all);
            int status = work(&sum);
            bool failed = malloc_has_failed();
            int64_t left = malloc_allocated();
            malloc_fail_at(0, false);
            if (status != (failed ? 503 : 0) || left || (!failed && sum != want))
                print_error("allocation %u of %u, all %d: status %d, %d not freed\n", (unsigned)n, (unsigned)calls, all,
                            status, (int)left);
            assert_true(failed);
            assert_int_equal(status, 503);
            assert_int_equal(left, 0);
        }
    }
    uint64_t again = 0;
    assert_int_equal(work(&again), 0);
    assert_true(again == want);
}

// ------------------------------------------------------------------------------------------- a request

static int read_body(const char *text, uint64_t *sum)
{
    const struct Served served = {.tok = tok, .model = &MODEL, .name = "tales", .context = 256, .slots = 1};
    struct Refusal refusal = {.status = 0};
    struct Request request = {.chat = false};
    struct Prompts prompts = {.count = 0};
    struct Buffer body = {0};
    struct Json *json = NULL;
    buffer_text(&body, text);
    int status = body.failed ? 503 : fields_parse(&body, &json, &refusal);
    if (!status) status = request_read(&request, false, MODEL.vocab, json, &refusal);
    if (!status) status = prompts_read(&served, request.prompt, &prompts, &refusal);
    for (size_t i = 0; i < prompts.count; i++) *sum = *sum * 31 + prompts.list[i].count;
    *sum = *sum * 31 + request.stop_count * 7 + request.bias_count;
    prompts_free(&prompts);
    request_free(&request);
    json_free(json);
    buffer_free(&body);
    return status;
}

static int read_texts(uint64_t *sum)
{
    return read_body("{\"prompt\":[\"Once upon a time\",\"\",\"A caf\\u00e9\"],\"stop\":[\"the end\",\"\\n\"],"
                     "\"logit_bias\":{\"5\":1,\"7\":-2},\"seed\":1}",
                     sum);
}

static int read_ids(uint64_t *sum) { return read_body("{\"prompt\":[[1,2,3],[],[4095]],\"stop\":\"x\"}", sum); }

static void test_requests(void **state)
{
    (void)state;
    check(read_texts);
    check(read_ids);
}

static int read_keys(uint64_t *sum)
{
    struct Auth auth;
    vkgpt_error err;
    int code = auth_open(&auth, "a key", NULL, &err);
    if (code) return code == VKGPT_OUT_OF_MEMORY ? 503 : code;
    *sum = auth.count;
    auth_close(&auth);
    return 0;
}

// A key without memory is not an empty key, which everybody has.
static void test_keys(void **state)
{
    struct Auth auth;
    vkgpt_error err;
    uint64_t count = 0;
    (void)state;
    assert_int_equal(read_keys(&count), 0);
    assert_int_equal(count, 1);
    malloc_fail_at(1, true);
    int code = auth_open(&auth, "a key", NULL, &err);
    malloc_fail_at(0, false);
    assert_int_equal(code, VKGPT_OUT_OF_MEMORY);
}

// ------------------------------------------------------------------------------------------- an answer

static int assemble(uint64_t *sum)
{
    static const uint32_t IDS[] = {5, 300, 301, 302, 900, 901, 4000, 86, 980, 271, 258, 875, 10, 11, 12, 13, 14, 15};
    vkgpt_logprob top[3] = {{5, -1}, {6, -2}, {7, -3}};
    const vkgpt_token token = {5, -1, 3, top};
    const struct StopString stop = {(char[]){"never seen"}, 10};
    struct Assembly a;
    struct Buffer names = {0};
    assembly_begin(&a, tok, &stop, 1, true);
    assembly_echo(&a, "caf\303\251", 5);
    for (size_t i = 0; i < sizeof IDS / sizeof IDS[0]; i++) (void)assembly_add(&a, IDS[i], i < 3, &token);
    assembly_end(&a, &token);
    for (size_t i = 0; i < a.entry_count; i++) answer_put_name(tok, a.entries[i].id, &names);
    json_out_bytes(&names, a.text.data, a.text.bytes);
    bool failed = a.failed || names.failed;
    *sum = a.text.bytes * 31 + a.entry_count + names.bytes;
    assembly_taken(&a, assembly_ready(&a));
    assembly_free(&a);
    buffer_free(&names);
    return failed ? 503 : 0;
}

static void test_answers(void **state)
{
    (void)state;
    check(assemble);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests_name("serve_malloc", tests, open_tok, close_tok);
}
