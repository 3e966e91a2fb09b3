#include "cli/explain_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tasks/utf8_stream.h"

extern const unsigned char
    EXPLAIN_PAGE[]; // made of explain/page.html by tools/cmake/page.cmake, with {{data}} for the JSON

// A JSON string. `<` is escaped, so that no text ends the script or begins a comment in it.
static void add_string(struct Buffer *out, const char *bytes, size_t count)
{
    char *json = utf8_json(bytes, count);
    for (const char *c = json; *c; c++) {
        if (*c == '<') buffer_text(out, "\\u003c");
        else buffer_add(out, c, 1);
    }
    free(json);
}

static void add_member(struct Buffer *out, const char *name, const char *value)
{
    buffer_format(out, "\"%s\":", name);
    add_string(out, value, strlen(value));
    buffer_text(out, ",");
}

// ------------------------------------------------------------------------------------------ the model

static void add_facts(const struct Explained *e, struct Buffer *out)
{
    static const char *const ACTIVATIONS[] = {[ACTIVATION_GELU_TANH] = "gelu_tanh",
                                              [ACTIVATION_GELU_ERF] = "gelu_erf",
                                              [ACTIVATION_RELU] = "relu",
                                              [ACTIVATION_SILU] = "silu",
                                              [ACTIVATION_QUICK_GELU] = "quick_gelu"};
    const struct Config *c = e->config;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"layers", c->layers}, {"heads", c->heads},         {"dim", c->dim},
                   {"inner", c->inner},   {"head_dim", c->head_dim},   {"context", c->context},
                   {"vocab", c->vocab},   {"embed_dim", c->embed_dim}, {"position_offset", c->position_offset},
                   {"window", c->window}, {"params", e->model->params}};
    const struct {
        const char *name;
        bool value;
    } switches[] = {{"post_norm", c->post_norm},
                    {"final_norm", c->final_norm},
                    {"tied", c->tied_head},
                    {"qkv_bias", c->qkv_bias},
                    {"bias", c->bias},
                    {"scaled", c->scale_attention},
                    {"by_layer", c->scale_by_inverse_layer}};
    buffer_text(out, "\"facts\":{");
    add_member(out, "class", c->architecture);
    add_member(out, "activation", ACTIVATIONS[c->activation]);
    add_member(out, "weights", e->model->weights);
    add_member(out, "device", e->device->name);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buffer_format(out, "\"%s\":%" PRIu64 ",", numbers[i].name, numbers[i].value);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        buffer_format(out, "\"%s\":%s,", switches[i].name, switches[i].value ? "true" : "false");
    buffer_text(out, "\"local\":[");
    for (uint32_t l = 0; l < c->layers; l++) buffer_format(out, "%s%d", l ? "," : "", config_window(c, l) != 0);
    buffer_text(out, "]},");
}

// ---------------------------------------------------------------------------------------- the tokens

// The text of a token; a byte that is not part of UTF-8 becomes \xHH.
static void add_token(const vkgpt_tokenizer *tok, uint32_t id, struct Buffer *out)
{
    size_t bytes;
    struct Buffer text = {0};
    const char *piece = vkgpt_token_bytes(tok, id, &bytes);
    for (size_t at = 0, length; at < bytes; at += length ? length : 1) {
        length = utf8_length(piece + at, bytes - at);
        if (length) buffer_add(&text, piece + at, length);
        else buffer_format(&text, "\\x%02X", (unsigned char)piece[at]);
    }
    add_string(out, text.bytes ? text.data : "", text.bytes);
    buffer_free(&text);
}

// The text of every token that the page names.
static void add_texts(const struct Explained *e, struct Buffer *out)
{
    uint32_t vocab = e->config->vocab, lens = explain_guesses(e->config, LENS_TOP),
             next = explain_guesses(e->config, NEXT_TOP);
    bool *used = allocate(vocab);
    memset(used, 0, vocab);
    for (size_t i = 0; i < e->count; i++) used[e->ids[i]] = true;
    for (size_t i = 0; i < (size_t)(e->config->layers + 1) * e->count * lens; i++) used[e->lens[i].id] = true;
    for (size_t i = 0; i < (size_t)e->count * next; i++) used[e->next[i].id] = true;
    const char *comma = "";
    buffer_text(out, "\"texts\":{");
    for (uint32_t id = 0; e->tokenizer && id < vocab; id++) {
        if (!used[id]) continue;
        buffer_format(out, "%s\"%" PRIu32 "\":", comma, id);
        add_token(e->tokenizer, id, out);
        comma = ",";
    }
    buffer_text(out, "},");
    free(used);
}

// The surprise of each token, -log2 of its probability; the first one has none.
static void add_bits(const struct Explained *e, struct Buffer *out)
{
    const double *given = e->given + (size_t)e->config->layers * e->count;
    buffer_text(out, "\"bits\":[null");
    for (uint32_t t = 1; t < e->count; t++) buffer_format(out, ",%.5g", fabs(log2(fmax(given[t - 1], 1e-300))));
    buffer_text(out, "],");
}

// --------------------------------------------------------------------------------------- by layer

static void add_guesses(const struct Guess *guesses, uint32_t count, struct Buffer *out)
{
    buffer_text(out, "[");
    for (uint32_t i = 0; i < count; i++)
        buffer_format(out, "%s%" PRIu32 ",%.4g", i ? "," : "", guesses[i].id, (double)guesses[i].probability);
    buffer_text(out, "]");
}

static void add_lists(const struct Guess *guesses, uint32_t lists, uint32_t count, struct Buffer *out)
{
    buffer_text(out, "[");
    for (uint32_t i = 0; i < lists; i++) {
        if (i) buffer_text(out, ",");
        add_guesses(guesses + (size_t)i * count, count, out);
    }
    buffer_text(out, "]");
}

static void add_table(const char *name, const double *values, uint32_t rows, uint32_t columns, struct Buffer *out)
{
    buffer_format(out, "\"%s\":", name);
    for (size_t i = 0; i < (size_t)rows * columns; i++) {
        buffer_text(out, i % columns ? "," : i ? "],[" : "[[");
        buffer_format(out, "%.5g", values[i]);
    }
    buffer_text(out, "]],");
}

// Base64 (RFC 4648) of numbers of 16 bits, low byte first.
static void add_attention(const struct Explained *e, struct Buffer *out)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = (size_t)e->config->layers * e->config->heads * e->count * (e->count + 1) / 2, bytes = 2 * count;
    buffer_reserve(out, bytes / 3 * 4 + 4096);
    buffer_text(out, "\"attention\":\"");
    for (size_t at = 0; at < bytes; at += 3) {
        uint32_t three = 0;
        for (size_t i = at; i < at + 3; i++)
            three = three << 8 | (i < bytes ? e->attention[i / 2] >> i % 2 * 8 & 255u : 0);
        char four[4];
        for (size_t i = 0; i < 4; i++) four[i] = at + i <= bytes ? DIGITS[three >> (18 - 6 * i) & 63] : '=';
        buffer_add(out, four, 4);
    }
    buffer_text(out, "\"");
}

// ------------------------------------------------------------------------------------------ the page

uint32_t explain_guesses(const struct Config *config, uint32_t most)
{
    return config->vocab < most ? config->vocab : most;
}

static void add_data(const struct Explained *e, struct Buffer *out)
{
    uint32_t rows = e->config->layers + 1, lens = explain_guesses(e->config, LENS_TOP);
    buffer_text(out, "{");
    add_member(out, "version", vkgpt_version());
    add_member(out, "model", e->model->name);
    add_facts(e, out);
    buffer_text(out, "\"ids\":[");
    for (uint32_t t = 0; t < e->count; t++) buffer_format(out, "%s%" PRIu32, t ? "," : "", e->ids[t]);
    buffer_text(out, "],");
    add_bits(e, out);
    add_texts(e, out);
    buffer_text(out, "\"next\":");
    add_lists(e->next, e->count, explain_guesses(e->config, NEXT_TOP), out);
    buffer_text(out, ",\"lens\":[");
    for (uint32_t l = 0; l < rows; l++) {
        if (l) buffer_text(out, ",");
        add_lists(e->lens + (size_t)l * e->count * lens, e->count, lens, out);
    }
    buffer_text(out, "],");
    add_table("given", e->given, rows, e->count, out);
    add_table("norms", e->norms, rows, e->count, out);
    add_attention(e, out);
    buffer_text(out, "}");
}

void explain_page(const struct Explained *e, struct Buffer *page)
{
    static const char PLACE[] = "{{data}}";
    const char *text = (const char *)EXPLAIN_PAGE, *place = strstr(text, PLACE);
    buffer_add(page, text, (size_t)(place - text));
    add_data(e, page);
    buffer_text(page, place + strlen(PLACE));
}
