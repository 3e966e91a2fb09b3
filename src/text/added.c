// The tokens are sorted by text, so the tokens that match the text so far are a range, which narrows byte by byte.
#include "text/added.h"

// The first of added[low, high) whose byte at `depth` is at least `byte`; they all have the same bytes before it.
static size_t lower_bound(const struct AddedToken *added, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int b = added[mid].pattern_length > depth ? (unsigned char)added[mid].pattern[depth] : -1;
        if (b < byte) low = mid + 1;
        else high = mid;
    }
    return low;
}

const struct AddedToken *added_longest(const struct Vocab *vocab, const char *text, size_t bytes, bool normalized)
{
    const struct AddedToken *best = NULL;
    size_t low = 0, high = vocab->added_count;
    for (size_t depth = 0; depth < bytes; depth++) {
        int byte = (unsigned char)text[depth];
        low = lower_bound(vocab->added, low, high, depth, byte);
        high = lower_bound(vocab->added, low, high, depth, byte + 1);
        if (low == high) break;
        for (size_t i = low; i < high && vocab->added[i].pattern_length == depth + 1; i++) // the shortest come first
            if (vocab->added[i].normalized == normalized) best = &vocab->added[i];
    }
    return best;
}

static bool stands_alone(const struct Splitter *splitter, struct Passage p, size_t start, size_t end)
{
    return !split_word_last(splitter, p.masked, start) && !split_word_first(splitter, p.masked + end, p.bytes - end);
}

bool added_next(const struct Vocab *vocab, const struct Splitter *splitter, struct Passage passage, bool normalized,
                bool special, size_t *at, struct AddedMatch *match)
{
    while (*at < passage.bytes) {
        size_t start = *at;
        const struct AddedToken *a = added_longest(vocab, passage.text + start, passage.bytes - start, normalized);
        *at += a ? a->pattern_length : 1;
        if (!a || (a->special && !special)) continue;
        size_t end = start + a->pattern_length;
        if (a->single_word && !stands_alone(splitter, passage, start, end)) continue;
        if (a->lstrip) start -= split_blanks_last(splitter, passage.masked, start);
        if (a->rstrip) end += split_blanks_first(splitter, passage.masked + end, passage.bytes - end);
        *match = (struct AddedMatch){a->id, start, end};
        return true;
    }
    return false;
}
