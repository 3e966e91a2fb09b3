// A model that is cut by layers over several devices: a chain of stages, each with its layers, its part of the cache
// and its recordings. The first stage embeds tokens; the last one has the head and chooses tokens, and its session is
// the user's. From stage to stage goes only the residual stream x, (rows, dim) floats, through host memory.
//
// A session with stages before it reaches them as its `upstream`, wherever they run: in this process (stages.c), or on
// another machine. What is asked of them are plain bytes of known sizes: a StageFlight, and the inbox that the kernel
// admit takes. Flights have turns, as those of the session have (flights.h): a turn is free again once the last stage
// has ended its flight. All stages run the flights in the order in which they were sent.
//
// So the last stage runs a flight while the stages before it run later ones: blocks of a prompt, or steps of other
// sequences.
#ifndef VKGPT_ENGINE_UPSTREAM_H
#define VKGPT_ENGINE_UPSTREAM_H

#include "engine/session.h"

struct StageFlight {
    uint32_t turn;
    uint32_t kind;              // enum FlightKind
    uint32_t first, sequences;  // of a step: its range
    uint32_t split_size;        // of a step: struct StepsAsk
    uint32_t rows;              // of x that go on to the next stage, from the first on
    uint32_t fresh;             // no other flight is on its way: what failed before no longer matters
    uint32_t admissions, words; // of the inbox
};

// What a stage needs to know to open its session. The sizes of blocks follow from the model and these.
struct StageOptions {
    uint32_t context, sequences, step_rows;
    uint32_t kv; // vkgpt_format
    uint32_t deterministic;
    uint32_t in_flight; // flights that may be on their way
};

struct Upstream {
    // Starts a flight on all stages before, and returns at once. inbox: struct InboxHead, then `admissions` times
    // struct Admission. given: `words` words.
    int (*send)(struct Upstream *upstream, const struct StageFlight *flight, const void *inbox, const uint32_t *given,
                vkgpt_error *err);
    // Waits until the stages before have run the flight of a turn, and copies x of it, `bytes`; x NULL: only waits.
    // Once for each flight that was sent, in that order. Errors: those of the stages before. After one, the flights
    // that were sent before the next fresh one fail with it too.
    int (*receive)(struct Upstream *upstream, uint32_t turn, void *x, size_t bytes, vkgpt_error *err);
    // Reads or writes K (half 0) or V (half 1) of a layer, for the first `positions` of the first sequence, as a saved
    // session has them (saved.h). No flight may be on its way.
    int (*move_cache)(struct Upstream *upstream, uint32_t layer, uint32_t half, uint32_t positions, bool write,
                      uint8_t *bytes, vkgpt_error *err);
    // Closes the sessions of the stages before. All flights were received.
    void (*close)(struct Upstream *upstream);
};

#endif
