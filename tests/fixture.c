#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "synthetic_model.h"

#ifndef VKGPT_SOURCE_DIR
#define VKGPT_SOURCE_DIR "."
#endif

const char *fixture_name(size_t index)
{
    static const char *const names[] = {
        "gelu-new-48",           "gelu-erf-45-f16",    "relu-45-bf16",
        "silu-160-shards",       "quick-gelu-48-bin",  "swish-48-bin-shards",
        "deep-45-f16",           "long-1100",          "large-mean-160",
        "defaults-48",           "smallest",           "synthetic-wide-1600",
        "synthetic-vocab-50257", "synthetic-deep-160", "synthetic-mean-1600",
    };
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

const char *fixture_family_name(size_t index)
{
    static const char *const names[] = {
        "gpt1/gelu-48",
        "gpt1/relu-45-bin",
        "gpt1/silu-40-bf16",
        "gpt1/swish-45-head",
        "gpt1/openai-release",
        "neo/alternating-48",
        "neo/window-1-45",
        "neo/local-45-bin",
        "neo/types-40-shards",
        "neo/long-300",
        "opt/before-48",
        "opt/after-projected-45-bin",
        "opt/before-projected-40",
        "opt/plain-48",
        "opt/plain-after-45",
        "opt/no-final-norm-45",
    };
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

static uint64_t read_little(FILE *file, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        int byte = getc(file);
        value |= (uint64_t)(byte == EOF ? 0 : byte) << 8 * i; // the caller asks ferror and feof once, at the end
    }
    return value;
}

static double read_f64(FILE *file)
{
    uint64_t word = read_little(file, 8);
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static uint32_t *read_u32s(FILE *file, size_t count)
{
    uint32_t *values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; values && i < count; i++) values[i] = (uint32_t)read_little(file, 4);
    return values;
}

static float *read_f32s(FILE *file, size_t count)
{
    float *values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; values && i < count; i++) {
        uint32_t word = (uint32_t)read_little(file, 4);
        memcpy(values + i, &word, sizeof word);
    }
    return values;
}

static double *read_f64s(FILE *file, size_t count)
{
    double *values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; values && i < count; i++) values[i] = read_f64(file);
    return values;
}

static bool read_windows(FILE *file, struct Fixture *f)
{
    f->windows = calloc(f->window_count + 1, sizeof *f->windows);
    for (size_t i = 0; f->windows && i < f->window_count; i++) {
        f->windows[i].stride = (uint32_t)read_little(file, 4);
        f->windows[i].scored = (uint32_t)read_little(file, 4);
        f->windows[i].nll = read_f64(file);
    }
    return f->windows != NULL;
}

// Prompt and greedy in one array, cut to the length of the context.
static bool join_ids(struct Fixture *f)
{
    size_t count = f->prompt_count + f->greedy_count;
    f->ids = calloc(count + 1, sizeof *f->ids);
    if (!f->ids) return false;
    memcpy(f->ids, f->prompt, f->prompt_count * sizeof *f->ids);
    memcpy(f->ids + f->prompt_count, f->greedy, f->greedy_count * sizeof *f->ids);
    f->id_count = count < f->context ? count : f->context;
    return true;
}

// The layout is in tools/fixtures_gpt2.py.
static bool read_expected(FILE *file, struct Fixture *f)
{
    char magic[8] = {0};
    if (fread(magic, 1, 8, file) != 8 || memcmp(magic, "VKGPTFX1", 8) != 0) return false;
    f->vocab = (uint32_t)read_little(file, 4);
    f->context = (uint32_t)read_little(file, 4);
    size_t *const counts[] = {&f->prompt_count, &f->greedy_count, &f->row_count,
                              &f->text_count,   &f->nll_count,    &f->window_count};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *counts[i] = (size_t)read_little(file, 4);
        if (*counts[i] > 1 << 20) return false;
    }
    if (f->vocab > 1 << 20) return false;
    f->float32_error = read_f64(file);
    f->prompt = read_u32s(file, f->prompt_count);
    f->greedy = read_u32s(file, f->greedy_count);
    f->rows = read_u32s(file, f->row_count);
    f->logits = read_f32s(file, f->row_count * f->vocab);
    f->text = read_u32s(file, f->text_count);
    f->nll = read_f64s(file, f->nll_count);
    bool memory = f->prompt && f->greedy && f->rows && f->logits && f->text && f->nll && read_windows(file, f);
    if (!memory || feof(file) || ferror(file) || getc(file) != EOF) return false;
    return join_ids(f);
}

// A folder with synthetic.txt: lines of a name and a whole number.
static int open_synthetic(FILE *file, struct Fixture *f, vkgpt_error *err)
{
    struct SyntheticModel m = {.activation = ACTIVATION_GELU_TANH};
    char key[32];
    unsigned value;
    while (fscanf(file, "%31s %u", key, &value) == 2) {
        if (!strcmp(key, "layers")) m.layers = value;
        else if (!strcmp(key, "heads")) m.heads = value;
        else if (!strcmp(key, "dim")) m.dim = value;
        else if (!strcmp(key, "inner")) m.inner = value;
        else if (!strcmp(key, "context")) m.context = value;
        else if (!strcmp(key, "vocab")) m.vocab = value;
        else if (!strcmp(key, "seed")) m.seed = value;
        else if (!strcmp(key, "bits")) m.dtype = value == 24 ? DTYPE_F32 : value == 11 ? DTYPE_F16 : DTYPE_BF16;
        else if (!strcmp(key, "mean")) m.mean = (float)value;
        else if (!strcmp(key, "separate_head")) m.separate_head = value;
        else return fail(err, VKGPT_BAD_FILE, "%s/synthetic.txt: unknown key %s", f->dir, key);
    }
    int code = synthetic_model_temporary(&m, f->dir, sizeof f->dir, err);
    f->temporary = code == VKGPT_OK;
    return code;
}

int fixture_open(const char *name, struct Fixture *fixture, vkgpt_error *err)
{
    *fixture = (struct Fixture){0};
    char path[1200];
    const char *family = strchr(name, '/') ? "" : "gpt2/";
    snprintf(fixture->dir, sizeof fixture->dir, "%s/tests/fixtures/%s%s", VKGPT_SOURCE_DIR, family, name);
    snprintf(path, sizeof path, "%s/expected.bin", fixture->dir);
    FILE *file = fopen(path, "rb");
    if (!file) return fail(err, VKGPT_BAD_FILE, "%s: cannot be opened", path);
    bool ok = read_expected(file, fixture);
    fclose(file);
    int code = ok ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: damaged, or of another version", path);

    snprintf(path, sizeof path, "%s/synthetic.txt", fixture->dir);
    file = code ? NULL : fopen(path, "r");
    if (file) {
        code = open_synthetic(file, fixture, err);
        fclose(file);
    }
    if (code) fixture_close(fixture);
    return code;
}

void fixture_close(struct Fixture *f)
{
    if (f->temporary) synthetic_model_remove(f->dir);
    free(f->prompt), free(f->greedy), free(f->ids), free(f->rows), free(f->logits), free(f->text), free(f->nll);
    free(f->windows);
    *f = (struct Fixture){0};
}
