// The FLOPs of a block: how many it needs, and how many its tiles do.
#include <setjmp.h>
#include <stdarg.h>

#include "engine/work.h"

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
    same(attention_work(0, 1, 64, 0, (struct AttendTile){16, 16, 128}), 256, 256.0 * 16 * 128);
    same(attention_work(9, 1, 64, 0, (struct AttendTile){1, 1, 1}), 2560, 2560); // a step of decode
    // 16 queries that see 1 to 16 keys, then one that sees 17
    same(attention_work(0, 17, 64, 0, (struct AttendTile){16, 16, 16}), 256.0 * (16 * 17 / 2 + 17),
         256.0 * (16 * 16 + 16 * 32));
    // likewise, half of the 16 left out where none of them runs
    same(attention_work(0, 17, 64, 0, (struct AttendTile){16, 8, 16}), 256.0 * (16 * 17 / 2 + 17),
         256.0 * (16 * 16 + 8 * 32));
    // queries at 100 to 103 with a window of 4: from 97 to 103, tiles of 8 from 96 on
    same(attention_work(100, 4, 64, 4, (struct AttendTile){4, 4, 8}), 256.0 * 4 * 4, 256.0 * 4 * 8);
    // a window that is not full yet: 1, 2, 3 and 3 keys
    same(attention_work(0, 4, 64, 3, (struct AttendTile){4, 4, 4}), 256.0 * 9, 256.0 * 4 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_attention)};
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
