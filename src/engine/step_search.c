#include "engine/step_search.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "engine/inbox.h"
#include "engine/persistent.h"
#include "engine/recordings.h"
#include "engine/session_open.h"
#include "engine/settings.h"
#include "engine/tuning.h"

#define CONTEXT 128       // positions; the step's token is in the middle
#define RUN_SECONDS 0.008 // that a submission takes at least, if it may have enough steps
#define MIN_ROUNDS 3
#define MARGIN 1.02

// One of two settings that are timed in turn.
struct Side {
    vkgpt_session *s;
    struct Recording *rec;
    double seconds[MAX_ROUNDS];
};

// The times that a search works with.
struct Clock {
    double start;            // of the budget
    double pipeline_seconds; // to open a session, per kernel that is new in it
    double run_seconds;      // of one submission
    uint32_t step_size;      // 2^step_size steps go into it
};

// ---------------------------------------------------------------------------------------------- one side

static void side_close(struct Side *side)
{
    vkgpt_session_close(side->s);
    *side = (struct Side){0};
}

// Fills keys and values with zeros: new memory may hold a NaN, at which decode stops.
static int clear_cache(struct vkgpt_session *s, vkgpt_error *err)
{
    struct Recording rec = {0};
    int status = recording_begin(s->device, "tuning", 1, &rec, err);
    if (status) return status;
    for (uint32_t l = 0; l < s->model->config.layers; l++) {
        recording_fill(&rec, &s->b.k[l], 0);
        recording_fill(&rec, &s->b.v[l], 0);
    }
    return recording_run_once(&rec, err);
}

static int side_record(const struct Clock *clock, struct Side *side, vkgpt_error *err)
{
    struct StepsAsk ask = {.range = session_range(side->s), .step_size = clock->step_size};
    while (1u << ask.split_size < side->s->splits) ask.split_size++;
    return recordings_decode(side->s, &ask, &side->rec, err);
}

// Opens a session with these settings and a sequence that does not stop.
static int side_open(const struct StepSearch *search, const struct Settings *settings, struct Side *side,
                     vkgpt_error *err)
{
    vkgpt_model *m = search->model;
    const vkgpt_session_options options = {
        .context = m->config.context < CONTEXT ? m->config.context : CONTEXT, .kv = search->kv, .sequences = 1};
    int status = settings_install(m, settings, search->by, err);
    if (!status) status = session_open(m, &options, &side->s, err);
    if (!status) status = clear_cache(side->s, err);
    if (status) return status;
    const struct Sequence runs = {.position = side->s->context / 2,
                                  .stop = STOP_NONE,
                                  .rows = 1,
                                  .remaining = side->s->context + 1,
                                  .context = side->s->context,
                                  .top_p = 1.0f,
                                  .repeat_penalty = 1.0f};
    inbox_begin(side->s, 0, NULL);
    inbox_admit(side->s, 0, 0, runs.position + 1, &runs);
    return VKGPT_OK;
}

// The tokens of the last run, `steps` of them.
static const uint32_t *side_tokens(const struct Side *side)
{
    return (const uint32_t *)side->s->b.ring.host + side->s->context / 2 + 1;
}

static int submit_and_wait(struct Recording *rec, vkgpt_error *err)
{
    int status = recording_submit(rec, err);
    return status ? status : recording_wait(rec, err);
}

// Seconds of one submission. Every run begins at the same token.
static int side_run(const struct Clock *clock, struct Side *side, double *seconds, vkgpt_error *err)
{
    struct Recording *admit;
    int status = recordings_admit(side->s, 0, &admit, err);
    if (!status) status = submit_and_wait(admit, err);
    if (!status) status = recording_time(side->rec, seconds, err);
    if (status) return status;
    if (persistent_gave_up(side->s)) {
        *seconds = 1e6; // loses to any other time
        return VKGPT_OK;
    }
    for (uint32_t i = 0; i < 1u << clock->step_size; i++) // RING_EMPTY has the bit of RING_STOP
        if (side_tokens(side)[i] & RING_STOP)
            return fail(err, VKGPT_BAD_LOGITS, "%s: the steps that are timed stop", side->s->model->name);
    return VKGPT_OK;
}

// ------------------------------------------------------------------------------------------- two of them

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *seconds, uint32_t count)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, seconds, count * sizeof *seconds);
    qsort(sorted, count, sizeof *sorted, compare_seconds);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static double left(const struct StepSearch *search, const struct Clock *clock)
{
    return search->budget - (os_seconds() - clock->start);
}

// Whether a comparison fits into the time that is left, with a change that needs `kernels` new kernels.
static bool fits(const struct StepSearch *search, const struct Clock *clock, uint32_t kernels)
{
    return left(search, clock) > kernels * clock->pipeline_seconds + (2 * MIN_ROUNDS + 2) * clock->run_seconds;
}

// Times a and b in turn.
static int alternate(const struct StepSearch *search, const struct Clock *clock, struct Side *a, struct Side *b,
                     uint32_t *rounds, vkgpt_error *err)
{
    int status = VKGPT_OK;
    uint32_t n = 0;
    while (!status && n < search->rounds && (n < MIN_ROUNDS || left(search, clock) > 3 * clock->run_seconds)) {
        status = side_run(clock, a, &a->seconds[n], err);
        if (!status) status = side_run(clock, b, &b->seconds[n++], err);
    }
    *rounds = n;
    return status;
}

// Whether b is taken.
static bool decide(struct StepSearch *search, const struct Clock *clock, const struct Side *a, const struct Side *b,
                   const struct Settings *next, uint32_t rounds)
{
    uint32_t steps = 1u << clock->step_size;
    double usual = median(a->seconds, rounds) / steps, changed = median(b->seconds, rounds) / steps;
    if (search->pretend) usual = search->pretend(&search->best), changed = search->pretend(next);
    if (search->before <= 0.0) search->before = search->after = usual;
    if (changed * MARGIN >= usual || memcmp(side_tokens(a), side_tokens(b), steps * sizeof(uint32_t))) return false;
    search->after *= changed / usual;
    return true;
}

static void note_taken(struct StepSearch *search, const char *name)
{
    size_t used = strlen(search->taken);
    snprintf(search->taken + used, sizeof search->taken - used, "%s%s", used ? ", " : "", name);
}

// A switch that was tried and did not win, or failed, is known now: it is kept as 1.
static void settle(struct Settings *best, const struct Settings *lost)
{
    for (uint32_t i = 0; i < STEP_SWITCHES; i++)
        if (lost->switches[i] > 1 && !best->switches[i]) best->switches[i] = 1;
}

// Opens a session with the settings and runs it once, since some drivers compile in the first run.
static int side_begin(const struct StepSearch *search, struct Clock *clock, const struct Settings *settings,
                      uint32_t kernels, struct Side *side, vkgpt_error *err)
{
    double start = os_seconds();
    int status = side_open(search, settings, side, err);
    if (!status) status = side_record(clock, side, err);
    double opened = os_seconds(), first;
    if (!status) status = side_run(clock, side, &first, err);
    if (clock->run_seconds <= 0.0) clock->run_seconds = os_seconds() - opened; // an upper bound
    if (kernels) clock->pipeline_seconds = (os_seconds() - start) / kernels;
    return status;
}

// Tries settings against those of a, and takes them if they win.
static int try_settings(struct StepSearch *search, struct Clock *clock, struct Side *a, const struct Settings *next,
                        const char *name, vkgpt_error *err)
{
    struct Side b = {0};
    uint32_t kernels = settings_differ(&search->best, next), rounds = 0;
    if (!fits(search, clock, kernels)) return VKGPT_OK;
    int status = side_begin(search, clock, next, kernels, &b, err);
    if (!status && fits(search, clock, 0)) status = alternate(search, clock, a, &b, &rounds, err);
    search->tried += !status && rounds;
    if (!status && rounds && decide(search, clock, a, &b, next, rounds)) {
        side_close(a);
        *a = b;
        search->best = *next;
        note_taken(search, name);
    } else {
        side_close(&b);
        settle(&search->best, next);
    }
    return status;
}

// Times one step to see how many go into a submission. A device that is too slow for that keeps one.
static int choose_steps(const struct StepSearch *search, struct Clock *clock, struct Side *a, vkgpt_error *err)
{
    uint32_t room = a->s->context - a->s->context / 2;
    if (left(search, clock) < clock->run_seconds) return VKGPT_OK;
    int status = side_run(clock, a, &clock->run_seconds, err);
    double step = clock->run_seconds;
    while (!status && clock->step_size + 1 < STEP_SIZES && 2u << clock->step_size <= room &&
           step * (double)(1u << clock->step_size) < RUN_SECONDS)
        clock->step_size++;
    if (!status && clock->step_size) status = side_record(clock, a, err);
    return status || !clock->step_size ? status : side_run(clock, a, &clock->run_seconds, err);
}

static int try_all(struct StepSearch *search, struct Clock *clock, struct Side *a, vkgpt_error *err)
{
    uint32_t count;
    const struct Change *table = changes(&count);
    int status = VKGPT_OK;
    if (search->measured && settings_differ(&search->best, search->measured))
        status = try_settings(search, clock, a, search->measured, "each product's best", err);
    for (uint32_t i = 0; !status && i < count; i++) {
        struct Settings next = search->best;
        if ((search->by == FOUND_THOROUGH || search->whole_only) && !table[i].whole) continue;
        if (table[i].apply(search->model, &next, table[i].value))
            status = try_settings(search, clock, a, &next, table[i].name, err);
    }
    return status;
}

int step_search(struct StepSearch *search, vkgpt_error *err)
{
    struct Side a = {0};
    struct Clock clock = {0};
    int status = side_begin(search, &clock, &search->best, search->best.count, &a, err);
    clock.start = os_seconds();
    if (!status) status = choose_steps(search, &clock, &a, err);
    if (!status) status = try_all(search, &clock, &a, err);
    side_close(&a);
    int installed = settings_install(search->model, &search->best, search->by, status ? NULL : err);
    search->seconds = os_seconds() - clock.start;
    return status ? status : installed;
}
