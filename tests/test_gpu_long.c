// Long runs: many tokens in eight sequences, with a new context each time it is full, and many openings of device,
// model and session. The numbers of descriptors, mappings and bytes of memory do not grow, and the same seeds give the
// same tokens.
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session_world.h"
#include "short_run.h"

#define SEQUENCES 8
#define PROMPT 5
#define EACH (CONTEXT - PROMPT) // tokens of a sequence until the context is full
#define SHORT_TOKENS 5000
#define ALL_TOKENS 100000
#define SHORT_OPENINGS 12
#define ALL_OPENINGS 300
#define WARM 4                           // openings, or rounds, until everything that is kept permanently exists
#define MOST_MAPPINGS 16                 // additional ones, from one reading to the next
#define MOST_RESIDENT ((size_t)64 << 20) // additional bytes; the compilers of drivers keep varying amounts per thread

// The resources that the process holds.
struct Held {
    size_t descriptors, mappings, resident;
};

static size_t count_lines(const char *path)
{
    size_t lines = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
    fclose(file);
    return lines;
}

static struct Held held(void)
{
    struct Held h = {.mappings = count_lines("/proc/self/maps")};
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %llu", &pages), 1);
    fclose(file);
    h.resident = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) h.descriptors++;
    closedir(dir);
    return h;
}

static void expect_flat(struct Held before, struct Held after, const char *what)
{
    print_message("%s: %zu, then %zu descriptors, %zu and %zu mappings, %zu and %zu KiB\n", what, before.descriptors,
                  after.descriptors, before.mappings, after.mappings, before.resident >> 10, after.resident >> 10);
    assert_int_equal(before.descriptors, after.descriptors);
    assert_true(after.mappings <= before.mappings + MOST_MAPPINGS);
    assert_true(after.resident <= before.resident + MOST_RESIDENT);
}

struct Round {
    uint32_t ids[SEQUENCES][EACH];
    size_t counts[SEQUENCES];
};

static bool keep_in_round(void *user, uint32_t sequence, uint32_t id)
{
    struct Round *round = user;
    assert_true(round->counts[sequence] < EACH);
    round->ids[sequence][round->counts[sequence]++] = id;
    return true;
}

static void run_round(vkgpt_session *session, struct Round *round)
{
    vkgpt_error err;
    vkgpt_sampling sampling[SEQUENCES];
    memset(round, 0, sizeof *round);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        uint32_t ids[PROMPT];
        prompt_of(ids, PROMPT);
        sampling[i] = lively(i + 1);
        CHECK(vkgpt_batch_rewind(session, i, 0, &err));
        CHECK(vkgpt_batch_prompt(session, i, ids, PROMPT, &err));
    }
    CHECK(vkgpt_batch_generate(session, sampling, EACH, keep_in_round, round, NULL, &err));
    for (uint32_t i = 0; i < SEQUENCES; i++) assert_int_equal(round->counts[i], EACH);
}

static void test_many_tokens(void **state)
{
    struct World *w = *state;
    vkgpt_error err;
    vkgpt_session *session;
    static struct Round first, next;
    CHECK(vkgpt_session_open(w->model, &(vkgpt_session_options){.sequences = SEQUENCES}, &session, &err));
    size_t tokens = 0, most = short_run() || on_swiftshader() ? SHORT_TOKENS : ALL_TOKENS;
    struct Held before = {0};
    run_round(session, &first);
    for (unsigned round = 1; tokens < most; round++, tokens += SEQUENCES * EACH) {
        if (round == WARM) before = held();
        run_round(session, &next);
        assert_memory_equal(&next, &first, sizeof first);
    }
    expect_flat(before, held(), "tokens");
    vkgpt_session_close(session);
}

static void open_and_close(const struct World *w)
{
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_model *model;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(vkgpt_model_open(device, w->dir, NULL, &model, &err));
    vkgpt_session *session = open_session(model, 0, 0);
    prompt(session, PROMPT);
    run(session, 1, 4);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

static void test_many_openings(void **state)
{
    struct Held before = {0};
    unsigned most = short_run() || on_swiftshader() ? SHORT_OPENINGS : ALL_OPENINGS;
    for (unsigned i = 0; i < most; i++) {
        if (i == WARM) before = held();
        open_and_close(*state);
    }
    expect_flat(before, held(), "openings");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_tokens),
        cmocka_unit_test(test_many_openings),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
