// The FLOPs of a block: how many it needs, and how many its tiles do.
#include <setjmp.h>
#include <stdarg.h>

#include "engine/work.h"
#include "model/presets.h"

#include <cmocka.h> // last: it has a macro called fail

static void same(struct Work got, double needed, double done)
{
    if (!(got.needed == needed && got.done == done))
        fail_msg("%.17g needed and %.17g done, should be %.17g and %.17g", got.needed, got.done, needed, done);
}

static void test_products(void **state)
{
    (void)state;
    same(product_work(1, 8, 8, 1, 8), 128, 128);
    same(product_work(128, 768, 768, 64, 64), 2.0 * 128 * 768 * 768, 2.0 * 128 * 768 * 768);
    same(product_work(1, 768, 768, 64, 64), 2.0 * 768 * 768, 64 * 2.0 * 768 * 768);
    same(product_work(65, 72, 16, 64, 64), 2.0 * 65 * 72 * 16, 2.0 * 128 * 128 * 16);
    same(product_work(2048, 200704, 49152, 128, 256), 2.0 * 2048 * 200704 * 49152,
         2.0 * 2048 * 200704 * 49152); // more than 32 bits
}

static void test_attention(void **state)
{
    (void)state;
    same(attention_work(0, 1, 64, 0, 16, 128), 256, 256.0 * 16 * 128);
    same(attention_work(9, 1, 64, 0, 1, 1), 2560, 2560); // a step of decode
    // 16 queries that see 1 to 16 keys, then one that sees 17
    same(attention_work(0, 17, 64, 0, 16, 16), 256.0 * (16 * 17 / 2 + 17), 256.0 * (16 * 16 + 16 * 32));
    // queries at 100 to 103 with a window of 4: from 97 to 103, tiles of 8 from 96 on
    same(attention_work(100, 4, 64, 4, 4, 8), 256.0 * 4 * 4, 256.0 * 4 * 8);
    // a window that is not full yet: 1, 2, 3 and 3 keys
    same(attention_work(0, 4, 64, 3, 4, 4), 256.0 * 9, 256.0 * 4 * 4);
}

struct Tiles {
    uint32_t rows, outputs, queries, keys;
};

static struct Work model_work(const struct Config *c, uint32_t rows, struct Tiles t)
{
    const uint32_t width = c->heads * c->head_dim;
    const uint32_t matrices[][2] = {{3 * width, c->dim}, {c->dim, width}, {c->inner, c->dim}, {c->dim, c->inner}};
    struct Work all = attention_work(0, rows, width, 0, t.queries, t.keys);
    for (size_t i = 0; i < 4; i++) {
        struct Work one = product_work(rows, matrices[i][0], matrices[i][1], t.rows, t.outputs);
        all.needed += one.needed;
        all.done += one.done;
    }
    return all;
}

// The FLOPs that prompts of GPT-2 waste with the tiles of a GPU.
static void test_padding(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    static const uint32_t rows[] = {128, 512, 999, 1000, 1023, 1024};
    const struct Tiles tiles = {PREFILL_TILE, PREFILL_TILE, GROUP_ROWS, 128};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct Config c;
        preset_config(preset_find(names[n]), &c);
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            struct Work work = model_work(&c, rows[r], tiles);
            if (!(work.done / work.needed <= 1.12))
                fail_msg("%s, %u tokens: %.3f times what is needed", names[n], rows[r], work.done / work.needed);
        }
        assert_true(model_work(&c, 17, tiles).done / model_work(&c, 17, tiles).needed > 3); // in tiles of 64 rows
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_padding)};
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
