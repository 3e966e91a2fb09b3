#include "engine/stage_share.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/bounds.h"
#include "engine/memory_plan.h"
#include "engine/split.h"

int stage_offer(vkgpt_device *device, bool measure, struct StageOffer *offer, vkgpt_error *err)
{
    vkgpt_limits limits = {.copy_bytes_per_s = 1e9};
    int status = measure ? vkgpt_device_limits(device, &limits, err) : VKGPT_OK;
    if (status) return status;
    *offer = (struct StageOffer){.memory = memory_available(device),
                                 .speed = {limits.copy_bytes_per_s, INFINITY, limits.dispatch_seconds}};
    snprintf(offer->name, sizeof offer->name, "%.255s", device->info.name);
    return VKGPT_OK;
}

bool stage_offers_alike(const struct StageOffer *offers, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (strncmp(offers[i].name, offers[0].name, sizeof offers[0].name) != 0) return false;
    return true;
}

struct Sharing {
    const struct StageShare *share;
    uint32_t layers;
    bool fits;             // whether memory is looked at
    double *up_to;         // (layers + 1): bytes of the layers before each
    double embed, head;    // bytes that the first and the last stage hold besides
    double head_read;      // of these, that a step reads
    double cache, session; // bytes of a session: for each layer, and besides
};

static uint32_t wanted(void *user, enum ModelPart part, uint32_t layer)
{
    const struct StageShare *share = ((const struct Sharing *)user)->share;
    return share->wanted(share->user, part, layer);
}

static void add_part(void *user, const struct ModelWant *want)
{
    struct Sharing *s = user;
    const bool tied = s->share->whole->config.tied_head;
    const double bytes = (double)want->bytes;
    switch (want->part) {
    case PART_WTE:
        s->embed += bytes;
        if (tied) s->head += bytes, s->head_read += bytes;
        break;
    case PART_WPE:
    case PART_EMBED_UP: s->embed += bytes; break;
    case PART_EMBED_DOWN:
    case PART_HEAD: s->head += bytes, s->head_read += bytes; break;
    default: s->up_to[want->layer + 1] += bytes;
    }
}

static double stage_time(void *user, uint32_t stage, uint32_t first, uint32_t end)
{
    const struct Sharing *s = user;
    const struct StageOffer *offer = &s->share->offers[stage];
    const double layers = s->up_to[end] - s->up_to[first];
    const double held =
        layers + (first == 0 ? s->embed : 0) + (end == s->layers ? s->head : 0) + (end - first) * s->cache + s->session;
    if (s->fits && held > (double)offer->memory) return INFINITY;
    const struct StageWork work = {.weights = layers + (end == s->layers ? s->head_read : 0),
                                   .dispatches = (end - first) * LAYER_DISPATCHES};
    return cost_stage(&offer->speed, &work, 1);
}

// What a session needs, by a plan for the whole model.
static int count_session(struct Sharing *s, vkgpt_error *err)
{
    static const vkgpt_session_options usual;
    const struct vkgpt_model *m = s->share->whole;
    const vkgpt_session_options *o = s->share->session ? s->share->session : &usual;
    struct MemoryPlan plan;
    const struct MemoryAsk ask = {.config = &m->config,
                                  .kv = o->kv,
                                  .context =
                                      o->context && o->context < m->config.context ? o->context : m->config.context,
                                  .batch = o->sequences ? o->sequences : 1,
                                  .stages = s->share->count,
                                  .limits = &m->device->info};
    int status = memory_plan(&ask, &plan, err);
    if (status) return status;
    s->cache = (double)plan.cache / s->layers;
    s->session = (double)(plan.session_blocks - plan.cache);
    return VKGPT_OK;
}

static int find_shares(struct Sharing *s, uint32_t *ends, vkgpt_error *err)
{
    double slowest;
    s->fits = true;
    int status = split_find(s->layers, s->share->count, stage_time, s, ends, &slowest, err);
    if (status || isfinite(slowest)) return status;
    s->fits = false;
    return split_find(s->layers, s->share->count, stage_time, s, ends, &slowest, err);
}

int stage_share(const struct StageShare *share, uint32_t *layers, vkgpt_error *err)
{
    const struct vkgpt_model *m = share->whole;
    struct Sharing s = {.share = share, .layers = m->config.layers};
    s.up_to = calloc(s.layers + 1, sizeof *s.up_to);
    if (!s.up_to) return fail_memory(err, "the split", (s.layers + 1) * sizeof *s.up_to);
    model_wants(m, wanted, add_part, &s);
    for (uint32_t l = 0; l < s.layers; l++) s.up_to[l + 1] += s.up_to[l];
    int status = count_session(&s, err);
    if (!status) status = find_shares(&s, layers, err);
    free(s.up_to);
    for (uint32_t i = share->count; !status && --i;) layers[i] -= layers[i - 1]; // from ends to numbers
    return status;
}
