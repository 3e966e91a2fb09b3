// Memory that runs out while files are read, and while text goes through what a server uses of src/tasks: each
// allocation fails once alone, and once with all that follow. There is one sentence and nothing is left; no failure is
// passed over, not even that of an optional look at a file. The next attempt succeeds.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h" // before cmocka, which has a macro named fail

#include <cmocka.h>

#include "failing_malloc.h"
#include "model_files.h"
#include "short_run.h"
#include "tasks/chat_template.h"
#include "tasks/jsonl.h"
#include "tasks/stops.h"
#include "tasks/utf8_stream.h"

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

static int add_object(void *user, const struct Json *object, const char *where, vkgpt_error *err)
{
    uint64_t *result = user;
    (void)err;
    *result = mix(*result, where, strlen(where)) + (json_first(object) != NULL);
    return 0;
}

static int read_lines(const char *path, uint64_t *result, vkgpt_error *err)
{
    return jsonl_read(path, add_object, result, err);
}

static const struct ChatTokens chat_ends = {.bos = "<s>", .bos_bytes = 3, .eos = "</s>", .eos_bytes = 4};

static int render(struct ChatTemplate *chat, uint64_t *result, vkgpt_error *err)
{
    char hello[] = "Hello";
    struct Buffer said = {.data = hello, .bytes = 5}, text = {0};
    for (int role = 0; role < CHAT_ROLES; role++) chat_render(chat, (enum ChatRole)role, &said, &text);
    int code = buffer_check(&text, "a conversation", err);
    if (!code) *result = mix(*result, text.data, text.bytes);
    buffer_free(&text);
    chat_template_free(chat);
    return code;
}

static int read_own_template(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct ChatTemplate chat;
    int code = chat_template_own(path, "plain", &chat_ends, &chat, err);
    return code ? code : render(&chat, result, err);
}

static int read_template(const char *path, uint64_t *result, vkgpt_error *err)
{
    struct ChatTemplate chat;
    int code = chat_template_open(path, &chat_ends, &chat, err);
    return code ? code : render(&chat, result, err);
}

// The file's bytes as a model would give them, one by one, through the stop strings and into whole characters.
static int stream(const char *path, uint64_t *result, vkgpt_error *err)
{
    char one[] = "never there", other[] = "nowhere";
    const struct StopString texts[] = {{.data = one, .bytes = 11}, {.data = other, .bytes = 7}};
    struct Stops stops = {.texts = texts, .count = 2};
    struct Utf8 utf8 = {0};
    struct Buffer out = {0}, shown = {0};
    char *json = NULL;
    for (const char *c = path; *c; c++) stops_add(&stops, c, 1, &out);
    stops_end(&stops, &out);
    utf8_add(&utf8, out.data, out.bytes, &shown);
    utf8_end(&utf8, &shown);
    int code = buffer_check(&out, "a text", err);
    if (!code) code = buffer_check(&shown, "a text", err);
    if (!code && !(json = utf8_json(shown.data, shown.bytes))) code = fail_memory(err, "a text", 0);
    if (!code) *result = mix(*result, json, strlen(json));
    free(json);
    buffer_free(&stops.held);
    buffer_free(&out);
    buffer_free(&shown);
    return code;
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

// The rest of src/tasks is the program's own, and ends it (test_cli_malloc).
static void test_texts(void **state)
{
    static const char form[] =
        "begin: {start}{bos}\nsystem: {text}\\n\nuser: {text}{eos}\nassistant: {text}\nstop: <|im_end|>\n";
    static const char jinja[] = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}";
    static const char config[] = "{\"chat_template\": \"{% for message in messages %}{{ message.content }}"
                                 "{{ eos_token }}{% endfor %}\"}";
    (void)state;
    file_write(test_dir, "form", form, sizeof form - 1);
    file_write(test_dir, "tokenizer_config.json", config, sizeof config - 1);
    each_allocation_fails(read_own_template, test_dir);
    file_write(test_dir, "chat_template.jinja", jinja, sizeof jinja - 1);
    each_allocation_fails(read_own_template, test_dir);
    each_allocation_fails(read_template, test_path("form"));
    each_allocation_fails(read_template, "chatml");
    each_allocation_fails(read_lines, FIXTURES "eval/lambada.jsonl");
    each_allocation_fails(stream,
                          "A n\303\251w text, n\360\237\230\200w, with a bad byte \377, and quite a few more than are "
                          "kept at first: sixty-four. no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_checkpoints), cmocka_unit_test(test_tokenizers),
                                       cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
