// Tells whether a file or a model is still the same, by a hash of its size and bytes. It finds mistakes, not forgeries.
#ifndef VKGPT_TASKS_FINGERPRINT_H
#define VKGPT_TASKS_FINGERPRINT_H

#include "model/locate.h"
#include "vkgpt.h"

#define FINGERPRINT_BYTES 17

// The hash in hexadecimal. Of a file above 64 MiB only every 64th block of 64 KiB and the last 64 KiB are read.
int fingerprint_file(const char *path, char hash[FINGERPRINT_BYTES], uint64_t *bytes, vkgpt_error *err);
// The hash of a model: of a GGUF file, or of the configuration, weights and tokenizer in a checkpoint's directory.
int fingerprint_model(const char *dir, char hash[FINGERPRINT_BYTES], vkgpt_error *err);
// Adds a tokenizer or adapter that is not in the model's directory to the hash. `path` NULL: the hash stays the same.
int fingerprint_add(enum Need need, const char *path, char hash[FINGERPRINT_BYTES], vkgpt_error *err);

#endif
