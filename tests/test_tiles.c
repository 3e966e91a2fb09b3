// The tiles of prefill's products: how many workgroups a block takes, that segments do not depend on its rows, and how
// much is multiplied for rows and outputs that do not exist.
#include <setjmp.h>
#include <stdarg.h>

#include "engine/kernels.h"
#include "engine/tiles.h"
#include "engine/work.h"
#include "model/presets.h"

#include <cmocka.h> // last: it has a macro called fail

// Like an H100.
static const vkgpt_device H100 = {.info = {.subgroup_size = 32, .max_workgroup = 1024, .shared_bytes = 49152},
                                  .matrix = {16, 16, 16},
                                  .matrix_lanes = 32,
                                  .processors = 132};

static uint32_t groups_of(const vkgpt_device *device, const struct TileAsk *ask)
{
    return tile_groups(device, ask, tile_for(device, ask));
}

// Workgroups of contract and project of GPT-2 124M and XL.
static void test_groups(void **state)
{
    (void)state;
    // clang-format off
    static const struct { uint32_t outputs, width, segments, rows, groups; } cases[] = {
        {768, 3072, 4, 16, 48},  {768, 3072, 4, 64, 96},   {768, 3072, 4, 128, 96},  {768, 3072, 4, 512, 96},  {768, 3072, 4, 1024, 96},
        {768, 768, 3, 16, 36},   {768, 768, 3, 64, 144},   {768, 768, 3, 128, 144},  {768, 768, 3, 512, 144},  {768, 768, 3, 1024, 96},
        {1600, 6400, 1, 16, 25}, {1600, 6400, 1, 64, 100}, {1600, 6400, 1, 128, 100}, {1600, 6400, 1, 512, 100}, {1600, 6400, 1, 1024, 104},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct TileAsk ask = {BY_MATRICES, cases[i].rows, cases[i].width, cases[i].outputs, true};
        uint32_t segments = tile_segments(&H100, &ask), groups = groups_of(&H100, &ask);
        if (segments != cases[i].segments || groups != cases[i].groups)
            fail_msg("%u rows of %u x %u: %u segments and %u workgroups, should be %u and %u", ask.rows, ask.outputs,
                     ask.width, segments, groups, cases[i].segments, cases[i].groups);
    }
}

// Segments are the same for all rows, a multiple of every tile's step, and not empty; their sums fit into their buffer.
static void test_segments(void **state)
{
    (void)state;
    for (uint32_t processors = 0; processors <= 300; processors += 20)
        for (uint32_t width = 8; width <= 8192; width += 8)
            for (uint32_t outputs = 8; outputs <= 4096; outputs *= 2) {
                vkgpt_device device = H100;
                device.processors = processors;
                struct TileAsk ask = {BY_MATRICES, 16, width, outputs, true};
                uint32_t segment = tile_segment(&device, &ask), segments = tile_segments(&device, &ask);
                assert_true(segments >= 1 && segments <= MOST_SEGMENTS && (segments - 1) * segment < width &&
                            segments * segment >= width);
                assert_true(segments == 1 || segment % SEGMENT_STEP == 0);
                ask.rows = 2048;
                assert_int_equal(tile_segment(&device, &ask), segment);
                ask.segments = false;
                assert_int_equal(tile_segments(&device, &ask), 1);
            }
}

static void test_sums(void **state)
{
    (void)state;
    struct Tile tile;
    for (uint32_t rows = 16; rows <= 2048; rows += 16)
        for (uint32_t outputs = 8; outputs <= 4096; outputs *= 2)
            for (uint32_t n = 0; n < TILES; n++) {
                const struct TileAsk ask = {BY_MATRICES, rows, 4096, outputs, true};
                bool runs = tile_get(&H100, BY_MATRICES, n, &tile);
                assert_true(runs == (n < 6)); // the last one is for subgroups of 64
                assert_int_equal(SEGMENT_STEP % (tile.depth * tile.buffered), 0);
                if (!runs || !tile_splits(&H100, &ask, &tile)) continue;
                uint64_t tiles =
                    (uint64_t)((rows + tile.rows - 1) / tile.rows) * ((outputs + tile.outputs - 1) / tile.outputs);
                assert_true(tiles <= SPLIT_TILES);
                assert_true(tiles * tile.rows * tile.outputs * tile_segments(&H100, &ask) * 4 <=
                            tile_sum_bytes(rows, outputs));
            }
}

// RDNA 3 has the largest tile, twice in its shared memory, with the rows of a subgroup in the fewer matrices. With 32
// KiB no tile takes more.
static void test_largest(void **state)
{
    (void)state;
    struct Tile tile;
    vkgpt_device device = H100;
    device.matrix_lanes = 64;
    device.info.shared_bytes = 65536;
    assert_true(tile_get(&device, BY_MATRICES, 6, &tile));
    assert_true(tile.rows == 128 && tile.outputs == 256 && tile.buffered == 2 && tile.down == 2);
    const struct TileAsk ask = {BY_MATRICES, 1024, 1600, 6400, false};
    assert_int_equal(tile_for(&device, &ask).number, 6);
    device.info.shared_bytes = 32768;
    for (uint32_t n = 0; n < TILES; n++)
        if (tile_get(&device, BY_MATRICES, n, &tile))
            assert_true(tile.buffered * (tile.rows + tile.outputs) * (tile.depth + 8) * 2 <= 32768);
    assert_true(groups_of(&device, &ask) > 0);
}

// Devices of every kind of tile, and what their attention multiplies together (kernels.c).
static const struct PaddingCase {
    const char *name;
    vkgpt_device device;
    enum TileKind kind;
    struct AttendTile attend;
    double bar;
} PADDING[] = {
    {"by matrices of 16 x 16",
     {.info = {.subgroup_size = 32, .max_workgroup = 1024, .shared_bytes = 49152},
      .matrix = {16, 16, 16},
      .matrix_lanes = 32,
      .processors = 132},
     BY_MATRICES,
     {16, 16, 16},
     1.12},
    {"by matrices of 8 x 16",
     {.info = {.subgroup_size = 8, .max_workgroup = 1024, .shared_bytes = 65536},
      .matrix = {8, 16, 16},
      .matrix_lanes = 8},
     BY_MATRICES,
     {8, 8, 16},
     1.12},
    {"RDNA 3, matrices in subgroups of 64",
     {.info = {.vendor_id = VENDOR_AMD, .subgroup_size = 32, .max_workgroup = 1024, .shared_bytes = 65536},
      .matrix = {16, 16, 16},
      .matrix_lanes = 64,
      .processors = 96},
     BY_MATRICES,
     {16, 16, 16},
     1.12},
    {"RDNA 2",
     {.info = {.vendor_id = VENDOR_AMD, .subgroup_size = 32, .max_workgroup = 1024, .shared_bytes = 65536},
      .processors = 80},
     IN_FP32,
     {16, 8, 32},
     1.12},
    {"RDNA 2 of 40 processors",
     {.info = {.vendor_id = VENDOR_AMD, .subgroup_size = 32, .max_workgroup = 1024, .shared_bytes = 65536},
      .processors = 40},
     IN_FP32,
     {16, 8, 32},
     1.12},
    {"Intel",
     {.info = {.vendor_id = VENDOR_INTEL, .subgroup_size = 8, .max_workgroup = 1024, .shared_bytes = 65536}},
     IN_FP32,
     {16, 8, 8},
     1.12},
    {"with 32 KiB",
     {.info = {.subgroup_size = 16, .max_workgroup = 256, .shared_bytes = 32768}, .processors = 16},
     IN_FP32,
     {16, 8, 16},
     1.12},
    {"Vega, subgroups of 64",
     {.info = {.vendor_id = VENDOR_AMD, .subgroup_size = 64, .max_workgroup = 1024, .shared_bytes = 65536},
      .processors = 64},
     IN_FP32,
     {16, 8, 64},
     1.21},
};

// Of a model's layer, in the tiles that are chosen for a block of so many rows.
static struct Work layer_work(const struct PaddingCase *p, const struct Config *c, uint32_t rows)
{
    const uint32_t width = c->heads * c->head_dim;
    const uint32_t matrices[][2] = {{3 * width, c->dim}, {c->dim, width}, {c->inner, c->dim}, {c->dim, c->inner}};
    struct Work all = attention_work(0, rows, width, 0, p->attend);
    for (size_t i = 0; i < 4; i++) {
        const struct ProductKey key =
            block_key(p->kind, i % 2 ? CONTRACT : EXPAND, WEIGHTS_F16, matrices[i][1], matrices[i][0], rows);
        const struct TileAsk ask = variant_ask(&key);
        struct Tile tile;
        assert_true(tile_get(&p->device, p->kind, tile_for(&p->device, &ask).number, &tile));
        struct Work one = product_work(rows, matrices[i][0], matrices[i][1], tile.whole_rows, tile.whole_outputs);
        all.needed += one.needed, all.done += one.done;
    }
    return all;
}

// The FLOPs of prompts of GPT-2 for rows, outputs and positions that do not exist.
static void test_padding(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    static const uint32_t rows[] = {128, 129, 200, 300, 512, 999, 1000, 1023, 1024, 1500};
    for (size_t p = 0; p < sizeof PADDING / sizeof *PADDING; p++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                struct Config c;
                preset_config(preset_find(names[n]), &c);
                struct Work work = layer_work(&PADDING[p], &c, rows[r]);
                if (!(work.done / work.needed <= PADDING[p].bar))
                    fail_msg("%s, %s, %u tokens: %.3f times what is needed", PADDING[p].name, names[n], rows[r],
                             work.done / work.needed);
            }
}

// Tiles of lanes are there on every device, down to the least that Vulkan allows, and fit into its shared memory.
static void test_plain(void **state)
{
    (void)state;
    for (uint32_t shared = 16384; shared <= 65536; shared *= 2)
        for (uint32_t lanes = 4; lanes <= 128; lanes *= 2) {
            const vkgpt_device device = {
                .info = {.subgroup_size = lanes, .max_workgroup = 256, .shared_bytes = shared}};
            const struct TileAsk ask = {IN_FP32, 128, 3072, 768, true};
            struct Tile tile;
            assert_true(tile_get(&device, IN_FP32, 0, &tile));
            for (uint32_t n = 0; n < TILES; n++) {
                if (!tile_get(&device, IN_FP32, n, &tile)) continue;
                assert_true(tile.size <= 256 && tile.depth % 32 == 0 && tile.rows % tile.whole_rows == 0);
                assert_true((tile.rows + tile.outputs) * tile.depth * 4 + tile.size * 8 <= shared);
                assert_int_equal(tile_find(IN_FP32, &tile), n + 1);
            }
            assert_int_equal(tile_segments(&device, &ask), 1);
            assert_true(groups_of(&device, &ask) > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups),  cmocka_unit_test(test_segments),
                                       cmocka_unit_test(test_sums),    cmocka_unit_test(test_largest),
                                       cmocka_unit_test(test_padding), cmocka_unit_test(test_plain)};
    return cmocka_run_group_tests_name("tiles", tests, NULL, NULL);
}
