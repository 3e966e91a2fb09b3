#include "model/presets_random.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"

#define PIECE (1u << 20) // elements that a worker fills and writes at a time

// ----------------------------------------------------------------------------------------------- the tensors

enum Extent { NONE, DIM, QKV, INNER, VOCAB, POSITIONS };
enum Draw { GAIN, BIAS, MATRIX, RESIDUAL, QUERY };

struct Part {
    const char *name;
    enum Extent rows, cols;
    enum Draw draw;
};

static const struct Part tables[] = {
    {"wte.weight", VOCAB, DIM, MATRIX},
    {"wpe.weight", POSITIONS, DIM, MATRIX},
    {NULL, NONE, NONE, GAIN},
};

static const struct Part gpt2_layer[] = {
    // (in, out)
    {"ln_1.weight", DIM, NONE, GAIN},
    {"ln_1.bias", DIM, NONE, BIAS},
    {"attn.c_attn.weight", DIM, QKV, MATRIX},
    {"attn.c_attn.bias", QKV, NONE, BIAS},
    {"attn.c_proj.weight", DIM, DIM, RESIDUAL},
    {"attn.c_proj.bias", DIM, NONE, BIAS},
    {"ln_2.weight", DIM, NONE, GAIN},
    {"ln_2.bias", DIM, NONE, BIAS},
    {"mlp.c_fc.weight", DIM, INNER, MATRIX},
    {"mlp.c_fc.bias", INNER, NONE, BIAS},
    {"mlp.c_proj.weight", INNER, DIM, RESIDUAL},
    {"mlp.c_proj.bias", DIM, NONE, BIAS},
    {NULL, NONE, NONE, GAIN},
};

static const struct Part neo_layer[] = {
    // (out, in)
    {"ln_1.weight", DIM, NONE, GAIN},
    {"ln_1.bias", DIM, NONE, BIAS},
    {"attn.attention.q_proj.weight", DIM, DIM, QUERY},
    {"attn.attention.k_proj.weight", DIM, DIM, MATRIX},
    {"attn.attention.v_proj.weight", DIM, DIM, MATRIX},
    {"attn.attention.out_proj.weight", DIM, DIM, RESIDUAL},
    {"attn.attention.out_proj.bias", DIM, NONE, BIAS},
    {"ln_2.weight", DIM, NONE, GAIN},
    {"ln_2.bias", DIM, NONE, BIAS},
    {"mlp.c_fc.weight", INNER, DIM, MATRIX},
    {"mlp.c_fc.bias", INNER, NONE, BIAS},
    {"mlp.c_proj.weight", DIM, INNER, RESIDUAL},
    {"mlp.c_proj.bias", DIM, NONE, BIAS},
    {NULL, NONE, NONE, GAIN},
};

static const struct Part last_norm[] = {
    {"ln_f.weight", DIM, NONE, GAIN},
    {"ln_f.bias", DIM, NONE, BIAS},
    {NULL, NONE, NONE, GAIN},
};

static uint64_t extent_of(const struct Config *c, enum Extent extent)
{
    switch (extent) {
    case DIM: return c->dim;
    case QKV: return 3 * (uint64_t)c->dim;
    case INNER: return c->inner;
    case VOCAB: return c->vocab;
    case POSITIONS: return c->context;
    default: return 0;
    }
}

static double deviation_of(const struct Config *c, enum Draw draw)
{
    switch (draw) {
    case MATRIX: return 0.02;
    case RESIDUAL: return 0.02 / sqrt(2.0 * c->layers);
    case QUERY: return c->scale_attention ? 0.02 : 0.02 / sqrt((double)c->head_dim);
    default: return 0.01;
    }
}

static size_t parts_add(const struct Config *c, const struct Part *parts, const char *layer, struct RandomTensor *out)
{
    size_t count = 0;
    for (; parts[count].name; count++) {
        const struct Part *part = &parts[count];
        snprintf(out[count].name, sizeof out[count].name, "transformer.%s%s", layer, part->name);
        out[count].rows = extent_of(c, part->rows);
        out[count].cols = extent_of(c, part->cols);
        out[count].mean = part->draw == GAIN ? 1 : 0;
        out[count].deviation = deviation_of(c, part->draw);
    }
    return count;
}

struct RandomTensor *random_tensors(const struct Config *c, size_t *count)
{
    const struct Part *layer = strcmp(c->architecture, "gpt2") == 0 ? gpt2_layer : neo_layer;
    struct RandomTensor *tensors = calloc(c->layers * (sizeof neo_layer / sizeof *neo_layer) + 4, sizeof *tensors);
    if (!tensors) return NULL;
    size_t n = parts_add(c, tables, "", tensors);
    for (uint32_t l = 0; l < c->layers; l++) {
        char prefix[24];
        snprintf(prefix, sizeof prefix, "h.%" PRIu32 ".", l);
        n += parts_add(c, layer, prefix, tensors + n);
    }
    n += parts_add(c, last_norm, "", tensors + n);
    *count = n;
    return tensors;
}

uint64_t random_tensor_elements(const struct RandomTensor *tensor)
{
    return tensor->rows * (tensor->cols ? tensor->cols : 1);
}

// ------------------------------------------------------------------------------------------------ the numbers

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t mix(uint64_t z) // splitmix64's (Steele, Lea and Flood 2014)
{
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint64_t tensor_key(const char *name, uint64_t seed)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); // FNV-1a
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001B3);
    return mix(hash ^ mix(seed + GOLDEN));
}

// Sums of four 16-bit numbers: nearly a normal distribution, and the same on every machine.
static void draw(uint64_t key, uint64_t first, size_t count, float mean, float step, float *out)
{
    uint64_t counter = key + first * GOLDEN;
    for (size_t i = 0; i < count; i++, counter += GOLDEN) {
        uint64_t z = mix(counter);
        uint32_t sum =
            (uint32_t)(z & 0xFFFF) + (uint32_t)(z >> 16 & 0xFFFF) + (uint32_t)(z >> 32 & 0xFFFF) + (uint32_t)(z >> 48);
        float scaled = (float)((int32_t)sum - 2 * 0xFFFF) * step;
        out[i] = scaled + mean;
    }
}

static uint16_t to_bfloat(float value) // to nearest, ties to even
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return (uint16_t)((word + 0x7FFF + (word >> 16 & 1)) >> 16);
}

static void narrow(enum Dtype dtype, const float *in, size_t count, uint8_t *out)
{
    uint16_t half[256];
    const struct Tensor tensor = {
        .dtype = DTYPE_F32, .rank = 1, .shape = {(int64_t)count}, .stride = {1}, .data = (const uint8_t *)in};
    if (dtype == DTYPE_F16) weight_rows_half(&(struct Weight){&tensor, false}, 0, 1, (int64_t)count, half);
    for (size_t i = 0; dtype == DTYPE_BF16 && i < count; i++) half[i] = to_bfloat(in[i]);
    if (dtype == DTYPE_F32) memcpy(out, in, count * sizeof *in);
    else memcpy(out, half, count * sizeof *half);
}

void random_fill(const struct RandomTensor *tensor, uint64_t seed, enum Dtype dtype, uint64_t first, size_t count,
                 uint8_t *out)
{
    const double of_sum = 65536.0 / sqrt(3.0); // the deviation of the sum of four
    uint64_t key = tensor_key(tensor->name, seed);
    float values[256], mean = (float)tensor->mean, step = (float)(tensor->deviation / of_sum);
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < 256 ? count - done : 256;
        draw(key, first + done, some, mean, step, values);
        narrow(dtype, values, some, out + done * dtype_bytes(dtype));
    }
}

// --------------------------------------------------------------------------------------------------- the file

struct FileJob {
    const char *path;
    const struct RandomTensor *tensors;
    uint64_t *starts; // first element of each tensor in the file; one more for the end
    size_t count;
    uint64_t seed;
    enum Dtype dtype;
    uint64_t data_at; // bytes before the first element
    struct RandomProgress *progress;
    struct Hand {
        uint8_t *buffer;
        FILE *file;
    } hands[PARALLEL_MAX];        // one per worker, opened with its first piece
    atomic_uint_fast64_t written; // elements
    atomic_int error;             // the first errno
    atomic_bool stopped;
};

static void piece_fill(const struct FileJob *job, uint64_t first, size_t count, uint8_t *out)
{
    size_t low = 0, high = job->count;
    while (high - low > 1) { // the tensor that holds `first`
        size_t middle = (low + high) / 2;
        if (job->starts[middle] <= first) low = middle;
        else high = middle;
    }
    for (; count; low++) {
        uint64_t left = job->starts[low + 1] - first;
        size_t some = left < count ? (size_t)left : count;
        random_fill(&job->tensors[low], job->seed, job->dtype, first - job->starts[low], some, out);
        out += some * dtype_bytes(job->dtype);
        first += some;
        count -= some;
    }
}

static void remember_error(struct FileJob *job, int error)
{
    int none = 0;
    atomic_compare_exchange_strong(&job->error, &none, error ? error : EIO);
}

static bool hand_open(struct FileJob *job, struct Hand *hand)
{
    if (hand->file) return true;
    hand->buffer = malloc((size_t)PIECE * dtype_bytes(job->dtype));
    hand->file = hand->buffer ? fopen(job->path, "r+b") : NULL;
    if (!hand->file) remember_error(job, hand->buffer ? errno : ENOMEM);
    else setvbuf(hand->file, NULL, _IONBF, 0);
    return hand->file != NULL;
}

static void hand_close(struct FileJob *job, struct Hand *hand)
{
    if (hand->file && fclose(hand->file)) remember_error(job, errno);
    free(hand->buffer);
}

static void piece_write(void *user, uint32_t worker, uint32_t piece, uint32_t one)
{
    (void)one;
    struct FileJob *job = user;
    struct Hand *hand = &job->hands[worker];
    if (job->stopped || job->error || !hand_open(job, hand)) return;
    uint64_t elements = job->starts[job->count], size = dtype_bytes(job->dtype), first = (uint64_t)piece * PIECE;
    size_t count = elements - first < PIECE ? (size_t)(elements - first) : PIECE;
    piece_fill(job, first, count, hand->buffer);
    if (fseek(hand->file, (long)(job->data_at + first * size), SEEK_SET) ||
        fwrite(hand->buffer, size, count, hand->file) != count)
        remember_error(job, errno);
    uint64_t written = atomic_fetch_add(&job->written, count) + count;
    struct RandomProgress *p = job->progress;
    bool reports = worker == 0 && p->report; // the caller's own thread
    if (reports && !p->report(p->user, p->done + written * size, p->total)) job->stopped = true;
}

static int data_write(struct FileJob *job, vkgpt_error *err)
{
    uint64_t pieces = (job->starts[job->count] + PIECE - 1) / PIECE;
    if (pieces > UINT32_MAX)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %" PRIu64 " weights in one file", job->path, job->starts[job->count]);
    parallel_rows((uint32_t)pieces, 1, piece_write, job);
    for (int i = 0; i < PARALLEL_MAX; i++) hand_close(job, &job->hands[i]);
    if (job->error == ENOMEM) return fail_memory(err, job->path, (size_t)PIECE * dtype_bytes(job->dtype));
    if (job->error) return fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", job->path, strerror(job->error));
    return job->stopped ? fail(err, VKGPT_INTERRUPTED, "interrupted") : VKGPT_OK;
}

// The header's length and the header, padded to a multiple of 8 bytes; NULL: no memory.
static char *header_make(const struct FileJob *job, size_t *bytes)
{
    static const char *const names[] = {[DTYPE_F32] = "F32", [DTYPE_F16] = "F16", [DTYPE_BF16] = "BF16"};
    uint64_t size = dtype_bytes(job->dtype);
    size_t room = 64 + job->count * 224, n = 8;
    char *text = malloc(room);
    if (!text) return NULL;
    n += (size_t)snprintf(text + n, room - n, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < job->count; i++) {
        const struct RandomTensor *t = &job->tensors[i];
        n += (size_t)snprintf(text + n, room - n, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" PRIu64, t->name,
                              names[job->dtype], t->rows);
        if (t->cols) n += (size_t)snprintf(text + n, room - n, ",%" PRIu64, t->cols);
        n += (size_t)snprintf(text + n, room - n, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                              job->starts[i] * size, job->starts[i + 1] * size);
    }
    text[n++] = '}';
    while (n % 8) text[n++] = ' ';
    for (int i = 0; i < 8; i++) text[i] = (char)(uint8_t)((uint64_t)(n - 8) >> 8 * i);
    *bytes = n;
    return text;
}

static int header_write(struct FileJob *job, vkgpt_error *err)
{
    size_t bytes;
    char *text = header_make(job, &bytes);
    if (!text) return fail_memory(err, job->path, 64 + job->count * 224);
    job->data_at = bytes;
    errno = 0;
    FILE *file = fopen(job->path, "wb");
    bool good = file && fwrite(text, 1, bytes, file) == bytes;
    if (file && fclose(file)) good = false;
    free(text);
    return good ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", job->path, strerror(errno));
}

int random_file_write(const char *path, const struct RandomTensor *tensors, size_t count, uint64_t seed,
                      enum Dtype dtype, struct RandomProgress *progress, vkgpt_error *err)
{
    struct FileJob job = {
        .path = path, .tensors = tensors, .count = count, .seed = seed, .dtype = dtype, .progress = progress};
    job.starts = calloc(count + 1, sizeof *job.starts);
    if (!job.starts) return fail_memory(err, path, (count + 1) * sizeof *job.starts);
    for (size_t i = 0; i < count; i++) job.starts[i + 1] = job.starts[i] + random_tensor_elements(&tensors[i]);
    int status = header_write(&job, err);
    if (!status) status = data_write(&job, err);
    progress->done += job.starts[count] * dtype_bytes(dtype);
    free(job.starts);
    return status;
}
