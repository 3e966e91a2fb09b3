// The symbols of a piece are a linked list in an array; a heap holds the possible merges. A candidate whose symbols
// have changed since it was pushed is dropped when it is popped.
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/pipeline.h"

#define NONE UINT32_MAX

struct BpeSymbol {
    uint32_t id; // NO_TOKEN: merged into the symbol before
    uint32_t before, after;
};

struct BpeCandidate {
    uint32_t rank, at; // the order in the heap
    uint32_t id;       // the merged token when it was pushed
};

bool ids_append(struct Ids *list, uint32_t id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        if (capacity > SIZE_MAX / sizeof *list->ids) return false;
        uint32_t *wider = realloc(list->ids, capacity * sizeof *wider);
        if (!wider) return false;
        list->ids = wider;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void bpe_free(struct Bpe *bpe)
{
    free(bpe->symbols);
    free(bpe->heap);
    text_free(&bpe->symbol);
    *bpe = (struct Bpe){0};
}

static bool goes_first(const struct BpeCandidate *a, const struct BpeCandidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static bool push(struct Bpe *bpe, struct BpeCandidate candidate)
{
    if (bpe->heap_count == bpe->heap_capacity) {
        size_t capacity = bpe->heap_capacity ? bpe->heap_capacity * 2 : 64;
        struct BpeCandidate *wider = realloc(bpe->heap, capacity * sizeof *wider);
        if (!wider) return false;
        bpe->heap = wider;
        bpe->heap_capacity = capacity;
    }
    size_t i = bpe->heap_count++;
    for (; i > 0 && goes_first(&candidate, &bpe->heap[(i - 1) / 2]); i = (i - 1) / 2)
        bpe->heap[i] = bpe->heap[(i - 1) / 2];
    bpe->heap[i] = candidate;
    return true;
}

static struct BpeCandidate pop(struct Bpe *bpe)
{
    struct BpeCandidate *h = bpe->heap, top = h[0], last = h[--bpe->heap_count];
    size_t i = 0, n = bpe->heap_count;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && goes_first(&h[child + 1], &h[child])) child++;
        if (!goes_first(&h[child], &last)) break;
        h[i] = h[child];
    }
    h[i] = last;
    return top;
}

// Pushes the merge of the symbol with the next one, if there is such a merge.
static bool consider(struct Bpe *bpe, const struct Vocab *vocab, uint32_t at)
{
    const struct BpeSymbol *s = &bpe->symbols[at];
    if (s->after == NONE) return true;
    uint32_t right = bpe->symbols[s->after].id;
    const struct Merge *m = vocab_find_merge(vocab, s->id, right);
    return !m || push(bpe, (struct BpeCandidate){m->rank, at, m->id});
}

// The token of the piece's first byte (of its first character, if the vocabulary ends words), or NO_TOKEN.
static uint32_t first_symbol(const struct Vocab *vocab, const char *piece, size_t bytes, size_t *length)
{
    *length = 1;
    if (!vocab->ends_words) return vocab->byte_ids[(unsigned char)piece[0]];
    char symbol[4 + sizeof WORD_END] = {0};
    size_t n = utf8_length(piece, bytes);
    if (n) *length = n;
    memcpy(symbol, piece, *length);
    if (*length == bytes) memcpy(symbol + bytes, WORD_END, sizeof WORD_END);
    uint32_t id;
    return vocab_find(vocab, symbol, &id) ? id : NO_TOKEN;
}

// Makes a symbol of each byte or character. One without a token becomes unk, or is dropped if the model has no unk.
static uint32_t load_symbols(struct Bpe *bpe, const struct Vocab *vocab, const char *piece, size_t bytes)
{
    struct BpeSymbol *s = bpe->symbols;
    uint32_t n = 0;
    bool after_unk = false;
    for (size_t i = 0, length; i < bytes; i += length) {
        uint32_t id = first_symbol(vocab, piece + i, bytes - i, &length);
        bool is_unk = id == NO_TOKEN;
        if (is_unk) id = vocab->unk;
        if (id == NO_TOKEN || (is_unk && after_unk && vocab->fuse_unk)) continue;
        after_unk = is_unk;
        s[n] = (struct BpeSymbol){id, n ? n - 1 : NONE, n + 1};
        n++;
    }
    if (n) s[n - 1].after = NONE;
    return n;
}

struct Loading { // the state of load_characters
    struct Bpe *bpe;
    const struct Vocab *vocab;
    uint32_t count;
    bool unk; // an unk is pending: it comes before the next token
};

static void add_symbol(struct Loading *l, uint32_t id)
{
    l->bpe->symbols[l->count] = (struct BpeSymbol){id, l->count ? l->count - 1 : NONE, l->count + 1};
    l->count++;
}

static void end_unk(struct Loading *l)
{
    if (l->unk) add_symbol(l, l->vocab->unk);
    l->unk = false;
}

// Adds a character without a token: its bytes, or unk. A pending unk comes after those bytes, as in Hugging Face's.
static void add_unknown(struct Loading *l, const char *character, size_t bytes)
{
    const struct Pipeline *p = l->vocab->pipeline;
    bool all = p->byte_fallback;
    for (size_t i = 0; all && i < bytes; i++) all = p->bytes[(unsigned char)character[i]] != NO_TOKEN;
    for (size_t i = 0; all && i < bytes; i++) add_symbol(l, p->bytes[(unsigned char)character[i]]);
    if (all || !p->unk) return;
    if (l->vocab->unk == NO_TOKEN) {
        l->bpe->no_unk = true;
        return;
    }
    if (!l->vocab->fuse_unk) end_unk(l);
    l->unk = true;
}

// Makes a symbol of each character, with the prefix if it is not the first, and the suffix if it is the last.
static uint32_t load_characters(struct Bpe *bpe, const struct Vocab *vocab, const char *piece, size_t bytes)
{
    const struct Pipeline *p = vocab->pipeline;
    struct Loading l = {bpe, vocab, 0, false};
    bool affixes = *p->prefix || *p->suffix;
    for (size_t i = 0, length; i < bytes; i += length) {
        uint32_t id;
        length = utf8_length(piece + i, bytes - i);
        if (!length) length = 1;
        const char *symbol = piece + i;
        size_t symbol_bytes = length;
        if (affixes) {
            bpe->symbol.bytes = 0;
            if (i && !text_add(&bpe->symbol, p->prefix, strlen(p->prefix))) return NONE;
            if (!text_add(&bpe->symbol, symbol, length)) return NONE;
            if (i + length == bytes && !text_add(&bpe->symbol, p->suffix, strlen(p->suffix))) return NONE;
            symbol = bpe->symbol.data;
            symbol_bytes = bpe->symbol.bytes;
        }
        if (!map_find(&vocab->ids, symbol, symbol_bytes, &id)) {
            add_unknown(&l, symbol, symbol_bytes);
            continue;
        }
        end_unk(&l);
        add_symbol(&l, id);
    }
    end_unk(&l);
    if (l.count) bpe->symbols[l.count - 1].after = NONE;
    return l.count;
}

static bool merge_all(struct Bpe *bpe, const struct Vocab *vocab, uint32_t count)
{
    struct BpeSymbol *s = bpe->symbols;
    bpe->heap_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!consider(bpe, vocab, i)) return false;
    while (bpe->heap_count) {
        struct BpeCandidate c = pop(bpe);
        struct BpeSymbol *left = &s[c.at];
        if (left->id == NO_TOKEN || left->after == NONE) continue;
        struct BpeSymbol *right = &s[left->after];
        const struct Merge *m = vocab_find_merge(vocab, left->id, right->id);
        if (!m || m->id != c.id) continue;
        left->id = m->id;
        left->after = right->after;
        if (right->after != NONE) s[right->after].before = c.at;
        right->id = NO_TOKEN;
        if (left->before != NONE && !consider(bpe, vocab, left->before)) return false;
        if (!consider(bpe, vocab, c.at)) return false;
    }
    return true;
}

bool bpe_piece(struct Bpe *bpe, const struct Vocab *vocab, const char *piece, size_t bytes, struct Ids *out)
{
    if (bpe->symbol_capacity < bytes) {
        struct BpeSymbol *wider = realloc(bpe->symbols, bytes * 2 * sizeof *wider);
        if (!wider) return false;
        bpe->symbols = wider;
        bpe->symbol_capacity = bytes * 2;
    }
    uint32_t count = (vocab->pipeline ? load_characters : load_symbols)(bpe, vocab, piece, bytes);
    if (count == NONE) return false;
    if (!count) return true;
    if (!merge_all(bpe, vocab, count)) return false;
    for (uint32_t i = 0; i != NONE; i = bpe->symbols[i].after)
        if (!ids_append(out, bpe->symbols[i].id)) return false;
    return true;
}
