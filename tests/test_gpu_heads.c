// Hidden states and heads on a device against Hugging Face's classes for tasks, and the promises of vkgpt_hidden.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include "check.h"
#include "compare.h"
#include "head_fixture.h"
#include "program.h"

struct Opened {
    const char *name;
    cJSON *expected;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_head *head;
    const vkgpt_head_info *info;
};

static vkgpt_device *device; // of all tests

static void refused(int status, const vkgpt_error *err, const char *words)
{
    if (status != VKGPT_BAD_ARGUMENT) fail_msg("should be a bad argument, is %d", status);
    if (!strstr(err->text, words)) fail_msg("'%s' does not say '%s'", err->text, words);
}

#define REFUSED(call, words) refused(call, &err, words)

static struct Opened open_fixture(const char *name, bool hidden_only)
{
    vkgpt_error err;
    char dir[512];
    struct Opened o = {.name = name, .expected = head_fixture_expected(name)};
    head_fixture_dir(name, dir, sizeof dir);
    CHECK(vkgpt_model_open(device, dir, &(vkgpt_model_options){.weights = VKGPT_F32, .hidden_only = hidden_only},
                           &o.model, &err));
    CHECK(vkgpt_session_open(o.model, &(vkgpt_session_options){.kv = VKGPT_F32}, &o.session, &err));
    CHECK(vkgpt_head_open(dir, &o.head, &err));
    o.info = vkgpt_head_describe(o.head);
    assert_int_equal(o.info->hidden, vkgpt_model_describe(o.model)->hidden);
    return o;
}

static void close_fixture(struct Opened *o)
{
    vkgpt_head_close(o->head);
    vkgpt_session_close(o->session);
    vkgpt_model_close(o->model);
    cJSON_Delete(o->expected);
}

// ------------------------------------------------------------------------------------------ the fixtures

static void hidden_equals(const struct Opened *o, const float *got, const cJSON *list, const char *what, int at)
{
    double want[HEAD_MAX_NUMBERS];
    assert_int_equal(head_numbers(list, want), o->info->hidden);
    assert_within(difference_mixed(got, want, o->info->hidden), HEAD_BOUND, "%s: %s %d", o->name, what, at);
}

// The hidden state that the head reads of sequence `i`, added to `hidden`.
static void read_sequence(const struct Opened *o, int i, float *hidden)
{
    vkgpt_error err;
    uint32_t ids[HEAD_MAX_IDS];
    float state[HEAD_MAX_NUMBERS];
    const cJSON *sequence = cJSON_GetArrayItem(json_member(o->expected, "sequences"), i);
    size_t count = head_ids(json_member(sequence, "ids"), ids), position = vkgpt_head_position(o->head, ids, count);
    assert_int_equal(position, head_int(sequence, "position"));
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_hidden(o->session, ids, count, &position, 1, state, &err));
    assert_int_equal(vkgpt_session_position(o->session), count);
    hidden_equals(o, state, json_member(sequence, "hidden"), "hidden state of sequence", i);
    for (uint32_t d = 0; d < o->info->hidden; d++) hidden[d] += state[d];
}

static void scores_equal(const struct Opened *o, const double *got, size_t count, const cJSON *want_of,
                         const char *task)
{
    double want[HEAD_MAX_NUMBERS];
    size_t best = 0;
    assert_int_equal(head_numbers(json_member(want_of, "scores"), want), count);
    assert_within(difference_f64(got, want, count), HEAD_BOUND, "%s: scores of %s", o->name, task);
    for (size_t i = 1; i < count; i++) best = got[i] > got[best] ? i : best;
    assert_int_equal(best, head_int(want_of, "best"));
}

// classify: one sequence; similar: the sum of two.
static size_t labels_agree(const struct Opened *o, const char *task)
{
    vkgpt_error err;
    size_t cases = 0;
    const cJSON *one;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(o->expected, task))
    {
        double scores[HEAD_MAX_NUMBERS];
        float hidden[HEAD_MAX_NUMBERS] = {0};
        const cJSON *place;
        cJSON_ArrayForEach(place, json_member(one, "sequences")) read_sequence(o, place->valueint, hidden);
        CHECK(vkgpt_head_scores(o->head, hidden, scores, &err));
        scores_equal(o, scores, o->info->scores, one, task);
        cases++;
    }
    return cases;
}

static size_t choices_agree(const struct Opened *o)
{
    vkgpt_error err;
    size_t cases = 0;
    const cJSON *one;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(o->expected, "choose"))
    {
        double scores[HEAD_MAX_NUMBERS];
        size_t count = 0;
        const cJSON *place;
        cJSON_ArrayForEach(place, json_member(one, "sequences"))
        {
            float hidden[HEAD_MAX_NUMBERS] = {0};
            read_sequence(o, place->valueint, hidden);
            CHECK(vkgpt_head_scores(o->head, hidden, &scores[count++], &err));
        }
        scores_equal(o, scores, count, one, "choose");
        cases++;
    }
    return cases;
}

static void labels_equal(const struct Opened *o)
{
    const cJSON *labels = cJSON_GetObjectItem(o->expected, "labels");
    assert_int_equal(o->info->kind, labels ? VKGPT_HEAD_LABELS : VKGPT_HEAD_CHOICE);
    assert_int_equal(o->info->scores, labels ? cJSON_GetArraySize(labels) : 1);
    for (uint32_t i = 0; labels && i < o->info->scores; i++)
        assert_string_equal(o->info->labels[i], cJSON_GetStringValue(cJSON_GetArrayItem(labels, (int)i)));
}

// ------------------------------------------------------------------------------------- rows of a sequence

// The rows of the last sequence that the fixture has, and all rows.
static void rows_agree(const struct Opened *o)
{
    vkgpt_error err;
    uint32_t ids[HEAD_MAX_IDS];
    size_t few[HEAD_MAX_NUMBERS], all[HEAD_MAX_IDS], picked = 0;
    const cJSON *sequences = json_member(o->expected, "sequences"), *rows = json_member(o->expected, "rows"), *row;
    size_t count = head_ids(json_member(cJSON_GetArrayItem(sequences, cJSON_GetArraySize(sequences) - 1), "ids"), ids),
           dim = o->info->hidden;
    for (size_t i = 0; i < count; i++) all[i] = i;
    cJSON_ArrayForEach(row, rows) few[picked++] = (size_t)head_int(row, "row");

    float *some = calloc(picked * dim, sizeof *some), *every = calloc(count * dim, sizeof *every);
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_hidden(o->session, ids, count, few, picked, some, &err));
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_hidden(o->session, ids, count, all, count, every, &err));
    for (size_t i = 0; i < picked; i++) {
        hidden_equals(o, some + i * dim, json_member(cJSON_GetArrayItem(rows, (int)i), "hidden"),
                      "hidden state of token", (int)few[i]);
        assert_memory_equal(some + i * dim, every + few[i] * dim, dim * sizeof *some); // the bits depend on no block
    }

    // in pieces: after a prompt whose last token is still to be run, and one token at a time
    float one[HEAD_MAX_NUMBERS];
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_prompt(o->session, ids, count - 3, &err));
    for (size_t i = count - 3; i < count; i++) {
        CHECK(vkgpt_hidden(o->session, ids + i, 1, &(size_t){0}, 1, one, &err));
        assert_memory_equal(one, every + i * dim, dim * sizeof *one);
    }
    free(some);
    free(every);
}

static void test_fixtures(void **state)
{
    (void)state;
    for (size_t i = 0; head_fixture_name(i); i++) {
        struct Opened o = open_fixture(head_fixture_name(i), true);
        labels_equal(&o);
        if (o.info->kind == VKGPT_HEAD_LABELS)
            assert_int_equal(labels_agree(&o, "classify") + labels_agree(&o, "similar"), 7);
        if (o.info->scores == 1) assert_int_equal(choices_agree(&o), 2);
        rows_agree(&o);
        close_fixture(&o);
    }
}

struct Kept {
    float logits[2][512];
};

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Kept *kept = user;
    for (size_t r = 0; r < rows; r++) memcpy(kept->logits[first + r], logits + r * 341, 341 * sizeof *logits);
    return true;
}

// Hidden states and logits in turn in one session: both use the same cache.
static void test_beside_logits(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Opened o = open_fixture("gpt2-labels", false);
    assert_int_equal(vkgpt_model_describe(o.model)->vocab, 341);
    const uint32_t ids[] = {5, 6, 7, 8};
    struct Kept alone, after;
    float hidden[HEAD_MAX_NUMBERS];
    CHECK(vkgpt_logits(o.session, ids, 2, keep_rows, &alone, &err));
    CHECK(vkgpt_logits(o.session, ids + 2, 2, keep_rows, &alone, &err));
    CHECK(vkgpt_session_rewind(o.session, 0, &err));
    CHECK(vkgpt_hidden(o.session, ids, 2, &(size_t){0}, 1, hidden, &err)); // the second token waits
    CHECK(vkgpt_logits(o.session, ids + 2, 2, keep_rows, &after, &err));
    assert_memory_equal(alone.logits, after.logits, sizeof(float[341]));
    assert_memory_equal(alone.logits[1], after.logits[1], sizeof(float[341]));
    close_fixture(&o);
}

static void test_refusals(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Opened o = open_fixture("gpt2-labels", true);
    const uint32_t ids[81] = {5, 6, 7};
    float hidden[2 * HEAD_MAX_NUMBERS];
    REFUSED(vkgpt_hidden(o.session, ids, 3, &(size_t){3}, 1, hidden, &err), "token 3 is asked for: 3 are given");
    REFUSED(vkgpt_hidden(o.session, ids, 3, (const size_t[]){1, 1}, 2, hidden, &err),
            "token 1 is asked for after that of token 1");
    REFUSED(vkgpt_hidden(o.session, ids, 81, &(size_t){80}, 1, hidden, &err),
            "0 tokens and 81 more: the context has room for 80");
    REFUSED(vkgpt_hidden(o.session, &(uint32_t){341}, 1, &(size_t){0}, 1, hidden, &err), "token id 341");
    assert_int_equal(vkgpt_session_position(o.session), 0);
    CHECK(vkgpt_hidden(o.session, ids, 0, NULL, 0, hidden, &err));
    CHECK(vkgpt_hidden(o.session, ids, 3, NULL, 0, hidden, &err));
    assert_int_equal(vkgpt_session_position(o.session), 3);
    REFUSED(vkgpt_logits(o.session, ids, 1, keep_rows, NULL, &err), "for its hidden states only");
    REFUSED(vkgpt_generate(o.session, NULL, 1, NULL, NULL, NULL, &err), "for its hidden states only");
    close_fixture(&o);
}

static int open_device(void **state)
{
    (void)state;
    vkgpt_error err;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    return 0;
}

static void test_device_closes(void **state)
{
    (void)state;
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures), cmocka_unit_test(test_beside_logits), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_device_closes), // the last
    };
    return cmocka_run_group_tests_name("gpu_heads", tests, open_device, NULL);
}
