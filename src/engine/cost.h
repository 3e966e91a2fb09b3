// The cost model of decode over a chain of stages: seconds from bytes, FLOPs, dispatches and transfers.
//
//   stage(r)    = max(bytes(r) / bandwidth, r x FLOPs of a row / FLOP/s) + dispatches x the cost of one
//   bytes(r)    = weights that a step reads + r x cache that a sequence's step reads
//   transfer(r) = latency + r x 4 x dim / link, from each stage to the next one; the token's way back is one latency
//   way(r)      = the sum of all stages and transfers: what r rows need from the first stage to the next token
//   one stream  : way(1) a token. Of a chain only one stage works at a time.
//   B streams   : in m micro-batches of r = B / m rows, rounded up, which the stages work on at the same time.
//                 A round, in which each stream gets a token, takes max(way(r), m x the slowest stage or link).
//                 Its tokens/s are B / round; the slowest stage waits 1 - m x slowest / round of the time (the bubble).
//
// As in the analysis of pipelines in Huang et al. 2019 (GPipe), for a pipeline that is never drained.
#ifndef VKGPT_ENGINE_COST_H
#define VKGPT_ENGINE_COST_H

#include <stdint.h>

struct CostDevice {
    double bandwidth; // bytes/s
    double flops;     // FLOP/s; INFINITY: they do not bound it
    double dispatch;  // seconds of one, with its barrier
};

struct CostLink {
    double bandwidth; // bytes/s
    double latency;   // seconds
};

struct StageWork {  // of one step
    double weights; // bytes that are read, for all rows together
    double cache;   // bytes that are read for each row
    double flops;   // of each row
    uint32_t dispatches;
};

struct CostTimes {
    double token;   // seconds of a token of one stream, alone
    double round;   // seconds in which each of the streams gets a token
    double rate;    // tokens/s of all streams
    double slowest; // of a round: seconds in which the slowest stage, or link, works
    double bubble;  // the share of a round in which it waits, 0 to 1
};

double cost_stage(const struct CostDevice *device, const struct StageWork *work, uint32_t rows);
// All transfers of a token, or of `rows`, and its way back; 0 for one stage.
double cost_transfers(const struct CostLink *link, uint32_t stages, uint32_t rows, uint32_t dim);

// Over `count` stages of the same kind of device; dim: of the residual stream.
void cost_chain(const struct CostDevice *device, const struct CostLink *link, const struct StageWork *stages,
                uint32_t count, uint32_t dim, uint32_t streams, uint32_t micro_batches, struct CostTimes *times);

#endif
