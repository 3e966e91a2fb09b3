// A session: the KV cache, the activations and the recordings that run one model over them. Everything is an array
// over sequences; one stream is a batch of one.
#ifndef VKGPT_ENGINE_SESSION_H
#define VKGPT_ENGINE_SESSION_H

#include <stdatomic.h>

#include "engine/cache.h"
#include "engine/kernels.h"
#include "engine/model.h"

#define MAX_STEPS 32     // tokens in a submission
#define STEP_SIZES 6     // 1, 2, 4, ... 32
#define RANGE_SIZES 11   // sequences of a step: 1, 2, 4, ... 1024, or all
#define STEP_KERNELS 4   // for steps of 1, 2, 4, and 8 rows or more: STEP_TILE
#define IN_FLIGHT 2      // submissions of decode, or blocks of prefill, on one device
#define MAX_IN_FLIGHT 16 // over several devices: one more than there are stages, at most
#define MAX_SEQUENCES 1024
#define MAX_COPIES 64 // in the cache, of one flight
#define MAX_LOOKUP 31
#define BEST_STRETCH 256 // logits of a workgroup of best: sample needs many maxima
#define HIDDEN_ROWS                                                                                                    \
    32 // of the recording of prefill that writes hidden states: the tokens before them run in larger blocks
#define EMBED_ROWS 256 // of the one for embeddings, which reads all hidden states, at most
#define BLOCK_SIZES 8  // rows of a prefill recording: 16, 32, 64, ... 2048, the last of MAX_GROUPS groups
// The recordings of prefill: by their rows, those that only fill the cache, and those that leave something for each
// row.
enum BlockKind { BLOCK_LOGITS = BLOCK_SIZES, BLOCK_SCORES, BLOCK_REPORTS, BLOCK_HIDDEN, BLOCK_EMBED, BLOCK_KINDS };
// What a flight runs: a block of prefill, by its kind; steps of decode; or copies in the cache.
enum FlightKind { FLIGHT_STEPS = BLOCK_KINDS, FLIGHT_COPIES };
#define LOGIT_BYTES ((uint64_t)16 << 20) // of one block of logits, about

struct Buffers {
    struct Slice state;  // struct Group (MAX_GROUPS), then struct Sequence (sequences)
    struct Slice tokens; // (sequences, context + 1)
    struct Slice x, n;   // (rows, dim): the residual stream, and its norm
    struct Slice q, a; // (rows, width): queries (with KV_Q8_0 (rows, 3 width): keys and values too); attention's output
    struct Slice h;    // (rows, inner)
    struct Slice e;    // (rows, embed_dim), where the embedding has its own width
    struct Slice parts;      // (step rows, heads, splits, head_dim + 4)
    struct Slice arrived;    // (SPLIT_TILES): segments of a tile that are done, where products of a block are split
    struct Slice sums;       // of such segments: (tiles, segments, rows, outputs of a tile)
    struct Slice logits;     // (logit rows, or those of a step, vocab)
    struct Slice head_parts; // struct HeadPart (step rows, head groups)
    struct Slice ring;       // (sequences, context + 1): tokens and stops, which the host reads
    struct Slice changes;    // struct LogitChange (sequences, MAX_BIAS + context + 1): biases, and counts of tokens
    struct Slice kept;       // (step rows, vocab): logits without their changes, for the reports of such sequences
    struct Slice reports; // struct TokenReport (sequences, REPORTS_KEPT step rows of a sequence), which the host reads
    struct Slice block_reports[MAX_IN_FLIGHT]; // struct TokenReport (logit rows), which the host reads
    struct Slice progress; // struct Sequence (in_flight, sequences), with drafts: what a submission left, for the host
    struct Slice inbox[MAX_IN_FLIGHT];     // struct InboxHead, then struct Admission (sequences): what the host changes
    struct Slice given[MAX_IN_FLIGHT];     // (sequences, context + 1 + 2 MAX_BIAS): tokens and biases of its admissions
    struct Slice arrival[MAX_IN_FLIGHT];   // (rows, dim): x of the stage before, which the host writes
    struct Slice departure[MAX_IN_FLIGHT]; // (rows, dim): x for the stage after, which the host reads
    struct Slice readback;                 // logits, which the host reads
    struct Slice scores;                   // struct RowScore (logit rows), which the host reads
    struct Slice hidden; // (HIDDEN_ROWS or those of embeddings, embed_dim), which the host reads; made on first use
    struct Slice *k, *v; // per layer: (sequences, heads, context, head_dim)
};

// One sequence, as the host knows it.
struct Slot {
    uint32_t *ids;      // (context + 1): its tokens
    uint32_t position;  // tokens so far
    uint32_t cached;    // of them in the cache
    uint32_t prefilled; // of them in the cache, from the first on, made by prefill: decode may round differently
    uint32_t uploaded;  // of them on the device, and on those of the stages before it
    uint32_t goal;      // prefill: how many are to be in the cache
    uint32_t sent;      // of them in the cache, or in a block that is submitted
    uint64_t since;     // number of the first flight that is about these tokens
    uint32_t
        leader; // 1 more than the sequence that reads a beginning of these tokens, for which this one waits; 0: none
    uint32_t shared;    // tokens of it
    uint32_t wanted;    // of these tokens, that another one waits for
    uint64_t copied_by; // number of the last flight that copies to its cache; 0: none did
    uint32_t copied;    // from this position on
    // from here on: of a sequence that was started
    vkgpt_sampling sampling;
    float presence, frequency;
    vkgpt_bias *bias; // (VKGPT_MAX_BIAS): different ids
    uint32_t biases;
    uint32_t reports; // 0, or 1 more than the likeliest tokens that come with each
    bool given;       // tokens of the prompt are reported
    uint32_t told;    // of them were
    uint32_t end;     // tokens that it may grow to
    bool started;     // its end was not reported yet
    bool runs;        // more tokens are to come
    bool live;        // steps may still run it on the device
    bool followed;    // and on those of the stages before it
    uint64_t joined;  // number of the first flight of steps that runs it; 0: none yet
    uint32_t steps;   // that are in flight
    uint32_t due;     // the steps that have ended made its tokens up to here
    vkgpt_stop stop;  // why it ended, or ends if nothing else ends it before
};

// Rows of one recording of prefill, in groups.
struct BlockRows {
    struct Group groups[MAX_GROUPS];
    uint32_t count, rows; // groups; tokens in them
    bool reads_next;      // kernels also read the token after a row: scores and reports
};

// What was submitted.
struct Flight {
    struct Recording *joins; // sequences that join or leave before it; NULL: none do
    struct Recording *rec;
    uint32_t kind;          // enum BlockKind or FlightKind
    uint32_t split_size;    // steps
    bool submitted;         // with stages before it: once they have run it
    uint64_t number;        // from 1 on
    double start;           // by the host's clock; set again when the flight before it has ended
    struct BlockRows block; // prefill
    uint32_t part;          // decode: the micro-batch
    struct Range range;     // and those of its sequences that run
    uint32_t steps;         // decode
    bool whole;             // decode: as one persistent kernel
    int (*end)(struct vkgpt_session *s, const struct Flight *flight, double seconds, vkgpt_error *err);
};

// What a recording of decode runs.
struct StepsAsk {
    struct Range range;
    uint32_t step_size;  // 2^step_size steps
    uint32_t split_size; // over 2^split_size splits of the cache
    uint32_t turn;
};

struct StepsRecording { // one of a list
    struct StepsAsk ask;
    struct Recording rec;
    struct StepsRecording *next;
};

struct Flights { // engine/flights.h
    struct Flight flying[MAX_IN_FLIGHT];
    uint32_t oldest, count;
    uint64_t last;  // number of the last one
    uint64_t ended; // and of the last one that has ended
};

struct Copies { // engine/copies.h
    struct CacheCopy list[MAX_COPIES];
    uint32_t count;
};

// Decode as one kernel: engine/persistent.h.
struct Persistent {
    const struct Pipeline *pipeline;
    struct Slice program; // struct Phase (phases)
    struct Slice meeting; // workgroups that have arrived; whether one gave up
    struct Slice outcome; // whether one gave up, which the host reads
    uint32_t phases;
    uint32_t groups;     // workgroups; 0: steps are dispatches
    bool gave_up;        // a submission ended early, and the session went back to dispatches
    uint32_t stays_away; // for tests: shaders/args.h
};

// What goes into an inbox, and how much has.
struct Inbox {
    uint8_t *head;  // struct InboxHead, then the admissions
    uint8_t *given; // words
    uint32_t admissions, words;
};

struct vkgpt_session {
    vkgpt_model *model;
    vkgpt_device *device;
    uint32_t context, kv, sequences;
    uint32_t kv_asked; // vkgpt_format
    bool deterministic;
    uint32_t step_rows;        // of each sequence in a decode step: the next token, and drafts
    struct Slot *slots;        // (sequences)
    uint32_t *ids;             // (sequences, context + 1): the slots'
    vkgpt_bias *biases;        // (sequences, VKGPT_MAX_BIAS): the slots'
    struct Upstream *upstream; // the stages before it (engine/upstream.h); NULL: none are
    uint32_t in_flight;        // flights that there may be
    uint32_t micro_batches;    // parts of the sequences, whose steps are flights of their own; 1 on one device
    uint32_t last_part;        // that steps were made for
    struct Inbox inbox[MAX_IN_FLIGHT];
    struct Inbox outbox; // with stages before it: the inbox that the next flight sends to them
    uint32_t rows;       // that the activations have room for
    uint32_t block_rows; // of a block of prefill at most
    uint32_t logit_rows;
    uint32_t splits;      // of the whole cache
    uint32_t steps_asked; // tokens per submission; 0: by time
    uint32_t head_parts;  // that head or best leaves in a step at most
    struct Kernels step[STEP_KERNELS], prefill[BLOCK_SIZES];
    bool step_ready[STEP_KERNELS], prefill_ready[BLOCK_SIZES]; // these kernels are chosen
    const struct Kernels *decode;                              // of a step of all sequences
    bool by_matrices;  // a block's products use cooperative matrices, and may split the width
    bool arrived_zero; // b.arrived holds zeros
    struct Pool device_pool, upload_pool, read_pool;
    struct Buffers b;

    struct Flights flights;
    struct Copies copies;                                         // that are queued next
    bool steps_last;                                              // what was queued last were steps
    bool (*on_event)(void *user, const vkgpt_batch_event *event); // of the call that runs
    void *event_user;

    struct Recording admit[MAX_IN_FLIGHT]; // takes the admissions of an inbox
    struct Recording share[MAX_IN_FLIGHT]; // and its copies
    struct StepsRecording *steps;
    struct Persistent persistent;
    struct Recording persistent_steps[STEP_SIZES][IN_FLIGHT];
    struct Recording blocks[BLOCK_KINDS][MAX_IN_FLIGHT];

    double first_flops;               // that a submission may take before anything was measured; 0: any
    double step_seconds[RANGE_SIZES]; // of one decode step of so many sequences, 0: not measured
    double row_seconds;               // of one prefilled row, in a block that was about as large as any before it
    uint32_t timed_rows;              // of that block
    uint32_t blocks_queued;           // blocks of prefill that may be submitted at once, after the first
    atomic_bool cancelled;            // vkgpt_session_cancel was called, and no call has ended by it yet
    bool (*on_block)(void *user);     // vkgpt_session_options
    void *user;
    vkgpt_counters counters;
    char note[384]; // vkgpt_session_note
};

// Flights that there may be over so many stages: while each runs one, the host makes another.
static inline uint32_t chain_in_flight(uint32_t stages)
{
    return stages + 1 < MAX_IN_FLIGHT ? stages + 1 : MAX_IN_FLIGHT;
}

// All sequences, as the range of a step.
static inline struct Range session_range(const struct vkgpt_session *s)
{
    return (struct Range){.sequences = s->sequences, .rows = s->step_rows};
}

// The index among RANGE_SIZES of ranges of so many sequences.
static inline uint32_t range_size(uint32_t sequences)
{
    uint32_t size = 0;
    while (1u << size < sequences) size++;
    return size;
}

static inline struct Cache session_cache(const struct vkgpt_session *s)
{
    return (struct Cache){s->kv, s->sequences, s->model->config.heads, s->context, s->model->head_dim};
}

// The same cache of the first sequence alone, with room for as many positions as have run: as a file or the host has
// it.
static inline struct Cache session_packed_cache(const struct vkgpt_session *s, uint32_t positions)
{
    struct Cache cache = session_cache(s);
    cache.sequences = 1, cache.context = positions;
    return cache;
}

#endif
