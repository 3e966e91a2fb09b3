// vkgpt convert: a Hugging Face directory to a GGUF file that llama.cpp can run too, and back, or to another directory.
// If the target format cannot hold something, an error names it. Written files are read again and checked before they
// are put in place.
#include "cli/convert.h"

#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "base/suffix.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "model/config_write.h"
#include "model/gguf_write.h"
#include "model/locate.h"
#include "model/lora.h"
#include "model/path.h"
#include "text/gguf_vocab.h"
#include "text/gguf_vocab_write.h"
#include "text/reader.h"

static void on_note(const char *sentence) { fprintf(stderr, "vkgpt: %s\n", sentence); }

// ------------------------------------------------------------------------------------------------------- to GGUF

struct Wanted { // what a GGUF file has to contain
    const char *model;
    const struct Config *config;
    const struct Vocab *vocab;
};

// Checks, with the reader of GGUF files, that the file says the same as the model.
static int check_gguf(const char *path, void *user, vkgpt_error *err)
{
    const struct Wanted *wanted = user;
    struct Config config;
    struct Vocab vocab = {0};
    int code = gguf_config_read(path, &config, err);
    if (!code) code = gguf_vocab_open(path, 0, &vocab, err);
    const char *field = code ? NULL : config_difference(wanted->config, &config);
    if (!code && !field) field = vocab_difference(wanted->vocab, &vocab);
    vocab_free(&vocab);
    if (!field) return code;
    return fail(err, VKGPT_BAD_MODEL, "%s: %s would be lost on the way to a GGUF file", wanted->model, field);
}

static int write_gguf(const struct Conversion *c, vkgpt_format type, const struct Vocab *vocab, vkgpt_error *err)
{
    struct GgufKeys keys = {0};
    struct Wanted wanted = {c->model, &c->checkpoint->config, vocab};
    const struct GgufOutput output = {c->output, type, c->note, check_gguf, &wanted};
    gguf_put_model(&keys, c->checkpoint, type);
    int code = gguf_put_vocab(&keys, c->tokenizer, vocab, &c->checkpoint->config, err);
    if (!code) code = gguf_write(&output, c->checkpoint, &keys, err);
    gguf_keys_free(&keys);
    return code;
}

// Refuses a GGUF file without a tokenizer. For a directory its reader checks.
static int check_tokenizer(const struct Conversion *c, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf = false;
    struct Located at;
    int code = model_locate(c->tokenizer, NEED_TOKENIZER, &at, err);
    if (!code) code = gguf_path(c->tokenizer, &is_gguf, path, err);
    if (code || !is_gguf || gguf_vocab_there(path)) return code;
    return fail(err, VKGPT_BAD_MODEL, "%s: holds no tokenizer, and a GGUF file is written with one", c->tokenizer);
}

static int convert_to_gguf(const struct Conversion *c, vkgpt_format type, vkgpt_error *err)
{
    struct Vocab vocab = {0};
    if (os_exists(c->output) && !c->force)
        return fail(err, VKGPT_BAD_FILE, "%s: is there already; --force replaces it", c->output);
    int code = gguf_can_say(c->model, &c->checkpoint->config, err);
    if (!code) code = gguf_can_hold(c->model, c->checkpoint, err);
    if (!code) code = check_tokenizer(c, err);
    if (!code) code = reader_open(c->tokenizer, c->checkpoint->config.vocab, &vocab, err);
    if (!code) code = write_gguf(c, type, &vocab, err);
    vocab_free(&vocab);
    return code;
}

// --------------------------------------------------------------------------------------------------- the command

static bool has_task_head(const char *model)
{
    vkgpt_head *head;
    bool there = !vkgpt_head_open(model, &head, NULL);
    vkgpt_head_close(head);
    return there;
}

// A model with a head for a task may have no language model head.
static int open_model(const char *model, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    int code = checkpoint_open(model, checkpoint, err);
    return code && has_task_head(model) ? checkpoint_open_headless(model, checkpoint, err) : code;
}

int convert_main(const struct Options *options)
{
    vkgpt_format type = options->convert_type ? (vkgpt_format)options->convert_type : VKGPT_F16;
    if (!options->output || !*options->output)
        return wrong_usage("convert needs -o FILE.gguf, or -o DIR for a Hugging Face directory");
    bool gguf = has_extension(options->output, ".gguf");
    if (!gguf && options->convert_type > VKGPT_F16)
        return wrong_usage("a Hugging Face directory holds f16 or f32, the blocks are for -o FILE.gguf");

    vkgpt_error err;
    char model[PATH_BYTES], tokenizer[PATH_BYTES];
    struct Checkpoint checkpoint = {0};
    const struct Conversion conversion = {
        .model = model,
        .output = options->output,
        .tokenizer = options->tokenizer ? tokenizer : model,
        .checkpoint = &checkpoint,
        .half = options->convert_type != VKGPT_F32,
        .force = options->force,
        .note = on_note,
    };
    os_hold_interrupt();      // after a signal, half-written files are still removed
    os_ignore_closed_pipes(); // likewise after a note that nobody reads
    int code = model_path(options->model, model, sizeof model, &err);
    if (!code && options->tokenizer)
        code = model_path_for(NEED_TOKENIZER, options->tokenizer, tokenizer, sizeof tokenizer, &err);
    if (!code) code = open_model(model, &checkpoint, &err);
    if (!code && options->lora) code = lora_merge(options->lora, &checkpoint, &(struct LoraMerged){0}, &err);
    if (!code) code = gguf ? convert_to_gguf(&conversion, type, &err) : convert_to_directory(&conversion, &err);
    if (!code && options->verbose) fprintf(stderr, "model    %s\nwritten  %s\n", model, options->output);
    checkpoint_close(&checkpoint);
    return code ? failed(&err) : EXIT_OK;
}
