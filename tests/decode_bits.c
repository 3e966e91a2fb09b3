#include "decode_bits.h"

#include <string.h>

#include "engine/session.h" // before cmocka, whose macro fail() hides a function

#include "check.h"

#define MAX_PROMPT 128

const struct SyntheticModel DECODED_MODEL = {.layers = 2,
                                             .heads = 4,
                                             .dim = 64,
                                             .context = 128,
                                             .vocab = DECODED_VOCAB,
                                             .seed = 5,
                                             .dtype = DTYPE_F32,
                                             .activation = ACTIVATION_GELU_TANH};

static bool keep(void *user, uint32_t sequence, uint32_t id)
{
    struct Decoded *d = user;
    assert_true(d->counts[sequence] < DECODED_TOKENS);
    d->tokens[sequence][d->counts[sequence]++] = id;
    return true;
}

static void read_logits(vkgpt_session *s, struct Decoded *d)
{
    vkgpt_error err;
    struct Recording rec = {0};
    VkDeviceSize row = (VkDeviceSize)s->model->vocab * 4;
    CHECK(recording_begin(s->device, "reading logits", 1, &rec, &err));
    recording_copy(&rec, &s->b.logits, 0, &s->b.readback, 0, s->sequences * row);
    CHECK(recording_end(&rec));
    CHECK(recording_submit(&rec, &err));
    CHECK(recording_wait(&rec, &err));
    for (uint32_t i = 0; i < s->sequences; i++) memcpy(d->logits[i], s->b.readback.host + i * row, sizeof d->logits[i]);
    recording_free(&rec);
}

void decode_bits(vkgpt_session *s, uint32_t prompt, struct Decoded *d)
{
    vkgpt_error err;
    uint32_t ids[MAX_PROMPT];
    vkgpt_sampling sampling[DECODED_SEQUENCES];
    *d = (struct Decoded){.counts = {0}};
    assert_true(prompt <= MAX_PROMPT && s->sequences <= DECODED_SEQUENCES && s->model->config.vocab == DECODED_VOCAB);
    for (uint32_t i = 0; i < s->sequences; i++) {
        for (uint32_t t = 0; t < prompt; t++) ids[t] = (t * 7 + i * 31) % DECODED_VOCAB;
        sampling[i] = (vkgpt_sampling){
            .temperature = 1, .top_k = 20, .top_p = 1, .repeat_penalty = 1, .seed = i, .ignore_eos = true};
        CHECK(vkgpt_batch_prompt(s, i, ids, prompt, &err));
    }
    CHECK(vkgpt_batch_generate(s, sampling, DECODED_TOKENS, keep, d, NULL, &err));
    read_logits(s, d);
}
