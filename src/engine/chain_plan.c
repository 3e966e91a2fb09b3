#include "engine/chain_plan.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "engine/bounds.h"
#include "engine/split.h"

// What a stage has besides its layers. All layers of a plan are alike, so a stage's needs follow from this and from the
// number of its layers.
enum Ends { ENDS_NONE, ENDS_EMBED, ENDS_HEAD, ENDS_BOTH, ENDS_KINDS };

static enum Ends ends_of(uint32_t first, uint32_t end, uint32_t layers)
{
    return (first == 0 ? ENDS_EMBED : 0) | (end == layers ? ENDS_HEAD : 0);
}

static int stage_plan(const struct ChainAsk *ask, uint32_t first, uint32_t end, struct MemoryPlan *plan,
                      vkgpt_error *err)
{
    struct MemoryAsk stage = ask->memory;
    stage.first = first, stage.end = end, stage.stages = ask->devices;
    return memory_plan(&stage, plan, err);
}

// --------------------------------------------------------------------------------------------------- what fits

static bool stage_fits(const struct ChainAsk *ask, enum Ends ends, uint32_t count)
{
    const uint32_t layers = ask->memory.config->layers;
    const uint32_t first = ends & ENDS_EMBED ? 0 : ends & ENDS_HEAD ? layers - count : 1;
    struct MemoryPlan plan;
    return !stage_plan(ask, first, first + count, &plan, NULL) && plan.device <= ask->device_memory;
}

// The most layers that such a stage holds, of those that leave one to each other stage.
static uint32_t most_layers(const struct ChainAsk *ask, enum Ends ends)
{
    static const uint32_t others[ENDS_KINDS] = {[ENDS_NONE] = 2, [ENDS_EMBED] = 1, [ENDS_HEAD] = 1};
    const uint32_t layers = ask->memory.config->layers;
    uint32_t low = 0, high = layers < others[ends] ? 1 : layers - others[ends] + 1;
    if (!ask->device_memory) return high - 1;
    while (high - low > 1) {
        uint32_t count = low + (high - low) / 2;
        if (stage_fits(ask, ends, count)) low = count;
        else high = count;
    }
    return low;
}

uint32_t chain_least_devices(const struct ChainAsk *ask)
{
    const uint32_t layers = ask->memory.config->layers;
    if (most_layers(ask, ENDS_BOTH) == layers) return 1;
    if (layers < 2) return 0;
    const uint32_t embed = most_layers(ask, ENDS_EMBED), head = most_layers(ask, ENDS_HEAD);
    if (!embed || !head) return 0;
    if (embed + head >= layers) return 2;
    const uint32_t middle = most_layers(ask, ENDS_NONE);
    return middle ? 2 + (layers - embed - head + middle - 1) / middle : 0;
}

bool chain_fits(const struct ChainAsk *ask)
{
    const uint32_t least = chain_least_devices(ask);
    return least && least <= ask->devices;
}

// --------------------------------------------------------------------------------------------------- the split

struct Splitting {
    const struct ChainAsk *ask;
    uint32_t layers;
    uint32_t most[ENDS_KINDS]; // layers of a stage that fit
    struct {
        double layer, embed, head;
    } bytes; // that a step reads: of a layer, and of the ends besides
};

static uint32_t dispatches_of(const struct Config *c, uint32_t first, uint32_t end)
{
    const uint32_t projected = c->embed_dim != c->dim;
    return (end - first) * LAYER_DISPATCHES + (first == 0 ? 1 + 2 * projected : 0) + // embed
           (end == c->layers ? 2 + projected : 0);                                   // head, sample
}

static double flops_of(const struct Config *c, uint32_t first, uint32_t end, uint32_t positions)
{
    const double layers = bounds_row_flops(c, positions, false), all = bounds_row_flops(c, positions, true);
    return layers / c->layers * (end - first) + (end == c->layers ? all - layers : 0);
}

static struct StageWork work_of(const struct Config *c, uint32_t first, uint32_t end, double bytes)
{
    return (struct StageWork){
        .weights = bytes, .flops = flops_of(c, first, end, 0), .dispatches = dispatches_of(c, first, end)};
}

// Of a step of one sequence with an empty cache.
static double stage_time(void *user, uint32_t stage, uint32_t first, uint32_t end)
{
    const struct Splitting *s = user;
    (void)stage;
    if (end - first > s->most[ends_of(first, end, s->layers)]) return INFINITY;
    double bytes = s->bytes.layer * (end - first);
    if (first == 0) bytes += s->bytes.embed;
    if (end == s->layers) bytes += s->bytes.head;
    const struct StageWork work = work_of(s->ask->memory.config, first, end, bytes);
    return cost_stage(&s->ask->device, &work, 1);
}

// Of the first layers with one layer and with all but one, and of the last layer.
static int find_bytes(struct Splitting *s, vkgpt_error *err)
{
    struct MemoryPlan one, most, last;
    const uint32_t layers = s->layers;
    if (layers == 1) return VKGPT_OK; // there is one split
    int status = stage_plan(s->ask, 0, 1, &one, err);
    if (!status) status = stage_plan(s->ask, 0, layers - 1, &most, err);
    if (!status) status = stage_plan(s->ask, layers - 1, layers, &last, err);
    if (status) return status;
    s->bytes.layer = layers > 2 ? (double)(most.step - one.step) / (layers - 2) : (double)one.step;
    s->bytes.embed = (double)one.step - s->bytes.layer;
    s->bytes.head = (double)last.step - s->bytes.layer;
    return VKGPT_OK;
}

static int find_split(const struct ChainAsk *ask, uint32_t count, uint32_t *ends, vkgpt_error *err)
{
    struct Splitting s = {.ask = ask, .layers = ask->memory.config->layers};
    const bool fits = chain_fits(ask);
    double slowest;
    for (int kind = 0; kind < ENDS_KINDS; kind++) s.most[kind] = fits ? most_layers(ask, (enum Ends)kind) : s.layers;
    int status = find_bytes(&s, err);
    return status ? status : split_find(s.layers, count, stage_time, &s, ends, &slowest, err);
}

// ---------------------------------------------------------------------------------------------------- the plan

static int plan_stages(const struct ChainAsk *ask, const uint32_t *ends, struct ChainPlan *plan, vkgpt_error *err)
{
    plan->fits = true;
    for (uint32_t i = 0, first = 0; i < plan->count; first = ends[i], i++) {
        struct ChainStage *stage = &plan->stages[i];
        stage->first = first, stage->end = ends[i];
        int status = stage_plan(ask, first, ends[i], &stage->memory, err);
        if (status) return status;
        const struct StageWork work = work_of(ask->memory.config, first, ends[i], (double)stage->memory.step);
        stage->seconds = cost_stage(&ask->device, &work, 1);
        stage->fits = !ask->device_memory || stage->memory.device <= ask->device_memory;
        plan->fits = plan->fits && stage->fits;
        plan->step += stage->memory.step;
        plan->step_cache += stage->memory.step_cache;
        if (stage->memory.device > plan->stages[plan->fullest].memory.device) plan->fullest = i;
    }
    return VKGPT_OK;
}

static void plan_times(const struct ChainAsk *ask, struct StageWork *works, struct ChainPlan *plan)
{
    const struct Config *c = ask->memory.config;
    const uint32_t streams = ask->memory.batch, wanted = ask->micro_batches ? ask->micro_batches : plan->count;
    plan->micro_batches = wanted < streams ? wanted : streams;
    plan->transfers = cost_transfers(&ask->link, plan->count, 1, c->dim);
    for (int full = 0; full < 2; full++) {
        for (uint32_t i = 0; i < plan->count; i++) {
            const struct ChainStage *s = &plan->stages[i];
            works[i] = work_of(c, s->first, s->end, (double)s->memory.step);
            if (!full) continue;
            works[i].cache = (double)s->memory.step_cache / streams;
            works[i].flops = flops_of(c, s->first, s->end, ask->memory.context);
        }
        cost_chain(&ask->device, &ask->link, works, plan->count, c->dim, streams, plan->micro_batches,
                   full ? &plan->full : &plan->empty);
    }
}

int chain_plan(const struct ChainAsk *ask, struct ChainPlan *plan, vkgpt_error *err)
{
    const uint32_t layers = ask->memory.config->layers, count = ask->devices < layers ? ask->devices : layers;
    *plan = (struct ChainPlan){.count = count};
    uint32_t *ends = calloc(count, sizeof *ends);
    struct StageWork *works = calloc(count, sizeof *works);
    plan->stages = calloc(count, sizeof *plan->stages);
    int status = VKGPT_OK;
    if (!ends || !works || !plan->stages) status = fail_memory(err, "the plan", count * sizeof *plan->stages);
    if (!status) status = find_split(ask, count, ends, err);
    if (!status) status = plan_stages(ask, ends, plan, err);
    if (!status) plan_times(ask, works, plan);
    free(ends);
    free(works);
    if (status) chain_plan_free(plan);
    return status;
}

void chain_plan_free(struct ChainPlan *plan)
{
    free(plan->stages);
    *plan = (struct ChainPlan){0};
}
