// Reads vocabularies without a tokenizer.json: vocab.txt of BERT's class, spiece.model of T5's. The stages are those of
// the tokenizer.json that transformers' converters would write.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/utf8.h"
#include "text/charsmap.h"
#include "text/model.h"
#include "text/spiece.h"
#include "text/steps.h"

static int read_stages(struct Reader *r, const char *text)
{
    struct Json *json;
    int code = json_parse(r->path, text, strlen(text), &json, r->err);
    if (!code) code = reader_stages(r, json);
    json_free(json);
    return code;
}

// The id of a token around the text; an absent one becomes unk, as in transformers.
static uint32_t edge_id(struct Reader *r, const char *token)
{
    const struct AddedToken *added = vocab_find_added(r->vocab, token);
    uint32_t id = r->vocab->unk;
    if (added) return added->id;
    vocab_find(r->vocab, token, &id);
    return id;
}

int reader_piece_edges(struct Reader *r)
{
    const char *cls = reader_role(r, "cls_token"), *sep = reader_role(r, "sep_token");
    if (r->t5_class) return reader_edge_tokens(r, NO_TOKEN, edge_id(r, "</s>"));
    return cls && sep ? reader_edge_tokens(r, edge_id(r, cls), edge_id(r, sep)) : 0;
}

// ---------------------------------------------------------------------------------------------------- vocab.txt

// Adds a line as a token. A NUL overwrites the byte after it: the line's end, or the NUL at the end of the text.
static int add_line(struct Reader *r, char *line, size_t bytes, size_t number)
{
    if (memchr(line, '\0', bytes)) return fail(r->err, VKGPT_BAD_FILE, "%s: line %zu holds a NUL", r->path, number + 1);
    line[bytes] = '\0';
    return vocab_add(r->vocab, r->path, line, (int64_t)number, r->err);
}

static size_t count_lines(const char *text, size_t bytes)
{
    size_t count = 0;
    for (const char *p = text, *end = text + bytes; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++) count++;
    return count + 1;
}

// Reads one token per line. For a duplicate token the last line counts.
static int read_lines(struct Reader *r, char *text, size_t bytes)
{
    size_t number = 0;
    int code = bytes ? 0 : fail(r->err, VKGPT_BAD_MODEL, "%s: the vocabulary has no token", r->path);
    if (!code) code = vocab_reserve(r->vocab, r->path, count_lines(text, bytes), r->err);
    for (char *p = text, *end = text + bytes; !code && p < end; number++) {
        char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((newline ? newline : end) - p);
        size_t kept = length && p[length - 1] == '\r' ? length - 1 : length;
        code = add_line(r, p, kept, number);
        p = newline ? newline + 1 : end;
    }
    return code;
}

int reader_vocab_txt(struct Reader *r)
{
    static const char stages[] =
        "{\"normalizer\": {\"type\": \"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
        "\"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}}";
    char *text = NULL;
    size_t bytes;
    int code = reader_path(r, "vocab.txt");
    if (!code) code = reader_pipeline(r);
    if (code) return code;
    struct Pipeline *p = r->vocab->pipeline;
    p->model = &model_word_piece;
    p->prefix = "##";
    p->max_characters = 100;
    r->bert_class = r->vocab->last_counts = true;
    code = os_read_file(r->path, MAX_FILE_BYTES, &text, &bytes, r->err);
    if (!code) code = reader_check_utf8(r, text, bytes);
    size_t mark = code ? 0 : utf8_mark(text, bytes);
    if (!code) code = read_lines(r, text + mark, bytes - mark);
    free(text);
    r->vocab->last_counts = false;
    const char *unk = reader_role(r, "unk_token");
    if (unk) p->unk = vocab_text(r->vocab, unk, strlen(unk));
    if (!code && p->unk) vocab_find(r->vocab, p->unk, &r->vocab->unk);
    return code ? code : read_stages(r, stages);
}

// ------------------------------------------------------------------------------------------------- spiece.model

static int add_piece(struct Reader *r, struct SpieceText text, size_t id, double score)
{
    if (memchr(text.data, '\0', text.bytes))
        return fail(r->err, VKGPT_BAD_FILE, "%s: piece %zu holds a NUL", r->path, id);
    int code = reader_check_utf8(r, text.data, text.bytes);
    const char *token = code ? NULL : vocab_text(r->vocab, text.data, text.bytes);
    if (!code && !token) code = fail_memory(r->err, r->path, text.bytes);
    if (code) return code;
    r->vocab->pipeline->scores[id] = score;
    return vocab_add(r->vocab, r->path, token, (int64_t)id, r->err);
}

// Adds T5's <extra_id_99> to <extra_id_0>, as far as the model has rows for them.
static int add_extra(struct Reader *r, size_t from, size_t count)
{
    int code = 0;
    for (size_t i = 0; !code && i < count && from + i < r->vocab->size; i++) {
        char name[40];
        snprintf(name, sizeof name, "<extra_id_%zu>", count - 1 - i);
        code = add_piece(r, (struct SpieceText){name, strlen(name)}, from + i, 0);
        struct AddedToken a = {.text = name, .length = strlen(name), .id = (uint32_t)(from + i), .special = true};
        if (!code) code = vocab_add_added(r->vocab, r->path, &a, r->err);
    }
    return code;
}

// Makes control and user-defined pieces added tokens, which are found in a text literally.
static int add_found(struct Reader *r, const struct Spiece *spiece)
{
    int code = 0;
    for (size_t id = 0; !code && id < spiece->count; id++) {
        const struct SpiecePiece *piece = &spiece->pieces[id];
        if (piece->type != SPIECE_CONTROL && piece->type != SPIECE_USER_DEFINED) continue;
        const char *text = r->vocab->tokens[id].bytes;
        struct AddedToken a = {
            .text = text, .length = strlen(text), .id = (uint32_t)id, .special = piece->type == SPIECE_CONTROL};
        if (vocab_find(r->vocab, text, &a.id)) code = vocab_add_added(r->vocab, r->path, &a, r->err);
    }
    return code;
}

static int read_pieces(struct Reader *r, const struct Spiece *spiece)
{
    int64_t extra = 100;
    const struct Json *item = json_get(r->settings, "extra_ids");
    if (item && !json_integer(item, 0, 10000, &extra))
        return fail(r->err, VKGPT_BAD_FILE, "%s/tokenizer_config.json: extra_ids is not a whole number from 0 to 10000",
                    r->dir);
    if (spiece->model != SPIECE_UNIGRAM)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: its model_type %llu is not supported, unigram is 1", r->path,
                    (unsigned long long)spiece->model);
    if (spiece->unk_id >= spiece->count)
        return fail(r->err, VKGPT_BAD_MODEL, "%s: unk_id is %llu, and there are %zu pieces", r->path,
                    (unsigned long long)spiece->unk_id, spiece->count);
    int code = unigram_scores(r, spiece->count + (size_t)extra);
    for (size_t id = 0; !code && id < spiece->count; id++)
        code = add_piece(r, spiece->pieces[id].text, id, spiece->pieces[id].score);
    if (!code) code = add_found(r, spiece);
    if (!code) code = add_extra(r, spiece->count, (size_t)extra);
    r->vocab->pipeline->score_count = r->vocab->count;
    r->vocab->unk = (uint32_t)spiece->unk_id;
    return code;
}

// Reads the stages that T5's converter writes, with the file's own charsmap as the first normalizer.
static int read_spiece_stages(struct Reader *r, const struct Spiece *spiece)
{
    static const char form[] =
        "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Precompiled\", "
        "\"precompiled_charsmap\": \"\"}, "
        "{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": true}, "
        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \"\xe2\x96\x81\"}]}, "
        "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\", \"prepend_scheme\": \"%s\"}, "
        "\"decoder\": {\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\", \"prepend_scheme\": \"%s\"}}";
    bool space, legacy;
    char stages[sizeof form + 16];
    int code = reader_flag(r, r->settings, "add_prefix_space", true, &space);
    if (!code) code = reader_flag(r, r->settings, "legacy", true, &legacy);
    if (code) return code;
    const char *scheme = !space ? "never" : legacy ? "always" : "first";
    snprintf(stages, sizeof stages, form, scheme, scheme);
    code = read_stages(r, stages);
    struct Steps *steps = &r->vocab->pipeline->normalizers;
    if (!code)
        code = charsmap_open(r->path, spiece->charsmap.data, spiece->charsmap.bytes, &steps->list[0].charsmap, r->err);
    return code;
}

int reader_spiece(struct Reader *r)
{
    char *data = NULL;
    size_t bytes;
    struct Spiece spiece = {0};
    int code = reader_path(r, "spiece.model");
    if (!code) code = reader_pipeline(r);
    if (code) return code;
    r->vocab->pipeline->model = &model_unigram;
    code = os_read_file(r->path, MAX_FILE_BYTES, &data, &bytes, r->err);
    if (!code) code = spiece_read(r->path, data, bytes, &spiece, r->err);
    if (!code) code = read_pieces(r, &spiece);
    if (!code) code = read_spiece_stages(r, &spiece);
    r->vocab->last_counts = false;
    spiece_free(&spiece);
    free(data);
    return code;
}
