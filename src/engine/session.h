// A session: the KV cache, the activations and the recordings that run one model over them. Everything is an array
// over sequences; one stream is a batch of one.
#ifndef VKGPT_ENGINE_SESSION_H
#define VKGPT_ENGINE_SESSION_H

#include <stdatomic.h>

#include "engine/kernels.h"
#include "engine/persistent.h"

#define MAX_STEPS 32   // tokens in a submission
#define STEP_SIZES 6   // 1, 2, 4, ... 32
#define SPLIT_SIZES 16 // splits of the cache: 1, 2, 4, ...
#define IN_FLIGHT 2    // submissions of decode, or blocks of prefill
#define MAX_SEQUENCES 1024
#define MAX_LOOKUP 31
#define BEST_STRETCH 256 // logits that a workgroup of best looks at: sample wants many maxima
#define HIDDEN_ROWS                                                                                                    \
    32 // of the recording of prefill that leaves hidden states: what stands before is read in larger blocks
#define BLOCK_SIZES 8 // rows of a prefill recording: 16, 32, 64, ... 2048, the last of MAX_GROUPS groups
#define LOGIT_BYTES ((uint64_t)16 << 20) // of one block of logits, about

struct Buffers {
    struct Slice state;  // struct Group (MAX_GROUPS), then struct Sequence (sequences + SPARE_SEQUENCES)
    struct Slice tokens; // (sequences, context + 1)
    struct Slice x, n;   // (rows, dim): the residual stream, and its norm
    struct Slice q, a; // (rows, width): queries (with KV_Q8_0 (rows, 3 width): keys and values too); attention's output
    struct Slice h;    // (rows, inner)
    struct Slice e;    // (rows, embed_dim), where the embedding has its own width
    struct Slice parts;      // (step rows, heads, splits, head_dim + 4)
    struct Slice arrived;    // (SPLIT_TILES): segments of a tile that are there, where products of a block are split
    struct Slice sums;       // of such segments: (tiles, segments, rows, outputs of a tile)
    struct Slice logits;     // (logit rows, or those of a step, vocab)
    struct Slice head_parts; // struct HeadPart (step rows, head groups)
    struct Slice ring;       // (sequences, context + 1): tokens and stops, which the host reads
    struct Slice progress; // struct Sequence (IN_FLIGHT, sequences), with drafts: what a submission left, for the host
    struct Slice inbox[IN_FLIGHT]; // state, then tokens, as the host sets them; all but prefill uses the first one
    struct Slice readback;         // logits, which the host reads
    struct Slice scores;           // struct RowScore (logit rows), which the host reads
    struct Slice hidden;           // (HIDDEN_ROWS, embed_dim), which the host reads; made on first use
    struct Slice *k, *v;           // per layer: (sequences, heads, context, head_dim)
};

// One sequence, as the host knows it.
struct Slot {
    uint32_t *ids;     // (context + 1): its tokens
    uint32_t position; // tokens so far
    uint32_t cached;   // of them in the cache
    uint32_t sent;     // prefill: in the cache, or in a block that is submitted
    uint32_t begin;    // generate: tokens that there were before it
    uint32_t end;      // generate: tokens that it may grow to
    bool runs;         // generate: more tokens are to come
    vkgpt_stop stop;   // generate: why it ended
};

struct vkgpt_session {
    vkgpt_model *model;
    vkgpt_device *device;
    uint32_t context, kv, sequences;
    uint32_t step_rows;        // of each sequence in a decode step: the next token, and drafts
    struct Slot *slots;        // (sequences)
    uint32_t *ids;             // (sequences, context + 1): the slots'
    struct Sequence *admitted; // (sequences): the state that a run starts from
    uint32_t rows;             // that the activations have room for
    uint32_t block_rows;       // of a block of prefill at most
    uint32_t logit_rows;
    uint32_t splits;      // of the whole cache
    uint32_t steps_asked; // tokens per submission; 0: by time
    struct Kernels decode, prefill[BLOCK_SIZES];
    bool prefill_ready[BLOCK_SIZES]; // these kernels are chosen
    struct Pool device_pool, upload_pool, read_pool;
    struct Buffers b;

    struct Recording admit; // inbox -> state and tokens
    struct Recording steps[STEP_SIZES][SPLIT_SIZES][IN_FLIGHT];
    struct Persistent persistent;
    struct Recording persistent_steps[STEP_SIZES][IN_FLIGHT];
    struct Recording blocks[BLOCK_SIZES][IN_FLIGHT];
    struct Recording logits_block, score_block, hidden_block;

    double first_flops;           // that a submission may take before anything was measured; 0: any
    double step_seconds;          // of one decode step, 0: not measured
    double row_seconds;           // of one prefilled row, in a block that was about as large as any before it
    uint32_t timed_rows;          // of that block
    uint32_t blocks_queued;       // blocks of prefill that may be submitted at once, after the first
    atomic_bool cancelled;        // vkgpt_session_cancel was called, and no call has ended by it yet
    bool (*on_block)(void *user); // vkgpt_session_options
    void *user;
    vkgpt_counters counters;
    char note[384]; // vkgpt_session_note
};

// forward.c: what the model computes.

// One decode step of every sequence: tokens from `position` on in, next tokens out. `splits` of the cache are looked
// at.
void forward_step(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t splits);
// What a block of prefill leaves: the cache alone, or besides it what is made of the rows.
enum Leaves { LEAVES_CACHE, LEAVES_HIDDEN, LEAVES_LOGITS, LEAVES_SCORES };
// `rows` tokens, as the groups say, into the cache, and their logits where those or scores are to be left.
void forward_block(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t rows,
                   enum Leaves leaves);
// How likely the tokens behind such rows are, from their logits.
void forward_score(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t rows);
// The hidden states of such rows, without their logits: what the head would read. Returns where they are.
const struct Slice *forward_hidden(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k,
                                   uint32_t rows);
// One product of a decode step or a block alone, of one layer, with the norm or the merge before it where it does not
// make that itself: what `tune` measures. b.arrived is 0.
void forward_product(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t rows,
                     enum ProductKernel which, uint32_t layer);
uint32_t forward_max_sets(const struct vkgpt_session *s);
// Workgroups that a product takes for one matrix, over all its chunks.
uint32_t product_groups(const struct Product *product, const struct Matrix *matrix);

// buffers.c

#define SESSION_BLOCK ((VkDeviceSize)32 << 20) // of the pools
#define HOST_BLOCK ((VkDeviceSize)4096)
#define SESSION_WANTS 19

struct Want { // a buffer, and how large it has to be
    enum MemoryKind kind;
    struct Slice *slice;
    uint64_t bytes;
    const char *what;
};

// Every buffer but the cache, by the session's sizes alone: `plan` asks it for sessions that there are not.
uint32_t session_wants(struct vkgpt_session *s, struct Want wants[SESSION_WANTS]);
// Of a row of K or V in the cache: one head at one position (cache.glsl).
static inline uint32_t cache_row_bytes(uint32_t kv, uint32_t head_dim) // padded head_dim
{
    return kv == KV_F32 ? head_dim * 4 : kv == KV_F16 ? head_dim * 2 : head_dim + (head_dim + 63) / 64 * 4;
}
uint64_t session_state_bytes(const struct vkgpt_session *s);
// Of K, or of V, of one layer.
uint64_t session_cache_bytes(const struct vkgpt_session *s);
// Positions in a split of the cache. Fixed by the model, not by the session's context: splits stand at the same
// positions in every session, so that a text does not depend on it.
uint32_t session_span(const struct Config *config);
// Rows of a block of prefill at most, on this device, however long the context is.
uint32_t session_most_rows(const struct vkgpt_session *s);
void session_sizes(struct vkgpt_session *s); // fills rows, block_rows, logit_rows and splits
int session_make_buffers(struct vkgpt_session *s, vkgpt_error *err);

// ahead.c

struct Shape kernels_shape(const struct vkgpt_model *model, uint32_t kv); // but the formats that occur
uint32_t session_kv(const vkgpt_session_options *options);                // KV_F32, ...
uint32_t session_step_rows(const vkgpt_session_options *options);         // of a decode step, over all sequences
// Asks for all kernels of a session of a model whose matrices will be in these formats.
void kernels_ahead(const struct vkgpt_model *model, const bool formats[FORMATS], const vkgpt_session_options *options);

// bounds.c

#define FIRST_FLOPS 20e9   // 100 ms on a device of 200 GFLOP/s
#define FIRST_ROWS 128     // of a block before anything was measured that is cut, where it takes more
#define BLOCK_SECONDS 0.1  // of a GPU's time that a block takes, about
#define LAYER_DISPATCHES 5 // at least: qkv, attend, project, expand, contract
// Of one row through the layers, with attention over so many positions, and through the head.
double row_flops(const struct Config *config, uint32_t context, bool head);
// After how many dispatches a recording of so many FLOPs is cut, for parts of at most `most` each; 0: not at all.
uint32_t cut_for(double flops, double most, uint32_t dispatches);
// For a block of prefill, and for decode steps: 0 as soon as one was measured.
uint32_t block_cut(const struct vkgpt_session *s, uint32_t rows, bool head);
uint32_t steps_cut(const struct vkgpt_session *s, uint32_t steps);
// Whether a block of so many rows is no longer than a submission may be, by the speed of those before it. Before the
// first one: whether it takes at most FIRST_FLOPS, or has at most FIRST_ROWS and is cut.
bool block_is_short(const struct vkgpt_session *s, uint32_t rows);

// work.c

// Of a product of so many rows, made in whole tiles.
struct Work product_work(uint32_t rows, uint32_t outputs, uint32_t width, uint32_t tile_rows, uint32_t tile_outputs);
// Of attention over all heads, `width` in all, of the queries at `position` and behind it: so many queries at a time,
// against whole tiles of keys, from that of the first key of the first query to that of the last one's own.
struct Work attention_work(uint32_t position, uint32_t rows, uint32_t width, uint32_t window, uint32_t queries,
                           uint32_t keys);

// session.c

// vkgpt_session_open without the quick tuning.
int session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened, vkgpt_error *err);
// Asked for when a session is opened; on a software driver with the first prompt, since a prompt of one token needs
// none of them, and the same cores do everything.
int session_prefill_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **kernels, vkgpt_error *err);
int session_check_sequence(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err);

// A model that was opened for its hidden states has no head to run.
int session_check_head(const struct vkgpt_session *s, vkgpt_error *err);

// VKGPT_INTERRUPTED, once, where another thread has asked for it.
int session_check_cancel(struct vkgpt_session *s, vkgpt_error *err);

// Copies what is in the cache of one sequence to another, for each pair.
struct Copy {
    uint32_t from, to;
};
int session_copy(struct vkgpt_session *s, const struct Copy *copies, size_t count, vkgpt_error *err);

// prefill.c

// Rows of one recording of prefill, in groups.
struct BlockRows {
    struct Group groups[MAX_GROUPS];
    uint32_t count, rows; // groups; tokens in them
};
// Tokens of a sequence from position `from` up to `end`, as long as there are fewer than `most` groups. Returns how far
// that goes.
uint32_t block_add(struct BlockRows *block, uint32_t sequence, uint32_t from, uint32_t end, uint32_t most);
// Runs them; they are in the cache then.
int block_run(struct vkgpt_session *s, struct Recording *rec, const struct BlockRows *block, vkgpt_error *err);

// The state that a recording starts from, and all tokens, into the inbox of a turn. sequences NULL: none runs.
void inbox_write(struct vkgpt_session *s, uint32_t turn, const struct Group *groups, const struct Sequence *sequences);
// Appends tokens to a sequence, not yet to the cache. It has room for `room` of them in all, the context or one more.
int session_append(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, uint32_t room,
                   vkgpt_error *err);
// Hands out the logits of the first sequence's tokens that are not in the cache yet, up to `end`, which then are in it.
int session_logits(struct vkgpt_session *s, uint32_t end,
                   bool (*on_rows)(void *user, const float *logits, uint32_t position, uint32_t rows), void *user,
                   vkgpt_error *err);
// Brings the cache of each sequence up to all its tokens but the last, or (`whole`) to all of them.
int session_prefill(struct vkgpt_session *s, bool whole, vkgpt_error *err);

// recordings.c: each is made on first use and kept.
void session_copy_inbox(struct vkgpt_session *s, struct Recording *rec,
                        uint32_t turn); // state and tokens, from an inbox
int session_admit(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
// 2^step_size decode steps in the session's form: as dispatches, over 2^split_size splits of the cache, or as one
// kernel.
int session_record(struct vkgpt_session *s, uint32_t step_size, uint32_t split_size, uint32_t turn,
                   struct Recording **rec, vkgpt_error *err);
int session_steps(struct vkgpt_session *s, uint32_t step_size, uint32_t split_size, uint32_t turn,
                  struct Recording **rec, vkgpt_error *err);
int session_block(struct vkgpt_session *s, uint32_t block_size, uint32_t turn, struct Recording **rec,
                  vkgpt_error *err);
int session_logits_block(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
int session_score_block(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
int session_hidden_block(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err); // b.hidden is made
uint32_t block_rows(const struct vkgpt_session *s, uint32_t block_size); // that a recording is made for
void session_free_recordings(struct vkgpt_session *s);

#endif
