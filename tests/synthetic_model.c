#include "synthetic_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model_files.h"

// One tensor: its elements are offset + 2^exponent * u, u uniform on [-1, 1) in steps of 2^(1 - bits).
struct Spec {
    char name[64];
    uint32_t rows, cols; // a vector has cols 0
    float offset;
    int exponent, bits;
};

struct Specs {
    struct Spec *spec;
    size_t count;
    int bits; // how many the format keeps
};

static void spec_add(struct Specs *s, const char *name, uint32_t rows, uint32_t cols, float offset, int exponent,
                     int bits)
{
    struct Spec *t = &s->spec[s->count++];
    *t = (struct Spec){.rows = rows, .cols = cols, .offset = offset, .exponent = exponent, .bits = bits};
    snprintf(t->name, sizeof t->name, "%s", name);
}

// Products with normed rows get a standard deviation between 2^boost / 2 and 2^boost.
static void spec_matrix(struct Specs *s, const char *name, uint32_t rows, uint32_t cols, uint32_t fan_in, int boost,
                        float offset)
{
    int e = 0;
    while (fan_in > 3u << 2 * e) e++; // uniform on [-1, 1) has a variance of 1/3
    spec_add(s, name, rows, cols, offset, boost - e, s->bits);
}

static void spec_norm(struct Specs *s, const char *name, uint32_t dim)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    spec_add(s, full, dim, 0, 1, -1, s->bits - 2); // 1 + u/2 takes two bits more than u
    snprintf(full, sizeof full, "%s.bias", name);
    spec_add(s, full, dim, 0, 0, -2, s->bits);
}

static void spec_linear(struct Specs *s, const char *name, uint32_t in, uint32_t out, int boost)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    spec_matrix(s, full, in, out, in, boost, 0); // Conv1D: (in, out)
    snprintf(full, sizeof full, "%s.bias", name);
    spec_add(s, full, out, 0, 0, -2, s->bits);
}

static void spec_model(struct Specs *s, const struct SyntheticModel *m)
{
    const uint32_t dim = m->dim, inner = m->inner ? m->inner : 4 * dim;
    const char *const parts[] = {"ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"};
    const uint32_t sizes[][2] = {{dim, 0}, {dim, 3 * dim}, {dim, dim}, {dim, 0}, {dim, inner}, {inner, dim}};
    const int boosts[] = {0, 1, 0, 0, 1, 0}; // scores and activations that reach the curved part of their functions

    spec_matrix(s, "transformer.wte.weight", m->vocab, dim, dim, 2, 0);
    spec_matrix(s, "transformer.wpe.weight", m->context, dim, dim, 2, m->mean);
    for (uint32_t layer = 0; layer < m->layers; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char name[48];
            snprintf(name, sizeof name, "transformer.h.%u.%s", layer, parts[i]);
            if (sizes[i][1]) spec_linear(s, name, sizes[i][0], sizes[i][1], boosts[i]);
            else spec_norm(s, name, dim);
        }
    spec_norm(s, "transformer.ln_f", dim);
    if (m->separate_head) spec_matrix(s, "lm_head.weight", m->vocab, dim, dim, 2, 0);
}

static uint32_t mix(uint32_t x)
{ // Chris Wellons' lowbias32
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

static float spec_value(const struct Spec *t, uint32_t base, uint32_t i, float step)
{
    int32_t k = (int32_t)(mix(i ^ base) >> (32 - t->bits)) - (INT32_C(1) << (t->bits - 1));
    return (float)k * step + t->offset;
}

static size_t encode(enum Dtype dtype, float value, uint8_t *out)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (dtype == DTYPE_F32) {
        for (int i = 0; i < 4; i++) out[i] = (uint8_t)(word >> 8 * i);
        return 4;
    }
    uint16_t half = dtype == DTYPE_F16 ? float_to_half(value) : (uint16_t)((word + 0x7FFF + (word >> 16 & 1)) >> 16);
    out[0] = (uint8_t)half, out[1] = (uint8_t)(half >> 8);
    return 2;
}

static bool write_tensor(FILE *file, const struct Spec *t, uint32_t base, enum Dtype dtype)
{
    const uint32_t count = t->rows * (t->cols ? t->cols : 1);
    const float step = ldexpf(1, t->exponent - t->bits + 1);
    uint8_t block[4096];
    for (uint32_t i = 0; i < count;) {
        size_t used = 0;
        while (i < count && used + 4 <= sizeof block)
            used += encode(dtype, spec_value(t, base, i++, step), block + used);
        if (fwrite(block, 1, used, file) != used) return false;
    }
    return true;
}

static bool write_header(FILE *file, const struct Specs *s, enum Dtype dtype)
{
    const char *name = dtype == DTYPE_F32 ? "F32" : dtype == DTYPE_F16 ? "F16" : "BF16";
    const uint64_t width = dtype == DTYPE_F32 ? 4 : 2;
    size_t room = s->count * 192 + 64, used = 0;
    char *text = malloc(room);
    if (!text) return false;
    used += (size_t)snprintf(text, room, "{\"__metadata__\":{\"format\":\"pt\"}");
    uint64_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct Spec *t = &s->spec[i];
        uint64_t end = at + width * t->rows * (t->cols ? t->cols : 1);
        used += (size_t)snprintf(text + used, room - used, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%u", t->name, name,
                                 t->rows);
        if (t->cols) used += (size_t)snprintf(text + used, room - used, ",%u", t->cols);
        used += (size_t)snprintf(text + used, room - used, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                                 (unsigned long long)end);
        at = end;
    }
    text[used++] = '}';
    while (used % 8) text[used++] = ' ';
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)used >> 8 * i);
    bool ok = fwrite(length, 1, 8, file) == 8 && fwrite(text, 1, used, file) == used;
    free(text);
    return ok;
}

static bool write_config(FILE *file, const struct SyntheticModel *m)
{
    const char *const activations[] = {"gelu_new", "gelu", "relu", "silu", "quick_gelu"};
    uint32_t inner = m->inner ? m->inner : 4 * m->dim;
    return fprintf(file,
                   "{\n"
                   "  \"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\",\n"
                   "  \"activation_function\": \"%s\", \"layer_norm_epsilon\": 1e-05, \"tie_word_embeddings\": %s,\n"
                   "  \"n_layer\": %u, \"n_head\": %u, \"n_embd\": %u, \"n_inner\": %u,\n"
                   "  \"n_positions\": %u, \"vocab_size\": %u, \"bos_token_id\": %u, \"eos_token_id\": %u\n"
                   "}\n",
                   activations[m->activation], m->separate_head ? "false" : "true", m->layers, m->heads, m->dim, inner,
                   m->context, m->vocab, m->vocab - 1, m->vocab - 1) > 0;
}

static bool write_weights(FILE *file, const struct SyntheticModel *m)
{
    struct Specs s = {.bits = m->dtype == DTYPE_F32 ? 24 : m->dtype == DTYPE_F16 ? 11 : 8};
    s.spec = calloc(12 * (size_t)m->layers + 5, sizeof *s.spec);
    if (!s.spec) return false;
    spec_model(&s, m);
    bool ok = write_header(file, &s, m->dtype);
    for (size_t i = 0; ok && i < s.count; i++)
        ok = write_tensor(file, &s.spec[i], mix(m->seed ^ mix((uint32_t)i + 1)), m->dtype);
    free(s.spec);
    return ok;
}

static int write_file(const char *dir, const char *name, const struct SyntheticModel *model,
                      bool (*write)(FILE *, const struct SyntheticModel *), vkgpt_error *err)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file) return fail(err, VKGPT_BAD_FILE, "%s: cannot be written", path);
    bool ok = write(file, model);
    ok = fclose(file) == 0 && ok;
    return ok ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: no room for it", path);
}

int synthetic_model_write(const char *dir, const struct SyntheticModel *model, vkgpt_error *err)
{
    int code = write_file(dir, "config.json", model, write_config, err);
    return code ? code : write_file(dir, "model.safetensors", model, write_weights, err);
}

int synthetic_model_temporary(const struct SyntheticModel *model, char *dir, size_t size, vkgpt_error *err)
{
    char made[DIR_BYTES];
    dir_make(made);
    if (strlen(made) >= size) return fail(err, VKGPT_BAD_FILE, "%s: this path is too long", made);
    memcpy(dir, made, strlen(made) + 1);
    int code = synthetic_model_write(dir, model, err);
    if (code) dir_remove(dir);
    return code;
}

void synthetic_model_remove(const char *dir) { dir_remove(dir); }
