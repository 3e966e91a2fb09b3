// The papers' arithmetic: a model's size on disk and the cost of training and running it, from its config alone.
#ifndef VKGPT_MODEL_ARITHMETIC_H
#define VKGPT_MODEL_ARITHMETIC_H

#include "model/config.h"

#define SECONDS_PER_YEAR (365.25 * 86400)

struct TrainingPlan {
    double tokens; // number of training tokens
    double rate;   // FLOP/s of one device
    double price;  // of one device for one hour
};

struct Arithmetic {
    uint64_t params;                          // a tied head is not counted twice
    uint64_t disk_f32, disk_f16;              // bytes
    uint64_t disk_q8_0, disk_q4_0, disk_q4_k; // bytes, as in GGUF: matrices quantised, the rest in F32
    double forward_flops;                     // per token: 2 params (Brown et al. 2020, appendix D)
    double attention_flops;                   // more for the last position of the context: q K^T and the sum of V
    double training_flops;                    // 6 params tokens (appendix D)
    double seconds, years, hours, cost;       // of training, on one device
};

void arithmetic_of(const struct Config *config, const struct TrainingPlan *training, struct Arithmetic *arithmetic);

// How many positions layer l sees from the end of a context.
uint32_t positions_seen(const struct Config *config, uint32_t layer, uint32_t context);

#endif
