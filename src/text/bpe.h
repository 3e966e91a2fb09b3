// Byte-pair encoding (Sennrich et al. 2016) of one piece of text: of bytes as in GPT-2, or of the characters of a word
// as in GPT-1.
#ifndef VKGPT_TEXT_BPE_H
#define VKGPT_TEXT_BPE_H

#include "text/buffer.h"
#include "text/vocab.h"

struct Ids { // a growing list; zeroed is empty; the owner frees `ids`
    uint32_t *ids;
    size_t count, capacity;
};

bool ids_append(struct Ids *list, uint32_t id); // false: no memory

#define BPE_MAX_BYTES ((size_t)1 << 30) // of one piece

struct BpeSymbol;
struct BpeCandidate;

struct Bpe { // scratch memory that is reused for the next piece; zeroed is empty
    struct BpeSymbol *symbols;
    size_t symbol_capacity;
    struct BpeCandidate *heap;
    size_t heap_count, heap_capacity;
    struct TextBuffer symbol; // a character with its prefix and suffix
    bool no_unk;              // a character needs unk_token, which is not in the vocabulary
};

void bpe_free(struct Bpe *bpe);

// Appends the tokens of a piece of at most BPE_MAX_BYTES. Starts from the tokens of its bytes (or characters), and
// merges the neighbours of the lowest rank, the leftmost first, until there is no merge left. It takes n log n time in
// the length of the piece, and merges in the same order as Hugging Face's tokenizers. False: no memory.
bool bpe_piece(struct Bpe *bpe, const struct Vocab *vocab, const char *piece, size_t bytes, struct Ids *out);

#endif
