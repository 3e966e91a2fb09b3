// Fills the tables by id and by name, and checks every entry.
#include "text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "text/model.h"
#include "text/pipeline.h"
#include "text/steps.h"

#define BLOCK_BYTES ((size_t)1 << 16)
#define MORE 1024 // extra room for added tokens and tokens with a role

struct VocabBlock {
    struct VocabBlock *next;
    size_t used, capacity;
    char data[];
};

// ---------------------------------------------------------------------------------------------- storage

// Memory for a string that lives as long as the vocabulary, or NULL.
static char *reserve(struct Vocab *vocab, size_t bytes)
{
    struct VocabBlock *b = vocab->blocks;
    if (!b || b->capacity - b->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = malloc(sizeof *b + capacity);
        if (!b) return NULL;
        *b = (struct VocabBlock){vocab->blocks, 0, capacity};
        vocab->blocks = b;
    }
    char *p = b->data + b->used;
    b->used += bytes;
    return p;
}

// A copy with a NUL at the end.
static char *copy_text(struct Vocab *vocab, const char *text, size_t bytes)
{
    char *p = reserve(vocab, bytes + 1);
    if (!p) return NULL;
    if (bytes) memcpy(p, text, bytes);
    p[bytes] = '\0';
    return p;
}

void vocab_init(struct Vocab *vocab, uint32_t size)
{
    *vocab = (struct Vocab){.size = size, .unk = NO_TOKEN};
    for (int b = 0; b < 256; b++) vocab->byte_ids[b] = NO_TOKEN;
}

const char *vocab_text(struct Vocab *vocab, const char *text, size_t bytes) { return copy_text(vocab, text, bytes); }

void vocab_free(struct Vocab *vocab)
{
    pipeline_free(vocab->pipeline);
    map_free(&vocab->ids);
    map_free(&vocab->added_index);
    free(vocab->tokens);
    free(vocab->merges);
    free(vocab->added);
    while (vocab->blocks) {
        struct VocabBlock *next = vocab->blocks->next;
        free(vocab->blocks);
        vocab->blocks = next;
    }
    *vocab = (struct Vocab){0};
}

struct Shown shown(const char *text, size_t bytes)
{
    struct Shown s;
    size_t n = bytes > 40 ? 40 : bytes;
    while (n < bytes && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--; // not inside a character
    for (size_t i = 0; i < n; i++) s.text[i] = (unsigned char)text[i] < 0x20 ? '?' : text[i];
    memcpy(s.text + n, n < bytes ? "..." : "", n < bytes ? 4 : 1);
    return s;
}

// ------------------------------------------------------------------------------ the byte-level alphabet

// GPT-2's printable character for a byte: the same code if it is visible in Latin-1, else one of the 68 characters from
// U+0100 on, in order (bytes_to_unicode in OpenAI's encoder.py).
static unsigned character_of_byte(unsigned byte)
{
    if (byte <= 0x20) return 0x100 + byte;
    if (byte < 0x7F) return byte;
    if (byte <= 0xA0) return 0x121 + byte - 0x7F;
    return byte == 0xAD ? 0x143 : byte;
}

// The byte of a character of the alphabet, or -1.
static int byte_of_character(unsigned character)
{
    if (character >= 0x100 && character <= 0x120) return (int)(character - 0x100);
    if (character >= 0x121 && character <= 0x142) return (int)(character - 0x121 + 0x7F);
    if (character == 0x143) return 0xAD;
    return character < 0x100 && character_of_byte(character) == character ? (int)character : -1;
}

bool vocab_bytes(const char *symbols, size_t length, char *bytes, size_t *count)
{
    const unsigned char *s = (const unsigned char *)symbols;
    *count = 0;
    for (size_t i = 0; i < length;) {
        unsigned character = s[i++];
        if (character >= 0x80) { // the alphabet ends at U+0143: two bytes at most
            if (character < 0xC2 || character > 0xDF || i == length) return false;
            character = (character & 0x1F) << 6 | (s[i++] & 0x3F);
        }
        int byte = byte_of_character(character);
        if (byte < 0) return false;
        bytes[(*count)++] = (char)byte;
    }
    return true;
}

size_t vocab_symbols(const char *bytes, size_t count, char *symbols)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned c = character_of_byte((unsigned char)bytes[i]);
        if (c >= 0x80) symbols[n++] = (char)(0xC0 | c >> 6);
        symbols[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
    }
    return n;
}

// Writes the symbols with a blank for every WORD_END, as Hugging Face's convert_tokens_to_string does.
static size_t decode_word(const char *symbols, char *bytes)
{
    size_t n = 0;
    for (const char *end; (end = strstr(symbols, WORD_END)); symbols = end + sizeof WORD_END - 1) {
        memcpy(bytes + n, symbols, (size_t)(end - symbols));
        n += (size_t)(end - symbols);
        bytes[n++] = ' ';
    }
    memcpy(bytes + n, symbols, strlen(symbols) + 1);
    return n + strlen(symbols);
}

// ----------------------------------------------------------------------------------------------- tokens

static int grow_tokens(struct Vocab *vocab, const char *file, uint32_t count, vkgpt_error *err)
{
    if (count <= vocab->capacity) return 0;
    uint32_t capacity = count > 2 * vocab->capacity ? count : 2 * vocab->capacity;
    struct Token *wider = realloc(vocab->tokens, capacity * sizeof *wider);
    if (!wider) return fail_memory(err, file, capacity * sizeof *wider);
    memset(wider + vocab->capacity, 0, (capacity - vocab->capacity) * sizeof *wider);
    vocab->tokens = wider;
    vocab->capacity = capacity;
    return 0;
}

int vocab_reserve(struct Vocab *vocab, const char *file, size_t count, vkgpt_error *err)
{
    count = (count > VOCAB_MAX_IDS ? VOCAB_MAX_IDS : count) + MORE;
    int code = grow_tokens(vocab, file, vocab->count + (uint32_t)count, err);
    if (code || map_reserve(&vocab->ids, vocab->ids.count + count)) return code;
    return fail_memory(err, file, 2 * count * sizeof(struct MapEntry));
}

// Puts a token into the table of ids; token.bytes is already in a block.
static int put_id(struct Vocab *vocab, const char *file, const char *name, size_t name_bytes, int64_t id,
                  struct Token token, vkgpt_error *err)
{
    if (id < 0 || id >= VOCAB_MAX_IDS)
        return fail(err, VKGPT_BAD_MODEL, "%s: token \"%s\" has id %lld, ids go from 0 to %u", file,
                    shown(name, name_bytes).text, (long long)id, VOCAB_MAX_IDS - 1);
    int code = grow_tokens(vocab, file, (uint32_t)id + 1, err);
    if (code) return code;
    const struct Token *there = &vocab->tokens[id];
    if (there->bytes)
        return fail(err, VKGPT_BAD_MODEL, "%s: tokens \"%s\" and \"%s\" both have id %lld", file,
                    shown(there->bytes, there->length).text, shown(name, name_bytes).text, (long long)id);
    vocab->tokens[id] = token;
    if (vocab->count <= id) vocab->count = (uint32_t)id + 1;
    return 0;
}

// Puts a token's name into the table of names.
static int put_name(struct Vocab *vocab, const char *file, const char *name, size_t name_bytes, uint32_t id,
                    vkgpt_error *err)
{
    uint32_t before;
    bool gone = vocab->last_counts && vocab->pipeline->model == &model_word_piece; // in Unigram it keeps its text
    if (gone && map_find(&vocab->ids, name, name_bytes, &before)) vocab->tokens[before] = (struct Token){0};
    int added =
        vocab->last_counts ? map_set(&vocab->ids, name, name_bytes, id) : map_add(&vocab->ids, name, name_bytes, id);
    if (added < 0) return fail_memory(err, file, vocab->ids.capacity * sizeof(struct MapEntry));
    if (!added)
        return fail(err, VKGPT_BAD_MODEL, "%s: token \"%s\" is there twice", file, shown(name, name_bytes).text);
    return 0;
}

int vocab_add(struct Vocab *vocab, const char *file, const char *symbols, int64_t id, vkgpt_error *err)
{
    size_t length = strlen(symbols);
    char *name = copy_text(vocab, symbols, length);
    struct Token token = {0};
    char *bytes = vocab->pipeline ? name : reserve(vocab, length + 1);
    if (!name || !bytes) return fail_memory(err, file, length + 1);
    token.bytes = bytes;
    if (vocab->pipeline) token = (struct Token){name, length, true};
    else if (vocab->ends_words) token.length = decode_word(symbols, bytes);
    else if (!vocab_bytes(symbols, length, bytes, &token.length)) token = (struct Token){name, length, true};
    int code = put_id(vocab, file, name, length, id, token, err);
    return code ? code : put_name(vocab, file, name, length, (uint32_t)id, err);
}

bool vocab_find(const struct Vocab *vocab, const char *symbols, uint32_t *id)
{
    return map_find(&vocab->ids, symbols, strlen(symbols), id);
}

struct AddedToken *vocab_find_added(const struct Vocab *vocab, const char *text)
{
    uint32_t i;
    return map_find(&vocab->added_index, text, strlen(text), &i) ? &vocab->added[i] : NULL;
}

int vocab_add_added(struct Vocab *vocab, const char *file, const struct AddedToken *token, vkgpt_error *err)
{
    if (!token->length || vocab_find_added(vocab, token->text)) return 0;
    if (vocab->added_count == vocab->added_capacity) {
        size_t capacity = vocab->added_capacity ? vocab->added_capacity * 2 : 16;
        struct AddedToken *wider = realloc(vocab->added, capacity * sizeof *wider);
        if (!wider) return fail_memory(err, file, capacity * sizeof *wider);
        vocab->added = wider;
        vocab->added_capacity = capacity;
    }
    char *text = copy_text(vocab, token->text, token->length);
    if (!text) return fail_memory(err, file, token->length);

    uint32_t id;
    if (!map_find(&vocab->ids, text, token->length, &id)) {
        int code = put_id(vocab, file, text, token->length, token->id, (struct Token){text, token->length, true}, err);
        // a pipeline's model does not know it: the same text inside a piece is not this token
        if (!code && !vocab->pipeline) code = put_name(vocab, file, text, token->length, token->id, err);
        if (code) return code;
    } else if (id != token->id) {
        return fail(err, VKGPT_BAD_MODEL, "%s: the added token \"%s\" has id %u here and %u in the vocabulary", file,
                    shown(text, token->length).text, token->id, id);
    }
    vocab->tokens[token->id] = (struct Token){text, token->length, true}; // found literally, so it decodes literally
    if (map_add(&vocab->added_index, text, token->length, (uint32_t)vocab->added_count) < 0)
        return fail_memory(err, file, vocab->added_index.capacity * sizeof(struct MapEntry));
    struct AddedToken *a = &vocab->added[vocab->added_count++];
    *a = *token;
    a->text = a->pattern = text;
    a->pattern_length = token->length;
    return 0;
}

// ----------------------------------------------------------------------------------------------- merges

// Multiplicative hashing by a random odd factor, which the author of a file cannot know.
static size_t merge_slot(const struct Merge *merges, size_t capacity, uint64_t factor, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * factor;
    for (size_t i = (size_t)((h >> 32) * capacity >> 32);; i = (i + 1) & (capacity - 1)) {
        const struct Merge *m = &merges[i];
        if (m->id == NO_TOKEN || (m->left == left && m->right == right)) return i;
    }
}

static bool grow_merges(struct Vocab *vocab)
{
    size_t capacity = vocab->merge_capacity ? vocab->merge_capacity * 2 : 1024;
    if (capacity > SIZE_MAX / sizeof(struct Merge)) return false;
    struct Merge *wider = malloc(capacity * sizeof *wider);
    if (!wider) return false;
    if (!vocab->merge_factor) os_random(&vocab->merge_factor, sizeof vocab->merge_factor);
    vocab->merge_factor |= 1;
    for (size_t i = 0; i < capacity; i++) wider[i].id = NO_TOKEN;
    for (size_t i = 0; i < vocab->merge_capacity; i++) {
        const struct Merge *m = &vocab->merges[i];
        if (m->id != NO_TOKEN) wider[merge_slot(wider, capacity, vocab->merge_factor, m->left, m->right)] = *m;
    }
    free(vocab->merges);
    vocab->merges = wider;
    vocab->merge_capacity = capacity;
    return true;
}

const struct Merge *vocab_find_merge(const struct Vocab *vocab, uint32_t left, uint32_t right)
{
    if (!vocab->merge_count) return NULL;
    const struct Merge *m =
        &vocab->merges[merge_slot(vocab->merges, vocab->merge_capacity, vocab->merge_factor, left, right)];
    return m->id == NO_TOKEN ? NULL : m;
}

static int fail_absent(vkgpt_error *err, const struct Vocab *vocab, const char *file, const char *left,
                       size_t left_bytes, const char *right, size_t right_bytes, const char *which)
{
    return fail(err, VKGPT_BAD_MODEL, "%s: merge %zu (\"%s\" with \"%s\"): %s is not in the vocabulary", file,
                vocab->merge_count + 1, shown(left, left_bytes).text, shown(right, right_bytes).text, which);
}

int vocab_add_merge(struct Vocab *vocab, const char *file, const char *left, size_t left_bytes, const char *right,
                    size_t right_bytes, vkgpt_error *err)
{
    struct Merge m;
    if (!map_find(&vocab->ids, left, left_bytes, &m.left))
        return fail_absent(err, vocab, file, left, left_bytes, right, right_bytes, "the first");
    if (!map_find(&vocab->ids, right, right_bytes, &m.right))
        return fail_absent(err, vocab, file, left, left_bytes, right, right_bytes, "the second");

    size_t prefix = vocab->pipeline ? strlen(vocab->pipeline->prefix) : 0; // all tokens but a word's first have it
    if (prefix > right_bytes) prefix = right_bytes;
    char *both = malloc(left_bytes + right_bytes + 1);
    if (!both) return fail_memory(err, file, left_bytes + right_bytes + 1);
    memcpy(both, left, left_bytes);
    memcpy(both + left_bytes, right + prefix, right_bytes - prefix);
    bool found = map_find(&vocab->ids, both, left_bytes + right_bytes - prefix, &m.id);
    free(both);
    if (!found) return fail_absent(err, vocab, file, left, left_bytes, right, right_bytes, "what they make");

    if (vocab->merge_used >= vocab->merge_capacity / 2 && !grow_merges(vocab))
        return fail_memory(err, file, vocab->merge_capacity * 2 * sizeof m);
    m.rank = (uint32_t)vocab->merge_count++; // a repeated merge gets the later rank, as in Hugging Face's
    struct Merge *slot =
        &vocab->merges[merge_slot(vocab->merges, vocab->merge_capacity, vocab->merge_factor, m.left, m.right)];
    vocab->merge_used += slot->id == NO_TOKEN;
    *slot = m;
    return 0;
}

int vocab_add_rule(struct Vocab *vocab, const char *file, const char *pattern, bool removed, vkgpt_error *err)
{
    if (vocab->rule_count == VOCAB_MAX_RULES)
        return fail(err, VKGPT_BAD_MODEL, "%s: more than %d rules split a text", file, VOCAB_MAX_RULES);
    char *copy = copy_text(vocab, pattern, strlen(pattern));
    if (!copy) return fail_memory(err, file, strlen(pattern));
    vocab->rules[vocab->rule_count++] = (struct SplitRule){copy, removed};
    return 0;
}

// ---------------------------------------------------------------------------------------------- sealing

static int by_pattern(const void *a, const void *b)
{
    const struct AddedToken *x = a, *y = b;
    int order =
        memcmp(x->pattern, y->pattern, x->pattern_length < y->pattern_length ? x->pattern_length : y->pattern_length);
    return order ? order : (x->pattern_length > y->pattern_length) - (x->pattern_length < y->pattern_length);
}

void vocab_seal(struct Vocab *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned c = character_of_byte(byte);
        char symbol[3] = {(char)c};
        if (c >= 0x80) {
            symbol[0] = (char)(0xC0 | c >> 6);
            symbol[1] = (char)(0x80 | (c & 0x3F));
        }
        vocab_find(vocab, symbol, &vocab->byte_ids[byte]);
    }
    if (vocab->added_count) qsort(vocab->added, vocab->added_count, sizeof *vocab->added, by_pattern);
    if (!vocab->ends_words && !vocab->pipeline) map_free(&vocab->ids); // those still look up whole characters
    map_free(&vocab->added_index);
}

bool vocab_all_bytes(const struct Vocab *vocab)
{
    for (int b = 0; b < 256; b++)
        if (vocab->byte_ids[b] == NO_TOKEN) return false;
    return true;
}

bool vocab_is_text(const struct Vocab *vocab, uint32_t id)
{
    bool text = !vocab->tokens[id].raw && vocab->tokens[id].length == 1;
    for (size_t i = 0; !text && i < vocab->merge_capacity; i++) text = vocab->merges[i].id == id;
    return text;
}

const char *vocab_beyond_gpt2(const struct Vocab *vocab)
{
    const struct Pipeline *p = vocab->pipeline;
    if (vocab->nfkc) return "normalization by NFKC";
    if (vocab->rule_count) return "splits of its own";
    if (!p) return NULL;
    if (p->model != &model_bpe) return p->model ? p->model->type : "a model of its own";
    if (p->byte_fallback) return "byte_fallback";
    if (p->ignore_merges) return "ignore_merges";
    if (*p->prefix) return "continuing_subword_prefix";
    if (*p->suffix) return "end_of_word_suffix";
    if (p->normalizers.count) return "a normalizer";
    return "a pre_tokenizer or decoder that is not GPT-2's";
}
