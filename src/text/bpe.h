// Byte-pair encoding (Sennrich et al. 2016) of one piece of text: over bytes as in GPT-2, or over the characters of a
// word as in GPT-1.
#ifndef VKGPT_TEXT_BPE_H
#define VKGPT_TEXT_BPE_H

#include "text/buffer.h"
#include "text/vocab.h"

struct Ids { // a growing list; zeroed is empty; `ids` is freed by whoever holds it
    uint32_t *ids;
    size_t count, capacity;
};

bool ids_append(struct Ids *list, uint32_t id); // false: no memory

#define BPE_MAX_BYTES ((size_t)1 << 30) // of one piece

struct BpeSymbol;
struct BpeCandidate;

struct Bpe { // scratch that is kept from piece to piece; zeroed is empty
    struct BpeSymbol *symbols;
    size_t symbol_capacity;
    struct BpeCandidate *heap;
    size_t heap_count, heap_capacity;
    struct TextBuffer symbol; // a character with what belongs around it
    bool no_unk;              // a character needed unk_token, which is no token
};

void bpe_free(struct Bpe *bpe);

// Appends the tokens of a piece of at most BPE_MAX_BYTES. Starts from the tokens of its bytes (or characters) and
// merges the neighbours of the lowest rank, the leftmost first, until none are left: n log n in the length of the
// piece, and the same order as Hugging Face's tokenizers. False: no memory.
bool bpe_piece(struct Bpe *bpe, const struct Vocab *vocab, const char *piece, size_t bytes, struct Ids *out);

#endif
