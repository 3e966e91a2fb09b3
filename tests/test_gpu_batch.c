// Several sequences in a session, and drafts: a sequence gets the same tokens as alone, bit for bit, whatever the other
// sequences are, in every format of the weights. Runs twice: with the kernels for this driver, and with those for GPUs.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "engine/bounds.h" // before cmocka, whose macro fail() hides a function
#include "engine/flights.h"
#include "engine/decoding.h"
#include "synthetic_model.h"

#include "check.h"
#include "short_run.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define MAX_TOKENS 96
#define SEQUENCES 5
#define SMALL_LAYERS 2

// A model, and how many tokens it generates.
struct Subject {
    vkgpt_model *model;
    uint32_t vocab, tokens;
    bool greedy;
};

struct Tokens {
    uint32_t ids[SEQUENCES][MAX_TOKENS];
    size_t count[SEQUENCES];
    size_t most[SEQUENCES]; // the callback stops a sequence after this many; 0: never
};

static bool keep(void *user, uint32_t sequence, uint32_t id)
{
    struct Tokens *tokens = user;
    assert_true(sequence < SEQUENCES && tokens->count[sequence] < MAX_TOKENS);
    tokens->ids[sequence][tokens->count[sequence]++] = id;
    return tokens->count[sequence] != tokens->most[sequence];
}

static bool keep_first(void *user, uint32_t id) { return keep(user, 0, id); }

static vkgpt_sampling sampling_of(const struct Subject *subject, uint32_t sequence)
{
    if (subject->greedy) return (vkgpt_sampling){.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
    return (vkgpt_sampling){1.2f, 50, 0.98f, 0.0f, 1.1f, 32, 100 + sequence, true};
}

static vkgpt_session *open_session(const struct Subject *subject, uint32_t sequences, uint32_t lookup)
{
    vkgpt_error err;
    vkgpt_session *session;
    const vkgpt_session_options options = {
        .kv = VKGPT_F32, .sequences = sequences, .lookup = lookup, .tokens_per_submission = 4, .context = 120};
    CHECK(vkgpt_session_open(subject->model, &options, &session, &err));
    return session;
}

// A text that repeats after nine tokens, so that lookup finds something. Each sequence has its own beginning and
// length.
static uint32_t prompt_of(const struct Subject *subject, uint32_t sequence, uint32_t *ids)
{
    uint32_t count = 1 + 11 * ((sequence + 2) % SEQUENCES);
    for (uint32_t i = 0; i < count; i++) ids[i] = ((i + sequence) % 9 * 97 + 13) % subject->vocab;
    return count;
}

static void alone(const struct Subject *subject, uint32_t sequence, uint32_t lookup, struct Tokens *tokens,
                  vkgpt_counters *counters)
{
    vkgpt_error err;
    vkgpt_stop stop;
    uint32_t ids[MAX_TOKENS], count = prompt_of(subject, sequence, ids);
    vkgpt_sampling sampling = sampling_of(subject, sequence);
    vkgpt_session *session = open_session(subject, 1, lookup);
    *tokens = (struct Tokens){.count = {0}};
    CHECK(vkgpt_prompt(session, ids, count, &err));
    CHECK(vkgpt_generate(session, &sampling, subject->tokens, keep_first, tokens, &stop, &err));
    assert_int_equal(tokens->count[0], subject->tokens);
    assert_int_equal(vkgpt_session_position(session), count + subject->tokens);
    *counters = vkgpt_session_counters(session);
    vkgpt_session_close(session);
}

static void same(const struct Tokens *got, uint32_t sequence, const struct Tokens *want, size_t count, const char *what)
{
    assert_int_equal(got->count[sequence], count);
    for (size_t i = 0; i < count; i++)
        if (got->ids[sequence][i] != want->ids[0][i])
            fail_msg("%s: token %zu of sequence %u is %u, should be %u", what, i, sequence, got->ids[sequence][i],
                     want->ids[0][i]);
}

// ---------------------------------------------------------------------------------------------- batches

static void together(const struct Subject *subject, uint32_t lookup, struct Tokens *tokens)
{
    vkgpt_error err;
    vkgpt_stop stops[SEQUENCES];
    vkgpt_sampling sampling[SEQUENCES];
    uint32_t ids[MAX_TOKENS];
    vkgpt_session *session = open_session(subject, SEQUENCES, lookup);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        uint32_t count = prompt_of(subject, i, ids);
        sampling[i] = sampling_of(subject, i);
        CHECK(vkgpt_batch_prompt(session, i, ids, count, &err));
    }
    CHECK(vkgpt_batch_generate(session, sampling, subject->tokens, keep, tokens, stops, &err));
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        assert_int_equal(stops[i], tokens->most[i] ? VKGPT_STOP_CALLBACK : VKGPT_STOP_LENGTH);
        assert_int_equal(vkgpt_batch_position(session, i), prompt_of(subject, i, ids) + tokens->count[i]);
    }
    vkgpt_session_close(session);
}

static void batches_agree(const struct Subject *subject)
{
    struct Tokens batch = {.most = {[1] = 3}}, drafted = {.most = {[2] = 1}}, one;
    vkgpt_counters counters;
    together(subject, 0, &batch);
    together(subject, 2, &drafted);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        alone(subject, i, 0, &one, &counters);
        same(&batch, i, &one, i == 1 ? 3 : subject->tokens, "in a batch");
        same(&drafted, i, &one, i == 2 ? 1 : subject->tokens, "in a batch with drafts");
    }
}

// Copies go on as if each had read the prompt itself; an empty sequence takes no part.
static void copies_agree(const struct Subject *subject)
{
    vkgpt_error err;
    struct Tokens tokens = {.count = {0}}, one;
    vkgpt_counters counters;
    vkgpt_sampling sampling[SEQUENCES];
    uint32_t ids[MAX_TOKENS], count = prompt_of(subject, 0, ids), to[] = {1, 4, 2};
    vkgpt_session *session = open_session(subject, SEQUENCES, 0);
    for (uint32_t i = 0; i < SEQUENCES; i++) sampling[i] = sampling_of(subject, 0);
    CHECK(vkgpt_batch_prompt(session, 0, ids, count, &err));
    CHECK(vkgpt_batch_copy(session, 0, to, 3, &err));
    CHECK(vkgpt_batch_rewind(session, 2, count - 1, &err)); // the last token again: the same text
    CHECK(vkgpt_batch_prompt(session, 2, ids + count - 1, 1, &err));
    CHECK(vkgpt_batch_generate(session, sampling, subject->tokens, keep, &tokens, NULL, &err));
    alone(subject, 0, 0, &one, &counters);
    same(&tokens, 0, &one, subject->tokens, "the original");
    for (uint32_t i = 0; i < 3; i++) same(&tokens, to[i], &one, subject->tokens, "a copy");
    assert_int_equal(tokens.count[3], 0);
    vkgpt_session_close(session);
}

static void drafts_agree(const struct Subject *subject)
{
    struct Tokens one, drafted;
    vkgpt_counters plain, saved;
    alone(subject, 3, 0, &one, &plain);
    assert_int_equal(plain.steps, subject->tokens);
    for (uint32_t lookup = 1; lookup <= 9; lookup += 4) {
        alone(subject, 3, lookup, &drafted, &saved);
        same(&drafted, 0, &one, subject->tokens, "with drafts");
        assert_true(saved.steps <= subject->tokens + 3); // the last submission may reach further
        if (subject->greedy) assert_true(saved.steps < plain.steps);
    }
}

static bool keep_event(void *user, const vkgpt_batch_event *event)
{
    return event->ended || keep(user, event->sequence, event->id);
}

// Two submissions with generate's own steps. Both are done before the ring is read for the first, as on a fast device.
static uint64_t steps_at_once(const struct Subject *subject, uint32_t lookup, uint32_t tokens)
{
    vkgpt_error err;
    uint32_t ids[MAX_TOKENS], count = prompt_of(subject, 3, ids);
    vkgpt_session *session = open_session(subject, 1, lookup);
    vkgpt_sampling sampling = sampling_of(subject, 3);
    struct Tokens kept = {.count = {0}};
    CHECK(vkgpt_prompt(session, ids, count, &err));
    CHECK(vkgpt_batch_start(session, 0, NULL, 0, &(vkgpt_batch_options){.sampling = sampling, .max_tokens = tokens},
                            &err));
    session->on_event = keep_event, session->event_user = &kept;
    for (uint32_t i = 0; i < 2; i++) {
        struct Flight *next = flights_next(session);
        CHECK(decoding_next(session, next, &err));
        CHECK(flights_start(session, next, &err));
    }
    CHECK(commands_wait(session->device, session->device->submitted, "both", &err));
    CHECK(flights_end_oldest(session, &err));
    assert_true(kept.count[0] >= 4 && kept.count[0] < tokens); // those of the first submission only
    CHECK(flights_end_oldest(session, &err));
    if (!lookup) assert_int_equal(kept.count[0], tokens);
    uint64_t steps = vkgpt_session_counters(session).steps;
    vkgpt_session_close(session);
    return steps;
}

// Recordings that are cut after every dispatch, as on a GPU without measurements, give the same tokens.
static void cuts_agree(const struct Subject *subject)
{
    vkgpt_error err;
    struct Tokens one, cut = {.count = {0}};
    vkgpt_counters counters;
    uint32_t ids[MAX_TOKENS], count = prompt_of(subject, 2, ids);
    vkgpt_sampling sampling = sampling_of(subject, 2);
    vkgpt_session *session = open_session(subject, 1, 0);
    session->first_flops = 1;
    CHECK(vkgpt_prompt(session, ids, count, &err));
    CHECK(vkgpt_generate(session, &sampling, subject->tokens, keep_first, &cut, NULL, &err));
    assert_true(session->blocks[2][0].part_count >= SMALL_LAYERS * LAYER_DISPATCHES);
    const struct StepsRecording *steps = session->steps;
    while (steps->next) steps = steps->next; // the first one made
    assert_true(steps->rec.part_count >= 4 * SMALL_LAYERS * LAYER_DISPATCHES);
    vkgpt_session_close(session);
    alone(subject, 2, 0, &one, &counters);
    same(&cut, 0, &one, subject->tokens, "in cut recordings");
}

// ------------------------------------------------------------------------------------------- the subjects

static const struct SyntheticModel SMALL = {.layers = SMALL_LAYERS,
                                            .heads = 3,
                                            .dim = 45,
                                            .context = 150,
                                            .vocab = 307,
                                            .inner = 77,
                                            .seed = 11,
                                            .dtype = DTYPE_F32};

static void small_model(vkgpt_device *device, const char *dir, vkgpt_format format)
{
    vkgpt_error err;
    struct Subject subject = {.vocab = SMALL.vocab - 1, .tokens = 40};
    CHECK(vkgpt_model_open(device, dir, &(vkgpt_model_options){.weights = format}, &subject.model, &err));
    batches_agree(&subject);
    copies_agree(&subject);
    drafts_agree(&subject);
    subject.greedy = true; // a random model soon repeats itself
    drafts_agree(&subject);
    vkgpt_model_close(subject.model);
}

// The default model has widths that are a multiple of the block size.
static void default_model(vkgpt_device *device, vkgpt_format format)
{
    vkgpt_error err;
    struct Subject subject = {.vocab = 4096, .tokens = 6};
    CHECK(vkgpt_model_open(device, TALES, &(vkgpt_model_options){.weights = format}, &subject.model, &err));
    batches_agree(&subject);
    vkgpt_model_close(subject.model);
}

static void bad_arguments(vkgpt_device *device, const char *dir)
{
    vkgpt_error err;
    vkgpt_session *session;
    uint32_t id = 1, to[] = {1, 7};
    struct Subject subject = {.vocab = SMALL.vocab};
    CHECK(vkgpt_model_open(device, dir, NULL, &subject.model, &err));
    assert_int_equal(vkgpt_session_open(subject.model, &(vkgpt_session_options){.sequences = 1025}, &session, &err),
                     VKGPT_BAD_ARGUMENT);
    assert_int_equal(vkgpt_session_open(subject.model, &(vkgpt_session_options){.lookup = 32}, &session, &err),
                     VKGPT_BAD_ARGUMENT);
    session = open_session(&subject, 2, 0);
    vkgpt_sampling sampling[2] = {VKGPT_SAMPLING_DEFAULT, VKGPT_SAMPLING_DEFAULT};
    assert_int_equal(vkgpt_batch_generate(session, sampling, 4, keep, NULL, NULL, &err), VKGPT_BAD_ARGUMENT);
    assert_int_equal(vkgpt_batch_prompt(session, 2, &id, 1, &err), VKGPT_BAD_ARGUMENT);
    assert_int_equal(vkgpt_batch_copy(session, 0, to, 2, &err), VKGPT_BAD_ARGUMENT);
    assert_int_equal(vkgpt_batch_rewind(session, 1, 1, &err), VKGPT_BAD_ARGUMENT);
    CHECK(vkgpt_batch_prompt(session, 1, &id, 1, &err));
    sampling[1].temperature = -1;
    assert_int_equal(vkgpt_batch_generate(session, sampling, 4, keep, NULL, NULL, &err), VKGPT_BAD_ARGUMENT);
    vkgpt_session_close(session);
    vkgpt_model_close(subject.model);
}

static void all(const char *disable, bool quick)
{
    vkgpt_error err;
    vkgpt_device *device;
    char dir[256];
    setenv("VKGPT_DISABLE", disable, 1);
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    small_model(device, dir, VKGPT_F32);
    if (!quick) {
        small_model(device, dir, VKGPT_F16);
        default_model(device, VKGPT_Q8_0);
        bad_arguments(device, dir);
    }
    default_model(device, VKGPT_Q4_K);
    synthetic_model_remove(dir);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_DISABLE");
}

static void test_steps(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    char dir[256];
    struct Subject subject = {.vocab = SMALL.vocab - 1, .tokens = 12, .greedy = true};
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    CHECK(vkgpt_model_open(device, dir, NULL, &subject.model, &err));
    for (uint32_t tokens = 5; tokens <= 8; tokens += tokens == 6 ? 2 : 1)
        assert_int_equal(steps_at_once(&subject, 0, tokens), tokens);
    assert_int_equal(steps_at_once(&subject, 4, 40), 8);
    cuts_agree(&subject);
    vkgpt_model_close(subject.model);
    synthetic_model_remove(dir);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

static void test_batches(void **state)
{
    (void)state;
    all("", short_run()); // which has one format of each model
}

static void test_batches_by_gpu_kernels(void **state)
{
    (void)state;
    all("software_kernels", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_batches_by_gpu_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
