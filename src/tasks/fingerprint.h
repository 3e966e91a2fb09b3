// Tells whether a file or a model is the one that it was: a hash of its size and bytes. It finds mistakes, not
// forgeries.
#ifndef VKGPT_TASKS_FINGERPRINT_H
#define VKGPT_TASKS_FINGERPRINT_H

#include "model/locate.h"
#include "vkgpt.h"

#define FINGERPRINT_BYTES 17

// The hash in hexadecimal. Of a file past 64 MiB every 64th block of 64 KiB is read, and its last one.
int fingerprint_file(const char *path, char hash[FINGERPRINT_BYTES], uint64_t *bytes, vkgpt_error *err);
// Of a model: a GGUF file, or all that a checkpoint's directory holds of configuration, weights and tokenizer.
int fingerprint_model(const char *dir, char hash[FINGERPRINT_BYTES], vkgpt_error *err);
// Of what is used with it, which is in no folder of the model: the hash becomes another. `path` NULL: it stays.
int fingerprint_add(enum Need need, const char *path, char hash[FINGERPRINT_BYTES], vkgpt_error *err);

#endif
