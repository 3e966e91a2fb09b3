// The arithmetic of the papers: what a model weighs on disk and what it costs to train and to run, from its facts
// alone.
#ifndef VKGPT_MODEL_ARITHMETIC_H
#define VKGPT_MODEL_ARITHMETIC_H

#include "model/config.h"

#define SECONDS_PER_YEAR (365.25 * 86400)

struct TrainingPlan {
    double tokens; // to train on
    double rate;   // FLOP/s of one device
    double price;  // of an hour of one device
};

struct Arithmetic {
    uint64_t params;                          // the head counted once when tied
    uint64_t disk_f32, disk_f16;              // bytes
    uint64_t disk_q8_0, disk_q4_0, disk_q4_k; // bytes, as in GGUF: matrices in blocks, the rest in F32
    double forward_flops;                     // of a token: 2 params (Brown et al. 2020, appendix D)
    double attention_flops;                   // that the last position of the context adds: q K^T and the sum of V
    double training_flops;                    // 6 params tokens (appendix D)
    double seconds, years, hours, cost;       // of training, on one device
};

void arithmetic_of(const struct Config *config, const struct TrainingPlan *training, struct Arithmetic *arithmetic);

// Positions that layer l looks back on from the end of a context.
uint32_t positions_seen(const struct Config *config, uint32_t layer, uint32_t context);

#endif
