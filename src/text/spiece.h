// Reads a SentencePiece model file (spiece.model), a protobuf message: only the few fields that a tokenizer needs.
#ifndef VKGPT_TEXT_SPIECE_H
#define VKGPT_TEXT_SPIECE_H

#include "vkgpt.h"

enum SpieceType { SPIECE_NORMAL = 1, SPIECE_UNKNOWN, SPIECE_CONTROL, SPIECE_USER_DEFINED, SPIECE_UNUSED, SPIECE_BYTE };
enum SpieceModel { SPIECE_UNIGRAM = 1, SPIECE_BPE, SPIECE_WORD, SPIECE_CHAR };

struct SpieceText { // points into the file's bytes; no NUL at the end
    const char *data;
    size_t bytes;
};

struct SpiecePiece {
    struct SpieceText text;
    float score;
    uint64_t type;
};

struct Spiece {
    struct SpiecePiece *pieces; // in the order of their ids
    size_t count;
    uint64_t model, unk_id;
    struct SpieceText charsmap; // precompiled_charsmap of normalizer_spec
};

// Reads a file in memory, which must outlive `spiece`. Errors (VKGPT_BAD_FILE): damaged, no pieces.
// Source: https://github.com/google/sentencepiece, src/sentencepiece_model.proto.
int spiece_read(const char *file, const char *data, size_t bytes, struct Spiece *spiece, vkgpt_error *err);
void spiece_free(struct Spiece *spiece);

#endif
