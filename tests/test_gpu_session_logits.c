// The logits of a session are those from which its tokens are sampled, also after generated tokens and after an
// interruption; and logits that are not finite.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_world.h"

#include "compare.h"
#include "model_files.h"

struct Rows {
    float *logits; // (count, VOCAB)
    size_t count, most;
};

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    assert_int_equal(first, r->count);
    assert_true(first + rows <= CONTEXT);
    memcpy(r->logits + first * VOCAB, logits, rows * VOCAB * sizeof *logits);
    r->count += rows;
    return r->most == 0;
}

static struct Rows logits_of(vkgpt_session *session, const uint32_t *ids, size_t count)
{
    vkgpt_error err;
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 0};
    assert_non_null(rows.logits);
    CHECK(vkgpt_logits(session, ids, count, keep_rows, &rows, &err));
    assert_int_equal(rows.count, count);
    return rows;
}

static uint32_t argmax(const float *row)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < VOCAB; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

static void test_logits_and_tokens(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT);
    vkgpt_session *a = open_session(w->model, 0, 8), *b = open_session(w->model, 0, 8);
    struct Rows rows = logits_of(a, ids, 70);
    prompt(b, 70);
    struct Tokens after_logits = run(a, 12, 20), want = run(b, 12, 20);
    same(&after_logits, &want, 0, "after logits");

    rewind_to(a, 70);
    struct Tokens greedy = {.count = 0};
    vkgpt_sampling sampling = {.top_p = 1.0f, .repeat_penalty = 1.0f, .ignore_eos = true}; // temperature 0
    generate(a, sampling, 1, &greedy);
    assert_int_equal(greedy.ids[0], argmax(rows.logits + 69 * VOCAB));

    // tokens generated one by one fill the cache with the same values as a prompt
    memcpy(ids + 70, want.ids, 20 * sizeof *ids);
    struct Rows behind = logits_of(b, ids + 90, 5);
    rewind_to(a, 0);
    CHECK(vkgpt_prompt(a, ids, 90, &err));
    struct Rows fresh = logits_of(a, ids + 90, 5);
    double scale = scale_f32(fresh.logits, 5 * VOCAB);
    assert_within(difference_f32(behind.logits, fresh.logits, 5 * VOCAB), 2e-3 * scale,
                  "logits after generated tokens");
    free(rows.logits), free(behind.logits), free(fresh.logits);
    vkgpt_session_close(a);
    vkgpt_session_close(b);
}

static void test_logits_interrupted(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[10];
    prompt_of(ids, 10);
    vkgpt_session *session = open_session(w->model, 0, 8);
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 1};
    assert_non_null(rows.logits);
    assert_int_equal(vkgpt_logits(session, ids, 10, keep_rows, &rows, &err), VKGPT_INTERRUPTED);
    struct Tokens got = run(session, 2, 10);
    rewind_to(session, 0);
    prompt(session, 10);
    struct Tokens want = run(session, 2, 10);
    same(&got, &want, 0, "after an interruption");
    free(rows.logits);
    vkgpt_session_close(session);
}

// Overwrites a number of a tensor, in a model of floats.
static void plant(const char *dir, const char *name, size_t number, float value)
{
    char path[320], quoted[96];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    FILE *file = fopen(path, "r+b");
    uint64_t length;
    char header[16384] = "";
    unsigned long long at = 0;
    assert_non_null(file);
    assert_int_equal(fread(&length, 8, 1, file), 1);
    assert_true(length < sizeof header);
    assert_int_equal(fread(header, 1, length, file), length);
    const char *tensor = strstr(header, quoted);
    assert_non_null(tensor);
    tensor = strstr(tensor, "data_offsets\":[");
    assert_int_equal(sscanf(tensor, "data_offsets\":[%llu", &at), 1);
    assert_int_equal(fseek(file, (long)(8 + length + at + 4 * number), SEEK_SET), 0);
    assert_int_equal(fwrite(&value, 4, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void bad_logits(const struct World *w, const char *tensor, float value, vkgpt_format weights)
{
    vkgpt_error err;
    vkgpt_model *model;
    char dir[256];
    uint32_t ids[5];
    prompt_of(ids, 5);
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    plant(dir, tensor, 0, value);
    CHECK(vkgpt_model_open(w->device, dir, &(vkgpt_model_options){.weights = weights}, &model, &err));
    synthetic_model_remove(dir);
    vkgpt_session *session = open_session(model, 0, 8);
    prompt(session, 5);
    struct Tokens tokens = {.count = 0};
    assert_int_equal(vkgpt_generate(session, NULL, 10, keep, &tokens, &tokens.stop, &err), VKGPT_BAD_LOGITS);
    assert_int_equal(tokens.count, 0);
    assert_int_equal(vkgpt_session_position(session), 5);
    rewind_to(session, 0);
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 0};
    assert_non_null(rows.logits);
    assert_int_equal(vkgpt_logits(session, ids, 5, keep_rows, &rows, &err), VKGPT_BAD_LOGITS);
    free(rows.logits);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
}

static void test_bad_logits(void **state)
{
    bad_logits(*state, "transformer.ln_f.weight", NAN, VKGPT_F32);
    bad_logits(*state, "transformer.wte.weight", INFINITY, VKGPT_F32); // one logit of 307
    bad_logits(*state, "transformer.h.0.mlp.c_fc.weight", NAN, VKGPT_F32);
    bad_logits(*state, "transformer.h.0.mlp.c_fc.weight", NAN, VKGPT_F16);
    bad_logits(*state, "transformer.h.0.mlp.c_fc.bias", INFINITY, VKGPT_F16);
}

struct Seen { // events of sequences that run together
    uint32_t tokens[2], ends[2];
    vkgpt_stop stops[2];
};

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    struct Seen *seen = user;
    if (event->ended) seen->ends[event->sequence]++, seen->stops[event->sequence] = event->stop;
    else seen->tokens[event->sequence]++;
    return true;
}

// The embedding of position 20 is not finite. The sequence that reaches it ends with an event, and the one beside it
// goes on; so does the session.
static void test_bad_logits_of_one(void **state)
{
    const struct World *w = *state;
    const vkgpt_batch_options options = {.sampling = {.top_p = 1, .ignore_eos = true}, .max_tokens = 12};
    vkgpt_error err;
    vkgpt_model *model;
    vkgpt_session *session;
    char dir[256];
    uint32_t ids[18], errors = 0, running = 2;
    prompt_of(ids, 18);
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    plant(dir, "transformer.wpe.weight", 20 * (size_t)SMALL.dim, NAN);
    CHECK(vkgpt_model_open(w->device, dir, NULL, &model, &err));
    synthetic_model_remove(dir);
    CHECK(vkgpt_session_open(model, &(vkgpt_session_options){.sequences = 2}, &session, &err));
    for (int again = 0; again < 2; again++, running = 2) {
        struct Seen seen = {.tokens = {0}};
        CHECK(vkgpt_batch_start(session, 0, ids, 5, &options, &err));
        CHECK(vkgpt_batch_start(session, 1, ids, 18, &options, &err));
        while (running) {
            int status = vkgpt_batch_step(session, on_event, &seen, &running, &err);
            if (status) expect_sentence(status, VKGPT_BAD_LOGITS, &err, "the logits after token 20 hold", NULL);
            errors += status != 0;
        }
        assert_int_equal(seen.tokens[0], 12);
        assert_int_equal(seen.stops[0], VKGPT_STOP_LENGTH);
        assert_int_equal(seen.tokens[1], 3); // of the positions 18, 19 and 20
        assert_int_equal(seen.stops[1], VKGPT_STOP_BAD_LOGITS);
        assert_true(seen.ends[0] == 1 && seen.ends[1] == 1);
    }
    assert_int_equal(errors, 2);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_and_tokens),
        cmocka_unit_test(test_logits_interrupted),
        cmocka_unit_test(test_bad_logits),
        cmocka_unit_test(test_bad_logits_of_one),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
