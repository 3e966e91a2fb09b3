// The split of a model over devices where nobody says it: by bytes, speed and memory, on devices that are made up.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/formats.h"
#include "engine/stage_share.h"
#include "gpu/device.h"
#include "model/presets.h"

#include <cmocka.h> // last: it has a macro called fail

static struct vkgpt_device device = {
    .info = {.type = "discrete GPU",
             .memory_bytes = UINT64_C(8) << 30,
             .max_buffer_range = UINT64_C(4) << 30,
             .max_allocation = UINT64_C(4) << 30,
             .offset_alignment = 64},
};

static uint32_t in_halves(void *user, enum ModelPart part, uint32_t layer)
{
    (void)user, (void)part, (void)layer;
    return WEIGHTS_F16;
}

// A file whose first four layers have four times the bits of the others.
static uint32_t mixed(void *user, enum ModelPart part, uint32_t layer)
{
    (void)user;
    return part >= PART_VECTORS && layer < 4 ? WEIGHTS_F32 : WEIGHTS_Q8_0;
}

static void share(const char *preset, uint32_t (*wanted)(void *user, enum ModelPart part, uint32_t layer),
                  const struct StageOffer *offers, uint32_t count, uint32_t *layers)
{
    vkgpt_error err;
    struct Config config;
    struct vkgpt_model whole = {.device = &device};
    preset_config(preset_find(preset), &config);
    model_sizes(&whole, &config);
    const struct StageShare share = {.whole = &whole, .wanted = wanted, .offers = offers, .count = count};
    if (stage_share(&share, layers, &err)) fail_msg("%s", err.text);
}

static void assert_layers(const uint32_t *layers, const uint32_t *wanted, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (layers[i] != wanted[i]) fail_msg("device %u has %u layers, not %u", i, layers[i], wanted[i]);
}

static struct StageOffer offer(double gb, double gb_per_s)
{
    return (struct StageOffer){
        .name = "made up", .memory = (uint64_t)(gb * 1e9), .speed = {gb_per_s * 1e9, INFINITY, 0}};
}

static void test_shares(void **state)
{
    (void)state;
    uint32_t layers[4];
    const struct StageOffer alike[] = {offer(80, 1), offer(80, 1), offer(80, 1), offer(80, 1)};
    share("gpt2-xl", in_halves, alike, 4, layers); // the head reads as much as 2.6 of the 48 layers
    assert_int_equal(layers[3], 10);
    for (int i = 0; i < 3; i++) assert_in_range(layers[i], 12, 13);
    const struct StageOffer speeds[] = {offer(80, 1), offer(80, 3)};
    share("gpt2-xl", in_halves, speeds, 2, layers);
    assert_layers(layers, (const uint32_t[]){12, 36}, 2);
    share("gpt2", mixed, alike, 2, layers); // four wide layers are as much as sixteen
    assert_true(layers[0] == 4 && layers[1] == 8);
    share("gpt2", in_halves, alike, 1, layers);
    assert_int_equal(layers[0], 12);
}

static void test_memory(void **state)
{
    (void)state;
    uint32_t layers[2];
    // of 61 MB a layer, 20 layers and a session fit into the fast device
    const struct StageOffer small[] = {offer(80, 1), offer(1.9, 10)};
    share("gpt2-xl", in_halves, small, 2, layers);
    assert_in_range(layers[1], 15, 25);
    const struct StageOffer none[] = {offer(0.1, 1), offer(0.1, 1)};
    share("gpt2-xl", in_halves, none, 2, layers); // loading says what is missing
    assert_layers(layers, (const uint32_t[]){25, 23}, 2);
}

static void test_alike(void **state)
{
    (void)state;
    struct StageOffer offers[3] = {offer(1, 1), offer(2, 2), offer(3, 3)};
    assert_true(stage_offers_alike(offers, 3));
    strcpy(offers[2].name, "another one");
    assert_true(stage_offers_alike(offers, 2));
    assert_false(stage_offers_alike(offers, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_alike)};
    return cmocka_run_group_tests_name("stage_share", tests, NULL, NULL);
}
