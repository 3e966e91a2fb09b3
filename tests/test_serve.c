// The server's parts that need no device and no socket: fields of requests, keys, paths, and texts that are put
// together from tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/answer.h"
#include "serve/assembly.h"
#include "serve/auth.h"
#include "serve/request.h"
#include "serve/router.h"

#include <cmocka.h>

#include "model_files.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static vkgpt_tokenizer *tok;

static int open_tok(void **state)
{
    vkgpt_error err;
    (void)state;
    return vkgpt_tokenizer_open(TALES, 0, &tok, &err);
}

static int close_tok(void **state)
{
    (void)state;
    vkgpt_tokenizer_close(tok);
    return 0;
}

static uint32_t *encode(const char *text, size_t *count)
{
    uint32_t *ids;
    assert_int_equal(vkgpt_encode(tok, text, strlen(text), true, &ids, count, NULL), 0);
    return ids;
}

// ---------------------------------------------------------------------------------------------- texts

// Every piece that is given out is whole characters, and their sum is the text.
static void check_stream(const char *text, const char *stop, const char *want)
{
    size_t count;
    uint32_t *ids = encode(text, &count);
    char copy[64];
    strcpy(copy, stop ? stop : "x");
    const struct StopString stops = {copy, strlen(copy)};
    struct Assembly a;
    struct Buffer sum = {0};
    bool goes_on = true;
    assembly_begin(&a, tok, &stops, stop != NULL, false);
    for (size_t i = 0; i < count && goes_on; i++) {
        goes_on = assembly_add(&a, ids[i], false, NULL);
        assert_true(!a.text.bytes || ((unsigned char)a.text.data[0] & 0xC0) != 0x80);
        buffer_add(&sum, a.text.data, a.text.bytes);
        assert_memory_equal(sum.data, want, sum.bytes); // never more than becomes the text
        assembly_taken(&a, 0);
    }
    assembly_end(&a, NULL);
    buffer_add(&sum, a.text.data, a.text.bytes);
    assert_string_equal(sum.data, want);
    assert_int_equal(a.stopped, stop && strcmp(text, want) != 0);
    buffer_free(&sum);
    assembly_free(&a);
    free(ids);
}

static void test_streams(void **state)
{
    (void)state;
    check_stream("Once upon a time", NULL, "Once upon a time");
    check_stream("Once upon a time", "pon a", "Once u");            // over three tokens
    check_stream("Once upon a time", "time", "Once upon a ");       // at the very end
    check_stream("Once upon a time", "timely", "Once upon a time"); // begun, never ended
    check_stream("aaaaaaab", "aab", "aaaaa");                       // overlaps itself
    check_stream("a \xE2\x98\x83 b", NULL, "a \xE2\x98\x83 b");     // a character over three tokens
    check_stream("a \xE2\x98\x83 b", "\xE2\x98\x83", "a ");
    check_stream("a \xE2\x98\x83 b", "\x98", "a \xEF\xBF\xBD");
}

static void add_all(struct Assembly *a, const char *text, bool given)
{
    size_t count;
    uint32_t *ids = encode(text, &count);
    for (size_t i = 0; i < count; i++) {
        const vkgpt_logprob top[] = {{ids[i], -0.5f}, {1, -2.0f}};
        const vkgpt_token token = {ids[i], -0.5f, 2, top};
        assembly_add(a, ids[i], given, &token);
    }
    free(ids);
}

// Each token has the number of characters before it; what is behind a stop string has no entry.
static void test_entries(void **state)
{
    (void)state;
    struct Assembly a;
    char stop_text[] = "pon a";
    const struct StopString stop = {stop_text, 5};
    assembly_begin(&a, tok, &stop, 1, true);
    add_all(&a, "\xE2\x98\x83 upon a", true); // no stop string counts in the prompt
    assert_false(a.stopped);
    size_t given = a.entry_count;
    assert_int_equal(assembly_ready(&a), given);
    assert_int_equal(a.entries[0].offset, 0);
    assert_int_equal(a.entries[1].offset, 0); // inside of the first character
    assert_int_equal(a.entries[given - 1].offset, 6);
    assert_string_equal(a.text.data, "\xE2\x98\x83 upon a");
    assembly_taken(&a, given);
    add_all(&a, " king upon a time", false);
    assembly_end(&a, NULL);
    assert_true(a.stopped);
    assert_string_equal(a.text.data, " king u");
    assert_int_equal(assembly_ready(&a), 2); // " king", " upon"
    assert_int_equal(a.entries[0].offset, 8);
    assert_int_equal(a.entries[1].offset, 13);
    assembly_free(&a);
}

static void test_end_entry(void **state)
{
    (void)state;
    struct Assembly a;
    const vkgpt_token end = {4095, -1.5f, 0, NULL};
    assembly_begin(&a, tok, NULL, 0, true);
    add_all(&a, "Once", false);
    assembly_end(&a, &end);
    size_t ready = assembly_ready(&a);
    assert_int_equal(ready, a.entry_count);
    assert_true(a.entries[ready - 1].silent);
    assert_int_equal(a.entries[ready - 1].offset, 4);
    assembly_free(&a);
}

// No two ids share a name, also those whose bytes are no text.
static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void test_names(void **state)
{
    (void)state;
    uint32_t count = vkgpt_token_count(tok);
    char **names = calloc(count, sizeof *names);
    assert_non_null(names);
    for (uint32_t id = 0; id < count; id++) {
        struct Buffer name = {0};
        answer_token_name(tok, id, &name);
        names[id] = name.data;
    }
    qsort(names, count, sizeof *names, compare);
    for (uint32_t id = 0; id + 1 < count; id++) assert_string_not_equal(names[id], names[id + 1]);
    size_t bytes;
    uint32_t *ids = encode("\xE2\x98\x83", &bytes);
    struct Buffer name = {0};
    answer_token_name(tok, ids[0], &name);
    assert_memory_equal(name.data, "bytes:\\xe2", 10);
    buffer_free(&name);
    free(ids);
    for (uint32_t id = 0; id < count; id++) free(names[id]);
    free(names);
}

// ---------------------------------------------------------------------------------------------- requests

static int read_request(const char *text, bool chat, struct Request *r, struct Refusal *refusal)
{
    struct Json *json;
    vkgpt_error err;
    assert_int_equal(json_parse("a body", text, strlen(text), &json, &err), 0);
    int status = request_read(r, chat, 4096, json, refusal);
    json_free(json);
    return status;
}

static void test_requests(void **state)
{
    (void)state;
    struct Request r, other;
    struct Refusal refusal;
    assert_int_equal(
        read_request("{\"seed\": 18446744073709551615, \"stop\": [\"a\", \"bc\"], \"top_p\": 0.25, \"n\": 3}", false,
                     &r, &refusal),
        0);
    assert_true(r.seed == UINT64_MAX && r.seeded && r.stop_count == 2 && r.top_p == 0.25 && r.n == 3 && r.best_of == 3);
    assert_true(r.max_tokens == 16 && r.temperature == 1 && !r.stream);
    request_free(&r);
    assert_int_equal(read_request("{\"seed\": 9007199254740993, \"temperature\": null}", true, &r, &refusal), 0);
    assert_true(r.seed == 9007199254740993 && r.max_tokens == -1 && r.temperature == 1);
    request_free(&r);
    assert_int_equal(read_request("{}", false, &r, &refusal), 0);
    assert_int_equal(read_request("{}", false, &other, &refusal), 0);
    assert_true(r.seed != other.seed && !r.seeded);
    request_free(&r);
    request_free(&other);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *part;
    } cases[] = {
        {"{\"temperature\": -1}", "temperature", "temperature is -1, it has to be a number between 0 and 1000"},
        {"{\"n\": 2.5}", "n", "n is 2.5, it has to be a whole number between 1 and 128"},
        {"{\"stream\": \"yes\"}", "stream", "stream is \"yes\", it has to be true or false"},
        {"{\"stop\": [\"a\", 3]}", "stop", "stop holds 3"},
        {"{\"seed\": 18446744073709551616}", "seed", "seed is 18446744073709551616"},
        {"{\"n\": 3, \"best_of\": 2}", "best_of", "best_of is 2, it has to be at least n, which is 3"},
        {"{\"suffix\": \"a\"}", "suffix", "fills no gaps"},
        {"{\"logit_bias\": {\"12x\": 1}}", "logit_bias", "'12x' is no token id"},
        {"{\"logprobs\": 21}", "logprobs", "logprobs is 21"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct Request r;
        struct Refusal refusal;
        assert_int_equal(read_request(cases[i].body, false, &r, &refusal), 400);
        assert_string_equal(refusal.param, cases[i].param);
        if (!strstr(refusal.message, cases[i].part)) fail_msg("%s: %s", cases[i].body, refusal.message);
        request_free(&r);
    }
}

static void test_refusal_json(void **state)
{
    (void)state;
    struct Refusal refusal;
    struct Buffer out = {0};
    assert_int_equal(refuse(&refusal, 429, NULL, "queue_full", "a \"queue\" of %d", 3), 429);
    refusal_json(&refusal, &out);
    assert_string_equal(out.data, "{\"error\":{\"message\":\"a \\\"queue\\\" of 3\",\"type\":\"rate_limit_error\","
                                  "\"param\":null,\"code\":\"queue_full\"}}");
    buffer_free(&out);
}

// ---------------------------------------------------------------------------------------------- paths and keys

static void test_routes(void **state)
{
    (void)state;
    const struct Route *route;
    const char *allow;
    struct Refusal refusal;
    for (const struct Route *each = ROUTES; each->method; each++) {
        char path[64];
        bool beginning = each->path[1] && each->path[strlen(each->path) - 1] == '/';
        snprintf(path, sizeof path, "%s%s", each->path, beginning ? "name" : "");
        assert_int_equal(router_find(each->method, path, &route, &allow, &refusal), 0);
        assert_ptr_equal(route, each);
        assert_int_equal(router_find("PATCH", path, &route, &allow, &refusal), 405);
        assert_string_equal(allow, each->method);
    }
    assert_int_equal(router_find("GET", "/healthy", &route, &allow, &refusal), 404);
    assert_int_equal(router_find("GET", "/v1/models/", &route, &allow, &refusal), 404);
    assert_int_equal(router_find("GET", "", &route, &allow, &refusal), 404);
}

// The file for programs has every path of the table, with its method.
static void test_openapi(void **state)
{
    (void)state;
    struct Bytes file = file_read(VKGPT_SOURCE_DIR "/docs", "openapi.yaml");
    bytes_add(&file, "", 1);
    size_t paths = 0, listed = 0;
    for (const struct Route *each = ROUTES; each->method; each++) {
        char line[128];
        bool beginning = each->path[1] && each->path[strlen(each->path) - 1] == '/';
        if (!each->path[1]) continue; // the page
        snprintf(line, sizeof line, "\n  %s%s:\n    %s:\n", each->path, beginning ? "{model}" : "",
                 strcmp(each->method, "GET") == 0 ? "get" : "post");
        if (!strstr((const char *)file.data, line)) fail_msg("openapi.yaml has no %s", line);
        paths++;
    }
    for (const char *at = (const char *)file.data; (at = strstr(at, "\n  /")); at++) listed++;
    assert_int_equal(listed, paths);
    bytes_free(&file);
}

static void test_keys(void **state)
{
    (void)state;
    struct Auth auth;
    vkgpt_error err;
    assert_int_equal(auth_open(&auth, NULL, NULL, &err), 0);
    assert_true(auth_allows(&auth, NULL));
    auth_close(&auth);
    assert_int_equal(auth_open(&auth, "secret", NULL, &err), 0);
    assert_true(auth_allows(&auth, "Bearer secret"));
    static const char *const wrong[] = {NULL,
                                        "",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer secre",
                                        "Bearer secrets",
                                        "Bearer Secret",
                                        "secret",
                                        "Bearer secretsecret"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_false(auth_allows(&auth, wrong[i]));
    auth_close(&auth);
    assert_int_equal(auth_open(&auth, "", NULL, &err), VKGPT_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),      cmocka_unit_test(test_entries),  cmocka_unit_test(test_end_entry),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_requests), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusal_json), cmocka_unit_test(test_routes),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_openapi),
    };
    return cmocka_run_group_tests(tests, open_tok, close_tok);
}
