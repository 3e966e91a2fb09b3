#define _POSIX_C_SOURCE 200809L
#include "session_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"

const struct SyntheticModel SMALL = {.layers = 2,
                                     .heads = 3,
                                     .dim = 45,
                                     .context = CONTEXT,
                                     .vocab = VOCAB,
                                     .inner = 77,
                                     .seed = 11,
                                     .dtype = DTYPE_F32};

void refused(int status, const vkgpt_error *err)
{
    if (status != VKGPT_BAD_ARGUMENT || err->code != VKGPT_BAD_ARGUMENT || !err->text[0])
        fail_msg("should be a bad argument, is %d", status);
}

bool keep(void *user, uint32_t id)
{
    struct Tokens *tokens = user;
    assert_true(tokens->count < MAX_TOKENS);
    tokens->ids[tokens->count++] = id;
    return tokens->count != tokens->most;
}

vkgpt_sampling lively(uint64_t seed) { return (vkgpt_sampling){1.5f, 0, 0.98f, 0.0f, 1.2f, 32, seed, true}; }

void prompt_of(uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 97 + 13) % (VOCAB - 1);
}

vkgpt_session *open_session(vkgpt_model *model, uint32_t context, uint32_t per_submission)
{
    vkgpt_error err;
    vkgpt_session *session;
    vkgpt_session_options options = {.context = context, .tokens_per_submission = per_submission};
    CHECK(vkgpt_session_open(model, &options, &session, &err));
    return session;
}

void prompt(vkgpt_session *session, uint32_t count)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    prompt_of(ids, count);
    CHECK(vkgpt_prompt(session, ids, count, &err));
}

void generate(vkgpt_session *session, vkgpt_sampling sampling, size_t count, struct Tokens *tokens)
{
    vkgpt_error err;
    CHECK(vkgpt_generate(session, &sampling, count, keep, tokens, &tokens->stop, &err));
}

struct Tokens run(vkgpt_session *session, uint64_t seed, size_t count)
{
    struct Tokens tokens = {.count = 0};
    generate(session, lively(seed), count, &tokens);
    assert_int_equal(tokens.count, count);
    assert_int_equal(tokens.stop, VKGPT_STOP_LENGTH);
    return tokens;
}

void same(const struct Tokens *got, const struct Tokens *want, size_t from, const char *what)
{
    for (size_t i = 0; i < got->count; i++)
        if (got->ids[i] != want->ids[from + i])
            fail_msg("%s: token %zu is %u, should be %u", what, from + i, got->ids[i], want->ids[from + i]);
}

void rewind_to(vkgpt_session *session, uint32_t position)
{
    vkgpt_error err;
    CHECK(vkgpt_session_rewind(session, position, &err));
    assert_int_equal(vkgpt_session_position(session), position);
}

int open_world(void **state)
{
    vkgpt_error err;
    struct World *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CHECK(vkgpt_device_open(NULL, &w->device, &err));
    CHECK(synthetic_model_temporary(&SMALL, w->dir, sizeof w->dir, &err));
    CHECK(vkgpt_model_open(w->device, w->dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &w->model, &err));
    *state = w;
    return 0;
}

// Bytes that are printed while the device closes. They are messages of the validation layer about objects that are
// left.
static long printed_by_closing(vkgpt_device *device)
{
    FILE *file = tmpfile();
    int kept = dup(2);
    if (!file || kept < 0) return -1;
    fflush(stderr);
    dup2(fileno(file), 2);
    vkgpt_device_close(device);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    for (int c; (c = getc(file)) != EOF;) putc(c, stderr);
    fclose(file);
    return bytes;
}

void test_nothing_is_left_behind(void **state)
{
    struct World *w = *state;
    uint32_t messages = w->device->validation_messages;
    vkgpt_model_close(w->model);
    w->model = NULL;
    long bytes = printed_by_closing(w->device);
    w->device = NULL;
    assert_int_equal(messages, 0);
    assert_int_equal(bytes, 0);
}

int close_world(void **state)
{
    struct World *w = *state;
    synthetic_model_remove(w->dir);
    free(w);
    return 0;
}
