// Checks the settings, then merges each tensor of the adapter into its weight, which is widened to fp32 first. The
// readers of checkpoints read the adapter's tensors.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/lora.h"

#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "model/content.h"
#include "model/locate.h"
#include "model/safetensors.h"
#include "model/table.h"
#include "model/torch_zip.h"

#define CONFIG_BYTES (16u << 20)
#define MAX_PATTERNS 4096
#define MAX_RANK (1 << 20)
#define STEP 64 // rows that a worker takes at a time
#define PREFIX "base_model.model."
#define MODULE_BYTES 512 // longest name of a module
#define NAME_BYTES 640   // longest name of a tensor

struct Lora {
    char path[PATH_BYTES]; // of adapter_config.json
    struct Json *config;
    struct TensorTable table;
    struct Checkpoint *to;
    struct LoraMerged *merged;
    vkgpt_error *err;
};

// ---------------------------------------------------------------------------------------------- the settings

static int fail_key(const struct Lora *l, const char *key, const struct Json *item, const char *what)
{
    char text[JSON_SHOWN];
    return fail(l->err, VKGPT_BAD_MODEL, "%s: %s is %s, %s", l->path, key, json_shown(item, text), what);
}

// Whether a setting is off: null, false, [] or {}.
static bool is_off(const struct Json *item)
{
    return !item || json_is_null(item) || json_is_false(item) ||
           ((json_is_array(item) || json_is_object(item)) && !json_first(item));
}

// Settings that make the product something else than W + scale B A, or change weights outside the adapter.
static const char *const refused[] = {
    "use_dora",          "modules_to_save",
    "layer_replication", "trainable_token_indices",
    "target_parameters", "alora_invocation_tokens",
    "use_qalora",        "use_bdlora",
    "arrow_config",      "kasa_config",
    "velora_config",     "monteclora_config",
};

// Initialisations that leave the model's own weights unchanged; the others move a part of them into A and B.
static bool is_plain_start(const struct Json *item)
{
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    const char *text = json_text(item);
    for (size_t i = 0; text && i < sizeof plain / sizeof *plain; i++)
        if (strcmp(text, plain[i]) == 0) return true;
    return is_off(item) || json_is_true(item);
}

// Limits the number of patterns: each one is compared with the names of all modules.
static int check_patterns(const struct Lora *l)
{
    static const char *const lists[] = {"rank_pattern", "alpha_pattern"};
    for (size_t i = 0; i < 2; i++) {
        size_t count = json_count(json_get(l->config, lists[i]));
        if (count > MAX_PATTERNS)
            return fail(l->err, VKGPT_BAD_MODEL, "%s: %s has %zu entries, more than %d", l->path, lists[i], count,
                        MAX_PATTERNS);
    }
    return 0;
}

static int check_settings(const struct Lora *l)
{
    const struct Json *type = json_get(l->config, "peft_type"), *start = json_get(l->config, "init_lora_weights");
    if (!json_text(type) || strcmp(json_text(type), "LORA") != 0)
        return fail_key(l, "peft_type", type, "and vkgpt merges LORA only");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct Json *item = json_get(l->config, refused[i]);
        if (!is_off(item)) return fail_key(l, refused[i], item, "which is not supported");
    }
    return is_plain_start(start)
               ? check_patterns(l)
               : fail_key(l, "init_lora_weights", start, "which changes the model's own weights and is not supported");
}

// A pattern's key is a regular expression for a whole module name, or for the part after a dot.
static int key_matches(const struct Lora *l, const char *key, const char *module, bool *matches)
{
    char pattern[512];
    int error, n = snprintf(pattern, sizeof pattern, "(.*\\.)?(%s)$", key);
    PCRE2_SIZE at;
    pcre2_code *code = n > 0 && (size_t)n < sizeof pattern
                           ? pcre2_compile((PCRE2_SPTR)pattern, (PCRE2_SIZE)n, PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY,
                                           &error, &at, NULL)
                           : NULL;
    pcre2_match_data *data = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    int found = data ? pcre2_match(code, (PCRE2_SPTR)module, strlen(module), 0, 0, data, NULL) : PCRE2_ERROR_INTERNAL;
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    *matches = found > 0;
    if (found > 0 || found == PCRE2_ERROR_NOMATCH) return 0;
    return fail(l->err, VKGPT_BAD_MODEL, "%s: \"%.80s\" is not a pattern for the names of modules", l->path, key);
}

// The first entry of rank_pattern or alpha_pattern that matches the module's name, else the value of `key`.
static int setting_of(const struct Lora *l, const char *patterns, const char *key, const char *module, double *value)
{
    const struct Json *item = json_get(l->config, key), *list = json_get(l->config, patterns);
    for (const struct Json *entry = list ? json_first(list) : NULL; entry; entry = json_next(entry)) {
        bool matches;
        int code = json_key(entry) ? key_matches(l, json_key(entry), module, &matches)
                                   : fail_key(l, patterns, list, "not an object");
        if (code) return code;
        if (!matches) continue;
        item = entry;
        key = patterns;
        break;
    }
    *value = json_is_number(item) ? json_number(item) : NAN;
    return isfinite(*value) ? 0 : fail_key(l, key, item, "not a number");
}

static int scale_of(const struct Lora *l, const char *module, int64_t rank, float *scale)
{
    double r = 0, alpha = 0;
    int code = setting_of(l, "rank_pattern", "r", module, &r);
    if (!code) code = setting_of(l, "alpha_pattern", "lora_alpha", module, &alpha);
    if (code) return code;
    if (r != (double)rank)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: the rank of %.200s is %g, its lora_A has %lld", l->path, module, r,
                    (long long)rank);
    *scale = (float)(json_is_true(json_get(l->config, "use_rslora")) ? alpha / sqrt(r) : alpha / r);
    return 0;
}

// ------------------------------------------------------------------------------------------------- the weights

struct Merged { // a tensor of the checkpoint that is in memory, no longer in its file
    struct Tensor tensor;
    float values[];
};

struct Merge {
    const struct Weight *from;
    float *values; // in the file's order
    int64_t out, in, rank;
    const float *up, *down; // (out, rank), (rank, in); up NULL: nothing is added
    float scale;
    float *rooms; // STEP + 1 rows per worker
};

static void merge_rows(void *user, uint32_t worker, uint32_t first, uint32_t count)
{
    const struct Merge *m = user;
    float *rows = m->rooms + (size_t)worker * (STEP + 1) * (size_t)m->in, *sum = rows + STEP * m->in;
    weight_rows(m->from, first, count, m->in, rows);
    for (uint32_t r = 0; m->up && r < count; r++) {
        memset(sum, 0, (size_t)m->in * sizeof *sum);
        for (int64_t k = 0; k < m->rank; k++) {
            float factor = m->up[(first + r) * m->rank + k];
            const float *row = m->down + k * m->in;
            for (int64_t i = 0; i < m->in; i++) sum[i] += factor * row[i];
        }
        for (int64_t i = 0; i < m->in; i++) rows[r * m->in + i] += m->scale * sum[i];
    }
    if (!m->from->in_out) memcpy(m->values + first * m->in, rows, (size_t)count * (size_t)m->in * sizeof *rows);
    for (int64_t i = 0; m->from->in_out && i < m->in; i++)
        for (uint32_t r = 0; r < count; r++) m->values[i * m->out + first + r] = rows[r * m->in + i];
}

static int fail_room(const struct Lora *l, const struct Tensor *t, size_t bytes)
{
    return fail(l->err, VKGPT_OUT_OF_MEMORY,
                "%s: merging %.200s takes %zu bytes of host memory, and there are not so many", l->path, t->name,
                bytes);
}

// A tensor of the same name, file and shape, in fp32 and row-major; the caller fills in its values.
static int widened(const struct Lora *l, const struct Tensor *t, struct Merged **wide)
{
    size_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= (size_t)t->shape[i]; // the file has this many: no overflow
    size_t bytes = sizeof **wide + count * sizeof(float);
    uint64_t unused = os_free_memory();
    *wide = unused && bytes > unused ? NULL : table_room(&l->to->table, bytes);
    if (!*wide) return fail_room(l, t, bytes);
    (*wide)->tensor = *t;
    (*wide)->tensor.dtype = DTYPE_F32;
    (*wide)->tensor.dtype_name = "F32";
    (*wide)->tensor.data = (const uint8_t *)(*wide)->values;
    (*wide)->tensor.bytes = count * sizeof(float);
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; stride *= t->shape[i--]) (*wide)->tensor.stride[i] = stride;
    return 0;
}

// If the head is tied, both change, whichever of the two the adapter names.
static void put(struct Lora *l, struct Weight *weight, const struct Tensor *tensor)
{
    struct Checkpoint *c = l->to;
    bool both = c->head.tensor == c->wte.tensor && (weight == &c->wte || weight == &c->head);
    weight->tensor = tensor;
    if (both) c->wte.tensor = c->head.tensor = tensor;
}

static int add_product(struct Lora *l, struct Weight *weight, struct Merge *m)
{
    struct Merged *wide;
    size_t room = (size_t)parallel_workers() * (STEP + 1) * (size_t)m->in * sizeof(float);
    int code = widened(l, weight->tensor, &wide);
    if (code) return code;
    m->from = weight;
    m->values = wide->values;
    m->rooms = malloc(room);
    if (!m->rooms) return fail_room(l, weight->tensor, room);
    parallel_rows((uint32_t)m->out, STEP, merge_rows, m);
    free(m->rooms);
    put(l, weight, &wide->tensor);
    l->merged->weights++;
    return 0;
}

// ------------------------------------------------------------------------------------- the adapter's tensors

static int fail_shape(const struct Lora *l, const struct Tensor *t, int64_t rows, int64_t cols, const char *of)
{
    char is[SHAPE_BYTES], wanted[SHAPE_BYTES];
    return fail(l->err, VKGPT_BAD_MODEL, "%s: tensor %.200s is %s, and %.100s makes it %s", t->file, t->name,
                shape_text(t->rank, t->shape, is), of, shape_text(cols ? 2 : 1, (int64_t[]){rows, cols}, wanted));
}

static bool has_shape(const struct Tensor *t, int64_t rows, int64_t cols)
{
    return t->rank == (cols ? 2 : 1) && t->shape[0] == rows && (!cols || t->shape[1] == cols);
}

// The values as floats, (rows, cols), transposed if `turned`. The caller frees them.
static int values_of(const struct Lora *l, const struct Tensor *t, bool turned, float **values)
{
    int64_t rows = t->shape[turned ? 1 : 0], cols = t->shape[turned ? 0 : 1];
    *values = malloc((size_t)(rows * cols) * sizeof **values + 1); // the file has this many
    if (!*values) return fail_memory(l->err, t->name, (size_t)(rows * cols) * sizeof **values);
    weight_rows(&(struct Weight){t, turned}, 0, rows, cols, *values);
    return 0;
}

// The tensor `name` + `end` of the file, or NULL.
static const struct Tensor *beside(const struct Lora *l, const char *name, const char *end)
{
    char full[NAME_BYTES + 32];
    snprintf(full, sizeof full, "%s%s", name, end);
    return table_find(&l->table, full);
}

static int fail_module(const struct Lora *l, const struct Tensor *t)
{
    return fail(l->err, VKGPT_BAD_MODEL,
                "%s: tensor %.200s belongs to nothing of this model, which is of class %s with %u layers", t->file,
                t->name, l->to->config.architecture, l->to->config.layers);
}

// The weight of a module's parameter, or NULL; `module` is without PEFT's prefix.
static struct Weight *weight_of(const struct Lora *l, const char *module, const char *parameter)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", module, parameter);
    struct Weight *weight = checkpoint_find(l->to, name);
    return weight && weight->tensor ? weight : NULL;
}

static void shape_of(const struct Weight *weight, int64_t *out, int64_t *in)
{
    const struct Tensor *t = weight->tensor;
    *out = t->shape[weight->in_out ? 1 : 0];
    *in = t->rank == 2 ? t->shape[weight->in_out ? 0 : 1] : 0;
}

// Merges A and B of one module. For an embedding table they are transposed: row o of the table is column o of A.
static int merge_pair(struct Lora *l, const char *module, const struct Tensor *a, const struct Tensor *b, bool table)
{
    struct Weight *weight = weight_of(l, module, ".weight");
    struct Merge m = {.rank = a->rank == 2 ? a->shape[0] : 0};
    float *up = NULL, *down = NULL;
    if (!weight) return fail_module(l, a);
    shape_of(weight, &m.out, &m.in);
    int64_t across = table ? m.out : m.in, along = table ? m.in : m.out;
    if (m.rank < 1 || m.rank > MAX_RANK || !has_shape(a, m.rank, across))
        return fail_shape(l, a, m.rank, across, weight->tensor->name);
    if (!has_shape(b, along, m.rank)) return fail_shape(l, b, along, m.rank, weight->tensor->name);
    int code = scale_of(l, module, m.rank, &m.scale);
    if (!code) code = values_of(l, table ? a : b, table, &up);
    if (!code) code = values_of(l, table ? b : a, table, &down);
    m.up = up;
    m.down = down;
    if (!code) code = add_product(l, weight, &m);
    free(up);
    free(down);
    return code;
}

// bias + scale * lora_B.bias
static int merge_bias(struct Lora *l, const char *module, const struct Tensor *t)
{
    struct Weight *bias = weight_of(l, module, ".bias");
    char name[NAME_BYTES];
    snprintf(name, sizeof name, PREFIX "%s", module);
    const struct Tensor *a = beside(l, name, ".lora_A.weight");
    struct Merged *wide;
    float scale;
    if (!bias || !a || a->rank != 2) return fail_module(l, t);
    if (!has_shape(t, bias->tensor->shape[0], 0))
        return fail_shape(l, t, bias->tensor->shape[0], 0, bias->tensor->name);
    int code = scale_of(l, module, a->shape[0], &scale);
    if (!code) code = widened(l, bias->tensor, &wide);
    float *more = code ? NULL : malloc((size_t)t->shape[0] * sizeof *more + 1);
    if (!code && !more) code = fail_memory(l->err, t->name, (size_t)t->shape[0] * sizeof *more);
    if (code) return code;
    weight_row(bias, 0, 0, t->shape[0], wide->values);
    weight_row(&(struct Weight){t, false}, 0, 0, t->shape[0], more);
    for (int64_t i = 0; i < t->shape[0]; i++) wide->values[i] += scale * more[i];
    free(more);
    put(l, bias, &wide->tensor);
    return 0;
}

// Replaces a whole bias or table, trained or only copied into the adapter; `name` is Hugging Face's.
static int replace(struct Lora *l, const char *name, const struct Tensor *t)
{
    struct Weight *weight = weight_of(l, name, "");
    struct Merged *wide;
    int64_t out = 0, in = 0;
    if (!weight) return fail_module(l, t);
    shape_of(weight, &out, &in);
    const int64_t *shape = weight->tensor->shape; // as stored in files
    if (!has_shape(t, shape[0], in ? shape[1] : 0))
        return fail_shape(l, t, shape[0], in ? shape[1] : 0, weight->tensor->name);
    int code = widened(l, weight->tensor, &wide);
    if (code) return code;
    if (in) weight_rows(&(struct Weight){t, false}, 0, shape[0], shape[1], wide->values);
    else weight_row(&(struct Weight){t, false}, 0, 0, shape[0], wide->values);
    put(l, weight, &wide->tensor);
    l->merged->replaced++;
    return 0;
}

// ------------------------------------------------------------------------------------------------- all of them

static const char BASE_LAYER[] = ".base_layer.";

enum Part { PART_A, PART_B, PART_TABLE_A, PART_TABLE_B, PART_BIAS, PART_WHOLE };

static const struct Ending {
    const char *text;
    enum Part part;
} endings[] = {
    {".lora_A.weight", PART_A},          {".lora_B.weight", PART_B},  {".lora_embedding_A", PART_TABLE_A},
    {".lora_embedding_B", PART_TABLE_B}, {".lora_B.bias", PART_BIAS},
};

// The part that a tensor is, and the module's name (for a whole tensor its own), without PEFT's prefix and
// ".base_layer".
static int part_of(const struct Lora *l, const struct Tensor *t, enum Part *part, char module[MODULE_BYTES])
{
    size_t length = strlen(t->name), prefix = strlen(PREFIX);
    *part = PART_WHOLE;
    if (t->dtype == DTYPE_OTHER || t->dtype == DTYPE_BLOCKS)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: tensor %.200s is of type %s, not F32, F16 or BF16", t->file, t->name,
                    t->dtype_name);
    if (strstr(t->name, "lora_magnitude_vector"))
        return fail(l->err, VKGPT_BAD_MODEL, "%s: tensor %.200s is of DoRA, which is not supported", t->file, t->name);
    if (length >= MODULE_BYTES || strncmp(t->name, PREFIX, prefix) != 0)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: tensor %.200s does not begin with " PREFIX ", as PEFT's do", t->file,
                    t->name);
    snprintf(module, MODULE_BYTES, "%s", t->name + prefix);
    length -= prefix;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t end = strlen(endings[i].text);
        if (length <= end || strcmp(module + length - end, endings[i].text) != 0) continue;
        module[length - end] = '\0';
        *part = endings[i].part;
        return 0;
    }
    char *base = strstr(module, BASE_LAYER);
    if (base) memmove(base, base + strlen(BASE_LAYER) - 1, strlen(base + strlen(BASE_LAYER) - 1) + 1);
    return 0;
}

// Whether a module belongs to the head, and the checkpoint was opened without it.
static bool is_unused(const struct Lora *l, const char *module)
{
    return l->to->no_head && strncmp(module, "lm_head", 7) == 0;
}

// Whole tensors are merged first: A and B are added to them.
static int merge_tensor(struct Lora *l, const struct Tensor *t, bool whole)
{
    enum Part part;
    char module[MODULE_BYTES], name[NAME_BYTES];
    int code = part_of(l, t, &part, module);
    if (code || (part == PART_WHOLE) != whole) return code;
    if (is_unused(l, module)) return 0;
    if (whole) return replace(l, module, t);
    if (part == PART_BIAS) return merge_bias(l, module, t);
    bool table = part == PART_TABLE_A || part == PART_TABLE_B;
    snprintf(name, sizeof name, PREFIX "%s", module);
    const struct Tensor *a = beside(l, name, table ? ".lora_embedding_A" : ".lora_A.weight");
    const struct Tensor *b = beside(l, name, table ? ".lora_embedding_B" : ".lora_B.weight");
    if (!a || !b)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: tensor %.200s is there, and its other half, lora_%c, is absent",
                    t->file, t->name, a ? 'B' : 'A');
    return part == PART_A || part == PART_TABLE_A ? merge_pair(l, module, a, b, table) : 0;
}

static int merge_all(struct Lora *l)
{
    for (int whole = 1; whole >= 0; whole--)
        for (size_t i = 0; i < l->table.count; i++) {
            int code = merge_tensor(l, &l->table.tensors[i], whole);
            if (code) return code;
        }
    return l->merged->weights || l->to->no_head
               ? 0
               : fail(l->err, VKGPT_BAD_MODEL, "%s: the adapter holds no LoRA weights", l->path);
}

static int open_tensors(struct Lora *l, const char *dir)
{
    static const char *const names[] = {"adapter_model.safetensors", "adapter_model.bin"};
    char path[PATH_BYTES];
    for (int i = 0; i < 2; i++) {
        int code = path_join(path, dir, names[i], l->err);
        if (code) return code;
        if (!os_exists(path)) continue;
        code = content_check(path, l->err);
        if (code) return code;
        return i ? torch_read(path, &l->table, l->err) : safetensors_read(path, &l->table, l->err);
    }
    return fail(l->err, VKGPT_BAD_FILE, "%s: neither adapter_model.safetensors nor adapter_model.bin is there", dir);
}

int lora_merge(const char *path, struct Checkpoint *checkpoint, struct LoraMerged *merged, vkgpt_error *err)
{
    struct Lora l = {.to = checkpoint, .merged = merged, .err = err};
    struct Located at;
    *merged = (struct LoraMerged){0};
    int code = model_locate(path, NEED_ADAPTER, &at, err);
    if (code) return code;
    model_name(at.path, merged->name, sizeof merged->name);
    code = path_join(l.path, at.path, "adapter_config.json", err);
    if (!code) code = json_read_python(l.path, CONFIG_BYTES, &l.config, err);
    if (!code) code = check_settings(&l);
    if (!code) code = open_tensors(&l, at.path);
    if (!code) code = merge_all(&l);
    json_free(l.config);
    code = table_end(&l.table, table_end(&checkpoint->table, code, err), err);
    table_free(&l.table);
    return code;
}
