// Writes the facts of struct Config as keys of config.json. A fact without a key must have the class's default value:
// to check this, the file is read again and compared.
#include "model/config_write.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "model/path.h"

#define CONFIG_BYTES (16u << 20)

// ------------------------------------------------------------------------------------------------- differences

#define FIELD(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct Config, name), sizeof(((struct Config *)0)->name)                                       \
    }

static const struct Field {
    const char *name;
    size_t offset, bytes;
} fields[] = {
    // all fields but architecture and the end tokens
    FIELD(layers),
    FIELD(heads),
    FIELD(dim),
    FIELD(head_dim),
    FIELD(inner),
    FIELD(context),
    FIELD(vocab),
    FIELD(eps),
    FIELD(activation),
    FIELD(scale_attention),
    FIELD(scale_by_inverse_layer),
    FIELD(tied_head),
    FIELD(post_norm),
    FIELD(final_norm),
    FIELD(norm_affine),
    FIELD(qkv_bias),
    FIELD(bias),
    FIELD(embed_dim),
    FIELD(position_offset),
    FIELD(window),
    FIELD(local),
    FIELD(bos),
};

const char *config_difference(const struct Config *a, const struct Config *b)
{
    if (strcmp(a->architecture, b->architecture) != 0) return "architecture";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct Field *f = &fields[i];
        if (memcmp((const char *)a + f->offset, (const char *)b + f->offset, f->bytes) != 0) return f->name;
    }
    bool same_ends = a->eos_count == b->eos_count && memcmp(a->eos, b->eos, a->eos_count * sizeof *a->eos) == 0;
    return same_ends ? NULL : "eos";
}

// ----------------------------------------------------------------------------------------------------- the keys

static const char *activation_name(const struct Config *config)
{
    bool gpt1 = strcmp(config->architecture, "openai-gpt") == 0; // with its names of 2018
    switch (config->activation) {
    case ACTIVATION_GELU_TANH: return gpt1 ? "gelu" : "gelu_new";
    case ACTIVATION_GELU_ERF: return "gelu";
    case ACTIVATION_RELU: return "relu";
    case ACTIVATION_SILU: return "silu";
    case ACTIVATION_QUICK_GELU: return "quick_gelu";
    }
    return "";
}

// Writes the shortest decimal that reads back as this float.
static void add_float(cJSON *json, const char *key, float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if ((float)strtod(text, NULL) == value) break;
    }
    cJSON_AddRawToObject(json, key, text);
}

// null, one id, or a list of ids.
static void add_ids(cJSON *json, const char *key, const uint32_t *ids, uint32_t count)
{
    cJSON *list = count > 1 ? cJSON_AddArrayToObject(json, key) : NULL;
    for (uint32_t i = 0; list && i < count; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber(ids[i]));
    if (count == 1) cJSON_AddNumberToObject(json, key, ids[0]);
    if (count == 0) cJSON_AddNullToObject(json, key);
}

// The keys that gpt2 has and openai-gpt does not.
static void add_gpt2(cJSON *json, const struct Config *c)
{
    cJSON_AddStringToObject(json, "activation_function", activation_name(c));
    cJSON_AddNumberToObject(json, "n_inner", c->inner);
    cJSON_AddBoolToObject(json, "scale_attn_weights", c->scale_attention);
    cJSON_AddBoolToObject(json, "scale_attn_by_inverse_layer_idx", c->scale_by_inverse_layer);
}

static cJSON *config_json(const struct Config *c, bool half)
{
    bool gpt2 = strcmp(c->architecture, "gpt2") == 0;
    const char *class = gpt2 ? "GPT2LMHeadModel" : "OpenAIGPTLMHeadModel";
    uint32_t bos = c->bos < 0 ? 0 : (uint32_t)c->bos;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "architectures", cJSON_CreateStringArray(&class, 1));
    cJSON_AddStringToObject(json, "model_type", c->architecture);
    cJSON_AddNumberToObject(json, "vocab_size", c->vocab);
    cJSON_AddNumberToObject(json, "n_positions", c->context);
    cJSON_AddNumberToObject(json, "n_ctx", c->context);
    cJSON_AddNumberToObject(json, "n_embd", c->dim);
    cJSON_AddNumberToObject(json, "n_layer", c->layers);
    cJSON_AddNumberToObject(json, "n_head", c->heads);
    if (gpt2) add_gpt2(json, c);
    else cJSON_AddStringToObject(json, "afn", activation_name(c));
    add_float(json, "layer_norm_epsilon", c->eps);
    cJSON_AddBoolToObject(json, "tie_word_embeddings", c->tied_head);
    add_ids(json, "bos_token_id", &bos, c->bos >= 0);
    add_ids(json, "eos_token_id", c->eos, c->eos_count);
    cJSON_AddStringToObject(json, "torch_dtype", half ? "float16" : "float32");
    return json;
}

// ------------------------------------------------------------------------------------------------------ the file

// Writes and frees `json`.
static int json_write(const char *dir, cJSON *json, vkgpt_error *err)
{
    char path[PATH_BYTES];
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    int code = path_join(path, dir, "config.json", err);
    if (!code && !text) code = fail_memory(err, path, 4096);
    if (!code) {
        size_t length = strlen(text);
        text[length] = '\n'; // in place of the NUL
        code = os_write(path, text, length + 1, err);
    }
    cJSON_free(text);
    return code;
}

int config_write(const char *dir, const struct Config *config, bool half, vkgpt_error *err)
{
    struct Config again;
    if (strcmp(config->architecture, "gpt2") != 0 && strcmp(config->architecture, "openai-gpt") != 0)
        return fail(err, VKGPT_BAD_MODEL, "%s: a config.json of class %s is made of a directory's own only", dir,
                    config->architecture);
    int code = json_write(dir, config_json(config, half), err);
    if (!code) code = config_read(dir, &again, err);
    if (code) return code;
    const char *field = config_difference(config, &again);
    if (!field) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: the model's %s is something that a config.json of class %s cannot say", dir,
                field, config->architecture);
}

// A copy of a value, for writing. Numbers keep their text, also those that cJSON cannot hold: NaN, 1e999.
static cJSON *copy_of(const struct Json *item)
{
    if (json_text(item)) return cJSON_CreateString(json_text(item));
    if (json_is_number(item)) return cJSON_CreateRaw(json_digits(item));
    if (json_is_bool(item)) return cJSON_CreateBool(json_is_true(item));
    if (json_is_null(item)) return cJSON_CreateNull();
    cJSON *copy = json_is_object(item) ? cJSON_CreateObject() : cJSON_CreateArray();
    for (const struct Json *entry = json_first(item); entry; entry = json_next(entry)) {
        if (json_key(entry)) cJSON_AddItemToObject(copy, json_key(entry), copy_of(entry));
        else cJSON_AddItemToArray(copy, copy_of(entry));
    }
    return copy;
}

int config_carry(const char *from, const char *to, bool half, vkgpt_error *err)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    char path[PATH_BYTES];
    struct Json *source;
    int code = path_join(path, from, "config.json", err);
    if (!code) code = json_read_python(path, CONFIG_BYTES, &source, err);
    if (code) return code;
    cJSON *json = copy_of(source);
    json_free(source);
    bool said = false;
    for (int i = 0; i < 2; i++) {
        bool there = cJSON_HasObjectItem(json, keys[i]), last = i == 1;
        if (!there && (!last || said)) continue;
        cJSON_DeleteItemFromObjectCaseSensitive(json, keys[i]);
        cJSON_AddStringToObject(json, keys[i], half ? "float16" : "float32");
        said = true;
    }
    return json_write(to, json, err);
}
