#include "tasks/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/os.h"

#define WHOLE ((size_t)64 << 20)
#define BLOCK ((size_t)64 << 10)
#define STEP 64 // blocks

// Of its bytes, the lowest first, on every machine.
static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    for (int i = 0; i < 8; i++, number >>= 8) hash = fnv_add(hash, &(uint8_t){(uint8_t)number}, 1);
    return hash;
}

static int mix_file(uint64_t *hash, const char *path, uint64_t *bytes, vkgpt_error *err)
{
    struct Mapping file;
    int code = os_map(path, &file, err);
    if (code) return code;
    *bytes = file.bytes;
    *hash = mix_number(*hash, file.bytes);
    if (file.bytes <= WHOLE) {
        *hash = fnv_add(*hash, file.data, file.bytes);
    } else {
        for (size_t at = 0; at + BLOCK <= file.bytes; at += BLOCK * STEP) *hash = fnv_add(*hash, file.data + at, BLOCK);
        *hash = fnv_add(*hash, file.data + file.bytes - BLOCK, BLOCK);
    }
    code = os_map_check(&file, path, err);
    os_unmap(&file);
    return code;
}

int fingerprint_file(const char *path, char text[FINGERPRINT_BYTES], uint64_t *bytes, vkgpt_error *err)
{
    uint64_t hash = FNV_START;
    int code = mix_file(&hash, path, bytes, err);
    if (!code) snprintf(text, FINGERPRINT_BYTES, "%016" PRIx64, hash);
    return code;
}

static bool is_part(const char *name)
{
    static const char *const ends[] = {".json", ".txt", ".safetensors", ".bin", ".npy", ".bpe", ".gguf"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(name + length - end, ends[i]) == 0) return true;
    }
    return false;
}

int fingerprint_model(const char *dir, char text[FINGERPRINT_BYTES], vkgpt_error *err)
{
    uint64_t hash = FNV_START, bytes;
    char path[4096 + FILE_NAME_BYTES], name[FILE_NAME_BYTES] = "";
    int code = 0;
    if (!os_is_dir(dir)) code = mix_file(&hash, dir, &bytes, err);
    while (!code && os_next(dir, "", name, sizeof name)) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (!is_part(name) || os_is_dir(path)) continue;
        hash = fnv_add(hash, name, strlen(name));
        code = mix_file(&hash, path, &bytes, err);
    }
    if (!code) snprintf(text, FINGERPRINT_BYTES, "%016" PRIx64, hash);
    return code;
}

int fingerprint_add(enum Need need, const char *path, char text[FINGERPRINT_BYTES], vkgpt_error *err)
{
    char other[FINGERPRINT_BYTES];
    struct Located at;
    if (!path) return 0;
    int code = model_locate(path, need, &at, err);
    if (!code) code = fingerprint_model(at.path, other, err);
    if (code) return code;
    snprintf(text, FINGERPRINT_BYTES, "%016" PRIx64,
             fnv_add(fnv_add(FNV_START, text, strlen(text)), other, strlen(other)));
    return 0;
}
