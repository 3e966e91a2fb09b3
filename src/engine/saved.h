// The file of a saved session (vkgpt_session_save), as bytes: its header and its checks. It knows no device.
//
//     header | tokens (uint32 each) | the caller's note | cache | hash of all before it (uint64)
//
// Numbers are little-endian. The cache is, for each layer, K and then V of the positions that have run: rows
// [head][position], and with KV_Q8_0 their scales [head][position], as struct Cache has them for one sequence with as
// many positions.
#ifndef VKGPT_ENGINE_SAVED_H
#define VKGPT_ENGINE_SAVED_H

#include "base/hash.h"
#include "base/os.h"

#define SAVED_MAGIC "vkgptses"
#define SAVED_VERSION 1
#define SAVED_MAX_NOTE ((uint64_t)16 << 20)

struct SavedHeader {
    char magic[8];
    uint32_t version;
    uint32_t kv;             // KV_...
    uint64_t model;          // model_hash
    char name[64];           // the model's, for sentences; the last byte is 0
    char weights[16];        // their format, for sentences too
    uint32_t layers;         // of the cache
    uint32_t position_bytes; // of K, or V, of one layer and position
    uint32_t tokens, cached; // all tokens; those whose K and V are in the cache
    uint64_t note_bytes;
};
_Static_assert(sizeof(struct SavedHeader) == 128, "the header has no padding");

// A session that a file is to be loaded into.
struct SavedInto {
    struct SavedHeader header; // as this session would save itself
    uint32_t context, vocab;
};

// A file that was read: pointers into its mapping.
struct Saved {
    struct SavedHeader header;
    const uint8_t *ids, *note, *cache;
};

uint64_t saved_cache_bytes(const struct SavedHeader *header); // of K, or V, of one layer

// Finds the parts of a file, and checks all but the tokens' ids, which the caller copies first. Errors (VKGPT_BAD_FILE,
// VKGPT_BAD_ARGUMENT): a sentence for each thing that can be wrong.
int saved_read(const char *path, const struct Mapping *file, const struct SavedInto *into, struct Saved *saved,
               vkgpt_error *err);
// Checks ids that were copied out of the file. Errors (VKGPT_BAD_FILE): one is not below the model's vocabulary.
int saved_check_ids(const char *path, const uint32_t *ids, uint32_t count, const struct SavedInto *into,
                    vkgpt_error *err);

#endif
