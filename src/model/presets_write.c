// Writes the files of a model with random weights: their names, the config, the tokens, and the renames at the end.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "model/json_text.h"
#include "model/old_files.h"
#include "model/path.h"
#include "model/presets_random.h"

#define MARK "vkgpt_make_model" // the key of config.json that marks a model of make-model
#define SMALL_FILE ((size_t)64 << 20)
#define PART ".part"
#define FILE_BYTES 64
#define MAX_SHARDS 99999
#define MAX_FILLED 262144     // most rows of a token table for which missing tokens are added
#define BYTE_SPACE "\xC4\xA0" // a space in byte-level tokens

struct Writing {
    const struct Config *config;
    const struct PresetOutput *to;
    struct RandomTensor *tensors;
    size_t count;
    size_t *firsts;    // the first tensor of each shard; one more for the end
    int64_t end_token; // -1: none
    vkgpt_error *err;
};

// --------------------------------------------------------------------------------------------------- names

// The name of the i-th file of a model, config.json last; false past the last.
static bool file_name(uint32_t i, uint32_t shards, char name[FILE_BYTES])
{
    static const char *const others[] = {"model.safetensors.index.json", "vocab.json", "merges.txt", "config.json"};
    if (i < shards) {
        if (shards == 1) snprintf(name, FILE_BYTES, "model.safetensors");
        else snprintf(name, FILE_BYTES, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", i + 1, shards);
        return true;
    }
    i -= shards - (shards == 1); // one file needs no index
    if (i >= sizeof others / sizeof *others) return false;
    snprintf(name, FILE_BYTES, "%s", others[i]);
    return true;
}

static int part_path(const struct Writing *w, const char *name, char path[PATH_BYTES])
{
    char part[FILE_BYTES + sizeof PART];
    snprintf(part, sizeof part, "%s" PART, name);
    return path_join(path, w->to->dir, part, w->err);
}

static int small_write(const struct Writing *w, const char *name, const void *data, size_t bytes)
{
    char path[PATH_BYTES];
    int status = part_path(w, name, path);
    return status ? status : os_write(path, data, bytes, w->err);
}

// Writes and frees `json`.
static int json_write(const struct Writing *w, const char *name, cJSON *json)
{
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) return fail_memory(w->err, name, 0);
    size_t bytes = strlen(text);
    text[bytes] = '\n'; // in place of the NUL
    int status = small_write(w, name, text, bytes + 1);
    cJSON_free(text);
    return status;
}

// --------------------------------------------------------------------------------------------------- tokens

// Gives every id without a token the text " <4096>" with its number, so that all sampled ids can be shown.
static bool vocab_fill(const struct Writing *w, const bool *has, const struct Map *kept, struct JsonText *out)
{
    bool good = true;
    for (uint32_t id = 0; good && id < w->config->vocab; id++) {
        char text[24];
        uint32_t other;
        snprintf(text, sizeof text, BYTE_SPACE "<%" PRIu32 ">", id);
        if (!has[id] && !map_find(kept, text, strlen(text), &other)) good = json_text_member(out, text, id);
    }
    return good;
}

// Drops the tokens past the table, and remembers the end token and which ids have a token.
static int vocab_keep(struct Writing *w, const struct Json *vocab, const char *path, struct Map *kept, bool *has,
                      struct JsonText *out)
{
    for (const struct Json *token = json_first(vocab); token; token = json_next(token)) {
        const char *text = json_key(token);
        int64_t id;
        if (!json_integer(token, 0, UINT32_MAX, &id))
            return fail(w->err, VKGPT_BAD_FILE, "%s: the id of \"%.100s\" is not a whole number", path, text);
        if (id >= w->config->vocab) continue;
        if (map_add(kept, text, strlen(text), (uint32_t)id) < 0 || !json_text_member(out, text, (uint32_t)id))
            return fail_memory(w->err, path, kept->count);
        if (has) has[id] = true;
        if (strcmp(text, "<|endoftext|>") == 0) w->end_token = id;
    }
    return VKGPT_OK;
}

// Very large tables are not filled.
static int vocab_write(struct Writing *w, const struct Json *vocab, const char *path, struct Map *kept)
{
    struct JsonText out = {0};
    uint32_t rows = w->config->vocab;
    bool fills = rows <= MAX_FILLED, *has = fills ? calloc(rows, sizeof *has) : NULL;
    int status = (fills && !has) || !json_text_add(&out, "{") ? fail_memory(w->err, path, rows * sizeof *has) : 0;
    if (!status) status = vocab_keep(w, vocab, path, kept, has, &out);
    bool good = status || !has || vocab_fill(w, has, kept, &out);
    if (!status && !(good && json_text_add(&out, "}"))) status = fail_memory(w->err, path, out.bytes);
    if (!status) status = small_write(w, "vocab.json", out.data, out.bytes);
    json_text_free(&out);
    free(has);
    return status;
}

// Whether to keep a line of merges.txt: both parts and the merged token are kept. The heading is kept too.
static bool merge_stays(const char *line, size_t bytes, const struct Map *kept)
{
    const char *space = memchr(line, ' ', bytes);
    char joined[1024];
    uint32_t id;
    if (bytes >= 8 && memcmp(line, "#version", 8) == 0) return true;
    if (!space || bytes > sizeof joined) return false;
    size_t left = (size_t)(space - line), right = bytes - left - 1;
    memcpy(joined, line, left);
    memcpy(joined + left, space + 1, right);
    return map_find(kept, line, left, &id) && map_find(kept, space + 1, right, &id) &&
           map_find(kept, joined, left + right, &id);
}

static int merges_write(const struct Writing *w, const char *path, const struct Map *kept)
{
    char *text;
    size_t bytes, used = 0;
    int status = os_read_file(path, SMALL_FILE, &text, &bytes, w->err);
    if (status) return status;
    for (size_t at = 0, length; at < bytes; at += length) {
        const char *end = memchr(text + at, '\n', bytes - at);
        length = end ? (size_t)(end - text) - at + 1 : bytes - at;
        size_t line = end ? length - 1 : length;
        if (line && text[at + line - 1] == '\r') line--;
        if (!merge_stays(text + at, line, kept)) continue;
        memmove(text + used, text + at, length); // kept lines move up
        used += length;
    }
    status = small_write(w, "merges.txt", text, used);
    free(text);
    return status;
}

static int tokenizer_write(struct Writing *w)
{
    char vocab_path[PATH_BYTES], merges_path[PATH_BYTES];
    struct Json *vocab = NULL;
    struct Map kept = {0};
    int status = path_join(vocab_path, w->to->tokenizer, "vocab.json", w->err);
    if (!status) status = path_join(merges_path, w->to->tokenizer, "merges.txt", w->err);
    if (!status) status = json_read(vocab_path, SMALL_FILE, &vocab, w->err);
    if (!status && !json_is_object(vocab)) status = fail(w->err, VKGPT_BAD_FILE, "%s: not a JSON object", vocab_path);
    if (!status) status = vocab_write(w, vocab, vocab_path, &kept);
    if (!status) status = merges_write(w, merges_path, &kept);
    map_free(&kept);
    json_free(vocab);
    return status;
}

// --------------------------------------------------------------------------------------------------- config

static void add_number(cJSON *json, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(json, key, text);
}

static void add_size_or_null(cJSON *json, const char *key, uint32_t size, uint32_t usual)
{
    if (size == usual) cJSON_AddNullToObject(json, key);
    else add_number(json, key, size);
}

static void add_token(cJSON *json, const char *key, int64_t id)
{
    if (id < 0) cJSON_AddNullToObject(json, key);
    else add_number(json, key, (uint64_t)id);
}

static void config_gpt2(cJSON *json, const struct Config *c)
{
    add_number(json, "n_positions", c->context);
    add_number(json, "n_ctx", c->context);
    add_number(json, "n_embd", c->dim);
    add_number(json, "n_layer", c->layers);
    add_number(json, "n_head", c->heads);
    add_size_or_null(json, "n_inner", c->inner, 4 * c->dim);
}

static void config_neo(cJSON *json, const struct Config *c)
{
    char types[96], last[32] = "";
    if (c->layers % 2) snprintf(last, sizeof last, "%s[[\"global\"], 1]", c->layers > 1 ? ", " : "");
    if (c->layers > 1) snprintf(types, sizeof types, "[[[\"global\", \"local\"], %" PRIu32 "]%s]", c->layers / 2, last);
    else snprintf(types, sizeof types, "[%s]", last);
    add_number(json, "max_position_embeddings", c->context);
    add_number(json, "hidden_size", c->dim);
    add_number(json, "num_layers", c->layers);
    add_number(json, "num_heads", c->heads);
    add_size_or_null(json, "intermediate_size", c->inner, 4 * c->dim);
    cJSON_AddRawToObject(json, "attention_types", types);
    add_number(json, "window_size", c->window);
}

static int config_write(const struct Writing *w)
{
    static const char *const types[] = {[DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
    const struct Config *c = w->config;
    bool gpt2 = strcmp(c->architecture, "gpt2") == 0;
    const char *class = gpt2 ? "GPT2LMHeadModel" : "GPTNeoForCausalLM";
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "architectures", cJSON_CreateStringArray(&class, 1));
    cJSON_AddStringToObject(json, "model_type", c->architecture);
    cJSON_AddStringToObject(json, "activation_function", "gelu_new");
    add_number(json, "vocab_size", c->vocab);
    if (gpt2) config_gpt2(json, c);
    else config_neo(json, c);
    cJSON_AddRawToObject(json, "layer_norm_epsilon", "1e-05");
    cJSON_AddTrueToObject(json, "tie_word_embeddings");
    add_token(json, "bos_token_id", w->end_token);
    add_token(json, "eos_token_id", w->end_token);
    cJSON_AddStringToObject(json, "torch_dtype", types[w->to->dtype]);
    cJSON *mark = cJSON_AddObjectToObject(json, MARK);
    cJSON_AddStringToObject(mark, "preset", w->to->preset);
    add_number(mark, "seed", w->to->seed);
    add_number(mark, "shards", w->to->shards);
    return json_write(w, "config.json", json);
}

// -------------------------------------------------------------------------------------------------- weights

static uint64_t elements_of(const struct RandomTensor *tensors, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += random_tensor_elements(&tensors[i]);
    return total;
}

// Cuts into shards of similar size, with at least one tensor each.
static int shards_cut(struct Writing *w)
{
    uint32_t shards = w->to->shards, at = 0;
    if (shards > w->count || shards > MAX_SHARDS)
        return fail(w->err, VKGPT_BAD_ARGUMENT, "%" PRIu32 " shards for %zu tensors", shards, w->count);
    w->firsts = calloc((size_t)shards + 1, sizeof *w->firsts);
    if (!w->firsts) return fail_memory(w->err, "the shards", shards * sizeof *w->firsts);
    double total = (double)elements_of(w->tensors, w->count), done = 0;
    for (size_t i = 0; i < w->count; i++) {
        bool due = done >= total * (at + 1) / shards, last_chance = w->count - i <= shards - 1 - at;
        if (i > w->firsts[at] && at + 1 < shards && (due || last_chance)) w->firsts[++at] = i;
        done += (double)random_tensor_elements(&w->tensors[i]);
    }
    w->firsts[shards] = w->count;
    return VKGPT_OK;
}

static int weights_write(const struct Writing *w)
{
    uint64_t total = elements_of(w->tensors, w->count) * dtype_bytes(w->to->dtype);
    struct RandomProgress progress = {w->to->progress, w->to->user, 0, total};
    int status = VKGPT_OK;
    for (uint32_t s = 0; !status && s < w->to->shards; s++) {
        char name[FILE_BYTES], path[PATH_BYTES];
        file_name(s, w->to->shards, name);
        status = part_path(w, name, path);
        size_t first = w->firsts[s], count = w->firsts[s + 1] - first;
        if (!status)
            status = random_file_write(path, w->tensors + first, count, w->to->seed, w->to->dtype, &progress, w->err);
    }
    return status;
}

static int index_write(const struct Writing *w)
{
    if (w->to->shards == 1) return VKGPT_OK;
    cJSON *json = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(json, "metadata");
    add_number(metadata, "total_size", elements_of(w->tensors, w->count) * dtype_bytes(w->to->dtype));
    cJSON *map = cJSON_AddObjectToObject(json, "weight_map");
    for (uint32_t s = 0; s < w->to->shards; s++) {
        char name[FILE_BYTES];
        file_name(s, w->to->shards, name);
        for (size_t i = w->firsts[s]; i < w->firsts[s + 1]; i++) cJSON_AddStringToObject(map, w->tensors[i].name, name);
    }
    return json_write(w, "model.safetensors.index.json", json);
}

// ------------------------------------------------------------------------------------------------ all of it

static int all_write(struct Writing *w)
{
    int status = shards_cut(w);
    if (!status) status = tokenizer_write(w); // small files first: errors show early
    if (!status) status = config_write(w);
    if (!status) status = index_write(w);
    return status ? status : weights_write(w);
}

// Removes the temporary files.
static void parts_remove(const char *dir, uint32_t shards)
{
    char name[FILE_BYTES], path[PATH_BYTES];
    for (uint32_t i = 0; shards && file_name(i, shards, name); i++)
        if (snprintf(path, sizeof path, "%s/%s" PART, dir, name) < PATH_BYTES) remove(path);
}

static int files_place(const struct Writing *w)
{
    char name[FILE_BYTES], part[PATH_BYTES], path[PATH_BYTES];
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && file_name(i, w->to->shards, name); i++) {
        status = part_path(w, name, part);
        if (!status) status = path_join(path, w->to->dir, name, w->err);
        if (!status) status = os_replace(part, path, w->err);
    }
    return status;
}

static int directory_write(struct Writing *w)
{
    const char *dir = w->to->dir;
    int status = w->to->force ? 0 : old_files_refuse(dir, w->err);
    if (status) return status;
    bool made = !os_is_dir(dir);
    if (os_make_dirs(dir)) return fail(w->err, VKGPT_BAD_FILE, "%s: cannot make this directory", dir);
    status = all_write(w);
    if (!status) {
        old_files_remove(dir, NULL);
        status = files_place(w);
    }
    if (status) parts_remove(dir, w->to->shards);
    if (status && made) remove(dir); // fails if it is not empty
    return status;
}

int preset_write(const struct Config *config, const struct PresetOutput *output, vkgpt_error *err)
{
    struct Writing w = {.config = config, .to = output, .end_token = -1, .err = err};
    w.tensors = random_tensors(config, &w.count);
    if (!w.tensors) return fail_memory(err, "the list of tensors", config->layers * 12 * sizeof *w.tensors);
    int status = directory_write(&w);
    free(w.firsts);
    free(w.tensors);
    return status;
}
