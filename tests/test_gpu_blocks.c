// Blocks of prefill: the keys and values have the same bits, no matter how a prompt is cut into blocks; the size of the
// blocks; two of them in flight at once; and the position of the session after a block that did not finish. Runs with
// the kernels for this driver, with those for GPUs, and with those that fit into 32 KiB of shared memory.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "engine/bounds.h"
#include "engine/buffers.h"
#include "engine/recordings.h"
#include "engine/session_open.h"
#include "engine/tuning.h"
#include "../src/engine/prefill.c" // for its parts; before cmocka, whose macro fail() hides a function
#include "../src/engine/tuning.h"
#include "synthetic_model.h"

#include "check.h"

#define VOCAB 307
#define CONTEXT 1040
#define LONG 513
#define LAYERS 2
#define HEADS 2

static const struct SyntheticModel SMALL = {.layers = LAYERS,
                                            .heads = HEADS,
                                            .dim = 64,
                                            .context = CONTEXT,
                                            .vocab = VOCAB,
                                            .inner = 768,
                                            .seed = 5,
                                            .dtype = DTYPE_F16};

struct Cached {
    uint16_t *halves; // (LAYERS, K and V, HEADS, count, head_dim)
    uint32_t count;   // of positions
    uint32_t next;    // the token after them
};

struct World {
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session; // of one sequence
    uint32_t ids[CONTEXT];  // every prompt is a beginning of it
    struct Cached want;     // of all of it
    bool blocks_end;        // on_block
    uint32_t blocks;        // that it was asked about
    uint32_t most;          // that it allows
};

static bool on_block(void *user)
{
    struct World *w = user;
    return !w->blocks_end || w->blocks++ < w->most;
}

// A session like that of a GPU: blocks as large as possible, two at once, and no limit by time.
static vkgpt_session *open_session(struct World *w, uint32_t context, uint32_t sequences)
{
    vkgpt_error err;
    vkgpt_session *s;
    const vkgpt_session_options options = {.context = context, .sequences = sequences, .on_block = on_block, .user = w};
    w->device->software = false;
    int status = session_open(w->model, &options, &s, &err);
    w->device->software = true;
    check(status, &err);
    s->first_flops = 0;
    s->row_seconds = 1e-9; // as if something had been measured
    return s;
}

// Products with cooperative matrices: blocks of every second size are split, in a tile larger than the built-in one.
static void split_every_second(vkgpt_device *device)
{
    vkgpt_error err;
    CHECK(tuning_open(device, &err));
    for (uint32_t rows = GROUP_ROWS, split = 0; device->matrix.m && rows <= 2048; rows *= 2, split = !split) {
        const struct ProductKey key = block_key(BY_MATRICES, CONTRACT, WEIGHTS_F16, 768, 64, rows);
        struct Variant variants[MAX_VARIANTS];
        uint32_t last = variants_of(device, &key, variants) - 1;
        while (last && variants[last].split != split) last--;
        assert_true(variants[last].split == split);
        CHECK(tuning_set(device, &key, variants[last], FOUND_THOROUGH, &err));
    }
}

static void open_world(struct World *w, const char *disable, uint32_t shared_bytes)
{
    vkgpt_error err;
    char dir[256];
    *w = (struct World){0};
    for (uint32_t i = 0; i < CONTEXT; i++) w->ids[i] = (i * 97 + i / 50 * 13) % VOCAB;
    setenv("VKGPT_DISABLE", disable, 1);
    CHECK(vkgpt_device_open(NULL, &w->device, &err));
    unsetenv("VKGPT_DISABLE");
    if (shared_bytes) w->device->info.shared_bytes = shared_bytes;
    w->device->info.memory_bytes = UINT64_C(8) << 30;
    split_every_second(w->device);
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    CHECK(vkgpt_model_open(w->device, dir, &(vkgpt_model_options){.weights = VKGPT_F16}, &w->model, &err));
    synthetic_model_remove(dir);
    w->session = open_session(w, 0, 1);
}

static void close_world(struct World *w)
{
    vkgpt_session_close(w->session);
    vkgpt_model_close(w->model);
    assert_int_equal(w->device->validation_messages, 0);
    vkgpt_device_close(w->device);
}

// --------------------------------------------------------------------------------------------- what is cached

static bool keep_token(void *user, uint32_t id)
{
    *(uint32_t *)user = id;
    return true;
}

static void copy_heads(vkgpt_session *s, const struct Slice *cache, uint32_t sequence, uint32_t count, uint16_t *to)
{
    vkgpt_error err;
    struct Recording rec;
    VkDeviceSize row = s->model->head_dim * 2, bytes = (VkDeviceSize)HEADS * s->context * row;
    assert_true(bytes <= s->b.readback.bytes);
    CHECK(recording_begin(s->device, "reading the cache", 1, &rec, &err));
    recording_copy(&rec, cache, sequence * bytes, &s->b.readback, 0, bytes);
    CHECK(recording_run_once(&rec, &err));
    for (uint32_t h = 0; h < HEADS; h++)
        memcpy(to + h * count * (row / 2), s->b.readback.host + h * s->context * row, count * row);
}

// The whole cache of a sequence.
static struct Cached read_cache(vkgpt_session *s, uint32_t sequence)
{
    uint32_t count = s->slots[sequence].cached;
    size_t each = (size_t)HEADS * count * s->model->head_dim;
    struct Cached cache = {malloc(2 * LAYERS * each * sizeof(uint16_t) + 1), count, 0};
    assert_non_null(cache.halves);
    for (uint32_t l = 0; l < LAYERS; l++) {
        copy_heads(s, &s->b.k[l], sequence, count, cache.halves + 2 * l * each);
        copy_heads(s, &s->b.v[l], sequence, count, cache.halves + (2 * l + 1) * each);
    }
    return cache;
}

static struct Cached run_prompt(struct World *w, uint32_t most_rows, const uint32_t *pieces, uint32_t piece_count)
{
    vkgpt_error err;
    vkgpt_session *s = w->session;
    uint32_t allocated = s->block_rows, at = 0;
    s->block_rows = most_rows < allocated ? most_rows : allocated;
    recordings_free(s); // they are for blocks of another size
    CHECK(vkgpt_session_rewind(s, 0, &err));
    for (uint32_t i = 0; i < piece_count; at += pieces[i++]) CHECK(vkgpt_prompt(s, w->ids + at, pieces[i], &err));
    assert_int_equal(s->slots[0].cached, at - 1);
    struct Cached cache = read_cache(s, 0);
    const vkgpt_sampling greedy = {.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
    CHECK(vkgpt_generate(s, &greedy, 1, keep_token, &cache.next, NULL, &err));
    recordings_free(s);
    s->block_rows = allocated;
    return cache;
}

// Checks that `got` has the same bits as the beginning of `want`.
static void same_bits(const struct World *w, struct Cached got, struct Cached want, const char *what)
{
    uint32_t size = w->model->head_dim;
    assert_true(got.count <= want.count);
    for (size_t head = 0; head < 2 * LAYERS * HEADS; head++)
        for (size_t i = 0; i < (size_t)got.count * size; i++) {
            uint16_t is = got.halves[head * got.count * size + i], should = want.halves[head * want.count * size + i];
            if (is != should)
                fail_msg("%s: number %zu at position %zu is %04x, should be %04x", what, i % size, i / size, is,
                         should);
        }
}

static void check_cache(const struct World *w, struct Cached got, const char *what)
{
    same_bits(w, got, w->want, what);
    free(got.halves);
}

#define PIECES(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

// ----------------------------------------------------------------------------------------------- however it is cut

static void cuts_agree(struct World *w)
{
    struct Cached smallest = run_prompt(w, GROUP_ROWS, PIECES(LONG)), other;
    same_bits(w, smallest, w->want, "in the smallest blocks");
    for (uint32_t rows = 32; rows <= 2048; rows *= 8) {
        other = run_prompt(w, rows, PIECES(LONG));
        assert_int_equal(other.next, smallest.next);
        check_cache(w, other, "in larger blocks");
    }
    other = run_prompt(w, 48, PIECES(37, 100, 1, 375));
    assert_int_equal(other.next, smallest.next);
    check_cache(w, other, "in pieces, in blocks of three groups");
    free(smallest.halves);
}

// Rewinds into the middle of a group, of a tile and of a block; other tokens are read there before the same ones again.
static void rewinds_agree(struct World *w)
{
    vkgpt_error err;
    vkgpt_session *s = w->session;
    static const uint32_t back[] = {500, 200, 37};
    free(run_prompt(w, 2048, PIECES(LONG)).halves);
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        CHECK(vkgpt_session_rewind(s, back[i], &err));
        CHECK(vkgpt_prompt(s, w->ids + 7, 40, &err));
        CHECK(vkgpt_session_rewind(s, back[i], &err));
        CHECK(vkgpt_prompt(s, w->ids + back[i], 130, &err));
        check_cache(w, read_cache(s, 0), "after a rewind");
    }
}

static void lengths_agree(struct World *w)
{
    static const uint32_t lengths[] = {1, 2, 16, 17, 18, 129};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_cache(w, run_prompt(w, 2048, PIECES(lengths[i])), "of another length");
    struct Cached full = run_prompt(w, 2048, PIECES(CONTEXT));
    assert_int_equal(full.next, w->want.next);
    check_cache(w, full, "as long as the context");
}

// Prompts of different lengths, in blocks with groups of several of them.
static void batch_agrees(struct World *w, const uint32_t *lengths, uint32_t count, uint32_t context)
{
    vkgpt_error err;
    vkgpt_session *s = open_session(w, context, count);
    for (uint32_t i = 0; i < count; i++) CHECK(vkgpt_batch_prompt(s, i, w->ids, lengths[i], &err));
    CHECK(vkgpt_batch_prefill(s, &err));
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(s->slots[i].cached, lengths[i] - 1);
        if (i % 8 < 5) check_cache(w, read_cache(s, i), "in a batch");
    }
    vkgpt_session_close(s);
}

static void batches_agree(struct World *w)
{
    uint32_t many[120]; // 200 groups: a block with the most groups that are possible, and the rest
    for (uint32_t i = 0; i < 120; i++) many[i] = 1 + i * 7 % 40;
    batch_agrees(w, (const uint32_t[]){17, 1, 300, LONG, 64}, 5, 600);
    batch_agrees(w, many, 120, 40);
}

static void all_agree(const char *disable, uint32_t shared_bytes)
{
    struct World w;
    open_world(&w, disable, shared_bytes);
    w.want = run_prompt(&w, 64, PIECES(CONTEXT));
    cuts_agree(&w);
    rewinds_agree(&w);
    lengths_agree(&w);
    batches_agree(&w);
    free(w.want.halves);
    close_world(&w);
}

static void test_cuts(void **state)
{
    (void)state;
    all_agree("", 0);
}

static void test_cuts_by_gpu_kernels(void **state)
{
    (void)state;
    all_agree("software_kernels,coopmat", 0);
}

// Products and attention with the device's cooperative matrices, if it has them.
static void test_cuts_by_matrices(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    bool has = device->matrix.m != 0;
    vkgpt_device_close(device);
    if (!has) skip();
    all_agree("software_kernels", 0);
}

static void test_cuts_of_a_small_device(void **state)
{
    (void)state;
    struct World w;
    open_world(&w, "software_kernels", 32 << 10);
    w.want = run_prompt(&w, 64, PIECES(LONG));
    check_cache(&w, run_prompt(&w, 2048, PIECES(137, LONG - 137)), "with 32 KiB of shared memory");
    free(w.want.halves);
    close_world(&w);
}

// The kernels for this driver, those for GPUs, with cooperative matrices if it has them, the same ones in 32 KiB, and
// those for GPUs without: they differ in rounding, and continue prompts with the same tokens.
static void test_same_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *disable;
        uint32_t shared_bytes;
    } ways[] = {{"", 0},
                {"software_kernels", 0},
                {"software_kernels", 32 << 10},
                {"coopmat", 0},
                {"software_kernels,coopmat", 0}};
    static const uint32_t lengths[] = {1, 17, LONG, CONTEXT};
    uint32_t want[sizeof lengths / sizeof *lengths];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct World w;
        open_world(&w, ways[i].disable, ways[i].shared_bytes);
        assert_true(w.device->matrix.m == 0 || !strstr(ways[i].disable, "coopmat"));
        for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
            struct Cached got = run_prompt(&w, 2048, PIECES(lengths[n]));
            free(got.halves);
            if (!i) want[n] = got.next;
            else if (got.next != want[n])
                fail_msg("VKGPT_DISABLE=%s: a prompt of %u goes on with %u, should be %u", ways[i].disable, lengths[n],
                         got.next, want[n]);
        }
        close_world(&w);
    }
}

// --------------------------------------------------------------------------------------------------- one by one

// Three blocks and a part, two of them in flight: the counters, and the cache when the third may not begin.
static void test_two_at_once(void **state)
{
    (void)state;
    vkgpt_error err;
    struct World w;
    open_world(&w, "", 0);
    vkgpt_session *s = w.session;
    struct Cached want = run_prompt(&w, 2048, PIECES(200));
    vkgpt_counters before = vkgpt_session_counters(s);
    CHECK(vkgpt_session_rewind(s, 0, &err));
    s->block_rows = 64;
    assert_int_equal(s->blocks_queued, IN_FLIGHT);

    w.blocks_end = true, w.most = 2;
    assert_int_equal(vkgpt_prompt(s, w.ids, 200, &err), VKGPT_INTERRUPTED);
    assert_int_equal(err.code, VKGPT_INTERRUPTED);
    assert_int_equal(w.blocks, 3);
    assert_int_equal(s->slots[0].cached, 128);
    assert_int_equal(vkgpt_session_position(s), 200);
    vkgpt_counters after = vkgpt_session_counters(s);
    assert_int_equal(after.submissions - before.submissions, 2);
    assert_int_equal(after.tokens_prefilled - before.tokens_prefilled, 128);
    assert_true(s->blocks[2][0].commands && s->blocks[2][1].commands); // a recording and an inbox each

    w.blocks_end = false;
    CHECK(vkgpt_prompt(s, NULL, 0, &err)); // goes on from there
    after = vkgpt_session_counters(s);
    assert_int_equal(after.submissions - before.submissions, 4);
    assert_int_equal(after.tokens_prefilled - before.tokens_prefilled, 199);
    struct Cached got = read_cache(s, 0);
    same_bits(&w, got, want, "after an interruption");
    free(got.halves), free(want.halves);
    close_world(&w);
}

static void test_interrupted_scores(void **state)
{
    (void)state;
    vkgpt_error err;
    struct World w;
    open_world(&w, "", 0);
    vkgpt_scored scored, again;
    const vkgpt_continuation c = {w.ids, 60, 40};
    CHECK(vkgpt_score(w.session, &c, 1, &scored, &err));
    w.blocks_end = true;
    for (w.most = 0; w.most < 2; w.most++) {
        w.blocks = 0;
        assert_int_equal(vkgpt_score(w.session, &c, 1, &again, &err), VKGPT_INTERRUPTED);
        assert_int_equal(vkgpt_session_position(w.session), 0);
    }
    w.blocks_end = false;
    CHECK(vkgpt_score(w.session, &c, 1, &again, &err));
    assert_true(again.logprob == scored.logprob && again.greedy == scored.greedy);
    close_world(&w);
}

// ------------------------------------------------------------------------------------------------ how large

static uint32_t chosen(vkgpt_session *s, uint64_t rows)
{
    s->device->software = false;
    uint32_t size = choose_block(s, rows);
    s->device->software = true;
    return buffers_block_rows(s, size);
}

static void test_sizes(void **state)
{
    (void)state;
    struct World w;
    open_world(&w, "", 0);
    vkgpt_session *s = open_session(&w, 0, 2);
    assert_int_equal(s->block_rows, 2048);
    // without measurements: as many rows as FIRST_FLOPS allow, or FIRST_ROWS
    double flops = bounds_row_flops(&w.model->config, s->context, false);
    s->row_seconds = 0;
    s->first_flops = 300 * flops;
    assert_int_equal(chosen(s, 16), 16);
    assert_int_equal(chosen(s, 17), 32);
    assert_int_equal(chosen(s, 290), 512); // 290 of them run
    assert_int_equal(chosen(s, 2000), 256);
    s->first_flops = flops;
    assert_int_equal(chosen(s, 2000), FIRST_ROWS);
    // by the speed of the last one
    note_speed(s, 128, 128 * 1e-4);
    assert_int_equal(chosen(s, 2000), 512);
    assert_int_equal(chosen(s, 990), 1024);
    note_speed(s, 32, 32 * 1e-3); // a block that does not fill the device is not used
    assert_int_equal(chosen(s, 2000), 512);
    note_speed(s, 512, 512 * 1e-5);
    assert_int_equal(chosen(s, 1 << 20), 2048);
    note_speed(s, 512, 512 * 1.0); // not even one group is short
    assert_int_equal(chosen(s, 2000), GROUP_ROWS);
    vkgpt_session_close(s);
    close_world(&w);
}

// Rows for the possible prompts, and for the memory of the device.
static void test_room(void **state)
{
    (void)state;
    struct World w;
    open_world(&w, "", 0);
    static const uint32_t sizes[][4] = {// context, sequences, rows, of a software driver
                                        {1, 1, 32, 32},       {33, 1, 64, 64},    {77, 1, 128, 128},
                                        {150, 1, 256, 256},   {600, 1, 640, 512}, {1024, 1, 1024, 512},
                                        {2100, 1, 2048, 512}, {20, 9, 384, 384},  {1500, 40, 2048, 512}};
    struct vkgpt_session s = {.model = w.model, .device = w.device, .step_rows = 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int software = 0; software < 2; software++) {
            s.context = sizes[i][0], s.sequences = sizes[i][1];
            w.device->software = software;
            buffers_sizes(&s);
            assert_int_equal(s.block_rows, sizes[i][2 + software]);
            assert_true(s.rows >= s.block_rows && s.logit_rows <= s.block_rows &&
                        buffers_block_rows(&s, BLOCK_SIZES - 1) == s.block_rows);
        }
    w.device->software = false;
    const vkgpt_device_info info = w.device->info;
    w.device->info.memory_bytes = UINT64_C(600) << 20; // 4.7 MiB for activations of 1024 floats a row
    assert_int_equal(buffers_most_rows(s.model, s.kv), 1024);
    w.device->info.memory_bytes = 0;
    assert_int_equal(buffers_most_rows(s.model, s.kv), 512);
    w.device->info = info;
    w.device->info.max_buffer_range = 1024 * 768 * 4; // h
    assert_int_equal(buffers_most_rows(s.model, s.kv), 1024);
    w.device->info = info;
    w.device->software = true;
    close_world(&w);
}

int main(void)
{
    // there is no wait between blocks: the layer has to look for hazards across submissions
    setenv(
        "VK_LAYER_ENABLES",
        "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT:VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT",
        1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_cuts_by_gpu_kernels),
        cmocka_unit_test(test_cuts_by_matrices),
        cmocka_unit_test(test_cuts_of_a_small_device),
        cmocka_unit_test(test_same_tokens),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_interrupted_scores),
    };
    return cmocka_run_group_tests_name("gpu_blocks", tests, NULL, NULL);
}
