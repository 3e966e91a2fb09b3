#include "cli/convert.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "model/config_write.h"
#include "model/gguf.h"
#include "model/old_files.h"
#include "model/path.h"
#include "model/safetensors_write.h"
#include "text/gguf_vocab.h"
#include "text/reader.h"
#include "text/tokenizer_write.h"

#define STAGE ".vkgpt-convert" // the folder inside the output in which the new files are made

#define GENERATION "generation_config.json"

// ---------------------------------------------------------------------------------------------------- the files

// Copies a file. Does nothing if there is no such file, or if the new name exists already.
static int carry_file(const char *dir, const char *name, const char *stage, const char *as, vkgpt_error *err)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct Mapping file;
    int code = path_join(from, dir, name, err);
    if (!code) code = path_join(to, stage, as, err);
    if (code || !os_exists(from) || os_exists(to)) return code;
    code = os_map(from, &file, err);
    if (code) return code;
    code = os_write(to, file.data, file.bytes, err);
    int cut = os_map_check(&file, from, err); // reported instead of any other failure
    os_unmap(&file);
    return cut ? cut : code;
}

static bool has_file(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    return !path_join(path, dir, name, NULL) && os_exists(path);
}

// Checks that the new files give the same vocabulary.
static int check_tokenizer(const struct Conversion *c, const char *stage, const struct Vocab *vocab, vkgpt_error *err)
{
    struct Vocab again = {0};
    int code = reader_open(stage, c->checkpoint->config.vocab, &again, err);
    const char *field = code ? NULL : vocab_difference(vocab, &again);
    vocab_free(&again);
    if (!field) return code;
    return fail(err, VKGPT_BAD_MODEL, "%s: of the tokenizer, %s would be lost on the way to a directory", c->tokenizer,
                field);
}

// Copies a tokenizer from a directory. vocab.json and merges.txt get a tokenizer.json; but not those of GPT-1, because
// it would say less than the two files.
static int tokenizer_carry(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    struct Vocab vocab = {0};
    vkgpt_error why;
    int code = 0;
    for (const struct TokenizerFile *f = TOKENIZER_FILES; !code && f->name; f++)
        code = carry_file(c->tokenizer, f->name, stage, f->as, err);
    if (code) return code;
    bool pair = has_file(stage, "vocab.json") && has_file(stage, "merges.txt");
    bool incomplete = pair && !has_file(stage, "tokenizer.json");
    bool read = !reader_open(c->tokenizer, c->checkpoint->config.vocab, &vocab, &why);
    if (!read && incomplete) c->note(why.text);
    if (read && incomplete && !vocab.ends_words) code = tokenizer_json_write(stage, &vocab, err);
    if (read && !code) code = check_tokenizer(c, stage, &vocab, err);
    vocab_free(&vocab);
    return code;
}

// Writes the tokenizer of a GGUF file.
static int tokenizer_make(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    struct Vocab vocab = {0};
    int code = reader_open(c->tokenizer, c->checkpoint->config.vocab, &vocab, err);
    if (!code) code = tokenizer_config_write(stage, &vocab, &c->checkpoint->config, err);
    if (!code) code = tokenizer_json_write(stage, &vocab, err);
    if (!code) code = check_tokenizer(c, stage, &vocab, err);
    vocab_free(&vocab);
    return code;
}

static int tokenizer_files(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    char path[PATH_BYTES];
    bool is_gguf;
    int code = gguf_path(c->tokenizer, &is_gguf, path, err);
    if (code) return code;
    if (!is_gguf) return tokenizer_carry(c, stage, err);
    return gguf_vocab_there(path) ? tokenizer_make(c, stage, err) : 0;
}

// Checks that the new files say the same as the old ones.
static int check_config(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    struct Config before, after;
    int code = config_read(c->model, &before, err);
    if (!code) code = config_read(stage, &after, err);
    const char *field = code ? NULL : config_difference(&before, &after);
    return field ? fail(err, VKGPT_BAD_MODEL, "%s: %s would be lost on the way to a directory", c->model, field) : code;
}

static int config_files(const struct Conversion *c, const char *stage, vkgpt_error *err)
{
    if (c->checkpoint->gguf) return config_write(stage, &c->checkpoint->config, c->half, err);
    int code = has_file(c->model, "config.json") ? config_carry(c->model, stage, c->half, err)
                                                 : config_write(stage, &c->checkpoint->config, c->half, err);
    if (!code) code = carry_file(c->model, GENERATION, stage, GENERATION, err);
    return code ? code : check_config(c, stage, err);
}

// ------------------------------------------------------------------------------------------------------ in place

// Removes the files in a folder, and the folder.
static void folder_remove(const char *dir)
{
    char name[FILE_NAME_BYTES] = "", path[PATH_BYTES];
    while (folder_next(dir, name))
        if (!path_join(path, dir, name, NULL)) remove(path);
    remove(dir);
}

// Removes the old model and moves the new one into its place.
static int place(const char *stage, const char *dir, vkgpt_error *err)
{
    char name[FILE_NAME_BYTES] = "", from[PATH_BYTES], to[PATH_BYTES];
    old_files_remove(dir, stage);
    int code = 0;
    for (*name = '\0'; !code && folder_next(stage, name);) {
        code = path_join(from, stage, name, err);
        if (!code) code = path_join(to, dir, name, err);
        if (!code) code = os_replace(from, to, err);
    }
    return code;
}

int convert_to_directory(const struct Conversion *c, vkgpt_error *err)
{
    char stage[PATH_BYTES];
    bool made = !os_is_dir(c->output);
    int code = c->force || made ? 0 : old_files_refuse(c->output, err);
    if (!code) code = path_join(stage, c->output, STAGE, err);
    if (code) return code;
    folder_remove(stage); // left by a conversion that was interrupted
    if (os_make_dirs(stage)) return fail(err, VKGPT_BAD_FILE, "%s: cannot make this directory", c->output);
    code = config_files(c, stage, err);
    if (!code) code = tokenizer_files(c, stage, err);
    if (!code) code = safetensors_write(stage, c->checkpoint, c->half, err);
    if (!code) code = place(stage, c->output, err);
    folder_remove(stage);
    if (code && made) remove(c->output); // fails if something is in it
    return code;
}
