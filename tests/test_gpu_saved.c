// A session that is saved and loaded goes on with the same bits as one that was never saved.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "session_world.h"

static char path[128], again[128];

static vkgpt_session *open_with(vkgpt_model *model, vkgpt_session_options options)
{
    vkgpt_error err;
    vkgpt_session *session;
    CHECK(vkgpt_session_open(model, &options, &session, &err));
    return session;
}

struct Bits {
    float logits[VOCAB];
};

static bool keep_bits(void *user, const float *logits, size_t first, size_t rows)
{
    (void)first;
    memcpy(user, logits + (rows - 1) * VOCAB, VOCAB * sizeof *logits);
    return true;
}

// The logits after one more token.
static struct Bits bits_after(vkgpt_session *session, uint32_t id)
{
    vkgpt_error err;
    struct Bits bits;
    CHECK(vkgpt_logits(session, &id, 1, keep_bits, &bits, &err));
    return bits;
}

static void save(vkgpt_session *session, const char *to, const char *note)
{
    vkgpt_error err;
    CHECK(vkgpt_session_save(session, to, note, note ? strlen(note) : 0, &err));
}

static void load(vkgpt_session *session, const char *from, const char *note)
{
    vkgpt_error err;
    char *got;
    size_t bytes;
    CHECK(vkgpt_session_load(session, from, &got, &bytes, &err));
    assert_string_equal(got, note);
    assert_int_equal(bytes, strlen(note));
    free(got);
}

static void same_files(const char *a, const char *b)
{
    vkgpt_error err;
    char *one, *two;
    size_t bytes, others;
    CHECK(os_read_file(a, 1 << 24, &one, &bytes, &err));
    CHECK(os_read_file(b, 1 << 24, &two, &others, &err));
    assert_int_equal(bytes, others);
    assert_memory_equal(one, two, bytes);
    free(one);
    free(two);
}

// Every format of the cache, sessions with another context, with several sequences, and with drafts.
static void test_same_bits(void **state)
{
    const struct World *w = *state;
    static const struct {
        vkgpt_session_options from, into;
    } cases[] = {
        {{.kv = VKGPT_F32, .context = 90}, {.kv = VKGPT_F32}},
        {{.kv = VKGPT_F16}, {.kv = VKGPT_F16, .context = 101, .lookup = 3}},
        {{.kv = VKGPT_Q8_0, .sequences = 2}, {.kv = VKGPT_Q8_0, .sequences = 3, .context = 95}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vkgpt_session *from = open_with(w->model, cases[i].from), *into = open_with(w->model, cases[i].into);
        prompt(from, 37);
        run(from, 5, 20);
        save(from, path, "a note");
        prompt(into, 9); // what was there before is replaced
        run(into, 1, 3);
        load(into, path, "a note");
        assert_int_equal(vkgpt_session_position(into), 57);
        assert_memory_equal(vkgpt_session_tokens(into), vkgpt_session_tokens(from), 57 * sizeof(uint32_t));
        save(into, again, "a note");
        same_files(path, again);
        uint64_t before = vkgpt_session_counters(into).tokens_prefilled;
        struct Tokens want = run(from, 6, 25), got = run(into, 6, 25);
        same(&got, &want, 0, "after loading");
        assert_true(vkgpt_session_counters(into).tokens_prefilled == before); // nothing was run again
        struct Bits a = bits_after(from, 7), b = bits_after(into, 7);
        assert_memory_equal(&a, &b, sizeof a);
        rewind_to(from, 30);
        rewind_to(into, 30);
        a = bits_after(from, 8), b = bits_after(into, 8);
        assert_memory_equal(&a, &b, sizeof a);
        vkgpt_session_close(into);
        vkgpt_session_close(from);
    }
}

static void load_refused(vkgpt_session *session, const char *from, vkgpt_code code, const char *sentence)
{
    vkgpt_error err = {0};
    char *note = NULL;
    assert_int_equal(vkgpt_session_load(session, from, &note, NULL, &err), code);
    assert_null(note);
    if (!strstr(err.text, sentence)) fail_msg("%s; it should say: %s", err.text, sentence);
}

// An empty session, a full one, and one with tokens that have not run.
static void test_edges(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    vkgpt_session *from = open_session(w->model, 40, 8), *into = open_session(w->model, 40, 8);
    save(from, path, NULL);
    prompt(into, 5);
    load(into, path, "");
    assert_int_equal(vkgpt_session_position(into), 0);

    prompt_of(ids, 40);
    CHECK(vkgpt_batch_prompt(from, 0, ids, 20, &err)); // appended, not run
    save(from, path, NULL);
    load(into, path, "");
    struct Tokens want = run(from, 3, 20), got = run(into, 3, 20);
    same(&got, &want, 0, "with tokens that had not run");

    run(from, 4, 1); // one token more than positions
    assert_int_equal(vkgpt_session_position(from), 41);
    save(from, path, NULL);
    load(into, path, "");
    assert_int_equal(vkgpt_session_position(into), 41);
    vkgpt_session_close(into);

    into = open_session(w->model, 39, 8);
    prompt(into, 11);
    load_refused(into, path, VKGPT_BAD_ARGUMENT, "has 41 tokens, the context has room for 39");
    assert_int_equal(vkgpt_session_position(into), 11); // as it was
    vkgpt_session_close(into);
    vkgpt_session_close(from);
}

// A model that differs in one weight of its last layer, the same model in another format, and another cache.
static void test_other_models(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_model *other;
    struct SyntheticModel spec = SMALL;
    char dir[256];
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 12);
    save(session, path, NULL);
    vkgpt_session_close(session);

    spec.seed++;
    CHECK(synthetic_model_temporary(&spec, dir, sizeof dir, &err));
    CHECK(vkgpt_model_open(w->device, dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &other, &err));
    session = open_session(other, 0, 8);
    load_refused(session, path, VKGPT_BAD_ARGUMENT, "was saved with ");
    vkgpt_session_close(session);
    vkgpt_model_close(other);
    synthetic_model_remove(dir);

    CHECK(vkgpt_model_open(w->device, w->dir, &(vkgpt_model_options){.weights = VKGPT_F16}, &other, &err));
    session = open_session(other, 0, 8);
    load_refused(session, path, VKGPT_BAD_ARGUMENT, " in f32, this one is ");
    vkgpt_session_close(session);
    vkgpt_model_close(other);

    CHECK(vkgpt_model_open(w->device, w->dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &other, &err));
    session = open_session(other, 0, 8);
    load(session, path, ""); // the same model, loaded once more
    vkgpt_session_close(session);
    session = open_with(other, (vkgpt_session_options){.kv = VKGPT_F32});
    load_refused(session, path, VKGPT_BAD_ARGUMENT, "has a KV cache in f16, this one is in f32 (--kv f16)");
    vkgpt_session_close(session);
    vkgpt_model_close(other);
}

static void test_no_such_file(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_session *session = open_session(w->model, 0, 8);
    load_refused(session, "/nonexistent/file", VKGPT_BAD_FILE, "cannot open");
    load_refused(session, w->dir, VKGPT_BAD_FILE, "is a directory");
    assert_int_equal(vkgpt_session_save(session, w->dir, NULL, 0, &err), VKGPT_BAD_FILE);
    assert_int_equal(vkgpt_session_save(session, path, "", (size_t)17 << 20, &err), VKGPT_BAD_ARGUMENT);
    vkgpt_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_other_models),
        cmocka_unit_test(test_no_such_file),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    snprintf(path, sizeof path, "/tmp/vkgpt-saved-%d", (int)getpid());
    snprintf(again, sizeof again, "/tmp/vkgpt-again-%d", (int)getpid());
    int failed = cmocka_run_group_tests_name("gpu_saved", tests, open_world, close_world);
    unlink(path);
    unlink(again);
    return failed;
}
