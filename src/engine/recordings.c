// A session's recordings, each made on first use and kept: `steps` for decode, by what they run; `blocks` for prefill,
// by their rows.
#include "engine/recordings.h"

#include <stdlib.h>
#include <string.h>

#include "engine/bounds.h"
#include "engine/buffers.h"
#include "engine/forward.h"
#include "engine/inbox.h"
#include "engine/persistent.h"
#include "engine/session_kernels.h"

int recordings_admit(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err)
{
    struct Recording *admit = *rec = &s->admit[turn];
    if (admit->commands) return VKGPT_OK;
    int status = recording_begin(s->device, "setting the state", 1, admit, err);
    if (status) return status;
    inbox_take(s, admit, turn);
    return recording_end(admit);
}

int recordings_share(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err)
{
    struct Recording *share = *rec = &s->share[turn];
    if (share->commands) return VKGPT_OK;
    int status = recording_begin(s->device, "copying in the cache", s->model->end - s->model->first, share, err);
    if (status) return status;
    inbox_share(s, share, turn);
    return recording_end(share);
}

// With drafts the host needs the states that the steps left.
static void copy_progress(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording *rec)
{
    const VkDeviceSize each = sizeof(struct Sequence), first = ask->range.first;
    if (s->step_rows > 1)
        recording_copy(rec, &s->b.state, MAX_GROUPS * sizeof(struct Group) + first * each, &s->b.progress,
                       (ask->turn * s->sequences + first) * each, ask->range.sequences * each);
}

static int record_steps(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording *rec, vkgpt_error *err)
{
    const struct Kernels *k;
    uint32_t steps = 1u << ask->step_size, splits = 1u << ask->split_size;
    if (splits > s->splits) splits = s->splits;
    int status = session_step_kernels(s, ask->range.sequences * ask->range.rows, &k, err);
    if (!status) status = recording_begin(s->device, "decode", forward_max_sets(s), rec, err);
    if (status) return status;
    recording_cut(rec, bounds_steps_cut(s, ask->range, steps));
    const struct Pass pass = pass_of_step(s, rec, k, ask->range, ask->turn);
    if (!model_has_head(s->model)) inbox_take(s, rec, ask->turn);
    for (uint32_t i = 0; i < steps; i++) forward_step(&pass, splits);
    copy_progress(s, ask, rec);
    return recording_end(rec);
}

int recordings_steps(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording **rec, vkgpt_error *err)
{
    struct StepsRecording *steps = s->steps;
    while (steps && memcmp(&steps->ask, ask, sizeof *ask)) steps = steps->next;
    if (!steps) {
        steps = device_alloc(s->device, 1, sizeof *steps);
        if (!steps) return fail_memory(err, "a recording", sizeof *steps);
        steps->ask = *ask;
        steps->next = s->steps;
        s->steps = steps;
    }
    *rec = &steps->rec;
    return steps->rec.commands ? VKGPT_OK : record_steps(s, ask, &steps->rec, err);
}

bool recordings_as_one(const struct vkgpt_session *s, const struct StepsAsk *ask)
{
    return s->persistent.groups && ask->range.sequences == s->sequences;
}

int recordings_decode(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording **rec, vkgpt_error *err)
{
    if (recordings_as_one(s, ask)) return persistent_steps(s, ask->step_size, ask->turn, rec, err);
    return recordings_steps(s, ask, rec, err);
}

// What a block leaves, by its kind; on a stage that is not the last, x.
static enum Leaves leaves_of(const struct vkgpt_session *s, enum BlockKind kind)
{
    static const enum Leaves leaves[BLOCK_KINDS] = {[BLOCK_LOGITS] = LEAVES_LOGITS,
                                                    [BLOCK_SCORES] = LEAVES_SCORES,
                                                    [BLOCK_REPORTS] = LEAVES_REPORTS,
                                                    [BLOCK_HIDDEN] = LEAVES_HIDDEN,
                                                    [BLOCK_EMBED] = LEAVES_HIDDEN}; // LEAVES_CACHE for all others
    return model_has_head(s->model) ? leaves[kind] : LEAVES_X;
}

uint32_t recordings_block_rows(const struct vkgpt_session *s, enum BlockKind kind)
{
    switch (kind) {
    case BLOCK_LOGITS:
    case BLOCK_SCORES:
    case BLOCK_REPORTS: return s->logit_rows;
    case BLOCK_HIDDEN: return HIDDEN_ROWS;
    case BLOCK_EMBED: return s->block_rows < EMBED_ROWS ? s->block_rows : EMBED_ROWS;
    default: return buffers_block_rows(s, kind);
    }
}

static int record_block(struct vkgpt_session *s, struct Recording *rec, uint32_t rows, uint32_t turn,
                        enum Leaves leaves, vkgpt_error *err)
{
    const struct Kernels *k;
    const struct Pipeline *report = NULL;
    int status = session_prefill_kernels(s, rows, &k, err);
    if (!status && leaves == LEAVES_REPORTS) status = kernel_for_reports(s->device, s->deterministic, &report, err);
    if (!status) status = recording_begin(s->device, "prefill", forward_max_sets(s), rec, err);
    if (status) return status;
    recording_cut(rec, bounds_block_cut(s, rows, leaves >= LEAVES_LOGITS));
    inbox_take(s, rec, turn);
    const struct Pass pass = pass_of_block(s, rec, k, rows, turn);
    forward_block(&pass, leaves);
    if (leaves == LEAVES_LOGITS)
        recording_copy(rec, &s->b.logits, 0, &s->b.readback, 0, (VkDeviceSize)rows * s->model->vocab * 4);
    if (leaves == LEAVES_SCORES) forward_score(&pass);
    if (leaves == LEAVES_REPORTS) forward_report(&pass, report, &s->b.block_reports[turn]);
    if (leaves == LEAVES_HIDDEN)
        recording_copy(rec, forward_hidden(&pass), 0, &s->b.hidden, 0, (VkDeviceSize)rows * s->model->embed_dim * 4);
    return recording_end(rec);
}

int recordings_block(struct vkgpt_session *s, enum BlockKind kind, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err)
{
    uint32_t rows = recordings_block_rows(s, kind);
    enum Leaves leaves = leaves_of(s, kind);
    *rec = &s->blocks[kind][turn];
    if ((*rec)->part_count && !bounds_block_cut(s, rows, leaves >= LEAVES_LOGITS))
        recording_free(*rec); // made before anything was measured
    return (*rec)->commands ? VKGPT_OK : record_block(s, *rec, rows, turn, leaves, err);
}

void recordings_free(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < MAX_IN_FLIGHT; i++) recording_free(&s->admit[i]), recording_free(&s->share[i]);
    struct Recording *blocks = &s->blocks[0][0];
    for (uint32_t i = 0; i < BLOCK_KINDS * MAX_IN_FLIGHT; i++) recording_free(&blocks[i]);
    for (uint32_t i = 0; i < STEP_SIZES * IN_FLIGHT; i++)
        recording_free(&s->persistent_steps[i / IN_FLIGHT][i % IN_FLIGHT]);
    while (s->steps) {
        struct StepsRecording *steps = s->steps;
        s->steps = steps->next;
        recording_free(&steps->rec);
        free(steps);
    }
}
