// The fixtures of what happens inside of a model (tests/fixtures/layers, made by tools/fixtures_layers.py): hidden
// states and attention of each layer by Hugging Face transformers in float64. Errors fail the test.
#ifndef TESTS_LAYER_FIXTURE_H
#define TESTS_LAYER_FIXTURE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

struct LayerFixture {
    char dir[512], ids[512];      // the checkpoint; the tokens, "1,2,3"
    size_t layers, heads, tokens; // tokens: 64 at most
    cJSON *json;                  // all of it: "hidden", "attentions"
};

const char *layer_fixture_name(size_t index); // NULL after the last
struct LayerFixture layer_fixture_open(const char *name);
void layer_fixture_close(struct LayerFixture *fixture);

// The hidden state of a token in front of a layer, or, with `layer` the number of layers, of the model. Returns its
// width.
size_t layer_fixture_hidden(const struct LayerFixture *fixture, size_t layer, size_t token, double values[512]);
// The weights with which a token reads itself and those before it, token + 1 of them.
void layer_fixture_attention(const struct LayerFixture *fixture, size_t layer, size_t head, size_t token,
                             double weights[64]);

#endif
