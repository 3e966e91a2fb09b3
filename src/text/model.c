#include "text/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/steps.h"

int model_append(struct ModelRun *run, uint32_t id)
{
    return ids_append(run->out, id) ? 0 : fail_memory(run->err, "a text's tokens", run->out->capacity * 2 * sizeof id);
}

int model_unk(struct ModelRun *run, const char *piece, size_t bytes)
{
    const char *unk = run->vocab->pipeline->unk;
    if (run->vocab->unk != NO_TOKEN) return model_append(run, run->vocab->unk);
    return fail(run->err, VKGPT_BAD_MODEL, "\"%s\" is not a token, and unk_token %s is not in the vocabulary",
                shown(piece, bytes).text, unk ? shown(unk, strlen(unk)).text : "null");
}

int model_bytes(struct ModelRun *run, const char *text, size_t bytes, bool *all)
{
    const uint32_t *ids = run->vocab->pipeline->bytes;
    int code = 0;
    *all = true;
    for (size_t i = 0; i < bytes; i++) *all &= ids[(unsigned char)text[i]] != NO_TOKEN;
    for (size_t i = 0; *all && !code && i < bytes; i++) code = model_append(run, ids[(unsigned char)text[i]]);
    return code;
}

void model_run_free(struct ModelRun *run)
{
    bpe_free(&run->bpe);
    text_free(&run->word);
    free(run->nodes);
}

// ------------------------------------------------------------------------------------------------------ reading

// Reads an optional text, with the default `usual`.
static int read_setting(struct Reader *r, const struct Json *model, const char *key, const char *usual,
                        const char **text)
{
    *text = usual;
    return json_get(model, key) ? steps_read_text(r, model, key, text) : 0;
}

static int find_unk(struct Reader *r)
{
    const char *unk = r->vocab->pipeline->unk;
    if (unk) vocab_find(r->vocab, unk, &r->vocab->unk); // if absent, an error only when a text needs it
    return 0;
}

static int read_tokens(struct Reader *r, const struct Json *model)
{
    const struct Json *tokens = json_get(model, "vocab");
    return json_is_object(tokens) ? reader_vocab(r, tokens) : reader_fail_type(r, "model.vocab", "an object");
}

static int read_bpe_affixes(struct Reader *r, const struct Json *model)
{
    struct Pipeline *p = r->vocab->pipeline;
    int code = read_setting(r, model, "unk_token", NULL, &p->unk);
    if (!code) code = read_setting(r, model, "continuing_subword_prefix", "", &p->prefix);
    if (!code) code = read_setting(r, model, "end_of_word_suffix", "", &p->suffix);
    if (code || !p->byte_fallback || (!*p->prefix && !*p->suffix)) return code;
    return fail(r->err, VKGPT_BAD_MODEL, "%s: byte_fallback with %s is not supported", r->path,
                *p->prefix ? "continuing_subword_prefix" : "end_of_word_suffix");
}

static int read_bpe(struct Reader *r, const struct Json *model)
{
    struct Pipeline *p = r->vocab->pipeline;
    const struct Json *merges = json_get(model, "merges");
    int code = reader_dropout(r, model);
    if (!code) code = reader_flag(r, model, "byte_fallback", false, &p->byte_fallback);
    if (!code) code = reader_flag(r, model, "ignore_merges", false, &p->ignore_merges);
    if (!code) code = reader_flag(r, model, "fuse_unk", false, &r->vocab->fuse_unk);
    if (!code) code = read_bpe_affixes(r, model);
    if (!code) code = read_tokens(r, model);
    if (!code && !json_is_array(merges)) code = reader_fail_type(r, "model.merges", "a list");
    if (!code) code = reader_merges(r, merges);
    return code ? code : find_unk(r);
}

static int read_word_piece(struct Reader *r, const struct Json *model)
{
    struct Pipeline *p = r->vocab->pipeline;
    const struct Json *most = json_get(model, "max_input_chars_per_word");
    int64_t characters = 100;
    if (most && !json_integer(most, 0, INT64_MAX, &characters))
        return reader_fail_type(r, "model.max_input_chars_per_word", "a whole number");
    p->max_characters = (size_t)characters;
    int code = read_setting(r, model, "unk_token", "[UNK]", &p->unk);
    if (!code) code = read_setting(r, model, "continuing_subword_prefix", "##", &p->prefix);
    if (!code) code = read_tokens(r, model);
    return code ? code : find_unk(r);
}

static int read_word_level(struct Reader *r, const struct Json *model)
{
    int code = read_setting(r, model, "unk_token", "<unk>", &r->vocab->pipeline->unk);
    if (!code) code = read_tokens(r, model);
    return code ? code : find_unk(r);
}

static int read_scored(struct Reader *r, const struct Json *pair, size_t id)
{
    const struct Json *token = json_is_array(pair) ? json_first(pair) : NULL, *score = token ? json_next(token) : NULL;
    if (!json_text(token) || !json_is_number(score) || json_next(score))
        return fail(r->err, VKGPT_BAD_FILE, "%s: model.vocab[%zu] is not a token and its score", r->path, id);
    r->vocab->pipeline->scores[id] = json_number(score);
    return vocab_add(r->vocab, r->path, json_text(token), (int64_t)id, r->err);
}

static int read_unigram(struct Reader *r, const struct Json *model)
{
    struct Pipeline *p = r->vocab->pipeline;
    const struct Json *tokens = json_get(model, "vocab"), *unk = json_get(model, "unk_id");
    size_t count = json_count(tokens), id = 0;
    int64_t unk_id = 0;
    if (!json_is_array(tokens) || !count) return reader_fail_type(r, "model.vocab", "a list of tokens");
    if (unk && !json_integer(unk, 0, (int64_t)count - 1, &unk_id))
        return fail(r->err, VKGPT_BAD_MODEL, "%s: model.unk_id is not a whole number below %zu", r->path, count);
    int code = reader_flag(r, model, "byte_fallback", false, &p->byte_fallback);
    if (!code) code = unigram_scores(r, count);
    for (const struct Json *pair = json_first(tokens); !code && pair; pair = json_next(pair))
        code = read_scored(r, pair, id++);
    if (!code && unk) r->vocab->unk = (uint32_t)unk_id;
    return code;
}

int model_read(struct Reader *r, const struct Json *model)
{
    static const struct ModelKind *const kinds[] = {&model_bpe, &model_word_piece, &model_word_level, &model_unigram};
    if (!model) return fail(r->err, VKGPT_BAD_FILE, "%s: there is no model", r->path);
    const struct Json *type = json_get(model, "type");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (type ? !reader_is_text(type, kinds[i]->type) : kinds[i] != &model_bpe) continue;
        r->vocab->pipeline->model = kinds[i];
        return kinds[i]->read(r, model);
    }
    return reader_refuse(r, "model.type", type);
}

// ----------------------------------------------------------------------------------------------------- encoding

static int encode_bpe(struct ModelRun *run, const char *piece, size_t bytes)
{
    uint32_t id;
    if (run->vocab->pipeline->ignore_merges && map_find(&run->vocab->ids, piece, bytes, &id))
        return model_append(run, id);
    bool good = bpe_piece(&run->bpe, run->vocab, piece, bytes, run->out);
    if (run->bpe.no_unk) return model_unk(run, piece, bytes);
    if (good) return 0;
    return fail_memory(run->err, "a text's tokens", run->out->capacity * 2 * sizeof id);
}

static int encode_word(struct ModelRun *run, const char *piece, size_t bytes)
{
    uint32_t id;
    return map_find(&run->vocab->ids, piece, bytes, &id) ? model_append(run, id) : model_unk(run, piece, bytes);
}

const struct ModelKind model_bpe = {"BPE", read_bpe, encode_bpe},
                       model_word_piece = {"WordPiece", read_word_piece, word_piece_encode},
                       model_word_level = {"WordLevel", read_word_level, encode_word},
                       model_unigram = {"Unigram", read_unigram, unigram_encode};
