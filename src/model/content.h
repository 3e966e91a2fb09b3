// What a file is, by its bytes and not by its name: the kinds that vkgpt reads, and those that users give by mistake.
#ifndef VKGPT_MODEL_CONTENT_H
#define VKGPT_MODEL_CONTENT_H

#include "vkgpt.h"

enum Content {
    CONTENT_UNKNOWN, // none of those below, or the file cannot be read
    CONTENT_GGUF,
    CONTENT_SAFETENSORS,
    CONTENT_PYTORCH, // a zip archive, or the pickles from before PyTorch 1.6
    CONTENT_JSON,
    CONTENT_FOREIGN, // something else: content_check says what it is, and what to do
};

enum Content content_of(const char *path);

// Refuses known files that vkgpt does not read: a Git LFS pointer, a web page, an archive, the weights of another
// program. 0 for everything else; also for files that cannot be read, for which opening them gives the error.
// Errors (VKGPT_BAD_FILE): one sentence with what it is and what to do.
int content_check(const char *path, vkgpt_error *err);

#endif
