#include "engine/settings.h"

#include "engine/kernels.h"
#include "engine/persistent.h"
#include "engine/tuning.h"

struct StepKey step_key(const vkgpt_model *m)
{
    return (struct StepKey){
        m->device->software_kernels, m->layers[m->first].c_attn.format, m->config.layers, m->dim, m->inner, m->vocab};
}

// ---------------------------------------------------------------------------------------- the settings

// Layers may keep a matrix in different formats: each is a product of its own.
static void add_product(const vkgpt_model *m, enum ProductKernel product, uint32_t format, struct Settings *s)
{
    for (uint32_t l = 0; l < model_layers_of(m, product); l++) {
        const struct Matrix *w = model_matrix(m, product, l);
        if (w->format != format) continue;
        const struct ProductKey key = product_key(m->device, product, format, w->in, w->out, 1);
        s->variants[s->count] = variant_built_in(m->device, &key);
        s->keys[s->count++] = key;
        return;
    }
}

void settings_built_in(const vkgpt_model *m, struct Settings *s)
{
    *s = (struct Settings){.step = step_key(m)};
    for (uint32_t product = 0; product < PRODUCT_KERNELS; product++)
        for (uint32_t format = 0; format < FORMATS; format++) add_product(m, product, format, s);
}

void settings_kept(const vkgpt_model *m, struct Settings *s)
{
    settings_built_in(m, s);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct Variant *kept = tuning_find(m->device, &s->keys[i]);
        if (kept) s->variants[i] = *kept;
        s->fixed[i] = tuning_is_thorough(m->device, &s->keys[i]);
    }
    for (uint32_t i = 0; i < STEP_SWITCHES; i++) s->switches[i] = tuning_find_step(m->device, &s->step, i);
}

bool settings_incomplete(const vkgpt_model *m)
{
    struct Variant variants[MAX_VARIANTS];
    struct Settings s;
    settings_built_in(m, &s);
    for (uint32_t i = 0; i < s.count; i++)
        if (!tuning_find(m->device, &s.keys[i]) && variants_of(m->device, &s.keys[i], variants) > 1) return true;
    return false;
}

bool settings_form_unknown(const vkgpt_model *m)
{
    const struct StepKey key = step_key(m);
    return tuning_find_step(m->device, &key, STEP_FORM) == STEP_UNKNOWN && persistent_possible(m);
}

uint32_t settings_differ(const struct Settings *a, const struct Settings *b)
{
    uint32_t differ = 0;
    for (uint32_t i = 0; i < a->count; i++) differ += !variant_same(a->variants[i], b->variants[i]);
    if (a->switches[STEP_PROLOGUE] != b->switches[STEP_PROLOGUE]) differ += a->count; // in each product
    differ += a->switches[STEP_FORM] != b->switches[STEP_FORM];
    return differ;
}

int settings_install(vkgpt_model *m, const struct Settings *s, enum FoundBy by, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && i < s->count; i++)
        if (!s->fixed[i]) status = tuning_set(m->device, &s->keys[i], s->variants[i], by, err);
    for (uint32_t i = 0; !status && i < STEP_SWITCHES; i++)
        status = tuning_set_step(m->device, &s->step, i, s->switches[i], by, err);
    return status;
}

// ------------------------------------------------------------------------------------------ the changes

// Sets one number in the variant of every product that has such a variant.
static bool change_variants(const vkgpt_model *m, struct Settings *s, uint32_t value,
                            void (*set)(struct Variant *variant, uint32_t value))
{
    bool changed = false;
    for (uint32_t i = 0; i < s->count; i++) {
        struct Variant v = s->variants[i];
        set(&v, value);
        if (s->fixed[i] || variant_same(v, s->variants[i]) || !variant_exists(m->device, &s->keys[i], v)) continue;
        s->variants[i] = v;
        changed = true;
    }
    return changed;
}

static void set_rows(struct Variant *v, uint32_t rows) { v->rows = rows; }
static void set_size(struct Variant *v, uint32_t size) { v->size = size; }
static void set_loads(struct Variant *v, uint32_t loads) { v->loads = loads; }

static bool rows(const vkgpt_model *m, struct Settings *s, uint32_t n) { return change_variants(m, s, n, set_rows); }
static bool lanes(const vkgpt_model *m, struct Settings *s, uint32_t n) { return change_variants(m, s, n, set_size); }
static bool loads(const vkgpt_model *m, struct Settings *s, uint32_t n) { return change_variants(m, s, n, set_loads); }

static bool prologue(const vkgpt_model *m, struct Settings *s, uint32_t n)
{
    if (s->switches[STEP_PROLOGUE] == n || s->step.software) return false;
    (void)m;
    s->switches[STEP_PROLOGUE] = n;
    return true;
}

static bool form(const vkgpt_model *m, struct Settings *s, uint32_t n)
{
    if (s->switches[STEP_FORM] == n || !pipeline_is_compiled(m->device, "persistent")) return false;
    s->switches[STEP_FORM] = n;
    return true;
}

// Tried in this order, as far as the time goes. The first one compiles little: it tells how long a kernel takes to
// compile. A switch of the whole step is `whole` and sets settings->switches, unless it is so already. The one kernel
// takes seconds to compile, in the background: it comes last, and is left out if it is not ready by then.
// clang-format off
static const struct Change CHANGES[] = {
    {"256 lanes", lanes, 256, false}, {"4 rows", rows, 4, false}, {"2 rows", rows, 2, false},
    {"24 loads", loads, 24, false},   {"8 rows", rows, 8, false}, {"6 loads", loads, 6, false},
    {"128 lanes", lanes, 128, false}, {"state first", prologue, STEP_STATE_FIRST, true}, {"one kernel", form, STEP_PERSISTENT, true},
};
// clang-format on

const struct Change *changes(uint32_t *count)
{
    *count = sizeof CHANGES / sizeof CHANGES[0];
    return CHANGES;
}
