// Reads config.json and generation_config.json of a Hugging Face directory into struct Config. The tables below map the
// keys; an absent key has Hugging Face's default, and a key in no table is ignored. Every number is bounded here, so
// that code that allocates from it need not check again.
#include "model/config.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "model/classes.h"
#include "model/openai.h"
#include "model/path.h"

#define CONFIG_BYTES (16u << 20) // limit for config.json; real ones have a few KB

enum Kind {
    SIZE,          // a whole number in [1, max]
    SIZE_OR_NULL,  // SIZE or null; null leaves 0: the default follows from another size
    FLAG,          // true or false
    FLAG_NOT,      // true or false; the field is the opposite
    EPSILON,       // a number above 0
    FUNCTION,      // the name of an activation
    FUNCTION_GPT1, // the name of an activation in GPT-1's code of 2018
    ONLY_FALSE,    // changes the forward pass when true
    ONLY_TRUE,     // changes the forward pass when false
    ONLY_EMPTY,    // changes the forward pass when not null, {} or []
    ONLY_NULL,     // changes the forward pass when not null
};

struct Key {
    const char *name;
    enum Kind kind;
    size_t field; // offset in struct Config
    int64_t max;
};

// Some fields have two keys: the second is Hugging Face's alias (attribute_map), which wins there too.
static const struct Key gpt2_keys[] = {
    {"vocab_size", SIZE, offsetof(struct Config, vocab), CONFIG_MAX_ROWS},
    {"n_positions", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"max_position_embeddings", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"n_embd", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"hidden_size", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"n_layer", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"num_hidden_layers", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"n_head", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"num_attention_heads", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"n_inner", SIZE_OR_NULL, offsetof(struct Config, inner), CONFIG_MAX_ROWS},
    {"activation_function", FUNCTION, offsetof(struct Config, activation), 0},
    {"layer_norm_epsilon", EPSILON, offsetof(struct Config, eps), 0},
    {"scale_attn_weights", FLAG, offsetof(struct Config, scale_attention), 0},
    {"scale_attn_by_inverse_layer_idx", FLAG, offsetof(struct Config, scale_by_inverse_layer), 0},
    {"tie_word_embeddings", FLAG, offsetof(struct Config, tied_head), 0},
    {NULL, 0, 0, 0},
};

// There is no key for the inner width: in Hugging Face it is 4 times the width, whatever the file says.
static const struct Key gpt1_keys[] = {
    {"vocab_size", SIZE, offsetof(struct Config, vocab), CONFIG_MAX_ROWS},
    {"n_positions", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"max_position_embeddings", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"n_embd", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"hidden_size", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"n_layer", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"num_hidden_layers", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"n_head", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"num_attention_heads", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"afn", FUNCTION_GPT1, offsetof(struct Config, activation), 0},
    {"layer_norm_epsilon", EPSILON, offsetof(struct Config, eps), 0},
    {"tie_word_embeddings", FLAG, offsetof(struct Config, tied_head), 0},
    {NULL, 0, 0, 0},
};

// attention_read reads attention_layers and attention_types.
static const struct Key neo_keys[] = {
    {"vocab_size", SIZE, offsetof(struct Config, vocab), CONFIG_MAX_ROWS},
    {"max_position_embeddings", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"hidden_size", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"num_layers", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"num_hidden_layers", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"num_heads", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"num_attention_heads", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"intermediate_size", SIZE_OR_NULL, offsetof(struct Config, inner), CONFIG_MAX_ROWS},
    {"window_size", SIZE, offsetof(struct Config, window), CONFIG_MAX_ROWS},
    {"activation_function", FUNCTION, offsetof(struct Config, activation), 0},
    {"layer_norm_epsilon", EPSILON, offsetof(struct Config, eps), 0},
    {"tie_word_embeddings", FLAG, offsetof(struct Config, tied_head), 0},
    {NULL, 0, 0, 0},
};

static const struct Key opt_keys[] = {
    {"vocab_size", SIZE, offsetof(struct Config, vocab), CONFIG_MAX_ROWS},
    {"max_position_embeddings", SIZE, offsetof(struct Config, context), CONFIG_MAX_ROWS},
    {"hidden_size", SIZE, offsetof(struct Config, dim), CONFIG_MAX_DIM},
    {"word_embed_proj_dim", SIZE_OR_NULL, offsetof(struct Config, embed_dim), CONFIG_MAX_DIM},
    {"num_hidden_layers", SIZE, offsetof(struct Config, layers), CONFIG_MAX_LAYERS},
    {"num_attention_heads", SIZE, offsetof(struct Config, heads), CONFIG_MAX_DIM},
    {"ffn_dim", SIZE, offsetof(struct Config, inner), CONFIG_MAX_ROWS},
    {"activation_function", FUNCTION, offsetof(struct Config, activation), 0},
    {"do_layer_norm_before", FLAG_NOT, offsetof(struct Config, post_norm), 0},
    {"_remove_final_layer_norm", FLAG_NOT, offsetof(struct Config, final_norm), 0},
    {"layer_norm_elementwise_affine", FLAG, offsetof(struct Config, norm_affine), 0},
    {"enable_bias", FLAG, offsetof(struct Config, qkv_bias), 0},
    {"enable_bias", FLAG, offsetof(struct Config, bias), 0},
    {"tie_word_embeddings", FLAG, offsetof(struct Config, tied_head), 0},
    {NULL, 0, 0, 0},
};

// Keys that any model of the family may have, with the values that are refused.
static const struct Key refused_keys[] = {
    {"add_cross_attention", ONLY_FALSE, 0, 0},
    {"is_encoder_decoder", ONLY_FALSE, 0, 0},
    {"is_causal", ONLY_TRUE, 0, 0},
    {"pruned_heads", ONLY_EMPTY, 0, 0},
    {"quantization_config", ONLY_NULL, 0, 0},
    {"compression_config", ONLY_NULL, 0, 0},
    {NULL, 0, 0, 0},
};

static int attention_read(const char *path, const struct Json *json, struct Config *config, vkgpt_error *err);

enum { GPT2, GPT1, NEO, OPT };

// The defaults are those of Hugging Face's configuration classes.
static const struct Family {
    const char *class; // how the names under "architectures" begin
    const char *dim_name, *heads_name;
    const struct Key *keys;
    int (*read_more)(const char *path, const struct Json *json, struct Config *config, vkgpt_error *err); // or NULL
    struct Config defaults;
    // clang-format off
} families[] = {
    [GPT2] = {"GPT2", "n_embd", "n_head", gpt2_keys, NULL,
     {.architecture = "gpt2", .layers = 12, .heads = 12, .dim = 768, .context = 1024, .vocab = 50257, .eps = 1e-5f,
      .activation = ACTIVATION_GELU_TANH, .scale_attention = true, .tied_head = true, .final_norm = true,
      .norm_affine = true, .qkv_bias = true, .bias = true, .bos = 50256, .eos_count = 1, .eos = {50256}}},
    [GPT1] = {"OpenAIGPT", "n_embd", "n_head", gpt1_keys, NULL,
     {.architecture = "openai-gpt", .layers = 12, .heads = 12, .dim = 768, .context = 512, .vocab = 40478,
      .eps = 1e-5f, .activation = ACTIVATION_GELU_TANH, .scale_attention = true, .tied_head = true, .post_norm = true,
      .norm_affine = true, .qkv_bias = true, .bias = true, .bos = -1}},
    [NEO] = {"GPTNeo", "hidden_size", "num_heads", neo_keys, attention_read,
     {.architecture = "gpt_neo", .layers = 24, .heads = 16, .dim = 2048, .context = 2048, .vocab = 50257,
      .eps = 1e-5f, .activation = ACTIVATION_GELU_TANH, .tied_head = true, .final_norm = true, .norm_affine = true,
      .bias = true, .window = 256, .bos = 50256, .eos_count = 1, .eos = {50256}}},
    [OPT] = {"OPT", "hidden_size", "num_attention_heads", opt_keys, NULL,
     {.architecture = "opt", .layers = 12, .heads = 12, .dim = 768, .inner = 3072, .context = 2048, .vocab = 50272,
      .eps = 1e-5f, .activation = ACTIVATION_RELU, .scale_attention = true, .tied_head = true, .final_norm = true,
      .norm_affine = true, .qkv_bias = true, .bias = true, .position_offset = 2, .bos = 2, .eos_count = 1,
      .eos = {2}}},
};
// clang-format on

static const struct Function {
    const char *name;
    enum Activation activation;
    // clang-format off
} activations[] = {
    {"gelu_new", ACTIVATION_GELU_TANH},
    {"gelu_fast", ACTIVATION_GELU_TANH},
    {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
    {"gelu_python_tanh", ACTIVATION_GELU_TANH},
    {"gelu_accurate", ACTIVATION_GELU_TANH},
    {"gelu", ACTIVATION_GELU_ERF},
    {"gelu_python", ACTIVATION_GELU_ERF},
    {"relu", ACTIVATION_RELU},
    {"silu", ACTIVATION_SILU},
    {"swish", ACTIVATION_SILU},
    {"quick_gelu", ACTIVATION_QUICK_GELU},
}, gpt1_activations[] = {
    {"gelu", ACTIVATION_GELU_TANH},
    {"relu", ACTIVATION_RELU},
    {"silu", ACTIVATION_SILU},
    {"swish", ACTIVATION_SILU},
};
// clang-format on

// ------------------------------------------------------------------------------------------ single values

static int fail_value(const char *path, const char *key, const struct Json *item, const char *wanted, vkgpt_error *err)
{
    char text[JSON_SHOWN];
    return fail(err, VKGPT_BAD_MODEL, "%s: %s is %s, not %s", path, key, json_shown(item, text), wanted);
}

static int read_size(const char *path, const struct Key *key, const struct Json *item, uint32_t *out, vkgpt_error *err)
{
    int64_t value = 0;
    if (key->kind == SIZE_OR_NULL && json_is_null(item)) {
        *out = 0;
        return 0;
    }
    if (!json_integer(item, 1, key->max, &value)) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a whole number from 1 to %lld", (long long)key->max);
        return fail_value(path, key->name, item, wanted, err);
    }
    *out = (uint32_t)value;
    return 0;
}

static int read_epsilon(const char *path, const struct Key *key, const struct Json *item, float *out, vkgpt_error *err)
{
    double value = json_is_number(item) ? json_number(item) : 0;
    if (!(value >= FLT_MIN && value <= FLT_MAX)) return fail_value(path, key->name, item, "a number above 0", err);
    *out = (float)value;
    return 0;
}

static int read_activation(const char *path, const struct Key *key, const struct Json *item, enum Activation *out,
                           vkgpt_error *err)
{
    bool gpt1 = key->kind == FUNCTION_GPT1;
    const struct Function *known = gpt1 ? gpt1_activations : activations;
    size_t count = gpt1 ? sizeof gpt1_activations / sizeof *known : sizeof activations / sizeof *known;
    for (size_t i = 0; json_text(item) && i < count; i++) {
        if (strcmp(json_text(item), known[i].name) == 0) {
            *out = known[i].activation;
            return 0;
        }
    }
    return fail_value(path, key->name, item,
                      gpt1 ? "one of gelu, relu, silu, swish"
                           : "one of gelu_new, gelu_fast, gelu_pytorch_tanh, gelu, relu, silu, swish, quick_gelu",
                      err);
}

// Whether the value of such a key leaves the forward pass unchanged.
static bool is_harmless(enum Kind kind, const struct Json *item)
{
    if (json_is_null(item)) return true;
    if (kind == ONLY_FALSE) return json_is_false(item);
    if (kind == ONLY_TRUE) return json_is_true(item);
    return kind == ONLY_EMPTY && (json_is_object(item) || json_is_array(item)) && !json_first(item);
}

static int key_read(const char *path, const struct Key *key, const struct Json *item, struct Config *config,
                    vkgpt_error *err)
{
    void *field = (char *)config + key->field;
    char text[JSON_SHOWN];
    switch (key->kind) {
    case SIZE:
    case SIZE_OR_NULL: return read_size(path, key, item, field, err);
    case EPSILON: return read_epsilon(path, key, item, field, err);
    case FUNCTION:
    case FUNCTION_GPT1: return read_activation(path, key, item, field, err);
    case FLAG:
    case FLAG_NOT:
        if (!json_is_bool(item)) return fail_value(path, key->name, item, "true or false", err);
        *(bool *)field = json_is_true(item) == (key->kind == FLAG);
        return 0;
    case ONLY_FALSE:
    case ONLY_TRUE:
    case ONLY_EMPTY:
    case ONLY_NULL: break;
    }
    if (is_harmless(key->kind, item)) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: %s is %s, which changes the forward pass and is not supported", path,
                key->name, json_shown(item, text));
}

static int keys_read(const char *path, const struct Key *keys, const struct Json *json, struct Config *config,
                     vkgpt_error *err)
{
    for (const struct Key *key = keys; key->name; key++) {
        const struct Json *item = json_find(json, key->name);
        int code = item ? key_read(path, key, item, config, err) : 0;
        if (code) return code;
    }
    return 0;
}

// ------------------------------------------------------------------------------------- GPT-Neo's attention

// The kind of layer `layer`, "global" or "local". The caller checks the number of layers afterwards.
static int kind_read(const char *path, const char *key, const struct Json *item, uint32_t layer, struct Config *config,
                     vkgpt_error *err)
{
    char text[JSON_SHOWN];
    bool local = json_text(item) && strcmp(json_text(item), "local") == 0;
    if (!local && !(json_text(item) && strcmp(json_text(item), "global") == 0))
        return fail(err, VKGPT_BAD_MODEL, "%s: %s holds %s, which is neither \"global\" nor \"local\"", path, key,
                    json_shown(item, text));
    if (layer < config->layers && local) config->local[layer / 8] |= (uint8_t)(1 << layer % 8);
    return 0;
}

static int kinds_check(const char *path, const char *key, int64_t count, const struct Config *config, vkgpt_error *err)
{
    if (count == config->layers) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: %s speaks of %" PRId64 " layers, num_layers is %u", path, key, count,
                config->layers);
}

// ["global", "local", ...]
static int attention_layers_read(const char *path, const struct Json *list, struct Config *config, vkgpt_error *err)
{
    static const char key[] = "attention_layers";
    if (!json_is_array(list)) return fail_value(path, key, list, "a list of \"global\" and \"local\"", err);
    uint32_t layer = 0;
    for (const struct Json *item = json_first(list); item; item = json_next(item), layer++) {
        int code = kind_read(path, key, item, layer, config, err);
        if (code) return code;
    }
    return kinds_check(path, key, layer, config, err);
}

// [[["global", "local"], 12], ...]: lists of kinds, and how often each list is repeated.
static int attention_types_read(const char *path, const struct Json *list, struct Config *config, vkgpt_error *err)
{
    static const char key[] = "attention_types";
    static const char wanted[] = "a list of [[\"global\", \"local\"], times]";
    if (!json_is_array(list)) return fail_value(path, key, list, wanted, err);
    int64_t layer = 0;
    for (const struct Json *pair = json_first(list); pair; pair = json_next(pair)) {
        const struct Json *kinds = json_is_array(pair) ? json_first(pair) : NULL;
        int64_t times;
        if (!kinds || !json_is_array(kinds) || !json_next(kinds) || json_next(json_next(kinds)) ||
            !json_integer(json_next(kinds), 0, CONFIG_MAX_LAYERS, &times))
            return fail_value(path, key, list, wanted, err);
        int64_t more = times * (int64_t)json_count(kinds);
        if (layer + more > config->layers) return kinds_check(path, key, layer + more, config, err);
        for (; times > 0 && more; times--)
            for (const struct Json *item = json_first(kinds); item; item = json_next(item), layer++) {
                int code = kind_read(path, key, item, (uint32_t)layer, config, err);
                if (code) return code;
            }
    }
    return kinds_check(path, key, layer, config, err);
}

// attention_layers wins over attention_types, as in Hugging Face's class; the default is 12 times global, local.
static int attention_read(const char *path, const struct Json *json, struct Config *config, vkgpt_error *err)
{
    const struct Json *layers = json_get(json, "attention_layers"), *types = json_get(json, "attention_types");
    if (layers) return attention_layers_read(path, layers, config, err);
    if (types) return attention_types_read(path, types, config, err);
    for (uint32_t l = 1; l < 24; l += 2) config->local[l / 8] |= (uint8_t)(1 << l % 8);
    return kinds_check(path, "attention_types (absent: the default)", 24, config, err);
}

// --------------------------------------------------------------------------------------------- token ids

// An id below the vocabulary size, else -1: a negative id or one past the vocabulary means that there is none.
static int read_id(const char *path, const char *key, const struct Json *item, uint32_t vocab, int64_t *id,
                   vkgpt_error *err)
{
    const int64_t exact = INT64_C(1) << 53;
    if (!json_integer(item, -exact, exact, id)) return fail_value(path, key, item, "a whole number", err);
    if (*id < 0 || *id >= vocab) *id = -1;
    return 0;
}

static int add_eos(const char *path, const struct Json *item, struct Config *config, vkgpt_error *err)
{
    int64_t id;
    int code = read_id(path, "eos_token_id", item, config->vocab, &id, err);
    if (code || id < 0) return code;
    for (uint32_t i = 0; i < config->eos_count; i++)
        if (config->eos[i] == id) return 0;
    if (config->eos_count == CONFIG_MAX_EOS)
        return fail(err, VKGPT_BAD_MODEL, "%s: eos_token_id lists more than %d ids", path, CONFIG_MAX_EOS);
    config->eos[config->eos_count++] = (uint32_t)id;
    return 0;
}

// null (no end token), a number, or a list of numbers.
static int read_eos(const char *path, const struct Json *item, struct Config *config, vkgpt_error *err)
{
    config->eos_count = 0;
    if (json_is_null(item)) return 0;
    if (!json_is_array(item)) return add_eos(path, item, config, err);
    for (const struct Json *one = json_first(item); one; one = json_next(one)) {
        int code = add_eos(path, one, config, err);
        if (code) return code;
    }
    return 0;
}

static int read_bos(const char *path, const struct Json *item, struct Config *config, vkgpt_error *err)
{
    config->bos = -1;
    return json_is_null(item) ? 0 : read_id(path, "bos_token_id", item, config->vocab, &config->bos, err);
}

static int tokens_read(const char *path, const struct Json *json, bool null_counts, struct Config *config,
                       vkgpt_error *err)
{
    const struct Json *bos = json_find(json, "bos_token_id");
    const struct Json *eos = json_find(json, "eos_token_id");
    int code = 0;
    if (bos && (null_counts || !json_is_null(bos))) code = read_bos(path, bos, config, err);
    if (!code && eos && (null_counts || !json_is_null(eos))) code = read_eos(path, eos, config, err);
    return code;
}

// The class's defaults are ids of the full vocabulary: a smaller one has none of them.
static void tokens_drop_absent(struct Config *config)
{
    if (config->bos >= config->vocab) config->bos = -1;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < config->eos_count; i++)
        if (config->eos[i] < config->vocab) config->eos[kept++] = config->eos[i];
    config->eos_count = kept;
}

// ------------------------------------------------------------------------------------------- whole files

// "GPT2LMHeadModel" is of the class GPT2; "GPTNeoXForCausalLM" is not of GPTNeo.
static bool class_matches(const char *name, const char *class)
{
    static const char *const rest[] = {"LMHead", "For", "Model", "DoubleHeads"};
    size_t length = strlen(class);
    if (strncmp(name, class, length) != 0) return false;
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (strncmp(name + length, rest[i], strlen(rest[i])) == 0) return true;
    return false;
}

// Finds the family by model_type; without it (files of 2019), by the class under "architectures"; without both it is
// GPT-2, as for Hugging Face's GPT2LMHeadModel.
static int find_family(const char *path, const struct Json *json, const struct Family **family, vkgpt_error *err)
{
    const struct Json *type = json_get(json, "model_type");
    const struct Json *class = json_first(json_get(json, "architectures"));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        *family = &families[i];
        if (type ? json_text(type) && strcmp(json_text(type), (*family)->defaults.architecture) == 0
                 : !class || (json_text(class) && class_matches(json_text(class), (*family)->class)))
            return 0;
    }
    char told[CLASS_BYTES], wanted[CLASS_BYTES + 80];
    snprintf(wanted, sizeof wanted, "a model that vkgpt runs (gpt2, openai-gpt, gpt_neo, opt); %s",
             class_told(json_text(type) ? json_text(type) : "", told));
    return fail_value(path, type ? "model_type" : "the first of architectures", type ? type : class, wanted, err);
}

int config_check_class(const char *path, vkgpt_error *err)
{
    struct Json *json = NULL;
    const struct Family *family;
    int code = json_read(path, CONFIG_BYTES, &json, err);
    if (code) return code == VKGPT_OUT_OF_MEMORY ? code : 0; // whoever reads the file will say what is wrong
    if (json_is_object(json)) code = find_family(path, json, &family, err);
    json_free(json);
    return code;
}

// Checks the sizes against each other, and sets what follows from them.
static int config_check(const char *path, const struct Family *family, struct Config *config, vkgpt_error *err)
{
    if (config->dim % config->heads)
        return fail(err, VKGPT_BAD_MODEL, "%s: %s %u is not a multiple of %s %u", path, family->dim_name, config->dim,
                    family->heads_name, config->heads);
    config->head_dim = config->dim / config->heads;
    if (config->inner == 0) config->inner = 4 * config->dim; // at most 2^22
    if (config->embed_dim == 0) config->embed_dim = config->dim;
    if (config->post_norm) config->final_norm = false; // the last layer ends in a norm
    return 0;
}

static int main_read(const char *path, struct Config *config, vkgpt_error *err)
{
    struct Json *json;
    const struct Family *family;
    int code = json_read_python(path, CONFIG_BYTES, &json, err);
    if (code) return code;
    if (!json_is_object(json)) code = fail(err, VKGPT_BAD_MODEL, "%s: not a JSON object", path);
    if (!code) code = find_family(path, json, &family, err);
    if (!code) {
        *config = family->defaults;
        code = keys_read(path, family->keys, json, config, err);
    }
    if (!code) code = keys_read(path, refused_keys, json, config, err);
    if (!code && family->read_more) code = family->read_more(path, json, config, err);
    if (!code) code = config_check(path, family, config, err);
    if (!code) {
        tokens_drop_absent(config);
        code = tokens_read(path, json, true, config, err);
    }
    json_free(json);
    return code;
}

// bos and eos of this file replace those of config.json; null keeps them.
static int generation_read(const char *dir, struct Config *config, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Json *json;
    int code = path_join(path, dir, "generation_config.json", err);
    if (code || !os_exists(path)) return code;
    if ((code = json_read_python(path, CONFIG_BYTES, &json, err))) return code;
    if (!json_is_object(json)) code = fail(err, VKGPT_BAD_MODEL, "%s: not a JSON object", path);
    if (!code) code = tokens_read(path, json, false, config, err);
    json_free(json);
    return code;
}

static int directory_check(const char *dir, vkgpt_error *err)
{
    if (!os_exists(dir)) return fail(err, VKGPT_BAD_FILE, "%s: no such model directory", dir);
    if (os_is_dir(dir)) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: is a file; a model is a directory with config.json and its weights", dir);
}

// OpenAI's release of GPT-1: the sizes come from the shapes of its tensors, all else is as in its code.
static int openai_config(const char *path, struct Config *config, vkgpt_error *err)
{
    struct OpenaiSizes sizes;
    *config = families[GPT1].defaults;
    int code = openai_sizes(path, &sizes, err);
    if (code) return code;
    config->layers = sizes.layers, config->dim = sizes.dim;
    config->context = sizes.context, config->vocab = sizes.vocab;
    return config_check(path, &families[GPT1], config, err);
}

int config_read(const char *dir, struct Config *config, vkgpt_error *err)
{
    char path[PATH_BYTES], shapes[PATH_BYTES];
    *config = (struct Config){0};
    int code = directory_check(dir, err);
    if (!code) code = path_join(path, dir, "config.json", err);
    if (!code) code = path_join(shapes, dir, OPENAI_SHAPES, err);
    if (code) return code;
    if (!os_exists(path) && os_exists(shapes)) return openai_config(shapes, config, err);
    if (!os_exists(path))
        return fail(err, VKGPT_BAD_FILE, "%s: no config.json there, so this is not a model directory", dir);
    code = main_read(path, config, err);
    return code ? code : generation_read(dir, config, err);
}

// ------------------------------------------------------------------------------------ derived values

float config_attention_scale(const struct Config *config, uint32_t layer)
{
    double scale = config->scale_attention ? 1 / sqrt((double)config->head_dim) : 1;
    if (config->scale_by_inverse_layer) scale /= (double)layer + 1;
    return (float)scale;
}

uint32_t config_window(const struct Config *config, uint32_t layer)
{
    return config->local[layer / 8] >> layer % 8 & 1 ? config->window : 0;
}

void config_facts(const struct Config *c, uint64_t facts[CONFIG_FACTS])
{
    const uint64_t all[] = {c->layers,    c->heads,      c->dim,         c->head_dim,        c->inner,
                            c->context,   c->vocab,      c->activation,  c->scale_attention, c->scale_by_inverse_layer,
                            c->post_norm, c->final_norm, c->norm_affine, c->embed_dim,       c->position_offset,
                            c->window};
    _Static_assert(sizeof all / sizeof *all == CONFIG_FACTS, "config_facts fills what its callers make room for");
    memcpy(facts, all, sizeof all);
}

uint64_t config_params(const struct Config *config)
{
    uint64_t dim = config->dim, inner = config->inner, embed_dim = config->embed_dim;
    uint64_t norm = config->norm_affine ? 2 * dim : 0;
    uint64_t matrices = 3 * dim * dim + dim * dim + 2 * inner * dim;
    uint64_t biases = (config->qkv_bias ? 3 * dim : 0) + (config->bias ? dim + inner + dim : 0);
    uint64_t tables = (config->tied_head ? 1 : 2) * (uint64_t)config->vocab * embed_dim +
                      ((uint64_t)config->position_offset + config->context) * dim;
    uint64_t projections = embed_dim == dim ? 0 : 2 * embed_dim * dim;
    return tables + projections + config->layers * (matrices + biases + 2 * norm) + (config->final_norm ? norm : 0);
}
