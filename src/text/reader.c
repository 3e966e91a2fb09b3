// Reads a directory's files in order: the class and its settings, the model, added tokens, tokens around a text.
#include "text/reader.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "model/gguf.h"
#include "model/path.h"
#include "text/gguf_vocab.h"
#include "text/pipeline.h"
#include "text/reader_parts.h"

// The number of rows of the model: config.json's, or the default of the model's class. Without that file, the only
// limit of ids is that of every vocabulary.
static int read_size(struct Reader *r, uint32_t *size)
{
    const struct Json *item = json_get(r->config, "vocab_size"), *type = json_get(r->config, "model_type");
    int64_t value = r->config ? 50257 : VOCAB_MAX_SIZE;
    if (reader_is_text(type, "openai-gpt")) value = 40478;
    if (reader_is_text(type, "opt")) value = 50272;
    int code = reader_path(r, "config.json");
    if (!code && item && !json_integer(item, 1, VOCAB_MAX_SIZE, &value))
        code =
            fail(r->err, VKGPT_BAD_MODEL, "%s: vocab_size is not a whole number from 1 to %u", r->path, VOCAB_MAX_SIZE);
    *size = (uint32_t)value;
    return code;
}

// The name of the class that Hugging Face's AutoTokenizer would choose: from tokenizer_config.json, else config.json,
// else by the model's type.
static const struct Json *class_named(struct Reader *r, const char **name)
{
    const struct Json *item = json_get(r->settings, "tokenizer_class");
    if (!item) item = json_get(r->config, "tokenizer_class");
    bool gpt1 = r->original || reader_is_text(json_get(r->config, "model_type"), "openai-gpt");
    *name = json_text(item) ? json_text(item) : gpt1 ? "OpenAIGPTTokenizer" : "GPT2Tokenizer";
    return item;
}

// Not strncmp: gcc 12 warns if it knows one of the lengths.
static bool begins_with(const char *text, const char *start)
{
    while (*start && *text == *start) text++, start++;
    return !*start;
}

// Classes that are read without a tokenizer.json too: vocab.json and merges.txt of GPT-2's byte-level BPE or of GPT-1,
// vocab.txt of BERT, spiece.model of T5.
static const char *const classes[] = {
    "GPT2Tokenizer",    "PreTrainedTokenizerFast", "TokenizersBackend", "GPTNeoXTokenizer",
    "CodeGenTokenizer", "OpenAIGPTTokenizer",      "BertTokenizer",     "T5Tokenizer"};

// Whether `name` is this class, or its version in Rust, which ends in "Fast".
static bool is_class(const char *name, const char *class)
{
    size_t n = strlen(class);
    return begins_with(name, class) && (!name[n] || strcmp(name + n, "Fast") == 0);
}

static int check_class(struct Reader *r)
{
    const char *name;
    const struct Json *item = class_named(r, &name);
    r->gpt1_class = r->vocab->ends_words = begins_with(name, "OpenAIGPTTokenizer");
    r->gpt2_class = begins_with(name, "GPT2Tokenizer");
    r->bert_class = is_class(name, "BertTokenizer");
    r->t5_class = is_class(name, "T5Tokenizer");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (is_class(name, classes[i])) return 0;
    return r->has_json ? 0 : reader_refuse(r, "tokenizer_class", item);
}

// If no file names a class, the class follows from the only vocabulary file.
static void guess_class(struct Reader *r)
{
    const char *name;
    if (r->has_json || class_named(r, &name) || reader_has(r, "vocab.json") || r->original) return;
    r->bert_class = reader_has(r, "vocab.txt");
    r->t5_class = !r->bert_class && reader_has(r, "spiece.model");
    if (r->bert_class || r->t5_class) r->gpt1_class = r->gpt2_class = r->vocab->ends_words = false;
}

static int read_settings(struct Reader *r)
{
    r->has_json = reader_has(r, "tokenizer.json");
    r->original = !r->has_json && !reader_has(r, "vocab.json") && reader_has(r, ORIGINAL_VOCAB);
    int code = reader_object(r, "tokenizer_config.json", &r->settings);
    if (!code) code = check_class(r);
    if (!code) guess_class(r);
    return code;
}

// Refuses what does not work with rules and NFKC: add_prefix_space, and added tokens that NFKC could change.
static int check_rules(struct Reader *r)
{
    const struct Vocab *v = r->vocab;
    if (v->rule_count && v->add_prefix_space)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: add_prefix_space is not supported with splits before ByteLevel",
                    r->path);
    for (size_t i = 0; i < v->added_count && v->nfkc; i++) {
        const struct AddedToken *a = &v->added[i];
        for (size_t k = 0; k < a->length && a->normalized; k++)
            if ((unsigned char)a->text[k] >= 0x80)
                return fail(r->err, VKGPT_BAD_MODEL,
                            "%s: the added token \"%s\" is normalized and not ASCII, which is "
                            "not supported with NFKC",
                            r->path, shown(a->text, a->length).text);
    }
    return 0;
}

// Reads add_prefix_space and add_bos_token.
static int read_edges(struct Reader *r)
{
    bool bos;
    int code = reader_path(r, "tokenizer_config.json");
    if (!code && !r->vocab->pipeline)
        code = reader_flag(r, r->settings, "add_prefix_space", r->vocab->add_prefix_space, &r->vocab->add_prefix_space);
    if (!code) code = reader_flag(r, r->settings, "add_bos_token", false, &bos);
    if (!code) code = check_rules(r);
    if (code || !bos || r->has_json) return code;
    uint32_t id;
    const char *text = reader_role(r, "bos_token");
    if (!text || !vocab_find(r->vocab, text, &id))
        return fail(r->err, VKGPT_BAD_MODEL, "%s: add_bos_token is true, and bos_token \"%s\" is not in the vocabulary",
                    r->path, text ? shown(text, strlen(text)).text : "null");
    return reader_edge_tokens(r, id, NO_TOKEN);
}

// Sets what is fixed in GPT-1's class: all added tokens are found in one pass, and an unknown symbol is unk_token,
// whatever tokenizer.json says. There are no leading tokens and spaces.
static int read_gpt1(struct Reader *r)
{
    struct Vocab *v = r->vocab;
    const char *unk = reader_role(r, "unk_token");
    int code = reader_path(r, r->has_json ? "tokenizer.json" : r->original ? ORIGINAL_VOCAB : "vocab.json");
    if (code) return code;
    v->unk = NO_TOKEN;
    if (!unk || !vocab_find(v, unk, &v->unk))
        return fail(r->err, VKGPT_BAD_MODEL, "%s: unk_token \"%s\" is not in the vocabulary", r->path,
                    unk ? shown(unk, strlen(unk)).text : "null");
    for (size_t i = 0; i < v->added_count; i++) v->added[i].normalized = false;
    return 0;
}

static int read_all(struct Reader *r, uint32_t vocab_size)
{
    if (!os_is_dir(r->dir)) return fail(r->err, VKGPT_BAD_FILE, "%s: is not a directory", r->dir);
    int code = reader_object(r, "config.json", &r->config);
    if (!code && !vocab_size) code = read_size(r, &vocab_size);
    if (code) return code;
    if (vocab_size > VOCAB_MAX_SIZE)
        return fail(r->err, VKGPT_BAD_ARGUMENT, "%s: a vocabulary of %u is more than %u", r->dir, vocab_size,
                    VOCAB_MAX_SIZE);
    vocab_init(r->vocab, vocab_size);
    code = read_settings(r);
    if (!code && r->has_json) code = reader_tokenizer_json(r);
    else if (!code && r->bert_class) code = reader_vocab_txt(r);
    else if (!code && r->t5_class) code = reader_spiece(r);
    else if (!code) code = reader_vocab_and_merges(r);
    if (!code) code = reader_added_tokens(r);
    if (!code) code = r->gpt1_class ? read_gpt1(r) : read_edges(r);
    if (!code && !r->has_json && (r->bert_class || r->t5_class)) code = reader_piece_edges(r);
    if (!code) code = pipeline_seal(r->vocab, r->err);
    if (!code) vocab_seal(r->vocab);
    return code;
}

int reader_open(const char *dir, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf;
    int from = gguf_path(dir, &is_gguf, path, err);
    if (from || is_gguf) return from ? from : gguf_vocab_open(path, vocab_size, vocab, err);
    struct Reader r = {.dir = dir, .vocab = vocab, .err = err};
    int code = read_all(&r, vocab_size);
    json_free(r.config);
    json_free(r.settings);
    json_free(r.roles);
    return code;
}
