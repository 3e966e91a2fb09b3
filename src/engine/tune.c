// vkgpt_tune: times the variants of every product of decode over the model's own matrices, then the tiles of prefill's
// products (engine/tune_blocks.h), then whole steps with the choices that were found.
//
// A variant is timed in a session of its own, since the sizes of some buffers depend on it. A recording goes over the
// matrices of all layers, so that they are read from memory, as in decode. In a small model all matrices of a kind may
// fit into the device's caches: then the work and the launches are measured, more than the memory.
#include "engine/ahead.h"
#include "engine/forward.h"
#include "engine/inbox.h"
#include "engine/persistent.h"
#include "engine/recordings.h"
#include "engine/session_open.h"
#include "engine/settings.h"
#include "engine/formats.h"
#include "engine/step_search.h"
#include "engine/tune_blocks.h"
#include "engine/tuning.h"

#define BATCH_ROWS 8
#define CONTEXT 512       // positions; the tokens are in the middle
#define ROUNDS 2          // over all variants: what slows the machine for a while slows them all
#define RUNS 3            // of each recording; the quickest counts
#define RUN_SECONDS 0.004 // that a recording takes at least, as long as MAX_PASSES allows
#define MAX_PASSES 64
#define MARGIN 1.02         // within it the earlier variant is kept, the built-in one first
#define ONE 0x3f800000u     // 1.0f
#define BLOCKS_BUDGET 120.0 // seconds for prefill's tiles
#define STEP_ROUNDS 11      // of whole steps
#define STEP_BUDGET 20.0    // seconds for them

struct Tuner {
    vkgpt_model *model;
    struct ProductKey key;
    uint32_t passes, products; // passes over the layers, in a recording; products of this key, in one pass
    bool stages;               // its kernel can compute its input
    vkgpt_error *err;
};

// Sequences that run, and numbers to compute with: new memory may hold slow numbers (denormal), or anything.
static int fill_session(struct vkgpt_session *s, vkgpt_error *err)
{
    struct Recording rec = {0}, *admit;
    double seconds;
    const struct Sequence runs = {.position = s->context / 2, .rows = 1, .remaining = 1, .context = s->context};
    inbox_begin(s, 0, NULL);
    for (uint32_t i = 0; i < s->sequences; i++) inbox_admit(s, 0, i, 0, &runs);
    int status = recordings_admit(s, 0, &admit, err);
    if (!status) status = recording_time(admit, &seconds, err);
    if (!status) status = recording_begin(s->device, "tuning", 1, &rec, err);
    if (status) return status;
    recording_fill(&rec, &s->b.x, ONE);
    recording_fill(&rec, &s->b.h, ONE);
    recording_fill(&rec, &s->b.parts, ONE);
    return recording_run_once(&rec, err);
}

static int time_session(const struct Tuner *t, struct vkgpt_session *s, double *best)
{
    struct Recording rec = {0};
    int status = fill_session(s, t->err);
    if (!status) status = recording_begin(s->device, "tuning", forward_max_sets(s), &rec, t->err);
    if (status) return status;
    const struct Pass step = pass_of_step(s, &rec, s->decode, session_range(s), 0);
    for (uint32_t pass = 0; pass < t->passes; pass++)
        for (uint32_t l = 0; l < model_layers_of(t->model, t->key.product); l++)
            if (model_matrix(t->model, t->key.product, l)->format == t->key.format)
                forward_product(&step, t->key.product, l);
    status = recording_end(&rec);
    for (uint32_t i = 0; !status && i < 1 + RUNS; i++) { // the first one warms up
        double seconds;
        status = recording_time(&rec, &seconds, t->err);
        seconds /= (double)t->passes * t->products;
        if (i && (seconds < *best || *best <= 0.0)) *best = seconds;
    }
    recording_free(&rec);
    return status;
}

// Seconds of one product; an earlier time in *best stays if it is less.
static int time_variant(struct Tuner *t, struct Variant variant, double *best)
{
    const vkgpt_session_options options = {
        .context = t->model->config.context < CONTEXT ? t->model->config.context : CONTEXT,
        .sequences = t->key.tokens == 1 ? 1 : BATCH_ROWS,
    };
    vkgpt_session *s = NULL;
    int status = tuning_set(t->model->device, &t->key, variant, FOUND_THOROUGH, t->err);
    if (!status) status = session_open(t->model, &options, &s, t->err);
    if (status) return status;
    status = pipelines_ready(t->model->device, t->err); // nothing else runs while it measures
    t->stages = t->stages || s->decode->products[t->key.product].staged[t->key.format];
    if (!status) status = time_session(t, s, best);
    vkgpt_session_close(s);
    return status;
}

static int choose_passes(struct Tuner *t, struct Variant built_in)
{
    double seconds = 0.0;
    t->passes = 1;
    int status = time_variant(t, built_in, &seconds);
    double pass = seconds * t->products;
    while (t->passes < MAX_PASSES && pass * t->passes < RUN_SECONDS) t->passes *= 2;
    return status;
}

static vkgpt_variant told(const struct Tuner *t, struct Variant v)
{
    return (vkgpt_variant){.rows = v.rows, .size = v.size, .loads = v.loads, .staged = v.staged && t->stages};
}

// The variants of a product and their times, 0 where there is none.
struct Times {
    uint32_t count;
    struct Variant variants[MAX_VARIANTS];
    double seconds[MAX_VARIANTS];
};

// The first one that comes close to the least time.
static uint32_t best_of(const struct Times *times)
{
    double least = 0.0;
    uint32_t best = 0;
    for (uint32_t i = 0; i < times->count; i++)
        if (times->seconds[i] > 0.0 && (least <= 0.0 || times->seconds[i] < least)) least = times->seconds[i];
    while (best + 1 < times->count && !(times->seconds[best] > 0.0 && times->seconds[best] <= least * MARGIN)) best++;
    return best;
}

// Times the variants that differ from `like` only in their loads, or (not by_loads) those that have the same loads. If
// the kernel cannot compute its input, variants that differ only in `staged` are the same: only one of them is timed.
static int time_some(struct Tuner *t, struct Times *times, struct Variant like, bool by_loads)
{
    int status = VKGPT_OK;
    for (uint32_t round = 0; !status && round < ROUNDS; round++)
        for (uint32_t i = 0; !status && i < times->count; i++) {
            struct Variant v = times->variants[i], w = v;
            w.loads = like.loads;
            bool asked = by_loads ? variant_same(w, like) : v.loads == like.loads;
            if (asked && (t->stages || v.staged == times->variants[0].staged))
                status = time_variant(t, v, &times->seconds[i]);
        }
    return status;
}

static bool has_loads(const struct Times *times)
{
    for (uint32_t i = 1; i < times->count; i++)
        if (times->variants[i].loads != times->variants[0].loads) return true;
    return false;
}

// Tunes all but the loads first, then the loads of the best.
static int tune_key(struct Tuner *t, vkgpt_tuned *tuned)
{
    struct Times times = {0};
    vkgpt_device *device = t->model->device;
    times.count = variants_of(device, &t->key, times.variants);
    int status = choose_passes(t, times.variants[0]);
    if (!status) status = time_some(t, &times, times.variants[0], false);
    if (!status && has_loads(&times)) status = time_some(t, &times, times.variants[best_of(&times)], true);
    uint32_t best = best_of(&times), tried = 0;
    for (uint32_t i = 0; i < times.count; i++) tried += times.seconds[i] > 0.0;
    int set = tuning_set(device, &t->key, times.variants[status ? 0 : best], FOUND_THOROUGH, status ? NULL : t->err);
    *tuned = (vkgpt_tuned){
        .kernel = product_kernel_name(t->key.product),
        .weights = format_name(t->key.format),
        .outputs = t->key.outputs,
        .width = t->key.width,
        .tokens = t->key.tokens,
        .tried = tried,
        .built_in = told(t, times.variants[0]),
        .best = told(t, times.variants[best]),
        .built_in_seconds = times.seconds[0],
        .best_seconds = times.seconds[best],
    };
    return status ? status : set;
}

// Layers may keep a matrix in different formats: each is tuned by itself. Where there is one variant, there is no
// choice.
static int tune_product(vkgpt_model *m, enum ProductKernel product, uint32_t rows,
                        void (*on_result)(void *, const vkgpt_tuned *), void *user, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t format = 0; !status && format < FORMATS; format++) {
        struct Tuner t = {.model = m, .err = err};
        const struct Matrix *w = NULL;
        for (uint32_t l = 0; l < model_layers_of(m, product); l++) {
            if (model_matrix(m, product, l)->format != format) continue;
            w = model_matrix(m, product, l);
            t.products++;
        }
        if (!w) continue;
        vkgpt_tuned tuned;
        struct Variant variants[MAX_VARIANTS];
        t.key = product_key(m->device, product, format, w->in, w->out, rows);
        if (variants_of(m->device, &t.key, variants) == 1) continue;
        status = tune_key(&t, &tuned);
        if (!status) on_result(user, &tuned);
    }
    return status;
}

// Whole steps decide between the choices that were found and the built-in ones, and about the switches of the step. On
// a device that is too slow for them, the choices that were found stay.
static int tune_step(vkgpt_model *m, void (*on_result)(void *, const vkgpt_tuned *), void *user, vkgpt_error *err)
{
    struct Settings measured;
    struct StepSearch search = {
        .model = m, .by = FOUND_THOROUGH, .measured = &measured, .rounds = STEP_ROUNDS, .budget = STEP_BUDGET};
    settings_kept(m, &measured);
    settings_built_in(m, &search.best);
    for (uint32_t i = 0; i < measured.count; i++) measured.fixed[i] = false;
    persistent_ahead(m, format_kv(search.kv));
    int status = pipelines_ready(m->device, err);
    if (!status) status = step_search(&search, err);
    if (!status && !search.tried) status = settings_install(m, &measured, FOUND_THOROUGH, err);
    const vkgpt_tuned tuned = {
        .kernel = "step",
        .weights = m->info.weights,
        .outputs = m->vocab,
        .width = m->dim,
        .tokens = 1,
        .tried = search.tried + 1,
        .settings = search.taken,
        .built_in_seconds = search.before,
        .best_seconds = search.after,
    };
    if (!status && search.tried) on_result(user, &tuned);
    return status;
}

int vkgpt_tune(vkgpt_model *m, void (*on_result)(void *user, const vkgpt_tuned *tuned), void *user, vkgpt_error *err)
{
    int status = model_check_whole(m, "tuning", err);
    if (!status && m->hidden_only)
        status = fail(err, VKGPT_BAD_ARGUMENT, "%s was opened for its hidden states only", m->name);
    for (uint32_t rows = 1; !status && rows <= BATCH_ROWS; rows += BATCH_ROWS - 1)
        for (uint32_t product = 0; !status && product < PRODUCT_KERNELS; product++)
            status = tune_product(m, product, rows, on_result, user, err);
    if (!status) status = tune_blocks(m, FOUND_THOROUGH, BLOCKS_BUDGET, on_result, user, err);
    return status ? status : tune_step(m, on_result, user, err);
}
