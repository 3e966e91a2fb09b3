#include "reference_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "selftest/reference.h"

double reference_nll(const double *logits, size_t vocab, uint32_t id)
{
    double most = -INFINITY, total = 0;
    for (size_t i = 0; i < vocab; i++)
        if (!(logits[i] <= most)) most = logits[i];
    for (size_t i = 0; i < vocab; i++) total += exp(logits[i] - most);
    return log(total) + most - logits[id];
}

// The memory of a forward pass: activations of all T rows, and room for one matrix as float.
struct Scratch {
    double *x;         // (T, dim) the residual stream
    double *e;         // (T, embed_dim) rows of the token table
    double *n;         // (T, dim) normed rows, and the result of a sublayer
    double *q, *k, *v; // (T, dim)
    double *a;         // (T, dim) the result of attention
    double *f;         // (T, inner)
    float *w;          // the largest matrix of a layer
    float *gain, *bias;
};

static bool scratch_open(struct Scratch *s, const struct Config *c, size_t T)
{
    size_t widest = c->inner > c->dim ? c->inner : c->dim;
    if (widest < c->embed_dim) widest = c->embed_dim;
    s->x = calloc(T * c->dim, sizeof *s->x);
    s->e = calloc(T * c->embed_dim, sizeof *s->e);
    s->n = calloc(T * c->dim, sizeof *s->n);
    s->q = calloc(T * c->dim, sizeof *s->q);
    s->k = calloc(T * c->dim, sizeof *s->k);
    s->v = calloc(T * c->dim, sizeof *s->v);
    s->a = calloc(T * c->dim, sizeof *s->a);
    s->f = calloc(T * c->inner, sizeof *s->f);
    s->w = calloc(widest * c->dim, sizeof *s->w);
    s->gain = calloc(widest, sizeof *s->gain);
    s->bias = calloc(widest, sizeof *s->bias);
    return s->x && s->e && s->n && s->q && s->k && s->v && s->a && s->f && s->w && s->gain && s->bias;
}

static void scratch_close(struct Scratch *s)
{
    free(s->x), free(s->e), free(s->n), free(s->q), free(s->k), free(s->v), free(s->a), free(s->f);
    free(s->w), free(s->gain), free(s->bias);
}

// Reads a vector of the checkpoint into `room`; NULL if the model has none.
static const float *vector(const struct Weight *weight, int64_t first, int64_t count, float *room)
{
    if (!weight->tensor) return NULL;
    weight_row(weight, 0, first, count, room);
    return room;
}

static void norm(struct Scratch *s, size_t T, const struct Config *c, const struct Weight *gain,
                 const struct Weight *bias, const double *x, double *out)
{
    const float *g = vector(gain, 0, c->dim, s->gain), *b = vector(bias, 0, c->dim, s->bias);
    reference_norm(T, c->dim, x, g, b, (double)c->eps, out);
}

// y (T, out_dim) = x (T, in) times rows [first, first + out_dim) of the weight, plus bias
static void linear(struct Scratch *s, size_t T, const struct Weight *weight, const struct Weight *bias, int64_t first,
                   int64_t in, int64_t out_dim, const double *x, double *y)
{
    weight_rows(weight, first, out_dim, in, s->w);
    reference_matmul(T, (size_t)in, (size_t)out_dim, x, s->w, vector(bias, first, out_dim, s->bias), y);
}

static void add(size_t n, double *x, const double *y)
{
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

// In double; config_attention_scale gives the float that the device uses.
static double attention_scale(const struct Config *c, uint32_t layer)
{
    double scale = 1;
    if (c->scale_attention) scale /= sqrt(c->head_dim);
    if (c->scale_by_inverse_layer) scale /= layer + 1.0;
    return scale;
}

static const struct Weight none = {0};

// Copies row ids[t] + offset (ids NULL: row t + offset) of a table into row t of out (T, dim).
static void look_up(size_t T, const struct Weight *table, const uint32_t *ids, int64_t offset, size_t dim, float *room,
                    double *out)
{
    for (size_t t = 0; t < T; t++) {
        weight_row(table, (ids ? (int64_t)ids[t] : (int64_t)t) + offset, 0, (int64_t)dim, room);
        for (size_t i = 0; i < dim; i++) out[t * dim + i] = (double)room[i];
    }
}

// x = wte[token] + wpe[position]; the tokens are projected if their table has another width
static void embed(const struct Checkpoint *checkpoint, struct Scratch *s, const uint32_t *ids, size_t T)
{
    const struct Config *c = &checkpoint->config;
    look_up(T, &checkpoint->wte, ids, 0, c->embed_dim, s->gain, s->e);
    look_up(T, &checkpoint->wpe, NULL, c->position_offset, c->dim, s->gain, s->x);
    if (checkpoint->project_in.tensor)
        linear(s, T, &checkpoint->project_in, &none, 0, c->embed_dim, c->dim, s->e, s->n);
    add(T * c->dim, s->x, checkpoint->project_in.tensor ? s->n : s->e);
}

// q, k and v of x, by one matrix or by three
static void qkv(struct Scratch *s, size_t T, const struct Config *c, const struct LayerWeights *l, const double *x)
{
    const struct Weight *w[3] = {&l->q, &l->k, &l->v}, *b[3] = {&l->q_bias, &l->k_bias, &l->v_bias};
    double *y[3] = {s->q, s->k, s->v};
    for (int i = 0; i < 3; i++) {
        if (l->c_attn.tensor) linear(s, T, &l->c_attn, &l->c_attn_bias, i * (int64_t)c->dim, c->dim, c->dim, x, y[i]);
        else linear(s, T, w[i], b[i], 0, c->dim, c->dim, x, y[i]);
    }
}

// a = project(attend(qkv(x)))
static void attention(struct Scratch *s, size_t T, const struct Config *c, const struct LayerWeights *l, uint32_t layer,
                      const double *x, double *a)
{
    qkv(s, T, c, l, x);
    reference_attend(T, 0, c->heads, c->head_dim, s->q, s->k, s->v, attention_scale(c, layer), config_window(c, layer),
                     s->a);
    linear(s, T, &l->c_proj, &l->c_proj_bias, 0, c->dim, c->dim, s->a, a);
}

// m = contract(activation(expand(x)))
static void feed_forward(struct Scratch *s, size_t T, const struct Config *c, const struct LayerWeights *l,
                         const double *x, double *m)
{
    linear(s, T, &l->c_fc, &l->c_fc_bias, 0, c->dim, c->inner, x, s->f);
    for (size_t i = 0; i < T * c->inner; i++) s->f[i] = reference_activation(c->activation, s->f[i]);
    linear(s, T, &l->c_out, &l->c_out_bias, 0, c->inner, c->dim, s->f, m);
}

// x (T, embed_dim) becomes the input of the head.
static void forward(const struct Checkpoint *checkpoint, struct Scratch *s, const uint32_t *ids, size_t T, double *x)
{
    const struct Config *c = &checkpoint->config;
    const size_t n = T * c->dim;
    embed(checkpoint, s, ids, T);
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        const struct LayerWeights *l = &checkpoint->layers[layer];
        if (c->post_norm) { // Radford et al. 2018
            // x = ln_1(x + attention(x))
            attention(s, T, c, l, layer, s->x, s->n);
            add(n, s->x, s->n);
            norm(s, T, c, &l->ln_1_gain, &l->ln_1_bias, s->x, s->x);
            // x = ln_2(x + feed_forward(x))
            feed_forward(s, T, c, l, s->x, s->n);
            add(n, s->x, s->n);
            norm(s, T, c, &l->ln_2_gain, &l->ln_2_bias, s->x, s->x);
        } else { // Radford et al. 2019
            // x += attention(ln_1(x))
            norm(s, T, c, &l->ln_1_gain, &l->ln_1_bias, s->x, s->n);
            attention(s, T, c, l, layer, s->n, s->n);
            add(n, s->x, s->n);
            // x += feed_forward(ln_2(x))
            norm(s, T, c, &l->ln_2_gain, &l->ln_2_bias, s->x, s->n);
            feed_forward(s, T, c, l, s->n, s->n);
            add(n, s->x, s->n);
        }
    }
    if (c->final_norm) norm(s, T, c, &checkpoint->ln_f_gain, &checkpoint->ln_f_bias, s->x, s->x);
    if (checkpoint->project_out.tensor) linear(s, T, &checkpoint->project_out, &none, 0, c->dim, c->embed_dim, s->x, x);
    else memcpy(x, s->x, n * sizeof *x);
}

static int check_ids(const struct Config *c, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    if (count == 0 || count > c->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "%zu tokens, the model takes 1 to %u", count, c->context);
    for (size_t t = 0; t < count; t++)
        if (ids[t] >= c->vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "token %zu is %u, the vocabulary has %u", t, ids[t], c->vocab);
    return VKGPT_OK;
}

int reference_hidden(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *x,
                     vkgpt_error *err)
{
    int code = check_ids(&checkpoint->config, ids, count, err);
    if (code) return code;
    struct Scratch s = {0};
    if (scratch_open(&s, &checkpoint->config, count)) forward(checkpoint, &s, ids, count, x);
    else code = fail_memory(err, "the reference's activations", count * checkpoint->config.dim * sizeof(double));
    scratch_close(&s);
    return code;
}

int reference_head(const struct Checkpoint *checkpoint, size_t rows, const double *x, double *logits, vkgpt_error *err)
{
    enum { BLOCK = 256 }; // rows of the table at a time, because the whole table as floats may be very large
    const size_t dim = checkpoint->config.embed_dim, vocab = checkpoint->config.vocab;
    float *w = malloc(BLOCK * dim * sizeof *w);
    if (!w) return fail_memory(err, "rows of the head", BLOCK * dim * sizeof *w);
    for (size_t v = 0; v < vocab; v += BLOCK) {
        size_t n = vocab - v < BLOCK ? vocab - v : BLOCK;
        weight_rows(&checkpoint->head, (int64_t)v, (int64_t)n, (int64_t)dim, w);
        for (size_t r = 0; r < rows; r++) reference_matmul(1, dim, n, x + r * dim, w, NULL, logits + r * vocab + v);
    }
    free(w);
    return VKGPT_OK;
}

int reference_forward(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *logits,
                      vkgpt_error *err)
{
    int code = check_ids(&checkpoint->config, ids, count, err);
    if (code) return code;
    const size_t bytes = count * checkpoint->config.embed_dim * sizeof(double);
    double *x = malloc(bytes);
    if (!x) return fail_memory(err, "the reference's rows", bytes);
    code = reference_hidden(checkpoint, ids, count, x, err);
    if (!code) code = reference_head(checkpoint, count, x, logits, err);
    free(x);
    return code;
}
