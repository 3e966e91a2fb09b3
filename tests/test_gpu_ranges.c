// Steps of decode run ranges of a session's sequences: as many of the first ones as take part, rounded up to a power of
// two, or those from any sequence on. Each sequence gets the tokens that it gets alone.
#include "session_world.h" // before cmocka, whose macro fail() hides a function

#include <string.h>

#include "engine/inbox.h"
#include "engine/recordings.h"

#define SLOTS 8
#define STEPS 4        // tokens of each sequence where steps are recorded by hand
#define FIRST_COUNT 20 // tokens of the first prompt; each has 7 more than the one before it

static uint32_t count_of(uint32_t sequence) { return FIRST_COUNT + 7 * sequence; }

static vkgpt_session *open_slots(const struct World *w, uint32_t lookup)
{
    vkgpt_error err;
    vkgpt_session *s;
    const vkgpt_session_options options = {.sequences = SLOTS, .tokens_per_submission = 1, .lookup = lookup};
    CHECK(vkgpt_session_open(w->model, &options, &s, &err));
    return s;
}

static void get_alone(const struct World *w, struct Tokens alone[SLOTS], size_t count)
{
    vkgpt_session *s = open_session(w->model, 0, 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        rewind_to(s, 0);
        prompt(s, count_of(i));
        alone[i] = run(s, i, count);
    }
    vkgpt_session_close(s);
}

// ------------------------------------------------------------------------------------ as many as are needed

struct Running {
    vkgpt_session *s;
    struct Tokens got[SLOTS];
    uint32_t most; // sequences of the steps that were queued while tokens came, at most
};

static uint32_t last_range(const vkgpt_session *s)
{
    uint32_t at = (s->flights.oldest + s->flights.count + IN_FLIGHT - 1) % IN_FLIGHT;
    return s->flights.count ? s->flights.flying[at].range.sequences : 0;
}

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    struct Running *r = user;
    uint32_t range = last_range(r->s);
    if (range > r->most) r->most = range;
    return event->ended || keep(&r->got[event->sequence], event->id);
}

static void start(struct Running *r, uint32_t sequence, size_t tokens)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    const vkgpt_batch_options options = {.sampling = lively(sequence), .max_tokens = tokens};
    prompt_of(ids, count_of(sequence));
    r->got[sequence].count = 0;
    CHECK(vkgpt_batch_start(r->s, sequence, ids, count_of(sequence), &options, &err));
}

static void step_until(struct Running *r, uint32_t left)
{
    vkgpt_error err;
    uint32_t running;
    r->most = 0;
    do CHECK(vkgpt_batch_step(r->s, on_event, r, &running, &err));
    while (running > left);
}

static uint64_t costs_of(vkgpt_session *s)
{
    vkgpt_counters c = vkgpt_session_counters(s);
    return c.recordings + c.descriptor_writes + c.device_allocations + c.host_allocations;
}

static bool were_recorded(const vkgpt_session *s, uint32_t sequences)
{
    for (const struct StepsRecording *steps = s->steps; steps; steps = steps->next)
        if (steps->ask.range.sequences == sequences) return true;
    return false;
}

// 1, 2, 3 and 5 sequences take steps of 1, 2, 4 and 8. Once each size was seen, nothing is recorded.
static void active_sequences(const struct World *w, uint32_t lookup)
{
    const struct {
        uint32_t active, range;
    } cases[] = {{1, 1}, {2, 2}, {3, 4}, {5, 8}};
    struct Tokens alone[SLOTS];
    struct Running r = {.s = open_slots(w, lookup)};
    get_alone(w, alone, 12);
    for (uint32_t round = 0; round < 3; round++) {
        uint64_t before = costs_of(r.s);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            for (uint32_t i = 0; i < cases[c].active; i++) start(&r, i, 12);
            step_until(&r, 0);
            assert_int_equal(r.most, cases[c].range);
            assert_true(were_recorded(r.s, cases[c].range));
            if (!round && c + 1 < sizeof cases / sizeof *cases) assert_false(were_recorded(r.s, cases[c + 1].range));
            for (uint32_t i = 0; i < cases[c].active; i++) same(&r.got[i], &alone[i], 0, "among others");
        }
        if (round == 2) assert_int_equal(costs_of(r.s), before);
    }
    vkgpt_session_close(r.s);
}

static void test_active_sequences(void **state) { active_sequences(*state, 0); }
static void test_active_sequences_with_drafts(void **state) { active_sequences(*state, 2); }

// The steps of a sequence grow and shrink while it runs.
static void test_others_come_and_go(void **state)
{
    struct Tokens alone[SLOTS];
    struct Running r = {.s = open_slots(*state, 0)};
    get_alone(*state, alone, 60);
    start(&r, 0, 60);
    while (r.got[0].count < 5) step_until(&r, 1);
    assert_int_equal(r.most, 1);
    for (uint32_t i = 1; i < SLOTS; i += 2) start(&r, i, 3 + i);
    step_until(&r, 1);
    assert_int_equal(r.most, SLOTS);
    assert_true(r.got[0].count < 50);
    while (r.got[0].count < 50) step_until(&r, 1);
    assert_int_equal(r.most, 1);
    start(&r, 1, 4);
    step_until(&r, 0);
    assert_int_equal(r.most, 2);
    assert_int_equal(r.got[0].count, 60);
    same(&r.got[0], &alone[0], 0, "while others came and went");
    vkgpt_session_close(r.s);
}

// ------------------------------------------------------------------------------------------ any range

static struct Sequence state_of(const vkgpt_session *s, uint32_t sequence)
{
    const vkgpt_sampling p = lively(sequence);
    return (struct Sequence){.position = s->slots[sequence].position - 1,
                             .rows = 1,
                             .remaining = STEPS,
                             .context = s->context,
                             .seed_low = (uint32_t)p.seed,
                             .top_k = p.top_k,
                             .temperature = p.temperature,
                             .top_p = p.top_p,
                             .min_p = p.min_p,
                             .repeat_penalty = p.repeat_penalty,
                             .repeat_last_n = p.repeat_last_n,
                             .reports = 1};
}

static void submit(struct Recording *rec)
{
    vkgpt_error err;
    CHECK(recording_submit(rec, &err));
    CHECK(recording_wait(rec, &err));
}

// Lets all sequences run on the device, but none in a step.
static void admit_all(vkgpt_session *s)
{
    vkgpt_error err;
    struct Recording *rec;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t ids[CONTEXT];
        prompt_of(ids, count_of(i));
        CHECK(vkgpt_batch_prompt(s, i, ids, count_of(i), &err));
    }
    CHECK(vkgpt_batch_prefill(s, &err));
    inbox_begin(s, 0, NULL);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct Sequence state = state_of(s, i);
        inbox_admit(s, 0, i, count_of(i), &state);
    }
    CHECK(recordings_admit(s, 0, &rec, &err));
    submit(rec);
}

static const uint32_t *ring_of(const vkgpt_session *s, uint32_t sequence)
{
    return (const uint32_t *)s->b.ring.host + sequence * (s->context + 1) + count_of(sequence);
}

static void check_reports(const vkgpt_session *s, uint32_t sequence)
{
    uint32_t kept = REPORTS_KEPT * s->step_rows;
    const struct TokenReport *reports = (const struct TokenReport *)s->b.reports.host + sequence * kept;
    for (uint32_t i = 0; i < STEPS; i++)
        assert_int_equal(reports[(count_of(sequence) + i) % kept].token.id, ring_of(s, sequence)[i]);
}

// Those of the range get their tokens, and nobody else does.
static void run_range(vkgpt_session *s, uint32_t first, uint32_t sequences, const struct Tokens alone[SLOTS],
                      bool done[SLOTS])
{
    vkgpt_error err;
    struct Recording *rec;
    struct StepsAsk ask = {.range = {first, sequences, s->step_rows}, .step_size = 2};
    while (1u << ask.split_size < s->splits) ask.split_size++;
    CHECK(recordings_steps(s, &ask, &rec, &err));
    submit(rec);
    for (uint32_t i = first; i < first + sequences; i++) done[i] = true;
    for (uint32_t i = 0; i < SLOTS; i++)
        for (uint32_t t = 0; t < STEPS; t++)
            if (ring_of(s, i)[t] != (done[i] ? alone[i].ids[t] : RING_EMPTY))
                fail_msg("token %u of sequence %u is %u after the steps of %u from %u", t, i, ring_of(s, i)[t],
                         sequences, first);
    for (uint32_t i = first; i < first + sequences; i++) check_reports(s, i);
}

// Tiles of the products cover rows behind a range of 3 or 1: they are those of sequences that run, but not here.
static void ranges(const struct World *w, uint32_t lookup)
{
    struct Tokens alone[SLOTS];
    bool done[SLOTS] = {false};
    vkgpt_session *s = open_slots(w, lookup);
    get_alone(w, alone, STEPS);
    admit_all(s);
    run_range(s, 4, 3, alone, done);
    run_range(s, 1, 1, alone, done);
    run_range(s, 2, 2, alone, done);
    run_range(s, 0, 1, alone, done);
    run_range(s, 7, 1, alone, done);
    vkgpt_session_close(s);
}

static void test_ranges(void **state) { ranges(*state, 0); }
static void test_ranges_with_drafts(void **state) { ranges(*state, 2); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_active_sequences),   cmocka_unit_test(test_active_sequences_with_drafts),
        cmocka_unit_test(test_others_come_and_go), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_ranges_with_drafts), cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
