// Deterministic sessions: logits and tokens have the bits that stand here, on every device, however they are asked for.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/deterministic.h" // before cmocka, whose macro fail() hides a function
#include "engine/session.h"

#include "check.h"
#include "fixture.h"
#include "short_run.h"

#define MOST 1100 // tokens of a text
#define PROMPT 5
#define TALES "tales"

// ------------------------------------------------------------------------------------------------ a text

struct Text {
    uint32_t ids[MOST];
    size_t count;
};

static bool keep(void *user, uint32_t sequence, uint32_t id)
{
    struct Text *text = user;
    if (!sequence) text->ids[text->count++] = id;
    return true;
}

// FNV-1a over words.
static void mix(uint64_t *hash, const void *words, size_t count)
{
    const uint8_t *bytes = words;
    for (size_t i = 0; i < 4 * count; i++) *hash = (*hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

struct Rows {
    uint64_t hash;
    size_t vocab, last; // last: of the row that is kept
    float *kept;
};

static bool mix_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    mix(&r->hash, logits, rows * r->vocab);
    if (r->last >= first && r->last < first + rows)
        memcpy(r->kept, logits + (r->last - first) * r->vocab, r->vocab * sizeof *logits);
    return true;
}

// The logits of a step of decode with the last token but one of sequence 0, which has `count`.
static void step_logits(vkgpt_session *s, size_t count, float *logits)
{
    vkgpt_error err;
    struct Recording rec;
    const vkgpt_sampling greedy = {0}; // a penalty would change the logits
    CHECK(vkgpt_session_rewind(s, (uint32_t)count - 1, &err));
    CHECK(vkgpt_generate(s, &greedy, 1, NULL, NULL, NULL, &err));
    CHECK(recording_begin(s->device, "reading logits", 1, &rec, &err));
    recording_copy(&rec, &s->b.logits, 0, &s->b.readback, 0, (VkDeviceSize)s->model->vocab * 4);
    CHECK(recording_run_once(&rec, &err));
    memcpy(logits, s->b.readback.host, s->model->config.vocab * sizeof *logits);
}

// Draws `tokens` tokens behind a prompt, in every sequence, then computes the logits of the whole text by blocks. Those
// of a step of decode must be among them. Returns a hash of the text and all logits.
static uint64_t bits_of(vkgpt_session *s, size_t tokens)
{
    vkgpt_error err;
    const uint32_t vocab = s->model->config.vocab;
    struct Text text = {.count = PROMPT};
    vkgpt_sampling *sampling = calloc(s->sequences, sizeof *sampling);
    float *step = calloc(2 * (size_t)vocab, sizeof *step);
    assert_true(sampling && step && PROMPT + tokens <= MOST);
    for (uint32_t i = 0; i < s->sequences; i++) {
        for (uint32_t t = 0; t < PROMPT; t++) text.ids[t] = (t * 97 + 13 + 7 * (s->sequences - 1 - i)) % vocab;
        CHECK(vkgpt_batch_prompt(s, s->sequences - 1 - i, text.ids, PROMPT, &err));
        sampling[i] = (vkgpt_sampling){0.9f, 40, 0.95f, 0.02f, 1.1f, 32, 3 + i, true};
    }
    for (uint32_t t = 0; t < PROMPT; t++) text.ids[t] = (t * 97 + 13) % vocab;
    CHECK(vkgpt_batch_generate(s, sampling, tokens, keep, &text, NULL, &err));
    assert_int_equal(text.count, PROMPT + tokens);
    step_logits(s, text.count, step);
    for (uint32_t i = 0; i < s->sequences; i++) CHECK(vkgpt_batch_rewind(s, i, 0, &err));
    struct Rows rows = {UINT64_C(0xcbf29ce484222325), vocab, text.count - 2, step + vocab};
    mix(&rows.hash, text.ids, text.count);
    CHECK(vkgpt_logits(s, text.ids, text.count < s->context ? text.count : s->context, mix_rows, &rows, &err));
    assert_memory_equal(step, step + vocab, vocab * sizeof *step);
    free(step);
    free(sampling);
    return rows.hash;
}

// ------------------------------------------------------------------------------------------------ on every device

static const vkgpt_format FORMATS_TRIED[] = {VKGPT_F32, VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_0, VKGPT_Q4_K};
#define TRIED (sizeof FORMATS_TRIED / sizeof *FORMATS_TRIED)

// A model, how many tokens of it (0: as many as the context has room for), and the bits in each format. Where rows are
// no whole blocks, the next wider format stands in for another.
static const struct {
    const char *name;
    size_t tokens;
    uint64_t bits[TRIED];
} MODELS[] = {
    {TALES, 251, {0x90aee1939178470f, 0x90aee1939178470f, 0x267b6375ffe24d58, 0xa4cd4abe7ed2ec5b, 0x4b96db53a6e37c01}},
    {"gelu-new-48",
     0,
     {0x9855800013bfebca, 0xdb63df24abf11367, 0x71bd78e6e1b9e37b, 0x4a84ec74402c6bbf, 0x4a84ec74402c6bbf}},
    {"gelu-erf-45-f16",
     0,
     {0xe7827574deaef171, 0xe7827574deaef171, 0xe7827574deaef171, 0xe7827574deaef171, 0xe7827574deaef171}},
    {"quick-gelu-48-bin",
     0,
     {0x26152ce64d3bd5d0, 0x903643dacd850cd2, 0x3566aa5142dd09ee, 0x381d9e614b361059, 0x381d9e614b361059}},
    {"silu-160-shards",
     0,
     {0xd22f7ab0a1d3bb65, 0x4db712c5086b813f, 0x79ec5ca6c7519d3f, 0x32e4f38fa1f847bd, 0x32e4f38fa1f847bd}},
    {"gpt1/gelu-48",
     0,
     {0xb469eb0f5d45e5a4, 0xb469eb0f5d45e5a4, 0xbfb0a6486479fbab, 0xceda0b519550b004, 0xceda0b519550b004}},
    {"neo/alternating-48",
     0,
     {0x601b08f6aedb1a15, 0x601b08f6aedb1a15, 0xd1767939e9e40282, 0xb0d4b1ef6f5db4f2, 0xb0d4b1ef6f5db4f2}},
    {"opt/before-projected-40",
     0,
     {0x4e451b6ed737288c, 0x4e451b6ed737288c, 0x4e451b6ed737288c, 0x4e451b6ed737288c, 0x4e451b6ed737288c}},
};

// `divided`: products are divided as on a GPU, which has more lanes.
static uint64_t bits_of_model(vkgpt_device *device, const char *dir, size_t tokens, vkgpt_format weights,
                              vkgpt_session_options options, bool divided)
{
    vkgpt_error err;
    vkgpt_model *model;
    vkgpt_session *session;
    const bool software = device->software;
    options.deterministic = true;
    if (divided) device->software = false;
    CHECK(vkgpt_model_open(device, dir, &(vkgpt_model_options){.weights = weights}, &model, &err));
    CHECK(vkgpt_session_open(model, &options, &session, &err));
    device->software = software;
    uint64_t bits = bits_of(session, tokens ? tokens : session->context + 1 - PROMPT);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    return bits;
}

static vkgpt_device *open_device(void)
{
    vkgpt_error err;
    vkgpt_device *device;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    return device;
}

static void test_models(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device = open_device();
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        struct Fixture f = {.vocab = 0};
        const char *dir = VKGPT_SOURCE_DIR "/models/" TALES;
        const bool tales = !strcmp(MODELS[i].name, TALES);
        if (tales && short_run_on_swiftshader()) continue; // it takes minutes
        if (!tales) {
            CHECK(fixture_open(MODELS[i].name, &f, &err));
            dir = f.dir;
        }
        for (size_t w = 0; w < TRIED; w++) {
            if (short_run() && !(tales ? FORMATS_TRIED[w] == VKGPT_F16 : w == i % TRIED)) continue;
            uint64_t got =
                bits_of_model(device, dir, MODELS[i].tokens, FORMATS_TRIED[w], (vkgpt_session_options){0}, false);
            if (got == MODELS[i].bits[w]) continue;
            wrong++;
            print_error("%s, format %zu: %#018llx, should be %#018llx\n", MODELS[i].name, w, (unsigned long long)got,
                        (unsigned long long)MODELS[i].bits[w]);
        }
        if (dir == f.dir) fixture_close(&f);
        pipelines_forget(device, 0);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

// ------------------------------------------------------------------------------------------------ however asked for

// A prompt and its tokens are the same alone and among others, in any submission, with drafts, with a cache in another
// place; and by the kernels as they are divided on a GPU.
static void test_any_session(void **state)
{
    (void)state;
    vkgpt_error err;
    const vkgpt_session_options options[] = {{.tokens_per_submission = 1},
                                             {.tokens_per_submission = 32},
                                             {.sequences = 3},
                                             {.sequences = 11, .tokens_per_submission = 4},
                                             {.lookup = 4},
                                             {.kv = VKGPT_F32},
                                             {.kv = VKGPT_F32, .sequences = 2},
                                             {.kv = VKGPT_Q8_0},
                                             {.kv = VKGPT_Q8_0, .lookup = 2, .sequences = 2}};
    uint64_t want[4] = {0}; // by the format of the cache
    struct Fixture f;
    vkgpt_device *device = open_device();
    CHECK(fixture_open("silu-160-shards", &f, &err));
    for (size_t i = 0; i < 2 * sizeof options / sizeof *options; i += short_run() ? 3 : 1) {
        const vkgpt_session_options *o = &options[i / 2];
        uint64_t got = bits_of_model(device, f.dir, 20, VKGPT_Q8_0, *o, i % 2), *first = &want[o->kv];
        if (!*first) *first = got;
        if (got != *first)
            fail_msg("session %zu, %s: %#llx, should be %#llx", i / 2, i % 2 ? "divided as on a GPU" : "as it is",
                     (unsigned long long)got, (unsigned long long)*first);
    }
    assert_true(want[VKGPT_AUTO] != want[VKGPT_F32] && want[VKGPT_F32] != want[VKGPT_Q8_0]);
    fixture_close(&f);
    vkgpt_device_close(device);
}

// ------------------------------------------------------------------------------------------ log probabilities

#define REPORTED 12 // tokens that are generated
#define REPORT_BITS UINT64_C(0xdb78aee8d7400d0d)

struct Reports {
    uint32_t ids[MOST], count;
    uint64_t hashes[MOST]; // of what is said of each token
};

static bool keep_report(void *user, const vkgpt_batch_event *event)
{
    struct Reports *r = user;
    const vkgpt_token *t = event->token;
    if (event->ended || event->sequence) return true;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    mix(&hash, &t->id, 1);
    if (r->count) mix(&hash, &t->logprob, 1); // the first one's is a NaN
    for (uint32_t i = 0; i < t->top_count; i++) mix(&hash, &t->top[i].id, 1), mix(&hash, &t->top[i].logprob, 1);
    r->hashes[r->count] = hash;
    r->ids[r->count++] = event->id;
    return true;
}

// What is said of a prompt and of `tokens` tokens behind it, with a sequence beside it or without.
static struct Reports reports_of(vkgpt_session *s, const uint32_t *ids, size_t count, size_t tokens)
{
    vkgpt_error err;
    uint32_t running;
    struct Reports r = {.count = 0};
    vkgpt_batch_options o = {.sampling = {0.9f, 40, 0.95f, 0.02f, 1.1f, 32, 3, true},
                             .max_tokens = tokens,
                             .presence_penalty = 0.3f,
                             .logprobs = true,
                             .top = VKGPT_MAX_TOP,
                             .given = true};
    for (uint32_t i = 0; i < s->sequences; i++) {
        o.sampling.seed = 3 + i;
        CHECK(vkgpt_batch_start(s, i, ids, count, &o, &err));
    }
    do CHECK(vkgpt_batch_step(s, keep_report, &r, &running, &err));
    while (running);
    return r;
}

// The log probabilities of given and of generated tokens have the bits that stand here, alone and among others; and
// what decode says of a token is what a block says of it when it is given.
static void test_reports(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_model *model;
    struct Fixture f;
    uint32_t ids[PROMPT];
    vkgpt_device *device = open_device();
    CHECK(fixture_open("silu-160-shards", &f, &err));
    CHECK(vkgpt_model_open(device, f.dir, &(vkgpt_model_options){.weights = VKGPT_Q8_0}, &model, &err));
    for (uint32_t sequences = 1; sequences <= 3; sequences += 2) {
        vkgpt_session *s;
        CHECK(vkgpt_session_open(model, &(vkgpt_session_options){.sequences = sequences, .deterministic = true}, &s,
                                 &err));
        for (uint32_t t = 0; t < PROMPT; t++) ids[t] = (t * 97 + 13) % model->config.vocab;
        const struct Reports made = reports_of(s, ids, PROMPT, REPORTED);
        const struct Reports given = reports_of(s, made.ids, made.count, 0);
        uint64_t bits = UINT64_C(0xcbf29ce484222325);
        assert_int_equal(made.count, PROMPT + REPORTED);
        assert_int_equal(given.count, made.count);
        assert_memory_equal(given.hashes, made.hashes, made.count * sizeof *made.hashes);
        mix(&bits, made.hashes, 2 * (size_t)made.count);
        if (bits != REPORT_BITS)
            fail_msg("log probabilities beside %u: %#llx, should be %#llx", sequences - 1, (unsigned long long)bits,
                     (unsigned long long)REPORT_BITS);
        vkgpt_session_close(s);
    }
    vkgpt_model_close(model);
    fixture_close(&f);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

// ------------------------------------------------------------------------------------------------ the rounding

// A device that is not asked for a rounding, but has the right one, gives the same bits.
static void test_without_float_controls(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Fixture f;
    uint64_t bits[2];
    CHECK(fixture_open("gelu-new-48", &f, &err));
    for (int i = 0; i < 2; i++) {
        if (i) setenv("VKGPT_DISABLE", "float_controls", 1);
        vkgpt_device *device = open_device();
        if (i) assert_true(!device->float_controls.rounding && !device->float_controls.not_finite);
        bits[i] = bits_of_model(device, f.dir, 20, VKGPT_F16, (vkgpt_session_options){0}, false);
        assert_int_equal(device->validation_messages, 0);
        vkgpt_device_close(device);
    }
    unsetenv("VKGPT_DISABLE");
    assert_true(bits[0] == bits[1]);
    fixture_close(&f);
}

// A device that rounds in another way is refused, with what it should have given.
static void test_other_roundings(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device = open_device();
    uint32_t results[4 * DETERMINISTIC_PROOFS];
    CHECK(deterministic_run(device, results, &err));
    CHECK(deterministic_compare(device, results, &err));
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        results[i]++; // up, or towards zero
        assert_int_equal(deterministic_compare(device, results, &err), VKGPT_NO_DEVICE);
        assert_non_null(strstr(err.text, "does not round to nearest even"));
        results[i]--;
    }
    vkgpt_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_roundings), cmocka_unit_test(test_without_float_controls),
        cmocka_unit_test(test_any_session),     cmocka_unit_test(test_reports),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
