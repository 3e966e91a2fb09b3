#include "serve/assembly.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void assembly_begin(struct Assembly *a, const vkgpt_tokenizer *tok, const struct StopString *stops, size_t stop_count,
                    bool entries_wanted)
{
    *a =
        (struct Assembly){.tok = tok, .stops = {.texts = stops, .count = stop_count}, .entries_wanted = entries_wanted};
    buffer_text(&a->text, "");
    a->failed = a->text.failed;
}

void assembly_free(struct Assembly *a)
{
    for (size_t i = 0; i < a->entry_count; i++) free(a->entries[i].top);
    free(a->entries);
    buffer_free(&a->stops.held);
    buffer_free(&a->text);
    *a = (struct Assembly){.tok = NULL};
}

static size_t count_characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

// Characters of all bytes so far; one that is cut is not counted before its end.
static void count_more(struct Assembly *a, const char *bytes, size_t count)
{
    struct Buffer whole = {0};
    utf8_add(&a->counter, bytes, count, &whole);
    a->characters += count_characters(whole.data, whole.bytes);
    a->failed = a->failed || whole.failed;
    buffer_free(&whole);
}

static bool grow(struct Assembly *a)
{
    size_t capacity = a->capacity * 2 + 16;
    struct TokenEntry *entries = realloc(a->entries, capacity * sizeof *entries);
    if (!entries) return false;
    a->entries = entries;
    a->capacity = capacity;
    return true;
}

static void add_entry(struct Assembly *a, uint32_t id, size_t bytes, const vkgpt_token *token)
{
    if (a->entry_count == a->capacity && !grow(a)) {
        a->failed = true;
        return;
    }
    struct TokenEntry *entry = &a->entries[a->entry_count++];
    *entry = (struct TokenEntry){.id = id, .logprob = NAN, .begin = a->bytes, .end = a->bytes + bytes};
    entry->offset = a->characters;
    if (!token) return;
    entry->logprob = token->logprob;
    entry->top = token->top_count ? malloc(token->top_count * sizeof *entry->top) : NULL;
    if (entry->top) memcpy(entry->top, token->top, token->top_count * sizeof *entry->top);
    if (entry->top) entry->top_count = token->top_count;
    a->failed = a->failed || (token->top_count && !entry->top);
}

static void add_free(struct Assembly *a, const char *bytes, size_t count)
{
    a->free_bytes += count;
    utf8_add(&a->utf8, bytes, count, &a->text);
    a->failed = a->failed || a->text.failed;
}

static void add_released(struct Assembly *a, struct Buffer *released)
{
    a->failed = a->failed || released->failed;
    add_free(a, released->data, released->bytes);
    buffer_free(released);
}

void assembly_echo(struct Assembly *a, const char *text, size_t bytes)
{
    count_more(a, text, bytes);
    a->bytes += bytes;
    add_free(a, text, bytes);
}

bool assembly_add(struct Assembly *a, uint32_t id, bool given, const vkgpt_token *token)
{
    size_t bytes;
    struct Buffer released = {0};
    const char *piece = vkgpt_token_bytes(a->tok, id, &bytes);
    if (a->stopped) return false;
    if (a->entries_wanted) add_entry(a, id, bytes, token);
    count_more(a, piece, bytes);
    a->bytes += bytes;
    if (given) {
        add_free(a, piece, bytes);
        return true;
    }
    a->stopped = stops_add(&a->stops, piece, bytes, &released);
    add_released(a, &released);
    return !a->stopped;
}

bool assembly_add_silent(struct Assembly *a, uint32_t id, const vkgpt_token *token)
{
    if (!a->entries_wanted) return true;
    add_entry(a, id, 0, token);
    if (!a->failed) a->entries[a->entry_count - 1].silent = true;
    return true;
}

void assembly_end(struct Assembly *a, const vkgpt_token *last)
{
    struct Buffer released = {0};
    if (!a->stopped) stops_end(&a->stops, &released);
    add_released(a, &released);
    utf8_end(&a->utf8, &a->text);
    a->failed = a->failed || a->text.failed;
    if (last && !a->stopped) (void)assembly_add_silent(a, last->id, last);
}

size_t assembly_ready(const struct Assembly *a)
{
    size_t count = 0;
    if (a->stopped) // of what the stop string is in, the part before it
        while (count < a->entry_count && (a->entries[count].begin < a->free_bytes || a->entries[count].silent)) count++;
    else
        while (count < a->entry_count && a->entries[count].end <= a->free_bytes) count++;
    return count;
}

void assembly_taken(struct Assembly *a, size_t entries)
{
    buffer_cut(&a->text, 0);
    for (size_t i = 0; i < entries; i++) free(a->entries[i].top);
    a->entry_count -= entries;
    if (entries) memmove(a->entries, a->entries + entries, a->entry_count * sizeof *a->entries);
}
