// The fixtures of GPT-2 (tests/fixtures/gpt2, made by tools/fixtures_gpt2.py) and of its family (gpt1, neo and opt, by
// tools/fixtures_family.py): checkpoints, and the results of Hugging Face transformers in float64.
//
//     for (size_t i = 0; fixture_name(i); i++) {
//         struct Fixture f;
//         if (fixture_open(fixture_name(i), &f, &err)) fail_msg("%s", err.text);
//         ... open the checkpoint in f.dir; run f.ids; compare row f.rows[r] with f.logits + r * f.vocab ...
//         fixture_close(&f);
//     }
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include "vkgpt.h"

struct FixtureWindow {
    uint32_t stride, scored; // tokens of the text that count
    double nll;              // their mean
};

struct Fixture {
    char dir[1024]; // the checkpoint
    uint32_t vocab, context;
    uint32_t *prompt, *greedy;
    size_t prompt_count, greedy_count;
    uint32_t *ids; // prompt and greedy, up to the length of the context: all of them in most fixtures
    size_t id_count;
    uint32_t *rows; // ascending; row t is the logits after ids[0 .. t]
    size_t row_count;
    float *logits;        // (row_count, vocab)
    double float32_error; // largest |float32 - float64| of these logits, transformers in float32
    uint32_t *text;       // another sequence, longer than the context in most fixtures
    size_t text_count;
    double *nll; // of text[1], text[2], ... in nats, up to the length of one context
    size_t nll_count;
    struct FixtureWindow *windows; // the whole text in windows of one context, `stride` apart
    size_t window_count;
    bool temporary; // dir is made by synthetic_model.h, and removed by fixture_close
};

const char *fixture_name(size_t index);        // of GPT-2; NULL after the last
const char *fixture_family_name(size_t index); // of GPT-1, GPT-Neo and OPT: "opt/before-48"

int fixture_open(const char *name, struct Fixture *fixture, vkgpt_error *err);
void fixture_close(struct Fixture *fixture);

#endif
