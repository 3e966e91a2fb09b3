// Sequences that come and go: each gets the tokens and log probabilities that it gets alone, bit for bit, whenever it
// joins, whoever else runs, and whatever its slot held before.
#include "session_world.h" // before cmocka, whose macro fail() hides a function

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS 5
#define REQUESTS 24
#define NOBODY UINT32_MAX
#define MOST_REPEATS 8

struct Said { // by events, each as a hash of what it says
    uint64_t events[2 * CONTEXT + 2];
    uint32_t count;
};

struct Request {
    uint32_t ids[CONTEXT];
    uint32_t count; // of the prompt
    vkgpt_batch_options options;
    vkgpt_bias bias[40];
    struct Said said_alone, said;
    uint32_t leaves;     // it is stopped after this many tokens; 0: never
    bool by_callback;    // stopped by the callback, else by a call
    struct Tokens alone; // what it gets alone
    struct Tokens got;
    uint32_t ends; // events of its end
};

struct Requests {
    struct Request list[REQUESTS];
    uint32_t in_slot[SLOTS]; // the request that a slot runs, or NOBODY
    uint64_t costs;          // of the host, in a run: recordings, descriptor writes, allocations
};

static uint32_t rolled;

static uint32_t roll(uint32_t sides) // the same numbers in every run
{
    rolled = rolled * 1664525 + 1013904223;
    return (rolled >> 8) % sides;
}

// What changes the logits of some requests, and the log probabilities that some want.
static void make_changes(struct Request *r)
{
    vkgpt_batch_options *o = &r->options;
    if (roll(3) == 0) o->presence_penalty = 0.5f, o->frequency_penalty = roll(2) ? 0.3f : -0.2f;
    if (roll(3) == 0) o->bias = r->bias, o->bias_count = 1 + roll(sizeof r->bias / sizeof *r->bias);
    for (uint32_t i = 0; i < o->bias_count; i++) r->bias[i] = (vkgpt_bias){roll(VOCAB), (float)roll(9) - 4.0f};
    if (o->bias_count && roll(2)) r->bias[0].id = VOCAB - 1; // the end token
    o->logprobs = roll(2);
    o->top = roll(3) ? roll(VKGPT_MAX_TOP + 1) : 0;
    o->given = roll(2);
    o->sampling.ignore_eos = roll(2);
    o->keep = roll(2);
}

// Prompts share beginnings of different lengths; some are a single token, some fill the context.
static void make_request(struct Request *r)
{
    uint32_t shared = roll(100);
    prompt_of(r->ids, CONTEXT);
    for (uint32_t i = shared; i < CONTEXT; i++) r->ids[i] = roll(VOCAB - 1);
    r->count = roll(8) == 0 ? 1 : roll(12) == 0 ? CONTEXT : 1 + roll(110);
    r->options.sampling = lively(roll(1000));
    if (roll(3) == 0) r->options.sampling.temperature = 0;
    r->options.max_tokens = roll(10) == 0 ? 0 : 1 + roll(35);
    r->leaves = roll(4) == 0 ? 1 + roll(9) : 0;
    r->by_callback = roll(2);
    make_changes(r);
}

static uint64_t hash_logprob(uint64_t hash, const vkgpt_logprob *p)
{
    return fnv_add(fnv_add(hash, &p->id, sizeof p->id), &p->logprob, sizeof p->logprob);
}

static void say(struct Said *said, const vkgpt_batch_event *event)
{
    const uint32_t what[] = {event->ended, event->given, event->ended ? 0 : event->id, event->token != NULL};
    uint64_t hash = fnv_add(FNV_START, what, sizeof what);
    if (event->token) hash = hash_logprob(hash, &(vkgpt_logprob){event->token->id, event->token->logprob});
    for (uint32_t i = 0; event->token && i < event->token->top_count; i++)
        hash = hash_logprob(hash, &event->token->top[i]);
    assert_true(said->count < sizeof said->events / sizeof *said->events);
    said->events[said->count++] = hash;
}

static bool on_alone(void *user, const vkgpt_batch_event *event)
{
    struct Request *r = user;
    say(&r->said_alone, event);
    if (event->ended) r->alone.stop = event->stop;
    return event->ended || event->given || keep(&r->alone, event->id);
}

// By the call that knows of nothing but sampling, where that is enough; else as a sequence.
static void run_alone(vkgpt_session *session, struct Request *r)
{
    vkgpt_error err;
    uint32_t running;
    rewind_to(session, 0);
    if (!r->options.logprobs && !r->options.bias_count && r->options.presence_penalty == 0.0f) {
        CHECK(vkgpt_prompt(session, r->ids, r->count, &err));
        generate(session, r->options.sampling, r->options.max_tokens, &r->alone);
        return;
    }
    CHECK(vkgpt_batch_start(session, 0, r->ids, r->count, &r->options, &err));
    do CHECK(vkgpt_batch_step(session, on_alone, r, &running, &err));
    while (running);
}

static void make_requests(const struct World *w, struct Requests *all)
{
    vkgpt_session *session = open_session(w->model, 0, 0);
    rolled = 1;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct Request *r = &all->list[i];
        make_request(r);
        run_alone(session, r);
    }
    vkgpt_session_close(session);
}

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    struct Requests *all = user;
    uint32_t at = all->in_slot[event->sequence];
    assert_true(at != NOBODY);
    struct Request *r = &all->list[at];
    say(&r->said, event);
    if (event->given) return true;
    if (event->ended) {
        r->ends++;
        r->got.stop = event->stop;
        all->in_slot[event->sequence] = NOBODY;
        return true;
    }
    return keep(&r->got, event->id) && !(r->by_callback && r->got.count == r->leaves);
}

static void maybe_stop(vkgpt_session *s, struct Requests *all)
{
    vkgpt_error err;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (all->in_slot[i] == NOBODY) continue;
        struct Request *r = &all->list[all->in_slot[i]];
        if (!r->leaves || r->by_callback || r->got.count < r->leaves) continue;
        CHECK(vkgpt_batch_stop(s, i, &err));
        all->in_slot[i] = NOBODY;
    }
}

static void maybe_start(vkgpt_session *s, struct Requests *all, uint32_t *next)
{
    vkgpt_error err;
    uint32_t slot = roll(SLOTS);
    bool chosen = roll(2);
    if (*next == REQUESTS || roll(2)) return;
    struct Request *r = &all->list[*next];
    if (chosen && !vkgpt_batch_choose(s, r->ids, r->count, &slot)) return;
    if (all->in_slot[slot] != NOBODY) return;
    uint64_t submitted = s->device->submitted;
    CHECK(vkgpt_batch_start(s, slot, r->ids, r->count, &r->options, &err));
    assert_int_equal(s->device->submitted, submitted); // it waits for nothing
    all->in_slot[slot] = (*next)++;
}

static void check_request(const struct Request *r, uint32_t number)
{
    uint32_t whole = (uint32_t)r->alone.count;
    bool stopped = r->leaves && r->leaves <= whole && (r->by_callback || r->leaves < whole);
    bool silent = stopped && !r->by_callback; // no event tells of its end, unless it came first
    if (r->got.count > whole || r->got.count < (stopped ? r->leaves : whole))
        fail_msg("request %u has %zu tokens, alone %u", number, r->got.count, whole);
    for (size_t i = 0; i < r->got.count; i++)
        if (r->got.ids[i] != r->alone.ids[i])
            fail_msg("token %zu of request %u is %u, alone %u", i, number, r->got.ids[i], r->alone.ids[i]);
    for (uint32_t i = 0; i < r->said.count - stopped && r->said_alone.count; i++)
        if (r->said.events[i] != r->said_alone.events[i])
            fail_msg("event %u of request %u is not the one that it gets alone", i, number);
    assert_true(r->ends == 1 || (silent && r->ends == 0));
    if (!stopped) assert_int_equal(r->got.stop, r->alone.stop);
    if (stopped && r->by_callback) assert_int_equal(r->got.stop, VKGPT_STOP_CALLBACK);
    if (stopped && r->by_callback) assert_int_equal(r->got.count, r->leaves);
}

static uint64_t costs_of(vkgpt_session *s)
{
    vkgpt_counters c = vkgpt_session_counters(s);
    return c.recordings + c.descriptor_writes + c.device_allocations + c.host_allocations;
}

static void run_all(vkgpt_session *s, struct Requests *all)
{
    vkgpt_error err;
    uint32_t next = 0, running = 0;
    rolled = 7;
    all->costs = 0;
    for (uint32_t i = 0; i < SLOTS; i++) all->in_slot[i] = NOBODY;
    for (uint32_t i = 0; i < REQUESTS; i++) all->list[i].got.count = all->list[i].said.count = all->list[i].ends = 0;
    while (next < REQUESTS || running) {
        uint64_t before = costs_of(s);
        maybe_start(s, all, &next);
        CHECK(vkgpt_batch_step(s, on_event, all, &running, &err));
        all->costs += costs_of(s) - before;
        maybe_stop(s, all);
    }
    for (uint32_t i = 0; i < REQUESTS; i++) check_request(&all->list[i], i);
}

static vkgpt_session *open_slots(const struct World *w, uint32_t per_submission, uint32_t lookup)
{
    vkgpt_error err;
    vkgpt_session *session;
    const vkgpt_session_options options = {
        .sequences = SLOTS, .tokens_per_submission = per_submission, .lookup = lookup};
    CHECK(vkgpt_session_open(w->model, &options, &session, &err));
    return session;
}

static void come_and_go(const struct World *w, uint32_t per_submission, uint32_t lookup)
{
    struct Requests *all = calloc(1, sizeof *all);
    assert_non_null(all);
    make_requests(w, all);
    vkgpt_session *s = open_slots(w, per_submission, lookup);
    run_all(s, all);
    for (int i = 0; i < 2; i++) run_all(s, all); // from what the slots hold by now
    uint64_t reused = vkgpt_session_counters(s).tokens_reused;
    run_all(s, all);
    assert_true(vkgpt_session_counters(s).tokens_reused > reused);
    // Blocks follow the times that were measured, so a size may come for the first time, which is recorded once.
    for (int i = 0; per_submission && all->costs && i < MOST_REPEATS; i++) run_all(s, all);
    if (per_submission) assert_int_equal(all->costs, 0); // else the steps of a submission follow the times too
    vkgpt_session_close(s);
    free(all);
}

static void test_come_and_go(void **state) { come_and_go(*state, 2, 0); }
static void test_come_and_go_by_time(void **state) { come_and_go(*state, 0, 0); }
static void test_come_and_go_with_drafts(void **state) { come_and_go(*state, 2, 2); }

// ------------------------------------------------------------------------------------------ long prompts

struct Gaps {
    vkgpt_session *session;
    uint64_t blocks;  // rows that were prefilled when the last token of the first sequence came
    uint64_t longest; // rows between two of its tokens
    uint64_t first;   // rows before the first token of the last sequence; 0: none came
};

static bool on_gap(void *user, const vkgpt_batch_event *event)
{
    struct Gaps *gaps = user;
    uint64_t rows = vkgpt_session_counters(gaps->session).tokens_prefilled;
    if (event->ended) return true;
    if (event->sequence == 0 && rows - gaps->blocks > gaps->longest) gaps->longest = rows - gaps->blocks;
    if (event->sequence == 0) gaps->blocks = rows;
    if (event->sequence == 2 && !gaps->first) gaps->first = rows;
    return true;
}

// A long prompt holds up another sequence for one block at a time, and a short prompt does not wait for its end.
static void test_long_prompt(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT], running = 1;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 60};
    vkgpt_session *s = open_slots(*state, 1, 0);
    s->block_rows = GROUP_ROWS;
    struct Gaps gaps = {.session = s};
    prompt_of(ids, CONTEXT);
    CHECK(vkgpt_batch_start(s, 0, ids, 1, &options, &err));
    CHECK(vkgpt_batch_step(s, on_gap, &gaps, NULL, &err));
    CHECK(vkgpt_batch_start(s, 1, ids, 140, &options, &err));
    for (int i = 0; i < 3; i++) CHECK(vkgpt_batch_step(s, on_gap, &gaps, NULL, &err));
    uint64_t before = vkgpt_session_counters(s).tokens_prefilled;
    CHECK(vkgpt_batch_start(s, 2, ids, 10, &options, &err));
    while (running) CHECK(vkgpt_batch_step(s, on_gap, &gaps, &running, &err));
    assert_int_equal(vkgpt_session_counters(s).tokens_prefilled, 139 + 9);
    assert_in_range(gaps.longest, 1, GROUP_ROWS);
    assert_in_range(gaps.first, 1, before + 2 * GROUP_ROWS);
    vkgpt_session_close(s);
}

// ------------------------------------------------------------------------------------------ one by one

// A slot keeps what prefill has made of a common beginning.
static void test_same_beginning(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT], running;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 5};
    const uint32_t lengths[][2] = {{80, 79}, {80, 0}, {60, 0}, {100, 40}}; // of the prompt, and rows that are read
    vkgpt_session *s = open_slots(*state, 2, 0);
    prompt_of(ids, CONTEXT);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint64_t before = vkgpt_session_counters(s).tokens_prefilled;
        CHECK(vkgpt_batch_start(s, 1, ids, lengths[i][0], &options, &err));
        do CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
        while (running);
        assert_int_equal(vkgpt_session_counters(s).tokens_prefilled - before, lengths[i][1]);
        assert_int_equal(vkgpt_batch_position(s, 1), lengths[i][0] + 5);
    }
    vkgpt_session_close(s);
}

static void run_one(vkgpt_session *s, uint32_t sequence, const uint32_t *ids, uint32_t count)
{
    vkgpt_error err;
    uint32_t running;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 5};
    CHECK(vkgpt_batch_start(s, sequence, ids, count, &options, &err));
    do CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
    while (running);
}

// A beginning is copied from another slot; the slot of a prompt is one that makes steps no larger, and of these the one
// with the most of it, or else the oldest.
static void test_choose(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT], other[CONTEXT], slot = NOBODY;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 5};
    vkgpt_session *s = open_slots(*state, 2, 0);
    prompt_of(ids, CONTEXT);
    for (uint32_t i = 0; i < CONTEXT; i++) other[i] = (ids[i] + 1) % (VOCAB - 1);
    for (uint32_t i = 0; i < SLOTS; i++) run_one(s, (i + 2) % SLOTS, i == 1 ? ids : other + i, 80);
    vkgpt_counters before = vkgpt_session_counters(s);
    assert_true(vkgpt_batch_choose(s, ids, 100, &slot));
    assert_int_equal(slot, 0); // though another one has the text
    run_one(s, 2, ids, 100);
    vkgpt_counters after = vkgpt_session_counters(s);
    assert_int_equal(after.tokens_prefilled - before.tokens_prefilled, 99 - 79);
    assert_int_equal(after.tokens_reused - before.tokens_reused, 79);
    const uint32_t order[SLOTS] = {0, 1, 3, 2, 4}; // slots 2 and 3 make steps of 4: 3 has run longer ago
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (i == 2)
            assert_true(vkgpt_batch_choose(s, ids, 100, &slot) && slot == 2); // has more of the text than slot 3
        assert_true(vkgpt_batch_choose(s, ids, 1, &slot));
        assert_int_equal(slot, order[i]);
        CHECK(vkgpt_batch_start(s, slot, ids, 1, &options, &err));
    }
    assert_false(vkgpt_batch_choose(s, ids, 1, &slot));
    vkgpt_session_close(s);
}

// ------------------------------------------------------------------------------------------ the same prompt

struct Company {
    vkgpt_session *s;
    uint32_t ids[CONTEXT];
    struct Tokens alone[SLOTS], got[SLOTS];
};

static bool keep_each(void *user, const vkgpt_batch_event *event)
{
    struct Company *c = user;
    return event->ended || keep(&c->got[event->sequence], event->id);
}

// Prompts of these lengths, with seeds that differ.
static struct Company *open_company(const struct World *w, const uint32_t lengths[SLOTS])
{
    vkgpt_error err;
    struct Company *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->s = open_slots(w, 2, 0);
    prompt_of(c->ids, CONTEXT);
    vkgpt_session *session = open_session(w->model, 0, 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        rewind_to(session, 0);
        CHECK(vkgpt_prompt(session, c->ids, lengths[i], &err));
        c->alone[i] = run(session, i, 6);
    }
    vkgpt_session_close(session);
    return c;
}

static void start_one(struct Company *c, uint32_t i, uint32_t length)
{
    vkgpt_error err;
    const vkgpt_batch_options options = {.sampling = lively(i), .max_tokens = 6};
    CHECK(vkgpt_batch_start(c->s, i, c->ids, length, &options, &err));
}

// Runs all to their ends; `without`: a sequence that was stopped. Frees the company.
static void end_company(struct Company *c, uint32_t without)
{
    vkgpt_error err;
    uint32_t running;
    do CHECK(vkgpt_batch_step(c->s, keep_each, c, &running, &err));
    while (running);
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (i == without) continue;
        assert_int_equal(c->got[i].count, 6);
        same(&c->got[i], &c->alone[i], 0, "with others that began alike");
    }
    vkgpt_session_close(c->s);
    free(c);
}

// Of prompts that begin alike and come together, the common beginning is read once.
static void test_same_prompt_at_once(void **state)
{
    const uint32_t lengths[SLOTS] = {100, 100, 120, 100, 50};
    struct Company *c = open_company(*state, lengths);
    vkgpt_error err;
    uint32_t running;
    c->s->block_rows = GROUP_ROWS;
    for (uint32_t i = 0; i < SLOTS; i++) start_one(c, i, lengths[i]);
    do CHECK(vkgpt_batch_step(c->s, keep_each, c, &running, &err));
    while (running);
    const vkgpt_counters counters = vkgpt_session_counters(c->s);
    assert_int_equal(counters.tokens_prefilled, 119);
    assert_int_equal(counters.tokens_reused, 99 + 99 + 99 + 49);
    end_company(c, NOBODY);
}

// The one that reads for the others stops half way, or gets other tokens: the one of them that waits for most reads on,
// and the others wait for that.
static void reader_leaves(const struct World *w, bool starts_again)
{
    const uint32_t lengths[SLOTS] = {110, 140, 120, 110, 110};
    struct Company *c = open_company(w, lengths);
    vkgpt_error err;
    uint32_t running;
    c->s->block_rows = GROUP_ROWS;
    for (uint32_t i = 0; i < SLOTS; i++) start_one(c, i, lengths[i]);
    for (int i = 0; i < 3; i++) CHECK(vkgpt_batch_step(c->s, keep_each, c, NULL, &err));
    assert_int_equal(c->s->slots[1].leader, 1);
    assert_int_equal(c->s->slots[4].cached, 0);
    CHECK(vkgpt_batch_stop(c->s, 0, &err));
    if (starts_again) {
        uint32_t other[30];
        for (uint32_t i = 0; i < 30; i++) other[i] = (c->ids[i] + 1) % (VOCAB - 1);
        const vkgpt_batch_options options = {.sampling = lively(9), .max_tokens = 4};
        CHECK(vkgpt_batch_start(c->s, 0, other, 30, &options, &err));
        assert_int_equal(c->s->slots[1].leader, 0);
    }
    do CHECK(vkgpt_batch_step(c->s, keep_each, c, &running, &err));
    while (running);
    const vkgpt_counters counters = vkgpt_session_counters(c->s);
    const uint32_t lost = 2 * GROUP_ROWS; // of the first one, in blocks that were in flight
    assert_in_range(counters.tokens_prefilled, 139, 139 + lost + (starts_again ? 29 : 0));
    end_company(c, 0);
}

static void test_reader_stops(void **state) { reader_leaves(*state, false); }
static void test_reader_starts_again(void **state) { reader_leaves(*state, true); }

static bool keep_slot_1(void *user, const vkgpt_batch_event *event)
{
    return event->ended || event->sequence != 1 || keep(user, event->id);
}

// The device does not go on with a sequence that was stopped: it would write over what its slot gets next.
static void test_stopped_on_the_device(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT], running = 1;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 100},
                              few = {.sampling = lively(4), .max_tokens = 8};
    struct Tokens first = {.count = 0}, got = {.count = 0}, want = {.count = 0};
    vkgpt_session *s = open_slots(w, 2, 0), *alone = open_session(w->model, 0, 2);
    prompt_of(ids, CONTEXT);
    CHECK(vkgpt_prompt(alone, ids, 140, &err));
    generate(alone, few.sampling, 8, &want);
    run_one(s, 0, ids, 120);
    CHECK(vkgpt_batch_start(s, 2, ids + 7, 1, &options, &err));
    CHECK(vkgpt_batch_start(s, 1, ids + 9, 1, &options, &err));
    while (first.count < 6) CHECK(vkgpt_batch_step(s, keep_slot_1, &first, NULL, &err));
    CHECK(vkgpt_batch_stop(s, 1, &err));
    CHECK(vkgpt_batch_start(s, 1, ids, 140, &few, &err)); // most of it is copied
    s->steps_last = false;                                // steps of the others come before its block
    while (running && got.count < 8) CHECK(vkgpt_batch_step(s, keep_slot_1, &got, &running, &err));
    assert_int_equal(got.count, want.count);
    same(&got, &want, 0, "in the place of a sequence that was stopped");
    vkgpt_session_close(alone);
    vkgpt_session_close(s);
}

// A block that is in flight when its sequence is stopped is not taken for one of the next tokens in its slot.
static void test_older_block(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 100},
                              few = {.sampling = lively(4), .max_tokens = 20};
    struct Tokens got = {.count = 0};
    vkgpt_session *s = open_slots(w, 2, 0);
    prompt_of(ids, CONTEXT);
    run_one(s, 2, ids + 30, 30);
    s->block_rows = GROUP_ROWS, s->blocks_queued = IN_FLIGHT;
    CHECK(vkgpt_batch_start(s, 0, ids + 7, 1, &options, &err));
    for (int i = 0; i < 3; i++) CHECK(vkgpt_batch_step(s, NULL, NULL, NULL, &err));
    CHECK(vkgpt_batch_start(s, 1, ids, 100, &options, &err));
    CHECK(vkgpt_batch_step(s, NULL, NULL, NULL, &err));
    assert_true(s->flights.count && s->flights.flying[s->flights.oldest].block.count);
    CHECK(vkgpt_batch_stop(s, 1, &err));
    CHECK(vkgpt_batch_start(s, 1, ids + 5, 1, &few, &err));
    while (got.count < 20) CHECK(vkgpt_batch_step(s, keep_slot_1, &got, NULL, &err));
    CHECK(vkgpt_batch_stop(s, 0, &err));
    uint64_t before = vkgpt_session_counters(s).tokens_prefilled;
    ids[0] = ids[5];
    memcpy(ids + 1, got.ids, 20 * sizeof *ids);
    run_one(s, 1, ids, 21); // all of it was made by decode
    assert_int_equal(vkgpt_session_counters(s).tokens_prefilled - before, 20);
    vkgpt_session_close(s);
}

static bool no_rows(void *user, const float *logits, size_t first, size_t rows)
{
    (void)user, (void)logits, (void)first, (void)rows;
    return false;
}

// While a sequence runs, calls that would wait for it are refused, and nothing of it changes.
static void test_refused(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1], to = 1, running;
    vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 30};
    vkgpt_sampling each[SLOTS] = {options.sampling};
    struct Tokens tokens = {.count = 0};
    vkgpt_session *s = open_slots(*state, 2, 0);
    prompt_of(ids, CONTEXT);
    REFUSED(vkgpt_batch_start(s, SLOTS, ids, 5, &options, &err));
    REFUSED(vkgpt_batch_start(s, 0, ids, CONTEXT + 1, &options, &err));
    REFUSED(vkgpt_batch_start(s, 0, ids, 0, &options, &err));
    ids[2] = VOCAB;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &options, &err));
    ids[2] = 1;
    options.sampling.top_p = 2;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &options, &err));
    options.sampling.top_p = 1;
    REFUSED(vkgpt_batch_stop(s, SLOTS, &err));
    CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err)); // nothing to do
    assert_int_equal(running, 0);

    CHECK(vkgpt_batch_start(s, 0, ids, 5, &options, &err));
    CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
    assert_int_equal(running, 1);
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &options, &err));
    REFUSED(vkgpt_prompt(s, ids, 1, &err));
    REFUSED(vkgpt_batch_prefill(s, &err));
    REFUSED(vkgpt_batch_copy(s, 0, &to, 1, &err));
    REFUSED(vkgpt_batch_rewind(s, 0, 1, &err));
    REFUSED(vkgpt_logits(s, ids, 1, no_rows, NULL, &err));
    REFUSED(vkgpt_generate(s, NULL, 5, keep, &tokens, NULL, &err));
    REFUSED(vkgpt_batch_generate(s, each, 5, NULL, NULL, NULL, &err));
    REFUSED(vkgpt_session_save(s, "/nonexistent", NULL, 0, &err));
    do CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
    while (running);
    assert_int_equal(vkgpt_batch_position(s, 0), 5 + 30);
    CHECK(vkgpt_prompt(s, ids, 1, &err));
    vkgpt_session_close(s);
}

// A session closes while sequences run, and goes on after a call was cancelled.
static void test_cancelled(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT], running;
    const vkgpt_batch_options options = {.sampling = lively(3), .max_tokens = 30};
    vkgpt_session *s = open_slots(*state, 2, 0);
    prompt_of(ids, CONTEXT);
    for (uint32_t i = 0; i < SLOTS; i++) CHECK(vkgpt_batch_start(s, i, ids, 5 + i, &options, &err));
    CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
    vkgpt_session_cancel(s);
    assert_int_equal(vkgpt_batch_step(s, NULL, NULL, &running, &err), VKGPT_INTERRUPTED);
    assert_int_equal(running, SLOTS);
    for (uint32_t i = 0; i < 4; i++) CHECK(vkgpt_batch_step(s, NULL, NULL, &running, &err));
    assert_true(vkgpt_batch_position(s, 0) > 5);
    vkgpt_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_come_and_go),
        cmocka_unit_test(test_come_and_go_by_time),
        cmocka_unit_test(test_come_and_go_with_drafts),
        cmocka_unit_test(test_long_prompt),
        cmocka_unit_test(test_same_beginning),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_same_prompt_at_once),
        cmocka_unit_test(test_reader_stops),
        cmocka_unit_test(test_reader_starts_again),
        cmocka_unit_test(test_stopped_on_the_device),
        cmocka_unit_test(test_older_block),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests_name("gpu_arrivals", tests, open_world, close_world);
}
