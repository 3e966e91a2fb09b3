// Dynamic programming over the stages: the best cut of the first layers for one stage more, from those for one less.
#include "engine/split.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct Cut {        // of the layers [0, end) into the stages [0, stage]
    double slowest; // seconds
    double squares; // of the seconds of all stages: fewer are better balanced
    uint32_t begin; // of the last of those stages
};

struct Cuts {
    uint32_t layers, stages;
    StageTime *time;
    void *user;
    struct Cut *best; // (stages, layers + 1)
};

static struct Cut *cut_at(const struct Cuts *c, uint32_t stage, uint32_t end)
{
    return &c->best[(size_t)stage * (c->layers + 1) + end];
}

static bool is_better(const struct Cut *a, const struct Cut *b)
{
    return a->slowest < b->slowest || (a->slowest == b->slowest && a->squares < b->squares);
}

// The last stage of [0, end) may begin at any layer that leaves one to each stage before it. The search begins with
// the shortest such stage, and ends where that stage alone is slower than the best cut so far.
static void cut_best(struct Cuts *c, uint32_t stage, uint32_t end)
{
    struct Cut best = {INFINITY, INFINITY, 0};
    for (uint32_t begin = stage ? end - 1 : 0; begin + 1 > stage; begin--) {
        const double own = c->time(c->user, stage, begin, end);
        const struct Cut before = stage ? *cut_at(c, stage - 1, begin) : (struct Cut){0};
        if (!isfinite(own) || own > best.slowest) break;
        struct Cut cut = {own > before.slowest ? own : before.slowest, before.squares + own * own, begin};
        if (is_better(&cut, &best)) best = cut;
        if (!begin) break;
    }
    *cut_at(c, stage, end) = best;
}

static void cut_all(struct Cuts *c)
{
    for (uint32_t stage = 0; stage < c->stages; stage++)
        for (uint32_t end = stage + 1; end <= c->layers - (c->stages - 1 - stage); end++)
            if (stage + 1 < c->stages || end == c->layers) cut_best(c, stage, end);
}

int split_find(uint32_t layers, uint32_t stages, StageTime *time, void *user, uint32_t *ends, double *slowest,
               vkgpt_error *err)
{
    if (!stages || stages > layers)
        return fail(err, VKGPT_BAD_ARGUMENT, "%" PRIu32 " devices: the model has %" PRIu32 " layers to cut over them",
                    stages, layers);
    const size_t cells = (size_t)stages * (layers + 1);
    struct Cuts c = {layers, stages, time, user, malloc(cells * sizeof *c.best)};
    if (!c.best) return fail_memory(err, "the split", cells * sizeof *c.best);
    cut_all(&c);
    *slowest = cut_at(&c, stages - 1, layers)->slowest;
    for (uint32_t stage = stages, end = layers; isfinite(*slowest) && stage--;) {
        ends[stage] = end;
        end = cut_at(&c, stage, end)->begin;
    }
    free(c.best);
    return VKGPT_OK;
}
