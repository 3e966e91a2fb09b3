#include "model/old_files.h"

#include <string.h>

#include "base/os.h"
#include "base/suffix.h"

const struct TokenizerFile TOKENIZER_FILES[] = {
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
    {"spm.model", "spm.model"},
    {"sentencepiece.model", "sentencepiece.model"},
    {"tokenizer.model", "tokenizer.model"},
    {"sentencepiece.bpe.model", "sentencepiece.bpe.model"},
    {"chat_template.jinja", "chat_template.jinja"},
    {0},
};

bool folder_next(const char *dir, char name[FILE_NAME_BYTES])
{
    while (os_next(dir, "", name, FILE_NAME_BYTES))
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return true;
    return false;
}

// Decides by the name.
static bool is_old(const char *name)
{
    static const char *const whole[] = {"config.json", "generation_config.json", "params_shapes.json"},
                             *const heads[] = {"pytorch_model", "params_"},
                             *const ends[] = {".safetensors", ".safetensors.index.json"};
    for (const struct TokenizerFile *f = TOKENIZER_FILES; f->name; f++)
        if (strcmp(name, f->name) == 0) return true;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(name, whole[i]) == 0) return true;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strncmp(name, heads[i], strlen(heads[i])) == 0) return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

int old_files_refuse(const char *dir, vkgpt_error *err)
{
    char name[FILE_NAME_BYTES] = "";
    while (folder_next(dir, name))
        if (is_old(name))
            return fail(err, VKGPT_BAD_FILE, "%s: holds a model already (%s); --force replaces it", dir, name);
    return 0;
}

void old_files_remove(const char *dir, const char *stage)
{
    char name[FILE_NAME_BYTES] = "", path[PATH_BYTES];
    while (folder_next(dir, name)) {
        if (!is_old(name)) continue;
        if (stage && !path_join(path, stage, name, NULL) && os_exists(path)) continue;
        if (!path_join(path, dir, name, NULL)) remove(path);
    }
}
