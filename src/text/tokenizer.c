// The public calls: bytes to ids and back. Added tokens are found in a text, the parts between them are normalized and
// split into pieces, and the model encodes each piece. GPT-2's form uses its split and BPE of bytes; for GPT-1 the text
// is lower-cased first, and the pieces are words; everything else follows the pipeline.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/locate.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/characters.h"
#include "text/decode.h"
#include "text/model.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/reader.h"
#include "text/words.h"

struct vkgpt_tokenizer {
    struct Vocab vocab;
    struct Splitter splitter;
};

int vkgpt_tokenizer_open(const char *dir, uint32_t vocab_size, vkgpt_tokenizer **tok, vkgpt_error *err)
{
    *tok = NULL;
    if (!dir) return fail(err, VKGPT_BAD_ARGUMENT, "no directory is given for the tokenizer");
    vkgpt_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(err, dir, sizeof *t);
    struct Located at;
    int code = model_locate(dir, NEED_TOKENIZER, &at, err);
    if (!code) code = reader_open(at.path, vocab_size, &t->vocab, err);
    if (!code) code = splitter_open(&t->splitter, &t->vocab, err);
    if (code) {
        vkgpt_tokenizer_close(t);
        return code;
    }
    *tok = t;
    return 0;
}

void vkgpt_tokenizer_close(vkgpt_tokenizer *tok)
{
    if (!tok) return;
    splitter_close(&tok->splitter);
    vocab_free(&tok->vocab);
    free(tok);
}

const char *vkgpt_token_bytes(const vkgpt_tokenizer *tok, uint32_t id, size_t *bytes)
{
    struct Token none = {.bytes = ""};
    const struct Token *t = id < tok->vocab.count ? &tok->vocab.tokens[id] : &none;
    if (!t->bytes) t = &none;
    *bytes = t->length;
    return t->bytes;
}

uint32_t vkgpt_token_count(const vkgpt_tokenizer *tok) { return tok->vocab.count; }

size_t vkgpt_trailing_tokens(const vkgpt_tokenizer *tok) { return tok->vocab.suffix_count; }

const char *vkgpt_tokenizer_note(const vkgpt_tokenizer *tok)
{
    return tok->vocab.dropout > 0 ? "the tokenizer's dropout is for training and is not applied" : NULL;
}

// --------------------------------------------------------------------------------------------- encoding

struct Encoding {
    const vkgpt_tokenizer *tok;
    bool special;
    struct ModelRun model;
    struct Ids out;
    vkgpt_error *err;
    const char *stretch; // the text between two added tokens that is being split
    bool out_of_memory;
};

static int fail_encoding(const struct Encoding *e)
{
    return fail_memory(e->err, "a text's tokens", e->out.capacity * 2 * sizeof *e->out.ids);
}

static bool encode_piece(void *user, size_t offset, size_t length)
{
    struct Encoding *e = user;
    e->out_of_memory = !bpe_piece(&e->model.bpe, &e->tok->vocab, e->stretch + offset, length, &e->out);
    return !e->out_of_memory;
}

static bool encode_word(void *user, const char *word, size_t bytes)
{
    struct Encoding *e = user;
    e->out_of_memory = !bpe_piece(&e->model.bpe, &e->tok->vocab, word, bytes, &e->out);
    return !e->out_of_memory;
}

static int encode_words(struct Encoding *e, struct Passage p)
{
    int code = words_split(p.text, p.bytes, encode_word, e, e->err);
    return !code && e->out_of_memory ? fail_encoding(e) : code;
}

static int encode_pieces(struct Encoding *e, struct Passage p)
{
    e->stretch = p.text;
    int code = split_pieces(&e->tok->splitter, p.masked, p.bytes, encode_piece, e, e->err);
    return !code && e->out_of_memory ? fail_encoding(e) : code;
}

// add_prefix_space: puts a space before every stretch that does not begin with one.
static int encode_with_space(struct Encoding *e, struct Passage p)
{
    char *copy = malloc(2 * (p.bytes + 1));
    if (!copy) return fail_encoding(e);
    char *masked = copy + p.bytes + 1;
    copy[0] = masked[0] = ' ';
    memcpy(copy + 1, p.text, p.bytes);
    memcpy(masked + 1, p.masked, p.bytes);
    int code = encode_pieces(e, (struct Passage){copy, masked, p.bytes + 1, p.first});
    free(copy);
    return code;
}

static int encode_by_model(void *user, struct Piece piece)
{
    struct Encoding *e = user;
    return e->tok->vocab.pipeline->model->encode(&e->model, piece.text, piece.bytes);
}

static int encode_stretch(struct Encoding *e, struct Passage p)
{
    if (!p.bytes) return 0;
    const struct Pipeline *pipeline = e->tok->vocab.pipeline;
    if (pipeline)
        return pre_tokenizers_run(&pipeline->pre_tokenizers, (struct Piece){p.text, p.bytes, p.first}, encode_by_model,
                                  e, e->err);
    if (e->tok->vocab.ends_words) return encode_words(e, p);
    bool space = e->tok->vocab.add_prefix_space && p.text[0] != ' ';
    return space ? encode_with_space(e, p) : encode_pieces(e, p);
}

static struct Passage part(struct Passage p, size_t start, size_t end)
{
    return (struct Passage){p.text + start, p.masked + start, end - start, p.first && start == 0};
}

// The phases of encoding. Each one gets the parts of the text that the previous phase left.
enum Phase {
    PHASE_EXACT, // added tokens that are not `normalized`
    PHASE_NORMALIZE,
    PHASE_NORMALIZED, // added tokens that are `normalized`
    PHASE_SPLIT,
};

static int encode_phase(struct Encoding *e, struct Passage p, enum Phase phase);

// Finds the added tokens of this phase, and passes the parts between them to the next phase.
static int encode_added(struct Encoding *e, struct Passage p, enum Phase phase)
{
    size_t at = 0, taken = 0;
    struct AddedMatch m;
    while (added_next(&e->tok->vocab, &e->tok->splitter, p, phase == PHASE_NORMALIZED, e->special, &at, &m)) {
        int code = taken < m.start ? encode_phase(e, part(p, taken, m.start), phase + 1) : 0;
        if (code) return code;
        if (!ids_append(&e->out, m.id)) return fail_encoding(e);
        taken = m.end;
    }
    return taken < p.bytes ? encode_phase(e, part(p, taken, p.bytes), phase + 1) : 0;
}

static int encode_normalized(struct Encoding *e, struct Passage p)
{
    const struct Pipeline *pipeline = e->tok->vocab.pipeline;
    struct TextBuffer text = {0};
    char *masked = NULL;
    int code = pipeline ? normalizers_run(&pipeline->normalizers, p.text, p.bytes, &text, e->err)
                        : characters_nfkc(p.text, p.bytes, &text.data, &text.bytes, e->err);
    if (!code) code = split_mask(text.data, text.bytes, &masked, e->err);
    if (!code)
        code = encode_phase(e, (struct Passage){text.data, masked ? masked : text.data, text.bytes, p.first},
                            PHASE_NORMALIZED);
    free(masked);
    text_free(&text);
    return code;
}

static int encode_phase(struct Encoding *e, struct Passage p, enum Phase phase)
{
    if (phase == PHASE_SPLIT) return encode_stretch(e, p);
    if (phase != PHASE_NORMALIZE) return encode_added(e, p, phase);
    const struct Vocab *vocab = &e->tok->vocab;
    bool changes = vocab->pipeline ? vocab->pipeline->normalizers.count > 0 : vocab->nfkc;
    return changes ? encode_normalized(e, p) : encode_phase(e, p, PHASE_NORMALIZED);
}

// For GPT-1: added tokens are searched in the lower-case text, and not at all if special tokens are text.
static int encode_lower(struct Encoding *e, struct Passage p)
{
    char *lower;
    size_t bytes;
    int code = words_lower(&e->tok->vocab, e->special, p.text, p.bytes, &lower, &bytes, e->err);
    if (code) return code;
    code = encode_phase(e, (struct Passage){lower, lower, bytes, true}, e->special ? PHASE_EXACT : PHASE_SPLIT);
    free(lower);
    return code;
}

static int append_all(struct Encoding *e, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!ids_append(&e->out, ids[i])) return fail_encoding(e);
    return 0;
}

static int encode_all(struct Encoding *e, struct Passage p)
{
    const struct Vocab *vocab = &e->tok->vocab;
    int code = append_all(e, vocab->prefix, vocab->prefix_count);
    if (!code) code = vocab->ends_words ? encode_lower(e, p) : encode_phase(e, p, PHASE_EXACT);
    return code ? code : append_all(e, vocab->suffix, vocab->suffix_count);
}

int vkgpt_encode(const vkgpt_tokenizer *tok, const char *text, size_t bytes, bool special, uint32_t **ids,
                 size_t *count, vkgpt_error *err)
{
    *ids = NULL;
    *count = 0;
    if (bytes >= BPE_MAX_BYTES)
        return fail(err, VKGPT_BAD_ARGUMENT, "a text of %zu bytes is given, less than %zu can be encoded at once",
                    bytes, BPE_MAX_BYTES);
    char *masked;
    int code = split_mask(text, bytes, &masked, err);
    if (code) return code;

    struct Encoding e = {.tok = tok, .special = special, .err = err};
    e.model = (struct ModelRun){.vocab = &tok->vocab, .out = &e.out, .err = err};
    code = encode_all(&e, (struct Passage){text, masked ? masked : text, bytes, true});
    if (!code && !e.out.ids) { // an empty text gives an empty list, which the caller frees too
        e.out.ids = malloc(sizeof *e.out.ids);
        if (!e.out.ids) code = fail_encoding(&e);
    }
    free(masked);
    model_run_free(&e.model);
    if (code) {
        free(e.out.ids);
        return code;
    }
    *ids = e.out.ids;
    *count = e.out.count;
    return 0;
}

// --------------------------------------------------------------------------------------------- decoding

static int decode_pipeline(const struct Pipeline *p, const uint32_t *ids, size_t count, struct Pieces *pieces,
                           vkgpt_error *err)
{
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        const struct Token *t = ids[i] < p->name_count ? &p->names[ids[i]] : NULL;
        if (!t || !t->bytes) continue;
        if (!p->has_decoder && pieces->count) good = text_add(&pieces->text, " ", 1);
        good = good && pieces_add(pieces, t->bytes, t->length);
    }
    return good ? decoders_run(&p->decoders, pieces, err)
                : fail_memory(err, "the text of tokens", pieces->text.bytes * 2);
}

int vkgpt_decode(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, char **text, size_t *bytes,
                 vkgpt_error *err)
{
    struct Pieces pieces = {0};
    bool good = true;
    int code = 0;
    *text = NULL;
    *bytes = 0;
    if (tok->vocab.pipeline) code = decode_pipeline(tok->vocab.pipeline, ids, count, &pieces, err);
    for (size_t i = 0; good && !tok->vocab.pipeline && i < count; i++) {
        size_t length;
        const char *token = vkgpt_token_bytes(tok, ids[i], &length);
        good = text_add(&pieces.text, token, length);
    }
    if (!code && !(good && text_room(&pieces.text, 1)))
        code = fail_memory(err, "the text of tokens", pieces.text.bytes * 2);
    if (!code) {
        pieces.text.data[pieces.text.bytes] = '\0';
        *text = pieces.text.data;
        *bytes = pieces.text.bytes;
        pieces.text = (struct TextBuffer){0};
    }
    pieces_free(&pieces);
    return code;
}
