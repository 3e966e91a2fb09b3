// The differences between the models of the GPT family, as facts. The engine has one forward pass, which reads these
// and never asks for a model's name. They are read once from a checkpoint, checked, and trusted afterwards.
#ifndef VKGPT_MODEL_CONFIG_H
#define VKGPT_MODEL_CONFIG_H

#include "model/limits.h"
#include "vkgpt.h"

enum Activation {         // the names are Hugging Face's
    ACTIVATION_GELU_TANH, // gelu_new, gelu_fast, gelu_pytorch_tanh
    ACTIVATION_GELU_ERF,  // gelu
    ACTIVATION_RELU,
    ACTIVATION_SILU,       // silu, swish
    ACTIVATION_QUICK_GELU, // x * sigmoid(1.702 x)
};

#define CONFIG_MAX_EOS 16

struct Config {
    const char *architecture; // "gpt2", "openai-gpt", "gpt_neo", "opt": for finding the weights, not for the engine
    uint32_t layers;          // L
    uint32_t heads;
    uint32_t dim;      // C
    uint32_t head_dim; // dim / heads
    uint32_t inner;    // width of the feed-forward layer
    uint32_t context;  // T: positions
    uint32_t vocab;    // V: rows of the token table
    float eps;         // of every layer norm
    enum Activation activation;
    bool scale_attention;        // scores divided by sqrt(head_dim)
    bool scale_by_inverse_layer; // and by (layer + 1)
    bool tied_head;              // the head is wte
    bool post_norm;              // x = ln_1(x + attention(x)), x = ln_2(x + mlp(x)): GPT-1, OPT-350M
    bool final_norm;             // ln_f before the head; false in post-norm models
    bool norm_affine;            // norms have gains and biases; if false, the gain is 1 and the bias 0
    bool qkv_bias, bias;         // q, k and v have biases; the other matrices of a layer have biases
    uint32_t embed_dim;          // width of wte and of the head: dim, except in OPT-350M (project_in, project_out)
    uint32_t position_offset;    // row of wpe for position 0: 2 in OPT
    uint32_t window;             // a local layer's query at i sees the keys j with 0 <= i - j < window; 0: all
    uint8_t local[CONFIG_MAX_LAYERS / 8]; // bit l: layer l is local (GPT-3's banded layers, GPT-Neo)
    int64_t bos;                          // -1: none
    uint32_t eos_count;
    uint32_t eos[CONFIG_MAX_EOS];
};

// Reads config.json, then generation_config.json if it exists (bos and eos only). OpenAI's release of GPT-1 has
// neither: its sizes come from params_shapes.json (openai.h).
// Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): see the implementation's table of keys; each names file, key and value.
int config_read(const char *dir, struct Config *config, vkgpt_error *err);
// Refuses the config.json of a class that vkgpt does not run; the sentence names it and what runs it. 0 if the file
// cannot be read.
int config_check_class(const char *path, vkgpt_error *err);

// The factor on the attention scores of one layer: 1 or 1/sqrt(head_dim), and that divided by (layer + 1) if asked for.
float config_attention_scale(const struct Config *config, uint32_t layer);

// How many positions a query of layer l sees, its own included; 0: all positions up to its own.
uint32_t config_window(const struct Config *config, uint32_t layer);

// The numbers of a config that K and V of a token follow from, besides eps and the local layers: for a hash.
#define CONFIG_FACTS 16
void config_facts(const struct Config *config, uint64_t facts[CONFIG_FACTS]);

uint64_t config_params(const struct Config *config); // number of parameters; a tied head is not counted twice

#endif
