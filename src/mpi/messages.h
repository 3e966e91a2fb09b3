// The messages of the ranks. What rank 0 asks of all: a model. What a rank asks of the one above it: a session, and the
// flights of engine/upstream.h.
#ifndef VKGPT_MPI_MESSAGES_H
#define VKGPT_MPI_MESSAGES_H

#include "engine/stage_share.h"
#include "engine/stages_split.h"
#include "engine/upstream.h"
#include "mpi/identity.h"
#include "mpi/wire.h"

enum MessageKind {
    // from rank 0 to each other one
    HELLO,   // struct Hello: a model is opened
    MEASURE, // the devices differ: their speed is asked for
    LOAD,    // struct Part: the layers of a rank
    AGREED,  // struct Loaded: of all ranks
    QUIT,    // rank 0 has ended
    // answers to rank 0
    OFFER,  // to HELLO and MEASURE: struct StageOffer, for each device of a rank
    LOADED, // struct Loaded
    // from a rank to the one above it, with the id of a session
    OPEN,   // struct StageOptions
    FLIGHT, // struct StageFlight, then the inbox, then the given words
    CLOSE,
    // answers to those
    OPENED,
    RESULT, // uint32_t turn, then x
};

#define ASKED (1u << HELLO | 1u << QUIT | 1u << OPEN | 1u << FLIGHT | 1u << CLOSE)

struct Hello {
    struct Identity identity; // of rank 0's model; first
    uint32_t weights;         // vkgpt_format that was asked for
    uint32_t hidden_only;
};

struct Part {
    uint32_t first, stage;       // of this rank: its first layer, the number of its first stage
    uint32_t layers[MAX_STAGES]; // of each of its devices
};

struct Loaded {
    uint32_t most_rows;        // of a block of prefill
    uint32_t formats[FORMATS]; // whether some matrix has it
    uint64_t device_bytes, step_bytes;
};

#endif
