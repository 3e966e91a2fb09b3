// Reads byte-level BPE: vocab.json with merges.txt, and the model of a tokenizer.json.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/utf8.h"
#include "text/reader_parts.h"

// ------------------------------------------------------------------------------------ tokens and merges

int reader_vocab(struct Reader *r, const struct Json *tokens)
{
    int room = vocab_reserve(r->vocab, r->path, json_count(tokens), r->err);
    if (room) return room;
    for (const struct Json *t = json_first(tokens); t; t = json_next(t)) {
        int64_t id;
        if (!json_integer(t, 0, UINT32_MAX, &id))
            return fail(r->err, VKGPT_BAD_MODEL, "%s: the id of token \"%s\" is not a whole number from 0 to %u",
                        r->path, shown(json_key(t), strlen(json_key(t))).text, r->vocab->size - 1);
        int code = vocab_add(r->vocab, r->path, json_key(t), id, r->err);
        if (code) return code;
    }
    if (!json_first(tokens)) return fail(r->err, VKGPT_BAD_MODEL, "%s: the vocabulary has no token", r->path);
    return 0;
}

static int read_vocab_json(struct Reader *r)
{
    struct Json *tokens;
    int code = reader_object(r, r->original ? ORIGINAL_VOCAB : "vocab.json", &tokens);
    if (!code) code = reader_vocab(r, tokens);
    json_free(tokens);
    return code;
}

// Reads "left right": two tokens with one space between them. `where` names the place in sentences.
static int read_merge(struct Reader *r, const char *line, size_t length, const char *where)
{
    const char *space = memchr(line, ' ', length);
    size_t left = space ? (size_t)(space - line) : 0;
    if (!space || left == 0 || left + 1 == length || memchr(space + 1, ' ', length - left - 1))
        return fail(r->err, VKGPT_BAD_FILE, "%s: %s (\"%s\") is not two tokens with a space between", r->path, where,
                    shown(line, length).text);
    return vocab_add_merge(r->vocab, r->path, line, left, space + 1, length - left - 1, r->err);
}

static int read_merge_lines(struct Reader *r, const char *text, size_t bytes)
{
    size_t line = 1;
    for (const char *p = text, *end = text + bytes; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end;
        size_t length = (size_t)((newline ? newline : end) - p);
        if (length && p[length - 1] == '\r') length--;
        bool version = line == 1 && length >= 8 && memcmp(p, "#version", 8) == 0; // in other lines, "# #" is a merge
        if (length && !version) {
            char where[32];
            snprintf(where, sizeof where, "line %zu", line);
            int code = read_merge(r, p, length, where);
            if (code) return code;
        }
        p = next;
    }
    return 0;
}

static int read_merges_txt(struct Reader *r)
{
    char *text;
    size_t bytes;
    int code = reader_path(r, r->original ? ORIGINAL_MERGES : "merges.txt");
    if (!code) code = os_read_file(r->path, MAX_FILE_BYTES, &text, &bytes, r->err);
    if (code) return code;
    size_t mark = utf8_mark(text, bytes);
    code = reader_check_utf8(r, text + mark, bytes - mark);
    if (!code) code = read_merge_lines(r, text + mark, bytes - mark);
    free(text);
    return code;
}

int reader_merges(struct Reader *r, const struct Json *merges)
{
    size_t index = 0;
    for (const struct Json *m = json_first(merges); m; m = json_next(m), index++) {
        char where[48];
        snprintf(where, sizeof where, "model.merges[%zu]", index);
        const struct Json *left = json_is_array(m) ? json_first(m) : NULL, *right = left ? json_next(left) : NULL;
        int code;
        if (json_text(m)) {
            code = read_merge(r, json_text(m), strlen(json_text(m)), where);
        } else if (json_text(left) && json_text(right) && !json_next(right)) {
            code = vocab_add_merge(r->vocab, r->path, json_text(left), strlen(json_text(left)), json_text(right),
                                   strlen(json_text(right)), r->err);
        } else {
            code = reader_fail_type(r, where, "two tokens");
        }
        if (code) return code;
    }
    return 0;
}

int reader_dropout(struct Reader *r, const struct Json *model)
{
    const struct Json *dropout = json_get(model, "dropout");
    if (dropout && !(json_is_number(dropout) && json_number(dropout) >= 0 && json_number(dropout) <= 1))
        return reader_fail_type(r, "model.dropout", "a number from 0 to 1");
    r->vocab->dropout = dropout ? json_number(dropout) : 0;
    return 0;
}

// Reads the settings of the BPE model that change ids.
static int read_bpe_settings(struct Reader *r, const struct Json *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const flags[] = {"byte_fallback", "ignore_merges"};
    const struct Json *type = json_get(model, "type");
    if (type && !reader_is_type(model, "BPE")) return reader_refuse(r, "model.type", type);
    int code = reader_dropout(r, model);
    if (code) return code;
    for (size_t i = 0; i < 2; i++) {
        const struct Json *affix = json_get(model, affixes[i]), *flag = json_get(model, flags[i]);
        bool end_of_word = i == 1 && r->gpt1_class;
        if (end_of_word ? !reader_is_text(affix, WORD_END) : affix && !reader_is_text(affix, ""))
            return reader_refuse(r, affixes[i], affix);
        if (flag && !json_is_false(flag)) return reader_refuse(r, flags[i], flag);
    }
    return reader_flag(r, model, "fuse_unk", false, &r->vocab->fuse_unk);
}

int reader_bpe(struct Reader *r, const struct Json *model)
{
    const struct Json *tokens = json_get(model, "vocab"), *merges = json_get(model, "merges");
    const struct Json *unk = json_get(model, "unk_token");
    if (!model) return fail(r->err, VKGPT_BAD_FILE, "%s: there is no model", r->path);
    int code = read_bpe_settings(r, model);
    if (code) return code;
    if (!json_is_object(tokens)) return reader_fail_type(r, "model.vocab", "an object");
    if (!json_is_array(merges)) return reader_fail_type(r, "model.merges", "a list");
    code = reader_vocab(r, tokens);
    if (!code) code = reader_merges(r, merges);
    if (code || !unk) return code;
    if (!json_text(unk)) return reader_fail_type(r, "model.unk_token", "a token");
    vocab_find(r->vocab, json_text(unk), &r->vocab->unk); // if absent, an error only when a byte needs it
    return 0;
}

int reader_vocab_and_merges(struct Reader *r)
{
    if (!r->original && !reader_has(r, "vocab.json"))
        return fail(r->err, VKGPT_BAD_FILE,
                    "%s: holds no tokenizer: none of tokenizer.json, vocab.json, vocab.txt and spiece.model is there",
                    r->dir);
    int code = read_vocab_json(r);
    return code ? code : read_merges_txt(r);
}
