// vkgpt convert: a Hugging Face directory to a GGUF file that llama.cpp runs too, and back.
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "model/gguf_write.h"
#include "model/lora.h"
#include "model/path.h"
#include "model/safetensors_write.h"
#include "text/gguf_vocab_write.h"
#include "text/reader.h"

enum ConvertType { TYPE_DEFAULT, TYPE_F32, TYPE_F16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K }; // in the order of --type's choices

static void on_note(const char *sentence)
{
    fprintf(stderr, "vkgpt: %s\n", sentence);
}

static int to_gguf(const char *model, const char *output, int type, const struct Checkpoint *checkpoint,
                   const struct Vocab *vocab, vkgpt_error *err)
{
    static const enum GgufFileType types[] = {GGUF_FILE_F16,  GGUF_FILE_F32,  GGUF_FILE_F16,
                                              GGUF_FILE_Q8_0, GGUF_FILE_Q4_0, GGUF_FILE_Q4_K};
    struct GgufKeys keys = {0};
    gguf_put_model(&keys, checkpoint, types[type]);
    int code = gguf_put_vocab(&keys, model, vocab, &checkpoint->config, err);
    if (!code) code = gguf_write(output, checkpoint, types[type], &keys, on_note, err);
    gguf_keys_free(&keys);
    return code;
}

static int to_directory(const char *output, int type, const struct Checkpoint *checkpoint, const struct Vocab *vocab,
                        vkgpt_error *err)
{
    if (os_make_dirs(output)) return fail(err, VKGPT_BAD_FILE, "%s: cannot make this directory", output);
    int code = vocab_write(output, vocab, &checkpoint->config, err);
    return code ? code : safetensors_write(output, checkpoint, type != TYPE_F32, err);
}

// Both ways give a model of class gpt2. A GGUF file can say less of it than a directory.
static int check_model(const char *model, const struct Checkpoint *checkpoint, bool gguf, vkgpt_error *err)
{
    if (!gguf && strcmp(checkpoint->config.architecture, "gpt2") == 0) return 0;
    return gguf_can_say(model, &checkpoint->config, err);
}

static bool ends_in_gguf(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

int convert_main(const struct Options *options)
{
    if (!options->output) return wrong_usage("convert needs -o FILE.gguf, or -o DIR for a Hugging Face directory");
    bool gguf = ends_in_gguf(options->output);
    if (!gguf && options->convert_type > TYPE_F16)
        return wrong_usage("a Hugging Face directory holds f16 or f32, the blocks are for -o FILE.gguf");

    vkgpt_error err;
    char model[PATH_BYTES], tokenizer[PATH_BYTES];
    struct Checkpoint checkpoint = {0};
    struct Vocab vocab = {0};
    int code = model_path(options->model, model, sizeof model, &err);
    if (!code) code = checkpoint_open(model, &checkpoint, &err);
    if (!code && options->lora) code = lora_merge(options->lora, &checkpoint, &(struct LoraMerged){0}, &err);
    if (!code) code = check_model(model, &checkpoint, gguf, &err);
    if (!code) code = model_path_for(NEED_TOKENIZER, options->tokenizer ? options->tokenizer : model, tokenizer, sizeof tokenizer, &err);
    if (!code) code = reader_open(tokenizer, checkpoint.config.vocab, &vocab, &err);
    if (!code)
        code = gguf ? to_gguf(model, options->output, options->convert_type, &checkpoint, &vocab, &err)
                    : to_directory(options->output, options->convert_type, &checkpoint, &vocab, &err);
    if (!code && options->verbose) fprintf(stderr, "model    %s\nwritten  %s\n", model, options->output);
    vocab_free(&vocab);
    checkpoint_close(&checkpoint);
    return code ? failed(&err) : EXIT_OK;
}
