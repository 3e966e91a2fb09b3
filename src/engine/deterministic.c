#include "engine/deterministic.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "gpu/recording.h"

#define LANES 64

// Operands x, y, z, and the bits of x + y, x - y, x * y, and x * y + z in two steps, rounded to nearest even. Any other
// rounding gives other bits in some rows, and so does x * y + z rounded once.
static const struct {
    float operands[4];
    uint32_t results[4];
} PROOFS[] = {
    {{1.0f, 0x1p-24f, 0.0f}, {0x3f800000, 0x3f7fffff, 0x33800000, 0x33800000}}, // the sum is a tie
    {{0x1.000002p0f, 0x1p-24f, -1.0f}, {0x3f800002, 0x3f800000, 0x33800001, 0xbf7fffff}},
    {{1.0f, 0x1.000002p-24f, 0.0f}, {0x3f800001, 0x3f7fffff, 0x33800001, 0x33800001}},
    {{-1.0f, -0x1p-24f, 0.0f}, {0xbf800000, 0xbf7fffff, 0x33800000, 0x33800000}},
    {{1.5f, 0x1.000002p0f, -1.5f}, {0x40200000, 0x3efffffc, 0x3fc00002, 0x34800000}}, // the product is a tie
    {{1.5f, 0x1.000006p0f, -1.5f}, {0x40200002, 0x3efffff4, 0x3fc00004, 0x35000000}},
    {{0.1f, 0.2f, 0.3f}, {0x3e99999a, 0xbdcccccd, 0x3ca3d70b, 0x3ea3d70b}},
    {{0x1.555556p-40f, 0x1.999998p30f, -0x1p-9f}, {0x4ecccccc, 0xcecccccc, 0x3b088888, 0x39088880}},
};

_Static_assert(sizeof PROOFS / sizeof *PROOFS == DETERMINISTIC_PROOFS, "as the header says");

int deterministic_compare(const vkgpt_device *device, const uint32_t *results, vkgpt_error *err)
{
    static const char signs[] = "+-**";
    for (uint32_t i = 0; i < 4 * DETERMINISTIC_PROOFS; i++) {
        const float *v = PROOFS[i / 4].operands;
        uint32_t right = PROOFS[i / 4].results[i % 4];
        char sum[32] = "";
        if (results[i] == right) continue;
        if (i % 4 == 3) snprintf(sum, sizeof sum, " + %a", (double)v[2]);
        return fail(
            err, VKGPT_NO_DEVICE,
            "%s does not round to nearest even, so nothing deterministic runs on it: the bits of %a %c %a%s are "
            "%08x, they should be %08x",
            device->info.name, (double)v[0], signs[i % 4], (double)v[1], sum, results[i], right);
    }
    return VKGPT_OK;
}

struct Proof {
    vkgpt_device *device;
    struct Pool upload_pool, read_pool;
    struct Slice operands, results;
    vkgpt_error *err;
};

static int run(struct Proof *p, uint32_t *results)
{
    const uint32_t lanes = LANES;
    const VkDeviceSize bytes = DETERMINISTIC_PROOFS * 16;
    const struct Pipeline *pipeline;
    struct Recording rec;
    int status = pool_slice(p->device, &p->upload_pool, bytes, "operands", &p->operands, p->err);
    if (!status) status = pool_slice(p->device, &p->read_pool, bytes, "results", &p->results, p->err);
    if (!status) status = pipeline_get(p->device, "rounding_deterministic", &lanes, 1, &pipeline, p->err);
    if (!status) status = recording_begin(p->device, "a proof of the rounding", 1, &rec, p->err);
    if (status) return status;
    for (size_t i = 0; i < DETERMINISTIC_PROOFS; i++) memcpy(p->operands.host + 16 * i, PROOFS[i].operands, 16);
    dispatch(&rec, pipeline, (struct Grid){1, 1, 1}, BUFFERS(&p->operands, &p->results),
             ARGS(CopyArgs, DETERMINISTIC_PROOFS));
    status = recording_run_once(&rec, p->err);
    if (!status) memcpy(results, p->results.host, bytes);
    return status;
}

int deterministic_run(vkgpt_device *device, uint32_t *results, vkgpt_error *err)
{
    struct Proof p = {.device = device,
                      .upload_pool = {.kind = MEMORY_UPLOAD, .block_bytes = 4096},
                      .read_pool = {.kind = MEMORY_READ, .block_bytes = 4096},
                      .err = err};
    int status = run(&p, results);
    pool_free(device, &p.upload_pool);
    pool_free(device, &p.read_pool);
    return status;
}

int deterministic_check(vkgpt_device *device, vkgpt_error *err)
{
    uint32_t results[4 * DETERMINISTIC_PROOFS];
    if (device->rounding_is_known) return VKGPT_OK;
    int status = deterministic_run(device, results, err);
    if (!status) status = deterministic_compare(device, results, err);
    device->rounding_is_known = !status;
    return status;
}
