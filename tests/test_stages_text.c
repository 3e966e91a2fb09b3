// The words for the devices of a chain of stages, and for their layers.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "engine/stages_text.h"

#include <cmocka.h>

#define NUMBERS(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4

static void layers_are(const uint32_t *layers, size_t count, const char *want)
{
    char text[256];
    stages_list_layers(text, sizeof text, layers, (uint32_t)count);
    assert_string_equal(text, want);
}

static void test_layers(void **state)
{
    uint32_t many[MAX_STAGES];
    char all[3 * MAX_STAGES + 1] = "", text[200];
    (void)state;
    layers_are(NUMBERS(6), "6");
    layers_are(NUMBERS(20, 28), "20,28");
    layers_are(NUMBERS(12, 12, 12), "12,12,12"); // as --split takes it
    layers_are(NUMBERS(12, 12, 12, 12), "4 x 12");
    layers_are(NUMBERS(3, 9, 9, 9, 9, 9, 2, 2), "3,5 x 9,2,2");
    for (uint32_t i = 0; i < MAX_STAGES; i++) {
        many[i] = 10 + i % 2;
        strcat(all, i % 2 ? ",11" : ",10");
    }
    stages_list_layers(text, sizeof text, many, MAX_STAGES);
    assert_string_equal(text, all + 1); // all of them, where no two are alike
    stages_list_layers(text, 12, many, MAX_STAGES);
    assert_string_equal(text, "10,11,10...");
}

static void devices_are(const char *letters, const uint32_t *ranks, const char *want)
{
    static const char *const all[] = {"A", "B"};
    const char *names[MAX_STAGES];
    char text[256];
    for (size_t i = 0; letters[i]; i++) names[i] = all[letters[i] - 'A'];
    stages_list_devices(text, sizeof text, names, ranks, (uint32_t)strlen(letters));
    assert_string_equal(text, want);
}

static void test_devices(void **state)
{
    (void)state;
    devices_are("A", NULL, "A");
    devices_are("AAB", NULL, "A, A, B");
    devices_are("BAAAA", NULL, "B, 4 x A");
    devices_are("AB", (uint32_t[]){1, 0}, "rank 1: A, rank 0: B");
    devices_are("AAAAB", (uint32_t[]){4, 3, 2, 1, 0}, "ranks 4-1: A, rank 0: B");
    devices_are("AAAAB", (uint32_t[]){1, 1, 1, 1, 0}, "rank 1: 4 x A, rank 0: B");
    devices_are("AAAAAA", (uint32_t[]){4, 3, 2, 1, 0, 0}, "ranks 4-1: A, rank 0: A, rank 0: A");
    devices_are("AAAAAAAA", (uint32_t[]){1, 1, 1, 1, 0, 0, 0, 0}, "rank 1: 4 x A, rank 0: 4 x A");
}

static void test_split(void **state)
{
    static const uint32_t ranks[] = {1, 0};
    const struct StagesNamed one = {{20, 28}, {"A", "B"}, NULL, 2}, two = {{20, 28}, {"A", "B"}, ranks, 2};
    char text[64];
    (void)state;
    stages_describe(text, sizeof text, &one);
    assert_string_equal(text, "split 20,28 over A, B");
    stages_describe(text, sizeof text, &two);
    assert_string_equal(text, "split 20,28 over rank 1: A, rank 0: B");
}

// As many as the room of a note holds: it is not cut sooner.
static void test_long_names(void **state)
{
    static const char *const names[] = {"llvmpipe (LLVM 15.0.6, 256 bits)", "SwiftShader Device (Subzero)"};
    const struct StagesNamed four = {
        {2, 1, 2, 1}, {names[0], names[1], names[0], names[1]}, (uint32_t[]){1, 1, 0, 0}, 4};
    char text[256];
    (void)state;
    stages_describe(text, sizeof text, &four);
    assert_string_equal(text, "split 2,1,2,1 over rank 1: llvmpipe (LLVM 15.0.6, 256 bits), rank 1: SwiftShader Device "
                              "(Subzero), rank 0: llvmpipe (LLVM 15.0.6, 256 bits), rank 0: SwiftShader Device "
                              "(Subzero)");
    stages_describe(text, 110, &four);
    assert_string_equal(text, "split 2,1,2,1 over rank 1: llvmpipe (LLVM 15.0.6, 256 bits), rank 1: SwiftShader Device "
                              "(Subzero)...");
    stages_describe(text, 10, &four); // no room for a device
    assert_string_equal(text, "split 2,1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
