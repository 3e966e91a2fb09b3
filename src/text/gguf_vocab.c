// One pass over the lists of a GGUF file's tokenizer, with checks of every entry.
#include "text/gguf_vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/table.h"

#define KEY(name) "tokenizer.ggml." name

struct Lists {
    const struct Gguf *gguf;
    struct Vocab *vocab;
    const struct GgufValue *tokens, *types, *merges; // types may be NULL
    int64_t bos, unk, ends[GGUF_MAX_ENDS];           // -1: none
    char *text;                                      // a copy of a string of the file, with a NUL at the end
    size_t capacity;
    vkgpt_error *err;
};

// Copies a string to l->text, with a NUL at the end; `what` and `index` name it in sentences.
static int text_copy(struct Lists *l, struct GgufText text, const char *what, uint64_t index)
{
    for (size_t i = 0, n; i < text.bytes; i += n) {
        n = utf8_length(text.text + i, text.bytes - i);
        if (!n || !text.text[i])
            return fail(l->err, VKGPT_BAD_FILE, "%s: %s %" PRIu64 " (%s) holds the byte 0x%02x, which is %s",
                        l->gguf->path, what, index, gguf_shown(text).text, (unsigned char)text.text[i],
                        n ? "a NUL" : "not UTF-8");
    }
    if (text.bytes >= l->capacity) {
        char *wider = realloc(l->text, 2 * text.bytes + 64);
        if (!wider) return fail_memory(l->err, l->gguf->path, 2 * text.bytes + 64);
        l->text = wider;
        l->capacity = 2 * text.bytes + 64;
    }
    memcpy(l->text, text.text, text.bytes);
    l->text[text.bytes] = '\0';
    return 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Adds a byte token such as "<0x41>".
static int add_byte(struct Lists *l, uint64_t id)
{
    const char *t = l->text;
    bool good = strlen(t) == 6 && strncmp(t, "<0x", 3) == 0 && hex(t[3]) >= 0 && hex(t[4]) >= 0 && t[5] == '>';
    if (!good)
        return fail(l->err, VKGPT_BAD_MODEL,
                    "%s: token %" PRIu64 " is of type byte and says \"%s\", not <0x00> to <0xFF>", l->gguf->path, id,
                    shown(t, strlen(t)).text);
    char byte = (char)(hex(t[3]) << 4 | hex(t[4])), symbol[3];
    symbol[vocab_symbols(&byte, 1, symbol)] = '\0';
    return vocab_add(l->vocab, l->gguf->path, symbol, (int64_t)id, l->err);
}

static int add_token(struct Lists *l, uint64_t id)
{
    int32_t type = l->types ? gguf_i32_at(l->types, id) : GGUF_TOKEN_NORMAL;
    int64_t i = (int64_t)id;
    struct AddedToken added = {
        .text = l->text, .length = strlen(l->text), .id = (uint32_t)id, .special = type != GGUF_TOKEN_USER_DEFINED};
    switch (type) {
    case GGUF_TOKEN_NORMAL: return vocab_add(l->vocab, l->gguf->path, l->text, i, l->err);
    case GGUF_TOKEN_UNUSED: return 0;
    case GGUF_TOKEN_BYTE: return add_byte(l, id);
    case GGUF_TOKEN_UNKNOWN:
    case GGUF_TOKEN_CONTROL:
    case GGUF_TOKEN_USER_DEFINED: return vocab_add_added(l->vocab, l->gguf->path, &added, l->err);
    default:
        return fail(l->err, VKGPT_BAD_MODEL, "%s: token %" PRIu64 " is of type %d, types go from 1 to 6", l->gguf->path,
                    id, type);
    }
}

static int add_tokens(struct Lists *l)
{
    const uint8_t *at = l->tokens->data;
    int code = vocab_reserve(l->vocab, l->gguf->path, (size_t)l->tokens->count, l->err);
    for (uint64_t id = 0; !code && id < l->tokens->count; id++) {
        code = text_copy(l, gguf_next_text(&at), "token", id);
        if (!code) code = add_token(l, id);
    }
    return code;
}

static int add_merges(struct Lists *l)
{
    const uint8_t *at = l->merges->data;
    int code = 0;
    for (uint64_t i = 0; !code && i < l->merges->count; i++) {
        struct GgufText merge = gguf_next_text(&at);
        const char *space = merge.bytes > 1 ? memchr(merge.text + 1, ' ', merge.bytes - 1) : NULL;
        size_t left = space ? (size_t)(space - merge.text) : 0;
        if (!space || left + 1 == merge.bytes || memchr(space + 1, ' ', merge.bytes - left - 1))
            return fail(l->err, VKGPT_BAD_MODEL,
                        "%s: " KEY("merges") "[%" PRIu64 "] (%s) is not two tokens with a space between", l->gguf->path,
                        i, gguf_shown(merge).text);
        code = text_copy(l, merge, "merge", i);
        if (!code)
            code = vocab_add_merge(l->vocab, l->gguf->path, l->text, left, l->text + left + 1, merge.bytes - left - 1,
                                   l->err);
    }
    return code;
}

// A token that begins or ends a text becomes special, whatever its type, if no text can be encoded to it.
static int add_edge(struct Lists *l, int64_t id)
{
    bool there = id >= 0 && id < l->vocab->count && l->vocab->tokens[id].bytes;
    bool normal = there && (!l->types || gguf_i32_at(l->types, (uint64_t)id) == GGUF_TOKEN_NORMAL);
    if (!normal || vocab_is_text(l->vocab, (uint32_t)id)) return 0;
    const uint8_t *at = l->tokens->data;
    struct GgufText text = gguf_next_text(&at);
    for (int64_t i = 0; i < id; i++) text = gguf_next_text(&at);
    int code = text_copy(l, text, "token", (uint64_t)id);
    const struct AddedToken added = {.text = l->text, .length = text.bytes, .id = (uint32_t)id, .special = true};
    return code ? code : vocab_add_added(l->vocab, l->gguf->path, &added, l->err);
}

static int add_edges(struct Lists *l)
{
    int code = add_edge(l, l->bos);
    for (int i = 0; !code && i < GGUF_MAX_ENDS; i++) code = add_edge(l, l->ends[i]);
    return code;
}

// Refuses other tokenizers. `known` has llama.cpp's names of GPT-2's split pattern (llama-vocab.cpp); a file without a
// name has that pattern too, by its architecture.
static int check_kind(const struct Gguf *gguf, vkgpt_error *err)
{
    static const char *const known[] = {"gpt-2",    "phi-2",           "mpt",        "olmo",        "jais",
                                        "trillion", "granite-docling", "gigachat",   "roberta-bpe", "jina-es",
                                        "jina-de",  "jina-v1-en",      "jina-v2-es", "jina-v2-de",  "jina-v2-code"};
    struct GgufText model = {"", 0}, pre = {"gpt-2", 5};
    int code = gguf_text(gguf, KEY("model"), &model, err);
    if (!code) code = gguf_text(gguf, KEY("pre"), &pre, err);
    if (code) return code;
    if (!gguf_text_is(model, "gpt2"))
        return fail(err, VKGPT_BAD_MODEL, "%s: " KEY("model") " is \"%s\", and vkgpt reads gpt2", gguf->path,
                    gguf_shown(model).text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (gguf_text_is(pre, known[i])) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: " KEY("pre") " is \"%s\", and vkgpt reads gpt-2", gguf->path,
                gguf_shown(pre).text);
}

static int find_lists(struct Lists *l)
{
    const struct Gguf *g = l->gguf;
    int code = check_kind(g, l->err);
    if (!code) code = gguf_array(g, KEY("tokens"), GGUF_STRING, &l->tokens, l->err);
    if (!code) code = gguf_array(g, KEY("token_type"), GGUF_I32, &l->types, l->err);
    if (!code) code = gguf_array(g, KEY("merges"), GGUF_STRING, &l->merges, l->err);
    if (!code) code = gguf_integer(g, KEY("bos_token_id"), INT64_MIN, INT64_MAX, &l->bos, l->err);
    if (!code) code = gguf_integer(g, KEY("unknown_token_id"), INT64_MIN, INT64_MAX, &l->unk, l->err);
    for (int i = 0; !code && i < GGUF_MAX_ENDS; i++)
        code = gguf_integer(g, GGUF_ENDS[i], INT64_MIN, INT64_MAX, &l->ends[i], l->err);
    if (code) return code;
    if (!l->tokens || !l->merges)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: the key %s is absent", g->path,
                    l->tokens ? KEY("merges") : KEY("tokens"));
    if (l->types && l->types->count != l->tokens->count)
        return fail(l->err, VKGPT_BAD_MODEL,
                    "%s: " KEY("token_type") " has %" PRIu64 " entries, " KEY("tokens") " has %" PRIu64, g->path,
                    l->types->count, l->tokens->count);
    return 0;
}

// Reads the tokens that are put around every text: only bos before it is supported.
static int read_edges(struct Lists *l)
{
    bool bos = false, eos = false;
    int code = gguf_flag(l->gguf, KEY("add_bos_token"), &bos, l->err);
    if (!code) code = gguf_flag(l->gguf, KEY("add_eos_token"), &eos, l->err);
    if (code || (!bos && !eos)) return code;
    if (eos)
        return fail(l->err, VKGPT_BAD_MODEL, "%s: " KEY("add_eos_token") " is true, which is not supported",
                    l->gguf->path);
    if (l->bos < 0 || l->bos >= l->vocab->count || !l->vocab->tokens[l->bos].bytes)
        return fail(l->err, VKGPT_BAD_MODEL,
                    "%s: " KEY("add_bos_token") " is true, and " KEY("bos_token_id") " is %" PRId64 ", which is no "
                                                                                     "token",
                    l->gguf->path, l->bos);
    l->vocab->prefix[l->vocab->prefix_count++] = (uint32_t)l->bos;
    return 0;
}

// Keeps unknown_token_id only if every byte has a token, and it is not needed: llama.cpp drops a byte without a token.
static void keep_unk(struct Lists *l)
{
    struct Vocab *v = l->vocab;
    if (l->unk >= 0 && l->unk < v->count && v->tokens[l->unk].bytes && vocab_all_bytes(v)) v->unk = (uint32_t)l->unk;
}

int gguf_vocab_open(const char *path, uint32_t vocab_size, struct Vocab *vocab, vkgpt_error *err)
{
    struct TensorTable table = {0};
    struct Gguf gguf;
    struct Config config;
    struct Lists lists = {.gguf = &gguf, .vocab = vocab, .bos = -1, .unk = -1, .ends = {-1, -1, -1}, .err = err};
    int code = gguf_read(path, &table, &gguf, err);
    if (!code) code = gguf_config(&gguf, &table, &config, err);
    if (!code) code = find_lists(&lists);
    if (!code) {
        vocab_init(vocab, vocab_size ? vocab_size : config.vocab);
        code = add_tokens(&lists);
    }
    if (!code) code = add_merges(&lists);
    if (!code) code = add_edges(&lists);
    if (!code) code = read_edges(&lists);
    if (!code) {
        vocab_seal(vocab);
        keep_unk(&lists);
    }
    free(lists.text);
    gguf_free(&gguf);
    code = table_end(&table, code, err);
    table_free(&table);
    return code;
}

bool gguf_vocab_there(const char *path)
{
    struct TensorTable table = {0};
    struct Gguf gguf;
    bool there = !gguf_read(path, &table, &gguf, NULL) && gguf_find(&gguf, KEY("tokens"));
    gguf_free(&gguf);
    table_free(&table);
    return there;
}
