// What a command that writes a model finds in the place of it: the files that a reader would take for a part of the
// model.
#ifndef VKGPT_MODEL_OLD_FILES_H
#define VKGPT_MODEL_OLD_FILES_H

#include "model/path.h"

#define NAME_BYTES 256

// A tokenizer's files, and the name that they get where a model is copied.
struct TokenizerFile {
    const char *name, *as;
};
extern const struct TokenizerFile TOKENIZER_FILES[]; // ends with a NULL name

// Errors (VKGPT_BAD_FILE): a model's file is in `dir`, with its name. No such directory is no error.
int old_files_refuse(const char *dir, vkgpt_error *err);
// Removes them, but those that `stage`, a folder with the new model (or NULL), has too: they are replaced.
void old_files_remove(const char *dir, const char *stage);
// The file that follows `name` by alphabet; an empty `name` asks for the first one. False: there is none.
bool folder_next(const char *dir, char name[NAME_BYTES]);

#endif
