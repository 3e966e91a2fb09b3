// vkgpt tokenize and detokenize: text to ids and back, without a device.
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "model/gguf.h"
#include "model/path.h"

// `dir` is where the tokens come from. --tokenizer needs no model.
static int find_tokenizer(const struct Options *options, char *dir, size_t size, vkgpt_tokenizer **tok,
                          vkgpt_error *err)
{
    *tok = NULL;
    int code = model_path_for(NEED_TOKENIZER, options->tokenizer ? options->tokenizer : options->model, dir, size, err);
    return code ? code : vkgpt_tokenizer_open(dir, 0, tok, err);
}

static cJSON *json_tokens(const vkgpt_tokenizer *tok, const struct Input *input)
{
    cJSON *tokens = cJSON_CreateArray();
    for (size_t i = 0; i < input->count; i++) {
        size_t bytes;
        const char *piece = vkgpt_token_bytes(tok, input->ids[i], &bytes);
        cJSON_AddItemToArray(tokens, json_bytes(piece, bytes));
    }
    return tokens;
}

static int print_ids(const struct Options *options, const vkgpt_tokenizer *tok, const struct Input *input)
{
    if (options->json) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddItemToObject(json, "ids", json_ids(input->ids, input->count));
        cJSON_AddItemToObject(json, "tokens", json_tokens(tok, input));
        return json_print(json);
    }
    for (size_t i = 0; i < input->count; i++) printf("%s%" PRIu32, i ? " " : "", input->ids[i]);
    printf("\n");
    return EXIT_OK;
}

int tokenize_main(const struct Options *options)
{
    struct Input input;
    int status = input_read(&input, options, true);
    if (status) return status;

    vkgpt_error err;
    vkgpt_tokenizer *tok;
    char dir[4096];
    int code = find_tokenizer(options, dir, sizeof dir, &tok, &err);
    if (!code)
        code =
            vkgpt_encode(tok, input.text.data, input.text.bytes, !options->no_special, &input.ids, &input.count, &err);
    if (!code) tokenizer_notes(tok);
    if (options->verbose && !code)
        fprintf(stderr, "model    %s\ntokens   %zu for %zu bytes\n", dir, input.count, input.text.bytes);
    status = code ? failed(&err) : finish_output(print_ids(options, tok, &input));
    vkgpt_tokenizer_close(tok);
    input_free(&input);
    return status;
}

// ------------------------------------------------------------------------------------------ detokenize

static int read_size(const char *path, uint32_t *vocab, vkgpt_error *err)
{
    struct Json *config;
    int code = json_read_python(path, 1 << 24, &config, err);
    if (code) return code;
    const struct Json *item = json_get(config, "vocab_size");
    int64_t size = 50257; // Hugging Face's default
    if (item && !json_integer(item, 1, INT32_MAX, &size))
        code = fail(err, VKGPT_BAD_MODEL, "%s: vocab_size is not a whole number between 1 and %d", path, INT32_MAX);
    json_free(config);
    *vocab = (uint32_t)size;
    return code;
}

// The number of ids: the model's rows or the tokenizer's tokens, whichever are more. If there is only a tokenizer, its
// tokens.
static int read_vocab(const char *dir, const vkgpt_tokenizer *tok, uint32_t *vocab, vkgpt_error *err)
{
    char path[PATH_BYTES + 200];
    struct Config config = {0};
    bool is_gguf;
    int code = gguf_path(dir, &is_gguf, path, err);
    if (code) return code;
    if (is_gguf) {
        code = gguf_config_read(path, &config, err);
    } else {
        snprintf(path, sizeof path, "%s/config.json", dir);
        code = os_exists(path) ? read_size(path, &config.vocab, err) : 0;
    }
    *vocab = vkgpt_token_count(tok) > config.vocab ? vkgpt_token_count(tok) : config.vocab;
    return code;
}

int detokenize_main(const struct Options *options)
{
    if (!options->ids && !options->ids_file) return wrong_usage("detokenize needs ids: --ids 1,2,3 or --ids-file FILE");
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;

    vkgpt_error err;
    vkgpt_tokenizer *tok;
    uint32_t vocab = 0;
    char dir[4096];
    int code = find_tokenizer(options, dir, sizeof dir, &tok, &err);
    if (!code) code = read_vocab(dir, tok, &vocab, &err);
    if (!code) code = input_encode(&input, tok, vocab, false, &err);
    char *text = NULL;
    size_t bytes;
    if (!code) code = vkgpt_decode(tok, input.ids, input.count, &text, &bytes, &err);
    if (!code) fwrite(text, 1, bytes, stdout);
    free(text);
    status = code ? failed(&err) : finish_output(EXIT_OK);
    vkgpt_tokenizer_close(tok);
    input_free(&input);
    return status;
}
