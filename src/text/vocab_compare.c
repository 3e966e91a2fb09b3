// What writers need of a sealed vocabulary: its names and merges as in files, and a comparison with the vocabulary that
// is read back from the written file.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "text/vocab.h"

// ------------------------------------------------------------------------------------------------- names, merges

size_t vocab_name_room(const struct Vocab *vocab)
{
    size_t most = 0;
    for (uint32_t id = 0; id < vocab->count; id++)
        if (vocab->tokens[id].length > most) most = vocab->tokens[id].length;
    return 2 * most + 1;
}

bool vocab_name(const struct Vocab *vocab, uint32_t id, char *name)
{
    const struct Token *t = id < vocab->count ? &vocab->tokens[id] : NULL;
    if (!t || !t->bytes) return false;
    size_t n = t->length;
    if (t->raw) memcpy(name, t->bytes, n);
    else n = vocab_symbols(t->bytes, t->length, name);
    name[n] = '\0';
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const struct Merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

struct Merge *vocab_merges(const struct Vocab *vocab, size_t *count)
{
    struct Merge *list = malloc((vocab->merge_count + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; list && i < vocab->merge_capacity; i++)
        if (vocab->merges[i].id != NO_TOKEN) list[(*count)++] = vocab->merges[i];
    if (list) qsort(list, *count, sizeof *list, by_rank);
    return list;
}

// ---------------------------------------------------------------------------------------- added tokens that touch

// Whether two texts can overlap: the end of one is the start of the other, or one contains the other.
static bool can_touch(const struct AddedToken *a, const struct AddedToken *b)
{
    for (size_t i = 0; i < a->length; i++) { // b begins at byte i of a
        size_t common = a->length - i < b->length ? a->length - i : b->length;
        if (memcmp(a->text + i, b->text, common) == 0) return true;
    }
    for (size_t i = 1; i < b->length; i++) {
        size_t common = b->length - i < a->length ? b->length - i : a->length;
        if (memcmp(b->text + i, a->text, common) == 0) return true;
    }
    return false;
}

bool vocab_normalized_is_idle(const struct Vocab *vocab, const struct AddedToken **one, const struct AddedToken **other)
{
    for (size_t i = 0; i < vocab->added_count; i++) {
        *one = *other = &vocab->added[i];
        if (!(*one)->normalized) continue;
        if (vocab->nfkc) return false;
        for (size_t k = 0; k < vocab->added_count; k++) {
            *other = &vocab->added[k];
            if (!(*other)->normalized && can_touch(*one, *other)) return false;
        }
    }
    return true;
}

// ------------------------------------------------------------------------------------------------- differences

static bool text_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    return a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0;
}

static bool tokens_equal(const struct Vocab *a, const struct Vocab *b)
{
    if (a->count != b->count) return false;
    for (uint32_t id = 0; id < a->count; id++) {
        const struct Token *x = &a->tokens[id], *y = &b->tokens[id];
        if (!x->bytes || !y->bytes) {
            if (x->bytes || y->bytes) return false;
        } else if (x->raw != y->raw || !text_equal(x->bytes, x->length, y->bytes, y->length)) {
            return false;
        }
    }
    return memcmp(a->byte_ids, b->byte_ids, sizeof a->byte_ids) == 0;
}

// Compares the order of the merges, not their ranks, which have gaps after a repeated merge.
static bool merges_equal(const struct Vocab *a, const struct Vocab *b)
{
    size_t count, other;
    struct Merge *x = vocab_merges(a, &count), *y = vocab_merges(b, &other);
    bool equal = x && y && count == other;
    for (size_t i = 0; equal && i < count; i++)
        equal = x[i].left == y[i].left && x[i].right == y[i].right && x[i].id == y[i].id;
    free(x);
    free(y);
    return equal;
}

static const char *added_difference(const struct Vocab *a, const struct Vocab *b)
{
    const struct AddedToken *one, *other;
    bool idle = vocab_normalized_is_idle(a, &one, &other) && vocab_normalized_is_idle(b, &one, &other);
    if (a->added_count != b->added_count) return "the number of added tokens";
    for (size_t i = 0; i < a->added_count; i++) { // both are sorted by text
        const struct AddedToken *x = &a->added[i], *y = &b->added[i];
        if (!text_equal(x->text, x->length, y->text, y->length)) return "the text of an added token";
        if (x->id != y->id) return "the id of an added token";
        if (x->special != y->special) return "special of an added token";
        if (x->lstrip != y->lstrip) return "lstrip of an added token";
        if (x->rstrip != y->rstrip) return "rstrip of an added token";
        if (x->single_word != y->single_word) return "single_word of an added token";
        if (x->normalized != y->normalized && !idle) return "normalized of an added token";
    }
    return NULL;
}

static bool rules_equal(const struct Vocab *a, const struct Vocab *b)
{
    if (a->rule_count != b->rule_count) return false;
    for (size_t i = 0; i < a->rule_count; i++)
        if (strcmp(a->rules[i].pattern, b->rules[i].pattern) != 0 || a->rules[i].removed != b->rules[i].removed)
            return false;
    return true;
}

const char *vocab_difference(const struct Vocab *a, const struct Vocab *b)
{
    if (!tokens_equal(a, b)) return "the tokens";
    if (!merges_equal(a, b)) return "the merges";
    const char *added = added_difference(a, b);
    if (added) return added;
    if (a->ends_words != b->ends_words) return "words that have ends";
    if (a->unk != b->unk) return "unk_token";
    if (a->fuse_unk != b->fuse_unk) return "fuse_unk";
    if (a->nfkc != b->nfkc) return "normalization by NFKC";
    if (!rules_equal(a, b)) return "splits of its own";
    if (a->add_prefix_space != b->add_prefix_space) return "add_prefix_space";
    if (a->prefix_count != b->prefix_count || memcmp(a->prefix, b->prefix, a->prefix_count * sizeof *a->prefix) != 0)
        return "the tokens before a text";
    if (a->suffix_count != b->suffix_count || memcmp(a->suffix, b->suffix, a->suffix_count * sizeof *a->suffix) != 0)
        return "the tokens after a text";
    if (a->dropout != b->dropout) return "dropout";
    return !a->pipeline != !b->pipeline ? "the stages of a tokenizer.json" : NULL;
}
