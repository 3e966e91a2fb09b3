// What a file is, by its bytes and not by its name: the kinds that are read here, and those that people have by
// mistake.
#ifndef VKGPT_MODEL_CONTENT_H
#define VKGPT_MODEL_CONTENT_H

#include "vkgpt.h"

enum Content {
    CONTENT_UNKNOWN, // none of those below; also what cannot be read
    CONTENT_GGUF,
    CONTENT_SAFETENSORS,
    CONTENT_PYTORCH, // a zip archive, or the pickles of before PyTorch 1.6
    CONTENT_JSON,
    CONTENT_FOREIGN, // content_check says what, and what to do
};

enum Content content_of(const char *path);

// Refuses what is known to be something else than its name says or than vkgpt reads: a Git LFS pointer, a web page, an
// archive, the weights of another program. 0 for everything else, files that cannot be read among them: their reader
// tells. Errors (VKGPT_BAD_FILE): one sentence with what it is and what to do.
int content_check(const char *path, vkgpt_error *err);

#endif
