#include "engine/tune_blocks.h"

#include "base/os.h"
#include "engine/forward.h"
#include "engine/inbox.h"
#include "engine/recordings.h"
#include "engine/session_kernels.h"
#include "engine/session_open.h"
#include "engine/settings.h"
#include "engine/formats.h"
#include "engine/tuning.h"

#define MOST_ROWS 1024    // of a block: larger ones are not tuned
#define RUNS 3            // of each recording; the quickest counts, and one before them warms up
#define RUN_SECONDS 0.002 // that a recording takes at least, as long as MAX_PASSES allows
#define MAX_PASSES 16     // over the layers
#define MARGIN 1.02       // within it the built-in tile stays
#define ONE 0x3f800000u   // 1.0f

struct BlockTuner {
    vkgpt_model *model;
    struct vkgpt_session *s;
    struct ProductKey key;
    enum FoundBy by;
    double end; // by the host's clock
    uint32_t passes;
    vkgpt_error *err;
};

// The first layer whose matrix of this product has the format, from `from` on; NULL: none.
static const struct Matrix *matrix_from(const vkgpt_model *m, enum ProductKernel product, uint32_t format,
                                        uint32_t *from)
{
    for (; *from < m->config.layers; ++*from)
        if (model_matrix(m, product, *from)->format == format) return model_matrix(m, product, *from);
    return NULL;
}

static bool has_fp32(const vkgpt_model *m)
{
    bool fp32 = m->wte.format == WEIGHTS_F32 || m->head->format == WEIGHTS_F32;
    for (uint32_t product = 0; product < HEAD; product++) {
        uint32_t l = 0;
        fp32 = fp32 || matrix_from(m, product, WEIGHTS_F32, &l);
    }
    return fp32;
}

// The kernels of software drivers have no choice.
static bool has_choices(const vkgpt_model *m) { return !m->device->software_kernels; }

// Calls `each` for every product of a layer and every block that has a choice. A block hardly ever runs the head.
static int each_key(const vkgpt_model *m, int (*each)(void *user, const struct ProductKey *key), void *user)
{
    const enum TileKind kind = products_kind(m->device, has_fp32(m));
    int status = VKGPT_OK;
    if (!has_choices(m)) return status;
    for (uint32_t rows = MOST_ROWS; rows >= GROUP_ROWS; rows /= 2)
        for (uint32_t product = 0; product < HEAD; product++)
            for (uint32_t format = 0; !status && format < FORMATS; format++) {
                struct Variant variants[MAX_VARIANTS];
                uint32_t l = 0;
                const struct Matrix *w = matrix_from(m, product, format, &l);
                if (!w || rows / 2 >= m->config.context) continue;
                const struct ProductKey key = block_key(kind, product, format, w->in, w->out, rows);
                if (variants_of(m->device, &key, variants) > 1) status = each(user, &key);
            }
    return status;
}

static int is_untuned(void *user, const struct ProductKey *key)
{
    const vkgpt_model *m = user;
    return !tuning_find(m->device, key);
}

bool blocks_untuned(const vkgpt_model *m) { return each_key(m, is_untuned, (void *)(uintptr_t)m); }

static int set_built_in(void *user, const struct ProductKey *key)
{
    struct BlockTuner *t = user;
    if (tuning_find(t->model->device, key)) return VKGPT_OK;
    return tuning_set(t->model->device, key, variant_built_in(t->model->device, key), FOUND_QUICK, t->err);
}

// ------------------------------------------------------------------------------------------------ timing

// A block whose rows all run, and numbers to compute with: new memory may hold slow numbers (denormal), or anything.
static int fill_session(const struct BlockTuner *t)
{
    struct vkgpt_session *s = t->s;
    struct Group groups[MAX_GROUPS] = {{0}};
    struct Recording *admit, rec = {0};
    double seconds;
    for (uint32_t g = 0; g < s->block_rows / GROUP_ROWS; g++)
        groups[g] = (struct Group){.position = g * GROUP_ROWS, .rows = GROUP_ROWS};
    for (uint32_t g = 0; g < MAX_GROUPS; g++)
        if (groups[g].position + GROUP_ROWS > s->context) groups[g] = (struct Group){0};
    inbox_begin(s, 0, groups);
    int status = recordings_admit(s, 0, &admit, t->err);
    if (!status) status = recording_time(admit, &seconds, t->err);
    if (!status) status = recording_begin(s->device, "tuning", 1, &rec, t->err);
    if (status) return status;
    const struct Slice *const inputs[] = {&s->b.x, &s->b.n, &s->b.a, &s->b.h};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) recording_fill(&rec, inputs[i], ONE);
    return recording_run_once(&rec, t->err);
}

// Records one product of a block, of every layer that has it in the format, `passes` times.
static int record(const struct BlockTuner *t, const struct Kernels *k, struct Recording *rec, uint32_t *products)
{
    struct vkgpt_session *s = t->s;
    int status = recording_begin(s->device, "tuning", forward_max_sets(s), rec, t->err);
    *products = 0;
    if (status) return status;
    uint32_t rows = t->key.block < s->block_rows ? t->key.block : s->block_rows;
    const struct Pass block = pass_of_block(s, rec, k, rows, 0);
    for (uint32_t pass = 0; pass < t->passes; pass++)
        for (uint32_t l = 0; matrix_from(t->model, t->key.product, t->key.format, &l); l++, ++*products)
            forward_product(&block, t->key.product, l);
    return recording_end(rec);
}

// Seconds of one product with this tile.
static int time_tile(struct BlockTuner *t, struct Variant tile, double *best)
{
    struct vkgpt_session *s = t->s;
    struct Recording rec = {0};
    const struct Kernels *k = NULL;
    uint32_t products = 0;
    for (uint32_t size = 0; size < BLOCK_SIZES; size++) s->prefill_ready[size] = false; // its kernels are chosen again
    int status = tuning_set(s->device, &t->key, tile, t->by, t->err);
    if (!status) status = session_prefill_kernels(s, t->key.block, &k, t->err);
    if (!status) status = pipelines_ready(s->device, t->err);
    if (!status) status = record(t, k, &rec, &products);
    for (uint32_t i = 0; !status && i < 1 + RUNS; i++) {
        double seconds;
        status = recording_time(&rec, &seconds, t->err);
        if (i && (seconds / products < *best || *best <= 0.0)) *best = seconds / products;
    }
    recording_free(&rec);
    return status;
}

static int choose_passes(struct BlockTuner *t, struct Variant built_in)
{
    double seconds = 0.0;
    t->passes = 1;
    int status = time_tile(t, built_in, &seconds);
    while (t->passes < MAX_PASSES && seconds * t->model->config.layers * t->passes < RUN_SECONDS) t->passes *= 2;
    return status;
}

// -------------------------------------------------------------------------------------------------- choosing

struct Results {
    struct BlockTuner *t;
    void (*on_result)(void *user, const vkgpt_tuned *tuned);
    void *user;
};

static vkgpt_variant told(const struct ProductKey *key, struct Variant v)
{
    const struct Tile tile = tile_listed(key->kind, v.tile);
    return (vkgpt_variant){.rows = tile.rows, .outputs = tile.outputs, .size = tile.size, .split = v.split};
}

static void tell(const struct Results *r, uint32_t tried, struct Variant built_in, double before, struct Variant best,
                 double after)
{
    const struct ProductKey *key = &r->t->key;
    const vkgpt_tuned tuned = {
        .kernel = product_kernel_name(key->product),
        .weights = format_name(key->format),
        .outputs = key->outputs,
        .width = key->width,
        .tokens = key->block,
        .tried = tried,
        .built_in = told(key, built_in),
        .best = told(key, best),
        .built_in_seconds = before,
        .best_seconds = after,
    };
    if (r->on_result) r->on_result(r->user, &tuned);
}

// The quickest tile of one product of a block, unless the time is over.
static int tune_key(void *user, const struct ProductKey *key)
{
    const struct Results *r = user;
    struct BlockTuner *t = r->t;
    struct Variant variants[MAX_VARIANTS];
    double seconds[MAX_VARIANTS] = {0};
    uint32_t best = 0, tried = 0, count = variants_of(t->model->device, key, variants);
    if (os_seconds() >= t->end || (t->by == FOUND_QUICK && tuning_is_thorough(t->model->device, key))) return VKGPT_OK;
    t->key = *key;
    int status = choose_passes(t, variants[0]);
    for (; !status && tried < count && os_seconds() < t->end; tried++)
        status = time_tile(t, variants[tried], &seconds[tried]);
    for (uint32_t i = 1; !status && i < tried; i++)
        if (seconds[i] * (best ? 1.0 : MARGIN) < seconds[best]) best = i;
    int set = tuning_set(t->model->device, key, variants[best], t->by, status ? NULL : t->err);
    if (!status && !set && tried) tell(r, tried, variants[0], seconds[0], variants[best], seconds[best]);
    return status ? status : set;
}

int tune_blocks(vkgpt_model *m, enum FoundBy by, double seconds,
                void (*on_result)(void *user, const vkgpt_tuned *tuned), void *user, vkgpt_error *err)
{
    struct BlockTuner t = {.model = m, .by = by, .end = os_seconds() + seconds, .err = err};
    struct Results results = {&t, on_result, user};
    const vkgpt_session_options options = {.context = m->config.context < MOST_ROWS ? m->config.context : MOST_ROWS};
    int status = each_key(m, set_built_in, &t);
    if (status || seconds <= 0.0 || !has_choices(m)) return status;
    status = session_open(m, &options, &t.s, err);
    if (status) return status;
    status = fill_session(&t);
    if (!status) status = each_key(m, tune_key, &results);
    vkgpt_session_close(t.s);
    return status;
}
