// WordPiece (Schuster and Nakajima 2012; as in BERT): takes the longest token at the start of a word, then the longest
// token with the prefix at the start of the rest, and so on. If there is none, the whole word becomes unk.
#include <string.h>

#include "base/error.h"
#include "text/characters.h"
#include "text/model.h"

// The end of the longest token that begins at `start`; `start` if there is none. Tries no more bytes than the longest
// token of the vocabulary has.
static size_t longest_token(struct ModelRun *run, const char *piece, size_t bytes, size_t start, uint32_t *id)
{
    const struct Pipeline *p = run->vocab->pipeline;
    size_t prefix = start ? strlen(p->prefix) : 0, length;
    if (p->longest < prefix) return start;
    size_t most = p->longest - prefix, end = bytes - start < most ? bytes : start + most;
    memcpy(run->word.data, p->prefix, prefix);
    memcpy(run->word.data + prefix, piece + start, end - start);
    for (; end > start; end -= length) {
        if (map_find(&run->vocab->ids, run->word.data, prefix + end - start, id)) return end;
        characters_last(piece + start, end - start, &length);
    }
    return start;
}

static bool too_long(const struct Pipeline *p, const char *piece, size_t bytes)
{
    size_t characters = 0;
    for (size_t i = 0, length; i < bytes && characters <= p->max_characters; i += length, characters++)
        characters_first(piece + i, bytes - i, &length);
    return characters > p->max_characters;
}

int word_piece_encode(struct ModelRun *run, const char *piece, size_t bytes)
{
    const struct Pipeline *p = run->vocab->pipeline;
    size_t before = run->out->count;
    if (too_long(p, piece, bytes)) return model_unk(run, piece, bytes);
    run->word.bytes = 0;
    if (!text_room(&run->word, p->longest + strlen(p->prefix) + 1)) return fail_memory(run->err, "a word", p->longest);
    for (size_t start = 0, end; start < bytes; start = end) {
        uint32_t id;
        end = longest_token(run, piece, bytes, start, &id);
        if (end == start) {
            run->out->count = before;
            return model_unk(run, piece, bytes);
        }
        int code = model_append(run, id);
        if (code) return code;
    }
    return 0;
}
