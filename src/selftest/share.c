// What share must write: in K and V of a layer, the rows of each copy, in order; all else stays.
#include <string.h>

#include "engine/cache.h"
#include "selftest/selftest.h"

#define COUNT 4 // sequences
#define HEADS 3
#define CONTEXT 300
#define MOST 4   // copies
#define GROUPS 2 // of the rows of a head: fewer than they need

struct ShareCase {
    const char *name;
    uint32_t kv, head_dim;
    uint32_t count;
    struct CacheCopy list[MOST];
};

// The later copies read what the earlier ones wrote.
static const struct ShareCase CASES[] = {
    {"none", KV_F16, 64, 0, {{0}}},
    {"f16", KV_F16, 64, 1, {{2, 0, 0, 37}}},
    {"f32, from a position on", KV_F32, 24, 1, {{0, 3, 17, CONTEXT}}},
    {"q8_0", KV_Q8_0, 72, 2, {{1, 2, 5, 6}, {1, 3, 0, CONTEXT}}},
    {"one after the other", KV_F16, 40, 4, {{0, 1, 3, 200}, {1, 2, 0, 150}, {3, 0, 0, 260}, {2, 3, 100, 101}}},
};
#define CASE_COUNT (sizeof CASES / sizeof *CASES)

struct ShareTrial {
    struct Trial t;
    struct Cache cache;
    struct Array *halves[2], *inbox, *given; // halves: K and V
};

static void make(struct Selftest *test, const struct ShareCase *c, struct ShareTrial *s)
{
    trial_begin(&s->t, test->device, test->err);
    s->cache = (struct Cache){c->kv, COUNT, HEADS, CONTEXT, c->head_dim};
    for (int half = 0; half < 2; half++) s->halves[half] = trial_array(&s->t, cache_bytes(&s->cache));
    s->inbox = trial_array(&s->t, sizeof(struct InboxHead));
    s->given = trial_array(&s->t, sizeof c->list);
    if (s->t.status) return;
    ((struct InboxHead *)s->inbox->before)->copies = c->count;
    memcpy(s->given->before, c->list, sizeof c->list);
    for (uint32_t half = 0; half < 2; half++)
        for (uint32_t i = 0; i < s->halves[half]->bytes / 4; i++)
            ((uint32_t *)s->halves[half]->before)[i] = trial_hash(197 + half, i);
}

// Rows of `words` words, the first of the part at `part`.
static void copy_rows(uint32_t *cache, size_t part, size_t words, const struct CacheCopy *c)
{
    for (size_t h = 0; h < HEADS; h++)
        memcpy(cache + part + ((c->to * HEADS + h) * CONTEXT + c->first) * words,
               cache + part + ((c->from * HEADS + h) * CONTEXT + c->first) * words, (c->end - c->first) * words * 4);
}

static void measure(const struct ShareCase *c, struct ShareTrial *s, struct Measure *m)
{
    for (int half = 0; half < 2; half++) {
        uint32_t *want = (uint32_t *)s->halves[half]->before; // is what should be there afterwards, from here on
        for (uint32_t i = 0; i < c->count; i++) {
            copy_rows(want, 0, cache_row_words(&s->cache), &c->list[i]);
            copy_rows(want, cache_scales(&s->cache), cache_scale_words(&s->cache), &c->list[i]);
        }
        measure_untouched(m, s->halves[half]);
    }
    measure_untouched(m, s->inbox);
    measure_untouched(m, s->given);
}

static int run(struct Selftest *test, const struct Pipeline *pipeline, const struct ShareCase *c)
{
    struct ShareTrial s;
    struct Measure m = {0};
    make(test, c, &s);
    const struct ShareArgs args = cache_share_args(&s.cache);
    trial_start(&s.t);
    if (!s.t.status)
        dispatch(&s.t.rec, pipeline, (struct Grid){HEADS, GROUPS, 2},
                 BUFFERS(&s.halves[0]->slice, &s.halves[1]->slice, &s.inbox->slice, &s.given->slice), &args,
                 sizeof args);
    trial_finish(&s.t);
    if (s.t.status) return trial_end(&s.t);
    measure(c, &s, &m);
    selftest_report(test, pipeline->kernel, m.error, 0.0, "%s", c->name);
    return trial_end(&s.t);
}

int selftest_share(struct Selftest *test, const struct Pipeline *share)
{
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < CASE_COUNT; i++) status = run(test, share, &CASES[i]);
    return status;
}
