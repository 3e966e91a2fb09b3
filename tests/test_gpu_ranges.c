// Steps of decode run ranges of a session's sequences: as many of the first ones as take part, rounded up to a power of
// two, or those from any sequence on. Each sequence gets the tokens that it gets alone.
#include "session_world.h" // before cmocka, whose macro fail() hides a function

#include <string.h>

#include "base/hash.h"
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

// ------------------------------------------------------------------------------------------ conversations

// Two conversations in turn, in steps of one: each finds in some cache what was read of it, though the other one ran in
// its place, and the oldest of what was kept goes first.
static void test_conversations(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[2][CONTEXT], sequence, read[2] = {0};
    vkgpt_session *alone = open_session(w->model, 0, 0);
    struct Running r = {.s = open_slots(w, 0)};
    for (uint32_t i = 0; i < CONTEXT; i++)
        ids[0][i] = (i * 37 + 5) % (VOCAB - 1), ids[1][i] = (i * 53 + 11) % (VOCAB - 1);
    for (uint32_t turn = 0; turn < 12; turn++) {
        const uint32_t who = turn % 2, count = 30 + 9 * turn;
        const vkgpt_batch_options options = {.sampling = lively(turn), .max_tokens = 3, .keep = true};
        vkgpt_counters before = vkgpt_session_counters(r.s);
        assert_true(vkgpt_batch_choose(r.s, ids[who], count, &sequence));
        assert_int_equal(sequence, 0);
        r.got[0].count = 0;
        CHECK(vkgpt_batch_start(r.s, 0, ids[who], count, &options, &err));
        step_until(&r, 0);
        assert_int_equal(r.most, 1);
        const vkgpt_counters after = vkgpt_session_counters(r.s);
        assert_int_equal(after.tokens_reused - before.tokens_reused, read[who]);
        assert_int_equal(after.tokens_prefilled - before.tokens_prefilled, count - 1 - read[who]);
        read[who] = count - 1;
        rewind_to(alone, 0);
        CHECK(vkgpt_prompt(alone, ids[who], count, &err));
        const struct Tokens want = run(alone, turn, 3);
        same(&r.got[0], &want, 0, "in turn with another conversation");
    }
    vkgpt_session_close(alone);
    vkgpt_session_close(r.s);
}

// ------------------------------------------------------------------------------------------ what is said of tokens

#define SAID 100 // tokens of the one that stays

struct Said { // of the events of a sequence
    uint64_t hash;
    uint32_t events;
};

struct Saying {
    vkgpt_session *s;
    struct Said said[SLOTS];
    bool widths[SLOTS + 1]; // of the steps that were queued
};

static bool on_said(void *user, const vkgpt_batch_event *event)
{
    struct Saying *all = user;
    struct Said *said = &all->said[event->sequence];
    const vkgpt_token *t = event->token;
    all->widths[last_range(all->s)] = true;
    said->events++;
    if (!t) return true;
    said->hash = fnv_add(fnv_add(said->hash, &t->id, sizeof t->id), &t->logprob, sizeof t->logprob);
    for (uint32_t i = 0; i < t->top_count; i++) said->hash = fnv_add(said->hash, &t->top[i], sizeof t->top[i]);
    return true;
}

// Log probabilities, penalties and biases, other ones for each sequence.
static void start_saying(struct Saying *all, uint32_t slot, uint32_t who)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    vkgpt_bias bias[3];
    vkgpt_batch_options options = {.sampling = lively(who),
                                   .max_tokens = who ? 2 + 2 * who : SAID,
                                   .presence_penalty = 0.4f,
                                   .frequency_penalty = 0.1f * (float)who,
                                   .bias = bias,
                                   .bias_count = 3,
                                   .logprobs = true,
                                   .top = 5 + who,
                                   .given = who % 2};
    for (uint32_t i = 0; i < 3; i++) bias[i] = (vkgpt_bias){(who * 40 + i * 7) % VOCAB, (float)i - 0.5f};
    prompt_of(ids, count_of(who));
    all->said[slot] = (struct Said){.hash = FNV_START};
    CHECK(vkgpt_batch_start(all->s, slot, ids, count_of(who), &options, &err));
}

static void say_until(struct Saying *all, uint32_t left, uint32_t events)
{
    vkgpt_error err;
    uint32_t running;
    do CHECK(vkgpt_batch_step(all->s, on_said, all, &running, &err));
    while (running > left || (running && all->said[0].events < events));
}

static void check_said(const struct Saying *all, const struct Said alone[SLOTS], uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        assert_int_equal(all->said[i].events, alone[i].events);
        if (all->said[i].hash != alone[i].hash) fail_msg("what is said of sequence %u is not what it gets alone", i);
    }
}

// Steps of 1, 2, 4 and 8 sequences, while one stays: what is said of each token, and the penalties and biases behind
// it, have the bits that they have alone.
static void said_in_any_width(const struct World *w, uint32_t lookup)
{
    const uint32_t companies[] = {1, 3, 7, 2, 0};
    struct Said alone[SLOTS];
    struct Saying all = {.s = open_slots(w, lookup)};
    for (uint32_t i = 0; i < SLOTS; i++) {
        start_saying(&all, 0, i);
        say_until(&all, 0, 0);
        alone[i] = all.said[0];
    }
    memset(all.widths, 0, sizeof all.widths);
    start_saying(&all, 0, 0);
    for (uint32_t c = 0; c < sizeof companies / sizeof *companies; c++) {
        say_until(&all, 1, all.said[0].events + 3); // some by itself
        assert_true(all.said[0].events < SAID);
        for (uint32_t i = 1; i <= companies[c]; i++) start_saying(&all, i, i);
        say_until(&all, 1, 0);
        check_said(&all, alone, 1, companies[c] + 1);
    }
    say_until(&all, 0, 0);
    check_said(&all, alone, 0, 1);
    assert_true(all.widths[1] && all.widths[2] && all.widths[4] && all.widths[8]);
    vkgpt_session_close(all.s);
}

static void test_said_in_any_width(void **state) { said_in_any_width(*state, 0); }
static void test_said_in_any_width_with_drafts(void **state) { said_in_any_width(*state, 2); }

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
        cmocka_unit_test(test_active_sequences),       cmocka_unit_test(test_active_sequences_with_drafts),
        cmocka_unit_test(test_others_come_and_go),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_ranges_with_drafts),     cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_said_in_any_width),      cmocka_unit_test(test_said_in_any_width_with_drafts),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
