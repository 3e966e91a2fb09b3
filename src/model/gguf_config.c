// Reads struct Config from the keys of a GGUF file of architecture gpt2, and decides which path means such a file.
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/suffix.h"
#include "model/classes.h"
#include "model/content.h"
#include "model/gguf.h"
#include "model/path.h"
#include "model/table.h"

#define TOKEN_TABLE "token_embd.weight"

static int need_size(const struct Gguf *gguf, const char *key, int64_t max, uint32_t *value, vkgpt_error *err)
{
    int64_t number = 0;
    int code = gguf_integer(gguf, key, 1, max, &number, err);
    if (!code && !number) code = fail(err, VKGPT_BAD_MODEL, "%s: the key %s is absent", gguf->path, key);
    *value = (uint32_t)number;
    return code;
}

// Each part of a split file has some of the tensors, and only the first part has the keys.
static int check_split(const struct Gguf *gguf, vkgpt_error *err)
{
    int64_t count = 1, part = 0;
    int code = gguf_integer(gguf, "split.count", 0, UINT16_MAX, &count, err);
    if (!code) code = gguf_integer(gguf, "split.no", 0, UINT16_MAX, &part, err);
    if (code || count <= 1) return code;
    return fail(err, VKGPT_BAD_MODEL,
                "%s: is part %" PRId64 " of %" PRId64
                " of a split GGUF file; `llama-gguf-split --merge FIRST-PART OUT.gguf` "
                "makes one file of them",
                gguf->path, part + 1, count);
}

static int check_architecture(const struct Gguf *gguf, vkgpt_error *err)
{
    struct GgufText architecture = {"", 0};
    char told[CLASS_BYTES];
    int code = gguf_text(gguf, "general.architecture", &architecture, err);
    if (code) return code;
    if (gguf_text_is(architecture, "gpt2")) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: general.architecture is \"%s\", of GGUF files vkgpt runs gpt2; %s",
                gguf->path, gguf_shown(architecture).text, class_told(gguf_shown(architecture).text, told));
}

static int read_sizes(const struct Gguf *gguf, struct Config *config, vkgpt_error *err)
{
    int code = need_size(gguf, "gpt2.block_count", CONFIG_MAX_LAYERS, &config->layers, err);
    if (!code) code = need_size(gguf, "gpt2.context_length", CONFIG_MAX_ROWS, &config->context, err);
    if (!code) code = need_size(gguf, "gpt2.embedding_length", CONFIG_MAX_DIM, &config->dim, err);
    if (!code) code = need_size(gguf, "gpt2.feed_forward_length", CONFIG_MAX_ROWS, &config->inner, err);
    if (!code) code = need_size(gguf, "gpt2.attention.head_count", CONFIG_MAX_DIM, &config->heads, err);
    if (code) return code;
    if (config->dim % config->heads)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: gpt2.embedding_length %u is not a multiple of gpt2.attention.head_count %u", gguf->path,
                    config->dim, config->heads);
    config->head_dim = config->dim / config->heads;
    config->embed_dim = config->dim;
    return 0;
}

// Keys that must have the value that follows from the other sizes: another value would change the forward pass.
static int check_attention(const struct Gguf *gguf, const struct Config *config, vkgpt_error *err)
{
    const struct {
        const char *key;
        uint32_t wanted;
    } implied[] = {
        {"gpt2.attention.head_count_kv", config->heads},
        {"gpt2.attention.key_length", config->head_dim},
        {"gpt2.attention.value_length", config->head_dim},
    };
    for (size_t i = 0; i < sizeof implied / sizeof *implied; i++) {
        int64_t value = implied[i].wanted;
        int code = gguf_integer(gguf, implied[i].key, 0, CONFIG_MAX_DIM, &value, err);
        if (code) return code;
        if (value != implied[i].wanted)
            return fail(err, VKGPT_BAD_MODEL, "%s: %s is %" PRId64 ", of which the other keys make %u", gguf->path,
                        implied[i].key, value, implied[i].wanted);
    }
    bool causal = true;
    int code = gguf_flag(gguf, "gpt2.attention.causal", &causal, err);
    if (!code && !causal)
        code = fail(err, VKGPT_BAD_MODEL, "%s: gpt2.attention.causal is false, which is not supported", gguf->path);
    return code;
}

static int read_epsilon(const struct Gguf *gguf, struct Config *config, vkgpt_error *err)
{
    double eps = 0;
    int code = gguf_real(gguf, "gpt2.attention.layer_norm_epsilon", &eps, err);
    if (code) return code;
    if (!(eps >= FLT_MIN && eps <= FLT_MAX))
        return fail(err, VKGPT_BAD_MODEL, "%s: gpt2.attention.layer_norm_epsilon is %g, not a number above 0",
                    gguf->path, eps);
    config->eps = (float)eps;
    return 0;
}

// The vocabulary size is the rows of the token table; vocab_size and the token list must agree with it.
static int read_vocab(const struct Gguf *gguf, const struct TensorTable *table, struct Config *config, vkgpt_error *err)
{
    const struct Tensor *wte = table_find(table, TOKEN_TABLE);
    if (!wte) return fail(err, VKGPT_BAD_MODEL, "%s: tensor " TOKEN_TABLE " is absent", gguf->path);
    if (wte->rank != 2 || wte->shape[0] > CONFIG_MAX_ROWS) {
        char shape[SHAPE_BYTES];
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor " TOKEN_TABLE " is %s, not two sizes, %d tokens at most",
                    gguf->path, shape_text(wte->rank, wte->shape, shape), CONFIG_MAX_ROWS);
    }
    config->vocab = (uint32_t)wte->shape[0];
    int64_t said = config->vocab;
    const struct GgufValue *tokens = NULL;
    int code = gguf_integer(gguf, "gpt2.vocab_size", 1, CONFIG_MAX_ROWS, &said, err);
    if (!code) code = gguf_array(gguf, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, err);
    if (code) return code;
    if (said != config->vocab)
        return fail(err, VKGPT_BAD_MODEL, "%s: gpt2.vocab_size is %" PRId64 ", " TOKEN_TABLE " has %u rows", gguf->path,
                    said, config->vocab);
    if (tokens && tokens->count != config->vocab)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: tokenizer.ggml.tokens lists %" PRIu64 " tokens, " TOKEN_TABLE " has %u rows", gguf->path,
                    tokens->count, config->vocab);
    return 0;
}

const char *const GGUF_ENDS[GGUF_MAX_ENDS] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                              "tokenizer.ggml.eom_token_id"}; // end of text, of a turn, of a message

static bool is_end(const struct Config *config, int64_t id)
{
    for (uint32_t i = 0; i < config->eos_count; i++)
        if (config->eos[i] == id) return true;
    return false;
}

// bos, and the tokens that end a text. An id past the vocabulary means that there is none.
static int read_tokens(const struct Gguf *gguf, struct Config *config, vkgpt_error *err)
{
    config->bos = -1;
    int code = gguf_integer(gguf, "tokenizer.ggml.bos_token_id", INT64_MIN, INT64_MAX, &config->bos, err);
    if (config->bos >= config->vocab || config->bos < 0) config->bos = -1;
    for (int i = 0; !code && i < GGUF_MAX_ENDS; i++) {
        int64_t id = -1;
        code = gguf_integer(gguf, GGUF_ENDS[i], INT64_MIN, INT64_MAX, &id, err);
        if (id >= 0 && id < config->vocab && !is_end(config, id)) config->eos[config->eos_count++] = (uint32_t)id;
    }
    return code;
}

// Layers past block_count mean that it is wrong. Missing layers are found later, when their weights are looked up.
static int check_layers(const struct Gguf *gguf, const struct TensorTable *table, const struct Config *config,
                        vkgpt_error *err)
{
    for (size_t i = 0; i < table->count; i++) {
        unsigned long long layer;
        if (sscanf(table->tensors[i].name, "blk.%9llu.", &layer) == 1 && layer >= config->layers)
            return fail(err, VKGPT_BAD_MODEL, "%s: tensor %.200s is there, and gpt2.block_count is %u", gguf->path,
                        table->tensors[i].name, config->layers);
    }
    return 0;
}

int gguf_config(const struct Gguf *gguf, const struct TensorTable *table, struct Config *config, vkgpt_error *err)
{
    *config = (struct Config){.architecture = "gpt2",
                              .activation = ACTIVATION_GELU_TANH,
                              .scale_attention = true,
                              .tied_head = true,
                              .final_norm = true,
                              .norm_affine = true,
                              .qkv_bias = true,
                              .bias = true,
                              .bos = -1};
    int code = check_split(gguf, err);
    if (!code) code = check_architecture(gguf, err);
    if (!code) code = read_sizes(gguf, config, err);
    if (!code) code = check_attention(gguf, config, err);
    if (!code) code = read_epsilon(gguf, config, err);
    if (!code) code = read_vocab(gguf, table, config, err);
    if (!code) code = read_tokens(gguf, config, err);
    return code ? code : check_layers(gguf, table, config, err);
}

int gguf_config_read(const char *path, struct Config *config, vkgpt_error *err)
{
    struct TensorTable table = {0};
    struct Gguf gguf;
    int code = gguf_read(path, &table, &gguf, err);
    if (!code) code = gguf_config(&gguf, &table, config, err);
    if (!code) config->tied_head = !table_find(&table, "output.weight");
    gguf_free(&gguf);
    code = table_end(&table, code, err);
    table_free(&table);
    return code;
}

// ------------------------------------------------------------------------------------------------ the path

int gguf_path(const char *given, bool *is_gguf, char *path, vkgpt_error *err)
{
    char config[PATH_BYTES], name[FILE_NAME_BYTES];
    *is_gguf = !os_is_dir(given) && (has_extension(given, ".gguf") || content_of(given) == CONTENT_GGUF);
    if (*is_gguf) {
        if (strlen(given) < PATH_BYTES) memcpy(path, given, strlen(given) + 1);
        else return fail(err, VKGPT_BAD_FILE, "%.200s...: a path of more than %d bytes", given, PATH_BYTES - 1);
        return 0;
    }
    if (!os_is_dir(given) || path_join(config, given, "config.json", NULL) || os_exists(config)) return 0;
    size_t count = os_find(given, ".gguf", name, sizeof name);
    if (count > 1)
        return fail(err, VKGPT_BAD_MODEL, "%s: holds %zu GGUF files (%s and others), give the path of one", given,
                    count, name);
    *is_gguf = count == 1;
    return count ? path_join(path, given, name, err) : 0;
}

int model_config_read(const char *given, struct Config *config, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf;
    int code = gguf_path(given, &is_gguf, path, err);
    if (code) return code;
    return is_gguf ? gguf_config_read(path, config, err) : config_read(given, config, err);
}
