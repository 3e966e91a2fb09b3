// Where the time of a token goes: one decode step, or one block of prefill, with a timestamp around each dispatch. The
// forward pass notes for each dispatch which step of the model it is, and what it reads.
#include <stdlib.h>
#include <string.h>

#include "engine/forward.h"
#include "engine/inbox.h"
#include "engine/recordings.h"
#include "engine/session_kernels.h"
#include "engine/work.h"

#define SUBMISSION_SECONDS 0.2 // of a block on a GPU, by the speed of the last one

struct Profile {
    vkgpt_session *s;
    uint32_t rows; // of the block; 0: a decode step
    const struct Kernels *kernels;
    struct Recording rec, plain; // plain: without the timestamps between dispatches
    double plain_seconds;        // of the fastest run
    double *seconds, *fastest;   // of each dispatch: of a run, and of the fastest so far
    vkgpt_profile_line *lines;
    uint32_t line_count;
    vkgpt_error *err;
};

// --------------------------------------------------------------------------------------------- what is read

static uint64_t cache_seen(const vkgpt_session *s, uint32_t layer, uint32_t positions, uint32_t rows)
{
    uint32_t window = config_window(&s->model->config, layer);
    uint64_t seen = window && window + rows - 1 < positions ? window + rows - 1 : positions;
    const struct Cache cache = session_cache(s);
    return cache_read_bytes(&cache, seen);
}

uint64_t vkgpt_step_bytes(const vkgpt_session *s, uint32_t position)
{
    uint64_t bytes = s->model->info.step_bytes;
    for (uint32_t l = 0; l < s->model->config.layers; l++) bytes += cache_seen(s, l, position + 1, 1);
    return bytes;
}

// A step of decode has no tiles.
static struct Work attend_work(const struct Profile *p, uint32_t layer)
{
    const vkgpt_session *s = p->s;
    const struct Kernels *k = p->kernels;
    const struct AttendTile tile = p->rows ? k->attend_tile : (struct AttendTile){1, 1, 1};
    uint32_t rows = p->rows ? p->rows : 1;
    return attention_work(s->slots[0].position - rows, rows, s->model->width, config_window(&s->model->config, layer),
                          tile);
}

// The bytes of the weights, or of the cache, that a dispatch reads.
static uint64_t read_bytes(const struct Profile *p, const struct Note *note)
{
    const vkgpt_session *s = p->s;
    if (strcmp(note->step, "attend")) return note->bytes;
    return cache_seen(s, note->layer, s->slots[0].position, p->rows ? p->rows : 1);
}

// ------------------------------------------------------------------------------------------------ the lines

static vkgpt_profile_line *line_for(struct Profile *p, const char *step, const char *kernel)
{
    for (uint32_t i = 0; i < p->line_count; i++)
        if (!strcmp(p->lines[i].step, step) && !strcmp(p->lines[i].kernel, kernel)) return &p->lines[i];
    vkgpt_profile_line *line = &p->lines[p->line_count++];
    *line = (vkgpt_profile_line){.step = step, .kernel = kernel, .rows = p->rows ? p->rows : 1};
    return line;
}

static void add_up(struct Profile *p)
{
    for (uint32_t i = 0; i < p->rec.dispatches; i++) {
        const struct Mark *mark = &p->rec.marks[i];
        const struct Note *note = &mark->note;
        struct Work work = strcmp(note->step, "attend") ? note->work : attend_work(p, note->layer);
        vkgpt_profile_line *line = line_for(p, note->step, mark->pipeline->kernel);
        line->calls++;
        line->seconds += p->fastest[i];
        line->bytes += read_bytes(p, note);
        line->flops += work.needed;
        line->flops_done += work.done;
    }
}

// -------------------------------------------------------------------------------------------------- running

// Runs only sequence 0; in a session of several the rows of the others do not run.
static void set_state(struct Profile *p)
{
    vkgpt_session *s = p->s;
    struct Group groups[MAX_GROUPS] = {{0}};
    uint32_t position = s->slots[0].position - (p->rows ? p->rows : 1);
    for (uint32_t at = 0; at < p->rows; at += GROUP_ROWS)
        groups[at / GROUP_ROWS] =
            (struct Group){.position = position + at, .rows = p->rows - at < GROUP_ROWS ? p->rows - at : GROUP_ROWS};
    const struct Sequence runs = {
        .position = position, .rows = 1, .remaining = 1, .context = s->context, .top_p = 1.0f, .repeat_penalty = 1.0f};
    inbox_begin(s, 0, groups);
    inbox_admit(s, 0, 0, s->slots[0].position, &runs);
    for (uint32_t i = 1; i < s->sequences; i++) inbox_stop(s, 0, i, 0);
}

// Records as decode and prefill do, but only one step or block, and profiled.
static int record(struct Profile *p, bool each, struct Recording *rec)
{
    vkgpt_session *s = p->s;
    uint32_t most = forward_max_sets(s),
             splits = 1; // one pass shares no set, so there are at most that many dispatches
    p->kernels = s->decode;
    int status = p->rows ? session_prefill_kernels(s, p->rows, &p->kernels, p->err) : VKGPT_OK;
    if (!status) status = recording_begin_profiled(s->device, "a profile", most, most, each, rec, p->err);
    if (status) return status;
    while (splits < (s->slots[0].position - 1) / s->decode->span + 1) splits *= 2;
    const struct Pass pass =
        p->rows ? pass_of_block(s, rec, p->kernels, p->rows, 0) : pass_of_step(s, rec, p->kernels, session_range(s), 0);
    if (p->rows) forward_block(&pass, LEAVES_CACHE);
    else forward_step(&pass, splits < s->splits ? splits : s->splits);
    return recording_end(rec);
}

static int make_room(struct Profile *p)
{
    uint32_t count = p->rec.dispatches;
    p->seconds = device_alloc(p->s->device, count, sizeof *p->seconds);
    p->fastest = device_alloc(p->s->device, count, sizeof *p->fastest);
    p->lines = device_alloc(p->s->device, count, sizeof *p->lines);
    if (p->seconds && p->fastest && p->lines) return VKGPT_OK;
    return fail_memory(p->err, "a profile", count * (2 * sizeof *p->seconds + sizeof *p->lines));
}

// Every run begins with the same state.
static int run_once(struct Profile *p, struct Recording *rec)
{
    struct Recording *admit;
    int status = recordings_admit(p->s, 0, &admit, p->err);
    if (!status) status = recording_submit(admit, p->err);
    if (!status) status = recording_submit(rec, p->err);
    return status ? status : recording_wait(rec, p->err);
}

static void keep_fastest(struct Profile *p, double *least)
{
    double sum = 0.0, plain = recording_span(&p->plain);
    for (uint32_t d = 0; d < p->rec.dispatches; d++) sum += p->seconds[d];
    if (p->plain_seconds <= 0.0 || plain < p->plain_seconds) p->plain_seconds = plain;
    if (*least > 0.0 && sum >= *least) return;
    *least = sum;
    memcpy(p->fastest, p->seconds, p->rec.dispatches * sizeof *p->fastest);
}

// Runs with the timestamps and without, in turn.
static int run(struct Profile *p, uint32_t repetitions)
{
    double least = 0.0;
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && i <= repetitions; i++) { // the first one warms up
        status = run_once(p, &p->rec);
        if (!status) status = recording_profile(&p->rec, p->seconds, p->err);
        if (!status) status = run_once(p, &p->plain);
        if (!status && i) keep_fastest(p, &least);
    }
    return status;
}

// The rows that one submission may have, by memory and by time.
static uint32_t fitting_rows(const vkgpt_session *s, uint32_t rows)
{
    if (rows > s->block_rows) rows = s->block_rows;
    while (!s->device->software && rows > 1 && s->row_seconds * rows > SUBMISSION_SECONDS) rows /= 2;
    return rows;
}

int vkgpt_profile(vkgpt_session *s, uint32_t rows, uint32_t repetitions,
                  void (*on_line)(void *user, const vkgpt_profile_line *line), void *user, double *plain_seconds,
                  vkgpt_error *err)
{
    uint32_t tokens = rows ? rows : 1;
    uint32_t position = s->slots[0].position;
    if (position < tokens || position > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "a profile of %u tokens: the session has %u of %u", tokens, position,
                    s->context);
    if (model_check_whole(s->model, "a profile", err)) return VKGPT_BAD_ARGUMENT;
    if (!repetitions) return fail(err, VKGPT_BAD_ARGUMENT, "a profile of no repetition");
    struct Profile p = {.s = s, .err = err};
    int status = vkgpt_prompt(s, NULL, 0, err); // brings the cache up to the last token
    p.rows = fitting_rows(s, rows);
    if (!status) status = record(&p, true, &p.rec);
    if (!status) status = record(&p, false, &p.plain);
    if (!status) status = make_room(&p);
    if (!status) set_state(&p);
    if (!status) status = run(&p, repetitions);
    if (!status) add_up(&p);
    for (uint32_t i = 0; !status && i < p.line_count; i++) on_line(user, &p.lines[i]);
    if (!status && plain_seconds) *plain_seconds = p.plain_seconds;
    recording_free(&p.rec);
    recording_free(&p.plain);
    free(p.seconds);
    free(p.fastest);
    free(p.lines);
    return status;
}
