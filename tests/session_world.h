// What the tests of a session share: a device, a small model with random weights, and short functions to get tokens.
#ifndef TESTS_SESSION_WORLD_H
#define TESTS_SESSION_WORLD_H

#include "engine/session.h"
#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "check.h"

#define VOCAB 307
#define CONTEXT 150
#define MAX_TOKENS 512

struct World { // shared by all tests
    vkgpt_device *device;
    vkgpt_model *model;
    char dir[256];
};

extern const struct SyntheticModel SMALL; // the model of the world

int open_world(void **state); // before the first test
int close_world(void **state);
// The last test: the validation layer printed nothing in all the others, and nothing is left when the device closes.
void test_nothing_is_left_behind(void **state);

// REFUSED fails the test if the call is not refused as a bad argument.
void refused(int status, const vkgpt_error *err);
#define REFUSED(call) refused(call, &err)

struct Tokens {
    uint32_t ids[MAX_TOKENS];
    size_t count;
    size_t most; // the callback stops after this many; 0: never
    vkgpt_stop stop;
};

bool keep(void *user, uint32_t id); // the callback; user: struct Tokens
// Lively sampling with everything that looks back at earlier tokens; no end tokens.
vkgpt_sampling lively(uint64_t seed);

void prompt_of(uint32_t *ids, uint32_t count); // at most CONTEXT + 1
vkgpt_session *open_session(vkgpt_model *model, uint32_t context, uint32_t per_submission);
void prompt(vkgpt_session *session, uint32_t count);
void generate(vkgpt_session *session, vkgpt_sampling sampling, size_t count, struct Tokens *tokens);
struct Tokens run(vkgpt_session *session, uint64_t seed, size_t count); // lively
// Fails unless `got` are the tokens of `want` from that index on.
void same(const struct Tokens *got, const struct Tokens *want, size_t from, const char *what);
void rewind_to(vkgpt_session *session, uint32_t position);

#endif
