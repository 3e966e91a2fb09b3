#include "text/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/charsmap.h"
#include "text/decode.h"
#include "text/model.h"
#include "text/normalize.h"

struct Pipeline *pipeline_open(void)
{
    struct Pipeline *p = calloc(1, sizeof *p);
    if (p) p->prefix = p->suffix = "";
    return p;
}

static void steps_free(struct Steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        pattern_free(steps->list[i].pattern);
        charsmap_free(steps->list[i].charsmap);
    }
}

void pipeline_free(struct Pipeline *pipeline)
{
    if (!pipeline) return;
    steps_free(&pipeline->normalizers);
    steps_free(&pipeline->pre_tokenizers);
    steps_free(&pipeline->decoders);
    free(pipeline->scores);
    free(pipeline->entries);
    free(pipeline->names);
    free(pipeline);
}

static void find_bytes(struct Vocab *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        vocab->pipeline->bytes[byte] = NO_TOKEN;
        vocab_find(vocab, name, &vocab->pipeline->bytes[byte]);
    }
}

// Added tokens that are `normalized` are searched in their normalized form.
static int normalize_added(struct Vocab *vocab, vkgpt_error *err)
{
    const struct Steps *steps = &vocab->pipeline->normalizers;
    for (size_t i = 0; i < vocab->added_count && steps->count; i++) {
        struct AddedToken *a = &vocab->added[i];
        if (!a->normalized) continue;
        struct TextBuffer text = {0};
        int code = normalizers_run(steps, a->text, a->length, &text, err);
        if (!code) {
            a->pattern = vocab_text(vocab, text.bytes ? text.data : "", text.bytes);
            a->pattern_length = text.bytes;
            if (!a->pattern) code = fail_memory(err, "an added token", text.bytes);
        }
        text_free(&text);
        if (code) return code;
    }
    return 0;
}

// Decodes a token as it is with others before and after it.
static int decode_one(struct Vocab *vocab, uint32_t id, struct Pieces *pieces, vkgpt_error *err)
{
    const struct Pipeline *p = vocab->pipeline;
    struct Token *t = &vocab->tokens[id];
    pieces->count = pieces->text.bytes = 0;
    pieces->middle = true;
    pieces->fused = false;
    bool good = p->has_decoder || text_add(&pieces->text, " ", 1);
    good = good && pieces_add(pieces, t->bytes, t->length);
    int code = good ? decoders_run(&p->decoders, pieces, err) : fail_memory(err, "the tokens", t->length);
    if (code) return code;
    size_t bytes = pieces->text.bytes;
    if (bytes == t->length && bytes && memcmp(pieces->text.data, t->bytes, bytes) == 0) return 0; // no change
    *t = (struct Token){vocab_text(vocab, bytes ? pieces->text.data : "", bytes), bytes, true};
    return t->bytes ? 0 : fail_memory(err, "the tokens", bytes);
}

static int decode_each(struct Vocab *vocab, vkgpt_error *err)
{
    struct Pipeline *p = vocab->pipeline;
    struct Pieces pieces = {0};
    int code = 0;
    p->names = malloc((vocab->count + 1) * sizeof *p->names);
    if (!p->names) return fail_memory(err, "the tokens", vocab->count * sizeof *p->names);
    if (vocab->count) memcpy(p->names, vocab->tokens, vocab->count * sizeof *p->names);
    p->name_count = vocab->count;
    for (uint32_t id = 0; !code && id < vocab->count; id++)
        if (vocab->tokens[id].bytes) code = decode_one(vocab, id, &pieces, err);
    pieces_free(&pieces);
    return code;
}

int pipeline_seal(struct Vocab *vocab, vkgpt_error *err)
{
    struct Pipeline *p = vocab->pipeline;
    if (!p) return 0;
    for (uint32_t id = 0; id < vocab->count; id++)
        if (vocab->tokens[id].length > p->longest) p->longest = vocab->tokens[id].length;
    find_bytes(vocab);
    if (p->model == &model_unigram && !unigram_seal(vocab))
        return fail_memory(err, "the tokens", vocab->count * sizeof(double));
    int code = normalize_added(vocab, err);
    return code ? code : decode_each(vocab, err);
}
