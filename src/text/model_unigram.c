// Unigram (Kudo 2018, as in SentencePiece): finds the tokens of a piece with the largest sum of scores, by Viterbi's
// algorithm over the bytes at which characters begin.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/characters.h"
#include "text/model.h"

#define UNK_PENALTY 10.0 // the score of unk is this much below the lowest
#define NOWHERE SIZE_MAX

struct Entry { // a token and its id
    const char *text;
    size_t bytes;
    uint32_t id;
};

struct UnigramNode { // the best tokens up to a byte of the piece
    double score;
    size_t start; // where the last token starts; NOWHERE: not reached yet
    uint32_t id;
};

int unigram_scores(struct Reader *r, size_t count)
{
    struct Pipeline *p = r->vocab->pipeline;
    if (count > VOCAB_MAX_IDS)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: a vocabulary of %zu is more than %u", r->path, count, VOCAB_MAX_IDS);
    int code = vocab_reserve(r->vocab, r->path, count, r->err);
    if (code) return code;
    p->scores = calloc(count, sizeof *p->scores);
    if (!p->scores) return fail_memory(r->err, r->path, count * sizeof *p->scores);
    p->score_count = (uint32_t)count;
    r->vocab->last_counts = true;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    const struct Entry *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

bool unigram_seal(struct Vocab *vocab)
{
    struct Pipeline *p = vocab->pipeline;
    double lowest = INFINITY;
    p->entries = malloc(p->score_count * sizeof *p->entries);
    if (!p->entries) return false;
    for (uint32_t id = 0; id < p->score_count; id++) {
        const struct Token *t = &vocab->tokens[id];
        uint32_t counts;
        if (p->scores[id] < lowest) lowest = p->scores[id];
        if (t->length && map_find(&vocab->ids, t->bytes, t->length, &counts) && counts == id)
            p->entries[p->entry_count++] = (struct Entry){t->bytes, t->length, id};
    }
    qsort(p->entries, p->entry_count, sizeof *p->entries, by_text);
    p->unk_score = lowest - UNK_PENALTY;
    return true;
}

// The first of entries[low, high) whose byte at `depth` is at least `byte`; they all have the same bytes before it.
static size_t lower_bound(const struct Entry *entries, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int b = entries[mid].bytes > depth ? (unsigned char)entries[mid].text[depth] : -1;
        if (b < byte) low = mid + 1;
        else high = mid;
    }
    return low;
}

static void reach(struct UnigramNode *node, double score, size_t start, uint32_t id)
{
    if (node->start == NOWHERE || score > node->score) *node = (struct UnigramNode){score, start, id};
}

// Adds every token that begins at `start`; true when one of them is that single character.
static bool reach_tokens(struct ModelRun *run, const char *piece, size_t bytes, size_t start, size_t character)
{
    const struct Pipeline *p = run->vocab->pipeline;
    bool single = false;
    size_t low = 0, high = p->entry_count;
    for (size_t depth = 0; start + depth < bytes; depth++) {
        int byte = (unsigned char)piece[start + depth];
        low = lower_bound(p->entries, low, high, depth, byte);
        high = lower_bound(p->entries, low, high, depth, byte + 1);
        if (low == high) break;
        const struct Entry *e = &p->entries[low]; // the shortest of the matching entries
        if (e->bytes != depth + 1) continue;
        reach(&run->nodes[start + depth + 1], run->nodes[start].score + p->scores[e->id], start, e->id);
        single |= depth + 1 == character;
    }
    return single;
}

static int make_nodes(struct ModelRun *run, size_t bytes)
{
    if (run->node_capacity <= bytes) {
        size_t capacity = (bytes + 1) * 2;
        struct UnigramNode *wider = realloc(run->nodes, capacity * sizeof *wider);
        if (!wider) return fail_memory(run->err, "the ways to write a text", capacity * sizeof *wider);
        run->nodes = wider;
        run->node_capacity = capacity;
    }
    for (size_t i = 0; i <= bytes; i++) run->nodes[i] = (struct UnigramNode){0, NOWHERE, NO_TOKEN};
    return 0;
}

// Appends a run of characters without tokens.
static int append_unknown(struct ModelRun *run, const char *text, size_t bytes)
{
    uint32_t id;
    bool all = false;
    if (map_find(&run->vocab->ids, text, bytes, &id)) return model_append(run, id);
    int code = run->vocab->pipeline->byte_fallback ? model_bytes(run, text, bytes, &all) : 0;
    return code || all ? code : model_unk(run, text, bytes);
}

// Reverses the links: nodes[at].start becomes the end of the token that begins at `at`.
static void turn_around(struct UnigramNode *nodes, size_t bytes)
{
    size_t end = bytes, next = NOWHERE;
    uint32_t id = NO_TOKEN;
    while (end != NOWHERE) {
        size_t start = end ? nodes[end].start : NOWHERE;
        uint32_t before = nodes[end].id;
        nodes[end].start = next;
        nodes[end].id = id;
        next = end;
        id = before;
        end = start;
    }
}

static int append_best(struct ModelRun *run, const char *piece, size_t bytes)
{
    const struct UnigramNode *nodes = run->nodes;
    int code = 0;
    turn_around(run->nodes, bytes);
    for (size_t at = 0, end; !code && at < bytes; at = end) {
        end = nodes[at].start;
        if (nodes[at].id != run->vocab->unk) {
            code = model_append(run, nodes[at].id);
            continue;
        }
        while (end < bytes && nodes[end].id == run->vocab->unk) end = nodes[end].start;
        code = append_unknown(run, piece + at, end - at);
    }
    return code;
}

int unigram_encode(struct ModelRun *run, const char *piece, size_t bytes)
{
    const struct Pipeline *p = run->vocab->pipeline;
    int code = make_nodes(run, bytes);
    for (size_t start = 0, length; !code && start < bytes; start += length) {
        characters_first(piece + start, bytes - start, &length);
        if (reach_tokens(run, piece, bytes, start, length)) continue;
        if (run->vocab->unk == NO_TOKEN)
            return fail(run->err, VKGPT_BAD_MODEL, "\"%s\" is not a token, and there is no unk_id",
                        shown(piece + start, length).text);
        reach(&run->nodes[start + length], run->nodes[start].score + p->unk_score, start, run->vocab->unk);
    }
    return code ? code : append_best(run, piece, bytes);
}
