#include "engine/cost.h"

#include <math.h>

double cost_stage(const struct CostDevice *device, const struct StageWork *work, uint32_t rows)
{
    double bytes = work->weights + rows * work->cache;
    return fmax(bytes / device->bandwidth, rows * work->flops / device->flops) + work->dispatches * device->dispatch;
}

static double transfer_seconds(const struct CostLink *link, uint32_t rows, uint32_t dim)
{
    return 4.0 * rows * dim / link->bandwidth;
}

double cost_transfers(const struct CostLink *link, uint32_t stages, uint32_t rows, uint32_t dim)
{
    if (stages < 2) return 0;
    return (stages - 1) * (link->latency + transfer_seconds(link, rows, dim)) + link->latency;
}

void cost_chain(const struct CostDevice *device, const struct CostLink *link, const struct StageWork *stages,
                uint32_t count, uint32_t dim, uint32_t streams, uint32_t micro_batches, struct CostTimes *times)
{
    const uint32_t rows = (streams + micro_batches - 1) / micro_batches;
    double one = cost_transfers(link, count, 1, dim), way = cost_transfers(link, count, rows, dim);
    double slowest = count > 1 ? transfer_seconds(link, rows, dim) : 0;
    for (uint32_t i = 0; i < count; i++) {
        double seconds = cost_stage(device, &stages[i], rows);
        one += cost_stage(device, &stages[i], 1);
        way += seconds;
        slowest = fmax(slowest, seconds);
    }
    const double busy = micro_batches * slowest, round = fmax(way, busy);
    *times = (struct CostTimes){one, round, streams / round, busy, 1 - busy / round};
}
