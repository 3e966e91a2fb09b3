// Old files in the directory to which a command writes a model: a reader would take them for a part of the new model.
#ifndef VKGPT_MODEL_OLD_FILES_H
#define VKGPT_MODEL_OLD_FILES_H

#include "base/os.h"
#include "model/path.h"

// A tokenizer's files, and their names in a copy of the model.
struct TokenizerFile {
    const char *name, *as;
};
extern const struct TokenizerFile TOKENIZER_FILES[]; // ends with a NULL name

// Errors (VKGPT_BAD_FILE): `dir` has a file of a model, with its name. A missing directory is not an error.
int old_files_refuse(const char *dir, vkgpt_error *err);
// Removes them, except those that are also in `stage`, the folder of the new model (or NULL): they will be replaced.
void old_files_remove(const char *dir, const char *stage);
// Replaces `name` by the next file by alphabet; an empty `name` asks for the first one. False: there is none.
bool folder_next(const char *dir, char name[FILE_NAME_BYTES]);

#endif
