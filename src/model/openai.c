// Cuts OpenAI's ten arrays into tensors. Their order is that in which train.py creates the variables.
#include "model/openai.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "model/limits.h"
#include "model/npy.h"
#include "model/path.h"
#include "model/table.h"

#define SHAPES_BYTES (1u << 20)
#define PIECES 10

static const char *const first_names[] = {"positions_embed.weight", "tokens_embed.weight"};
static const char *const layer_names[] = {
    "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias", "ln_1.weight", "ln_1.bias",
    "mlp.c_fc.weight",    "mlp.c_fc.bias",    "mlp.c_proj.weight",  "mlp.c_proj.bias",  "ln_2.weight", "ln_2.bias",
};
enum { FIRST = 2, PER_LAYER = 12 };

struct Pieces { // the flat array
    const uint8_t *data[PIECES];
    int64_t end[PIECES]; // number of floats up to the end of this piece, all pieces before it included
};

// ------------------------------------------------------------------------------------------------ the shapes

static int shapes_open(const char *path, struct Json **json, vkgpt_error *err)
{
    int code = json_read(path, SHAPES_BYTES, json, err);
    if (code) return code;
    int count = json_is_array(*json) ? (int)json_count(*json) : 0, layers = (count - FIRST) / PER_LAYER;
    if (count == FIRST + layers * PER_LAYER && layers >= 1 && layers <= CONFIG_MAX_LAYERS) return 0;
    json_free(*json);
    *json = NULL;
    return fail(err, VKGPT_BAD_MODEL, "%s: %d shapes, not %d and %d for each layer", path, count, FIRST, PER_LAYER);
}

// One shape, without the leading 1, which is a convolution's width. `elements` becomes the product of the sizes.
static int shape_read(const char *path, int index, const struct Json *item, struct Tensor *t, int64_t *elements,
                      vkgpt_error *err)
{
    size_t count = json_is_array(item) ? json_count(item) : 0;
    if (count < 1 || count > 3)
        return fail(err, VKGPT_BAD_MODEL, "%s: shape %d is not a list of 1 to 3 sizes", path, index);
    t->rank = 0;
    for (const struct Json *size = json_first(item); size; size = json_next(size)) {
        if (!json_integer(size, 1, CONFIG_MAX_ROWS, &t->shape[t->rank++]))
            return fail(err, VKGPT_BAD_MODEL, "%s: shape %d has the size %g, not a whole number from 1 to %d", path,
                        index, json_number(size), CONFIG_MAX_ROWS);
    }
    if (t->rank == 3 && t->shape[0] == 1) {
        t->rank = 2;
        memmove(t->shape, t->shape + 1, 2 * sizeof *t->shape);
    }
    *elements = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        t->stride[i] = *elements;
        if (__builtin_mul_overflow(*elements, t->shape[i], elements))
            return fail(err, VKGPT_BAD_MODEL, "%s: shape %d overflows", path, index);
    }
    return 0;
}

int openai_sizes(const char *path, struct OpenaiSizes *sizes, vkgpt_error *err)
{
    struct Json *json;
    struct Tensor wpe, wte;
    int64_t elements;
    int code = shapes_open(path, &json, err);
    if (code) return code;
    code = shape_read(path, 0, json_first(json), &wpe, &elements, err);
    if (!code) code = shape_read(path, 1, json_next(json_first(json)), &wte, &elements, err);
    if (!code && (wpe.rank != 2 || wte.rank != 2))
        code = fail(err, VKGPT_BAD_MODEL, "%s: the first two shapes have %d and %d sizes, not 2 each", path, wpe.rank,
                    wte.rank);
    if (!code) {
        *sizes = (struct OpenaiSizes){
            .layers = (uint32_t)(json_count(json) - FIRST) / PER_LAYER,
            .dim = (uint32_t)wpe.shape[1],
            .context = (uint32_t)wpe.shape[0],
            .vocab = (uint32_t)wte.shape[0],
        };
    }
    json_free(json);
    return code;
}

// ------------------------------------------------------------------------------------------------ the tensors

static int pieces_map(const char *path, struct TensorTable *table, struct Pieces *pieces, vkgpt_error *err)
{
    char dir[PATH_BYTES], name[32], piece[PATH_BYTES];
    snprintf(dir, sizeof dir, "%.*s", (int)(strlen(path) - strlen(OPENAI_SHAPES) - 1), path);
    int64_t total = 0;
    for (int i = 0; i < PIECES; i++) {
        const struct Mapping *file;
        const char *kept;
        int64_t count;
        snprintf(name, sizeof name, "params_%d.npy", i);
        int code = path_join(piece, dir, name, err);
        if (!code) code = table_map(table, piece, &file, &kept, err);
        if (!code) code = npy_floats(kept, file, &pieces->data[i], &count, err);
        if (code) return code;
        pieces->end[i] = total += count; // the files are mapped: no overflow
    }
    return 0;
}

// The floats [at, at + count) of the flat array: a pointer into one piece, or a copy if they span several.
static int slice(const struct Pieces *pieces, int64_t at, int64_t count, struct TensorTable *table,
                 const uint8_t **data, vkgpt_error *err)
{
    int first = 0;
    while (pieces->end[first] <= at) first++;
    int64_t start = first ? pieces->end[first - 1] : 0, size = sizeof(float);
    if (at + count <= pieces->end[first]) {
        *data = pieces->data[first] + (at - start) * size;
        return 0;
    }
    uint8_t *room = table_room(table, (size_t)(count * size));
    if (!room) return fail_memory(err, "a tensor in several pieces", (size_t)(count * size));
    *data = room;
    for (int i = first; count > 0; start = pieces->end[i++]) {
        int64_t here = pieces->end[i] - at < count ? pieces->end[i] - at : count;
        memcpy(room, pieces->data[i] + (at - start) * size, (size_t)(here * size));
        room += here * size;
        at += here;
        count -= here;
    }
    return 0;
}

static void name_of(int index, char *name, size_t size)
{
    int i = index - FIRST;
    if (i < 0) snprintf(name, size, "%s", first_names[index]);
    else snprintf(name, size, "h.%d.%s", i / PER_LAYER, layer_names[i % PER_LAYER]);
}

static int tensors_add(const char *path, const struct Json *json, const struct Pieces *pieces,
                       struct TensorTable *table, vkgpt_error *err)
{
    int64_t at = 0, total = pieces->end[PIECES - 1];
    int index = 0;
    for (const struct Json *item = json_first(json); item; item = json_next(item), index++) {
        char name[64];
        name_of(index, name, sizeof name);
        struct Tensor t = {.name = name, .file = path, .dtype = DTYPE_F32, .dtype_name = "F32"};
        int64_t count;
        int code = shape_read(path, index, item, &t, &count, err);
        if (code) return code;
        if (count > total - at)
            return fail(err, VKGPT_BAD_FILE,
                        "%s: tensor %s takes %" PRId64 " numbers from %" PRId64 " on, and the ten files hold %" PRId64,
                        path, name, count, at, total);
        code = slice(pieces, at, count, table, &t.data, err);
        t.bytes = (size_t)count * sizeof(float);
        if (!code) code = table_add(table, &t, err);
        if (code) return code;
        at += count;
    }
    if (at == total) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: the shapes take %" PRId64 " numbers, and the ten files hold %" PRId64, path,
                at, total);
}

int openai_read(const char *path, struct TensorTable *table, vkgpt_error *err)
{
    struct Pieces pieces;
    const struct Mapping *file;
    const char *kept;
    struct Json *json = NULL;
    int code = table_map(table, path, &file, &kept, err); // the table must own the path: tensors point to it
    if (!code) code = shapes_open(kept, &json, err);
    if (!code) code = pieces_map(kept, table, &pieces, err);
    if (!code) code = tensors_add(kept, json, &pieces, table, err);
    json_free(json);
    return code;
}
