#include "cli/convert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "model/config_write.h"
#include "model/gguf.h"
#include "model/path.h"
#include "model/safetensors_write.h"
#include "text/gguf_vocab.h"
#include "text/reader.h"
#include "text/tokenizer_write.h"

#define STAGE ".vkgpt-convert" // the folder inside the output in which the new files are made
#define NAME_BYTES 256

// Small files that say what config.json and the weights do not, and the name that they get. They are carried byte for
// byte.
static const struct Carried {
    const char *name, *as;
} carried[] = {
    {"generation_config.json", "generation_config.json"},
    {"tokenizer.json", "tokenizer.json"},
    {"tokenizer_config.json", "tokenizer_config.json"},
    {"special_tokens_map.json", "special_tokens_map.json"},
    {"added_tokens.json", "added_tokens.json"},
    {"vocab.json", "vocab.json"},
    {"merges.txt", "merges.txt"},
    {"encoder_bpe_40000.json", "vocab.json"}, // OpenAI's release of GPT-1
    {"vocab_40000.bpe", "merges.txt"},
    {"vocab.txt", "vocab.txt"},
    {"vocab.bpe", "vocab.bpe"},
    {"encoder.json", "encoder.json"},
    {"spiece.model", "spiece.model"},
    {"tokenizer.model", "tokenizer.model"},
    {"sentencepiece.bpe.model", "sentencepiece.bpe.model"},
    {"chat_template.jinja", "chat_template.jinja"},
};

#define CARRIED (sizeof carried / sizeof *carried)

// ----------------------------------------------------------------------------------------------- what is there

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

// Files that a reader of the directory could take for a part of the model, by their names.
static bool is_model_file(const char *name)
{
    static const char *const ends[] = {".safetensors", ".safetensors.index.json"};
    for (size_t i = 0; i < CARRIED; i++)
        if (strcmp(name, carried[i].name) == 0) return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t length = strlen(name), tail = strlen(ends[i]);
        if (length >= tail && strcmp(name + length - tail, ends[i]) == 0) return true;
    }
    return strcmp(name, "config.json") == 0 || starts_with(name, "pytorch_model");
}

static bool next_file(const char *dir, char name[NAME_BYTES])
{
    while (os_next(dir, "", name, NAME_BYTES))
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return true;
    return false;
}

static int check_output(const char *dir, vkgpt_error *err)
{
    char name[NAME_BYTES] = "";
    while (next_file(dir, name))
        if (is_model_file(name))
            return fail(err, VKGPT_BAD_FILE, "%s: holds a model already (%s); --force replaces it", dir, name);
    return 0;
}

// ---------------------------------------------------------------------------------------------------- the files

static int carry_file(const char *from, const char *to, vkgpt_error *err)
{
    struct Mapping file;
    int code = os_map(from, &file, err);
    if (code) return code;
    code = os_write(to, file.data, file.bytes, err);
    os_unmap(&file);
    return code;
}

static int carry_files(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    int code = 0;
    for (size_t i = 0; !code && i < CARRIED; i++) {
        code = path_join(from, c->model, carried[i].name, err);
        if (!code) code = path_join(to, stage, carried[i].as, err);
        if (!code && os_exists(from) && !os_exists(to)) code = carry_file(from, to, err);
    }
    return code;
}

// Writes tokenizer.json and reads it again.
static int tokenizer_make(const char *stage, const struct Vocab *vocab, vkgpt_error *err)
{
    struct Vocab again = {0};
    int code = tokenizer_json_write(stage, vocab, err);
    if (!code) code = reader_open(stage, vocab->size, &again, err);
    const char *field = code ? NULL : vocab_difference(vocab, &again);
    if (field)
        code = fail(err, VKGPT_BAD_MODEL, "%s: the tokenizer has %s that a tokenizer.json cannot say", stage, field);
    vocab_free(&again);
    return code;
}

static bool has_file(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    return !path_join(path, dir, name, NULL) && os_exists(path);
}

// vocab.json and merges.txt get a tokenizer.json beside them. They are carried whether vkgpt can read them or not.
static int tokenizer_complete(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    struct Vocab vocab = {0};
    vkgpt_error why;
    if (has_file(stage, "tokenizer.json") || !has_file(stage, "vocab.json") || !has_file(stage, "merges.txt")) return 0;
    int code = 0;
    if (reader_open(stage, c->checkpoint->config.vocab, &vocab, &why)) c->note(why.text);
    else if (!vocab.ends_words) code = tokenizer_make(stage, &vocab, err); // of GPT-1's it would say less than the two files
    vocab_free(&vocab);
    return code;
}

static int tokenizer_of_gguf(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf;
    struct Vocab vocab = {0};
    int code = gguf_path(c->model, &is_gguf, path, err);
    if (code || !gguf_vocab_there(path)) return code;
    code = reader_open(c->model, c->checkpoint->config.vocab, &vocab, err);
    if (!code) code = tokenizer_config_write(stage, &vocab, &c->checkpoint->config, err);
    if (!code) code = tokenizer_make(stage, &vocab, err);
    vocab_free(&vocab);
    return code;
}

// That the new files say what the old ones do.
static int check_config(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    struct Config before, after;
    int code = config_read(c->model, &before, err);
    if (!code) code = config_read(stage, &after, err);
    const char *field = code ? NULL : config_difference(&before, &after);
    return field ? fail(err, VKGPT_BAD_MODEL, "%s: %s is lost on the way to a directory", c->model, field) : code;
}

static int directory_files(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    int code = has_file(c->model, "config.json") ? config_carry(c->model, stage, c->half, err)
                                                 : config_write(stage, &c->checkpoint->config, c->half, err);
    if (!code) code = carry_files(c, stage, err);
    if (!code) code = check_config(c, stage, err);
    return code ? code : tokenizer_complete(c, stage, err);
}

static int gguf_files(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    int code = config_write(stage, &c->checkpoint->config, c->half, err);
    return code ? code : tokenizer_of_gguf(c, stage, err);
}

// ------------------------------------------------------------------------------------------------------ in place

// Removes what is in a folder, and the folder.
static void folder_remove(const char *dir)
{
    char name[NAME_BYTES] = "", path[PATH_BYTES];
    while (next_file(dir, name))
        if (!path_join(path, dir, name, NULL)) remove(path);
    remove(dir);
}

// The old model goes, the new one comes.
static int place(const char *stage, const char *dir, vkgpt_error *err)
{
    char name[NAME_BYTES] = "", from[PATH_BYTES], to[PATH_BYTES];
    while (next_file(dir, name))
        if (is_model_file(name) && !has_file(stage, name) && !path_join(to, dir, name, NULL)) remove(to);
    int code = 0;
    for (*name = '\0'; !code && next_file(stage, name);) {
        code = path_join(from, stage, name, err);
        if (!code) code = path_join(to, dir, name, err);
        if (!code && rename(from, to)) code = fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", to, strerror(errno));
    }
    return code;
}

int convert_to_directory(const struct Conversion *c, vkgpt_error *err)
{
    char stage[PATH_BYTES];
    bool made = !os_is_dir(c->output);
    int code = c->force || made ? 0 : check_output(c->output, err);
    if (!code) code = path_join(stage, c->output, STAGE, err);
    if (code) return code;
    folder_remove(stage); // of a conversion that was ended
    if (os_make_dirs(stage)) return fail(err, VKGPT_BAD_FILE, "%s: cannot make this directory", c->output);
    code = c->checkpoint->gguf ? gguf_files(c, stage, err) : directory_files(c, stage, err);
    if (!code) code = safetensors_write(stage, c->checkpoint, c->half, err);
    if (!code) code = place(stage, c->output, err);
    folder_remove(stage);
    if (code && made) remove(c->output); // unless something is in it
    return code;
}
