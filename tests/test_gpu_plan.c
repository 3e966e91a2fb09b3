// The memory that `plan` predicts against the memory in a device's pools after a model is loaded and a session opened.
#define _POSIX_C_SOURCE 200809L // setenv
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory_plan.h"
#include "engine/session.h"
#include "model/presets.h"
#include "model_files.h"

#include "check.h" // last: it includes cmocka.h, which has a macro called fail

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static void assert_near(const char *what, uint64_t planned, uint64_t held, double within)
{
    double off = (double)planned / (double)held - 1;
    if (!(off >= -within && off <= within))
        fail_msg("%s: %llu bytes planned, %llu held", what, (unsigned long long)planned, (unsigned long long)held);
}

static uint64_t used(const struct Pool *pool)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < pool->count; i++) total += pool->blocks[i].used;
    return total;
}

// Without limits a plan is for a GPU of 8 GiB, whose prefill blocks are larger than those of a software driver.
static void session_agrees(vkgpt_model *model, const struct MemoryPlan *plan, const struct MemoryAsk *ask,
                           double within)
{
    vkgpt_device *device = model->device;
    const bool software = device->software;
    const uint64_t memory = device->info.memory_bytes;
    vkgpt_error err;
    vkgpt_session *s;
    const vkgpt_session_options options = {.context = ask->context, .kv = (vkgpt_format)ask->kv};
    if (!ask->limits) device->software = false, device->info.memory_bytes = UINT64_C(8) << 30;
    int code = vkgpt_session_open(model, &options, &s, &err);
    device->software = software, device->info.memory_bytes = memory;
    check(code, &err);
    assert_int_equal(plan->rows, s->rows);
    assert_near("session", plan->session_blocks, pool_bytes(&s->device_pool), within);
    assert_near("all", plan->device, pool_bytes(&model->pool) + pool_bytes(&s->device_pool), within);
    assert_near("the session's parts", plan->cache + plan->activations + plan->logits + plan->state,
                used(&s->device_pool), within);
    // only a few KiB each, so that the alignment of a slice matters; without limits it is assumed to be 64
    assert_near("upload", plan->upload, pool_bytes(&s->upload_pool),
                within + 256.0 / (double)pool_bytes(&s->upload_pool));
    assert_near("read back", plan->read, pool_bytes(&s->read_pool), within + 256.0 / (double)pool_bytes(&s->read_pool));
    vkgpt_session_close(s);
}

static void model_agrees(vkgpt_device *device, const char *dir, vkgpt_format weights)
{
    vkgpt_error err;
    vkgpt_model *model;
    const vkgpt_model_options options = {.weights = (vkgpt_format)weights};
    check(vkgpt_model_open(device, dir, &options, &model, &err), &err);
    for (int i = 0; i < 12; i++) {
        struct MemoryPlan plan;
        struct MemoryAsk ask = {
            .config = &model->config,
            .weights = weights,
            .kv = (const vkgpt_format[]){VKGPT_F16, VKGPT_F32, VKGPT_Q8_0}[i % 3],
            .context = i & 2 ? 77 : model->config.context,
            .batch = 1,
            .limits = i & 4 ? vkgpt_device_describe(device) : NULL,
        };
        check(memory_plan(&ask, &plan, &err), &err);
        double within = ask.limits ? 0.001 : 0.03; // with this device's limits, except for the parts of the head
        assert_near("weights", plan.weight_blocks, pool_bytes(&model->pool), within);
        assert_near("the weights' parts", plan.tables + plan.layers + plan.vectors, used(&model->pool), 0.01);
        assert_near("a step", plan.step, model->info.step_bytes, 0.001);
        session_agrees(model, &plan, &ask, within > 0.001 ? within : 0.01);
    }
    vkgpt_model_close(model);
}

static void device_open(vkgpt_device **device)
{
    vkgpt_error err;
    check(vkgpt_device_open(NULL, device, &err), &err);
}

static void device_close(vkgpt_device *device)
{
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

static void test_default_model(void **state)
{
    (void)state;
    vkgpt_device *device;
    device_open(&device);
    for (int weights = VKGPT_AUTO; weights <= VKGPT_Q4_K; weights++) model_agrees(device, TALES, (vkgpt_format)weights);
    device_close(device);
}

static void made_model_agrees(vkgpt_device *device, const char *preset, const struct PresetSizes *sizes,
                              vkgpt_format weights)
{
    vkgpt_error err;
    struct Config config;
    char dir[DIR_BYTES];
    dir_make(dir);
    preset_config(preset_find(preset), &config);
    check(preset_resize(&config, sizes, &err), &err);
    const struct PresetOutput output = {
        .dir = dir, .tokenizer = TALES, .preset = preset, .dtype = DTYPE_F16, .shards = 1};
    check(preset_write(&config, &output, &err), &err);
    model_agrees(device, dir, weights);
    dir_remove(dir);
}

static void test_made_models(void **state)
{
    (void)state;
    vkgpt_device *device;
    device_open(&device);
    // more than one block of weights, and tables in chunks where a buffer ends at 128 MiB
    made_model_agrees(device, "gpt2", &(struct PresetSizes){.layers = 5}, VKGPT_F32);
    // sizes that are padded, and a split cache
    made_model_agrees(device, "gpt3-125m",
                      &(struct PresetSizes){.layers = 3, .dim = 45, .heads = 3, .inner = 77, .vocab = 307}, VKGPT_F16);
    // rows of 96 take a wider format than the one that is asked for, those of 256 do not
    made_model_agrees(device, "gpt2",
                      &(struct PresetSizes){.layers = 3, .dim = 96, .heads = 3, .inner = 256, .vocab = 307},
                      VKGPT_Q4_K);
    device_close(device);
}

// The memory that a device offers is the limit of a load, and its limits are those in its description.
static void test_offer(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    struct MemoryOffer offer;
    device_open(&device);
    check(memory_offer(NULL, &offer, &err), &err);
    const vkgpt_device_info *info = vkgpt_device_describe(device);
    assert_string_equal(offer.info.name, info->name);
    assert_true(offer.info.max_buffer_range == info->max_buffer_range &&
                offer.info.max_allocation == info->max_allocation);
    assert_near("available", offer.bytes, memory_available(device), 0.25); // other programs use memory too
    assert_string_equal(offer.source, device->software      ? "free memory of the host"
                                      : info->memory_budget ? "left of the driver's budget"
                                                            : "the device's heap");
    device->software = false;
    device->info.memory_budget = false;
    assert_int_equal(memory_source(device), MEMORY_OF_HEAP);
    assert_true(memory_available(device) == info->memory_bytes);
    device->info.memory_budget = true;
    assert_int_equal(memory_source(device), MEMORY_OF_BUDGET);
    device->software = true;
    assert_int_equal(memory_source(device), MEMORY_OF_HOST);
    device_close(device);
}

int main(void)
{
    // a software driver that passes for a GPU is not tuned as one: the trials would take too long
    setenv("VKGPT_TUNING", "off", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_offer), cmocka_unit_test(test_default_model),
                                       cmocka_unit_test(test_made_models)};
    return cmocka_run_group_tests_name("gpu_plan", tests, NULL, NULL);
}
