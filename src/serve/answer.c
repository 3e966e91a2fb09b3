#include "serve/answer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/json_out.h"

// ---------------------------------------------------------------------------------------------- tokens

void answer_token_name(const vkgpt_tokenizer *tok, uint32_t id, struct Buffer *name)
{
    size_t bytes;
    const char *text = vkgpt_token_bytes(tok, id, &bytes);
    if (!bytes) {
        buffer_format(name, "token_id:%" PRIu32, id);
        return;
    }
    if (utf8_good(text, bytes)) {
        buffer_add(name, text, bytes);
        return;
    }
    buffer_text(name, "bytes:");
    for (size_t i = 0; i < bytes; i++) buffer_format(name, "\\x%02x", (unsigned char)text[i]);
}

void answer_put_name(const vkgpt_tokenizer *tok, uint32_t id, struct Buffer *out)
{
    struct Buffer name = {0};
    answer_token_name(tok, id, &name);
    json_out_bytes(out, name.data, name.bytes);
    out->failed = out->failed || name.failed;
    buffer_free(&name);
}

static void put_name(const vkgpt_tokenizer *tok, uint32_t id, bool silent, struct Buffer *out)
{
    if (silent) buffer_text(out, "\"\"");
    else answer_put_name(tok, id, out);
}

// The likeliest tokens, and the one that is there.
static void put_top(const vkgpt_tokenizer *tok, const struct TokenEntry *entry, struct Buffer *out)
{
    bool there = false;
    if (entry->logprob != entry->logprob) { // NaN
        buffer_text(out, "null");
        return;
    }
    buffer_text(out, "{");
    for (uint32_t i = 0; i < entry->top_count; i++) {
        bool own = entry->top[i].id == entry->id;
        if (i) buffer_text(out, ",");
        put_name(tok, entry->top[i].id, own && entry->silent, out);
        buffer_text(out, ":");
        json_out_real(out, entry->top[i].logprob);
        there = there || own;
    }
    if (!there) {
        if (entry->top_count) buffer_text(out, ",");
        put_name(tok, entry->id, entry->silent, out);
        buffer_text(out, ":");
        json_out_real(out, entry->logprob);
    }
    buffer_text(out, "}");
}

static void put_lists(const struct Choice *choice, size_t entries, struct Buffer *out)
{
    const struct Assembly *a = &choice->assembly;
    buffer_text(out, "{\"tokens\":[");
    for (size_t i = 0; i < entries; i++) {
        if (i) buffer_text(out, ",");
        put_name(a->tok, a->entries[i].id, a->entries[i].silent, out);
    }
    buffer_text(out, "],\"token_logprobs\":[");
    for (size_t i = 0; i < entries; i++) {
        if (i) buffer_text(out, ",");
        json_out_real(out, a->entries[i].logprob);
    }
    buffer_text(out, "],\"top_logprobs\":[");
    for (size_t i = 0; i < entries; i++) {
        if (i) buffer_text(out, ",");
        put_top(a->tok, &a->entries[i], out);
    }
    buffer_text(out, "],\"text_offset\":[");
    for (size_t i = 0; i < entries; i++) buffer_format(out, "%s%zu", i ? "," : "", a->entries[i].offset);
    buffer_text(out, "]}");
}

// ------------------------------------------------------------------------------------------- chat's tokens

static void put_chat_token(const vkgpt_tokenizer *tok, uint32_t id, bool silent, float logprob, struct Buffer *out)
{
    size_t bytes;
    const char *text = vkgpt_token_bytes(tok, id, &bytes);
    buffer_text(out, "{\"token\":");
    put_name(tok, id, silent, out);
    buffer_text(out, ",\"logprob\":");
    json_out_real(out, logprob);
    buffer_text(out, ",\"bytes\":[");
    for (size_t i = 0; i < bytes && !silent; i++) buffer_format(out, "%s%u", i ? "," : "", (unsigned char)text[i]);
    buffer_text(out, "]");
}

static void put_chat_tokens(const struct Choice *choice, size_t entries, struct Buffer *out)
{
    const struct Assembly *a = &choice->assembly;
    buffer_text(out, "{\"content\":[");
    for (size_t i = 0; i < entries; i++) {
        const struct TokenEntry *entry = &a->entries[i];
        if (i) buffer_text(out, ",");
        put_chat_token(a->tok, entry->id, entry->silent, entry->logprob, out);
        buffer_text(out, ",\"top_logprobs\":[");
        for (uint32_t t = 0; t < entry->top_count; t++) {
            if (t) buffer_text(out, ",");
            put_chat_token(a->tok, entry->top[t].id, entry->silent && entry->top[t].id == entry->id,
                           entry->top[t].logprob, out);
            buffer_text(out, "}");
        }
        buffer_text(out, "]}");
    }
    buffer_text(out, "],\"refusal\":null}");
}

static void put_logprobs(const struct Choice *choice, size_t entries, struct Buffer *out)
{
    buffer_text(out, ",\"logprobs\":");
    if (!choice->completion->request.logprobs) buffer_text(out, "null");
    else if (choice->completion->request.chat) put_chat_tokens(choice, entries, out);
    else put_lists(choice, entries, out);
}

// ---------------------------------------------------------------------------------------------- answers

static void put_head(const struct Completion *c, bool piece, struct Buffer *out)
{
    const char *object = !c->request.chat ? "text_completion" : piece ? "chat.completion.chunk" : "chat.completion";
    buffer_format(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", c->id, object,
                  c->created);
    json_out_text(out, c->served->name);
    buffer_text(out, ",\"choices\":[");
}

static void put_usage(const struct Completion *c, struct Buffer *out)
{
    size_t given = 0, generated = 0;
    for (size_t i = 0; i < c->prompts.count; i++) given += c->prompts.list[i].count;
    for (size_t i = 0; i < c->count; i++) generated += c->choices[i].tokens;
    buffer_format(out, "{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu}", given, generated,
                  given + generated);
}

static void put_finish(const char *finish, struct Buffer *out)
{
    buffer_text(out, ",\"finish_reason\":");
    json_out_text(out, finish);
    buffer_text(out, "}");
}

void answer_whole(const struct Completion *c, const struct Choice *const *chosen, size_t count, struct Buffer *out)
{
    put_head(c, false, out);
    for (size_t i = 0; i < count; i++) {
        const struct Buffer *text = &chosen[i]->assembly.text;
        buffer_format(out, "%s{\"index\":%zu,", i ? "," : "", i);
        buffer_text(out, c->request.chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
        json_out_bytes(out, text->data, text->bytes);
        if (c->request.chat) buffer_text(out, ",\"refusal\":null}");
        put_logprobs(chosen[i], assembly_ready(&chosen[i]->assembly), out);
        put_finish(chosen[i]->finish, out);
    }
    buffer_text(out, "],\"usage\":");
    put_usage(c, out);
    buffer_text(out, "}");
}

static void begin_event(const struct Completion *c, struct Buffer *out)
{
    buffer_text(out, "data: ");
    put_head(c, true, out);
}

static void end_event(const struct Completion *c, bool usage, struct Buffer *out)
{
    buffer_text(out, "]");
    if (c->request.include_usage) buffer_text(out, ",\"usage\":");
    if (usage) put_usage(c, out);
    else if (c->request.include_usage) buffer_text(out, "null");
    buffer_text(out, "}\n\n");
}

void answer_piece(const struct Choice *choice, size_t entries, const char *finish, struct Buffer *out)
{
    const struct Completion *c = choice->completion;
    const struct Buffer *text = &choice->assembly.text;
    begin_event(c, out);
    buffer_format(out, "{\"index\":%zu,", choice->index);
    buffer_text(out, c->request.chat ? "\"delta\":{" : "\"text\":");
    if (c->request.chat && text->bytes) buffer_text(out, "\"content\":");
    if (!c->request.chat || text->bytes) json_out_bytes(out, text->data, text->bytes);
    if (c->request.chat) buffer_text(out, "}");
    put_logprobs(choice, entries, out);
    put_finish(finish, out);
    end_event(c, false, out);
}

void answer_role(const struct Choice *choice, struct Buffer *out)
{
    begin_event(choice->completion, out);
    buffer_format(out, "{\"index\":%zu,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null",
                  choice->index);
    put_finish(NULL, out);
    end_event(choice->completion, false, out);
}

void answer_usage(const struct Completion *c, struct Buffer *out)
{
    begin_event(c, out);
    end_event(c, true, out);
}
