#include "cli/conversation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/encode.h"

struct Ids {
    uint32_t *ids;
    size_t count;
};

// ------------------------------------------------------------------------------------------- tokens

uint32_t conversation_position(const struct Conversation *c) { return vkgpt_session_position(c->run->session); }

// Encodes a piece of the conversation. What the tokenizer puts before every text is only before the first one.
static int encode(const struct Conversation *c, const struct Buffer *text, bool first, struct Ids *ids,
                  vkgpt_error *err)
{
    const struct Buffer none = {.data = (char[]){""}};
    const struct Buffer *piece = text->bytes ? text : &none;
    *ids = (struct Ids){0};
    return first ? encode_open(c->run->tokenizer, piece, true, &ids->ids, &ids->count, err)
                 : encode_inside(c->run->tokenizer, piece, true, &ids->ids, &ids->count, err);
}

// Appends tokens. Where Ctrl-C ends their reading, or the device is lost, the session has them, and they are read
// later.
static int append(struct Conversation *c, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int code = count ? vkgpt_prompt(c->run->session, ids, count, err) : 0;
    if (code == VKGPT_DEVICE_LOST) code = conversation_again(c, code, err);
    return code == VKGPT_INTERRUPTED ? 0 : code;
}

// Replaces the head, and forgets the oldest `drop` turns. All of it has to fit.
static int rebuild(struct Conversation *c, const uint32_t *head, size_t count, size_t drop, vkgpt_error *err)
{
    vkgpt_session *session = c->run->session;
    const uint32_t *tokens = vkgpt_session_tokens(session);
    uint32_t position = conversation_position(c), from = drop < c->count ? c->turns[drop].begin : position, same = 0;
    size_t rest = position - from;
    if (count + rest > c->run->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "%zu tokens do not fit: the context has room for %u", count + rest,
                    c->run->context);
    uint32_t *ids = allocate((count + rest) * sizeof *ids + 1);
    if (count) memcpy(ids, head, count * sizeof *ids);
    if (rest) memcpy(ids + count, tokens + from, rest * sizeof *ids);
    while (same < position && same < count + rest && ids[same] == tokens[same]) same++;
    int code = vkgpt_session_rewind(session, same, err);
    if (!code) code = append(c, ids + same, count + rest - same, err);
    free(ids);
    turns_free(c->turns, drop);
    c->count -= drop;
    if (c->count) memmove(c->turns, c->turns + drop, c->count * sizeof *c->turns);
    for (size_t i = 0; i < c->count; i++) {
        struct Turn *turn = &c->turns[i];
        turn->begin = turn->begin - from + (uint32_t)count;
        turn->answer = turn->answer - from + (uint32_t)count;
        turn->end = turn->end - from + (uint32_t)count;
    }
    c->head = (uint32_t)count;
    return code;
}

int conversation_again(struct Conversation *c, int code, vkgpt_error *err)
{
    uint32_t position = conversation_position(c);
    if (code != VKGPT_DEVICE_LOST || position > c->run->context) return code;
    uint32_t *ids = allocate(position * sizeof *ids + 1);
    if (position) memcpy(ids, vkgpt_session_tokens(c->run->session), position * sizeof *ids);
    code = run_again(c->run, c->options, code, err);
    if (!code) code = append(c, ids, position, err);
    free(ids);
    return code;
}

// ------------------------------------------------------------------------------------------- the context

int conversation_make_room(struct Conversation *c, uint32_t need, size_t keep, vkgpt_error *err)
{
    uint32_t context = c->run->context, position = conversation_position(c);
    uint32_t reserve =
        c->options->predict >= 0 && c->options->predict < context / 4 ? (uint32_t)c->options->predict : context / 4;
    size_t drop = 0;
    if (position + need <= context) return 0;
    for (; drop + keep < c->count; drop++) { // as many as make room for an answer too
        uint32_t from = c->turns[drop].begin;
        if (c->head + (position - from) + need + reserve <= context) break;
    }
    if (!drop) return 0;
    if (!c->told_full)
        fprintf(stderr, "vkgpt: the context of %u tokens is full: from now on the oldest turns are left out\n",
                context);
    c->told_full = true;
    uint32_t *head = allocate(c->head * sizeof *head + 1);
    if (c->head) memcpy(head, vkgpt_session_tokens(c->run->session), c->head * sizeof *head);
    int code = rebuild(c, head, c->head, drop, err);
    free(head);
    return code;
}

// ------------------------------------------------------------------------------------------- turns

static struct Turn *last_turn(struct Conversation *c) { return c->count ? &c->turns[c->count - 1] : NULL; }

void turns_free(struct Turn *turns, size_t count)
{
    for (size_t i = 0; i < count; i++) buffer_free(&turns[i].left);
}

static void push_turn(struct Conversation *c, uint32_t begin)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity * 2 + 16;
        c->turns = reallocate(c->turns, c->capacity * sizeof *c->turns);
    }
    c->turns[c->count++] = (struct Turn){.begin = begin};
}

// What belongs between the last answer and the next turn.
static int encode_end(struct Conversation *c, struct Ids *ids, vkgpt_error *err)
{
    const struct Turn *last = last_turn(c);
    const struct Buffer *after = &c->form.after[CHAT_ASSISTANT];
    struct Buffer text = {0};
    if (last) buffer_add(&text, last->left.data, last->left.bytes);
    if (last) buffer_add(&text, after->data, after->bytes);
    int code = encode(c, &text, false, ids, err);
    buffer_free(&text);
    return code;
}

static int encode_user(struct Conversation *c, const struct Buffer *said, struct Ids *ids, vkgpt_error *err)
{
    struct Buffer text = {0};
    chat_render(&c->form, CHAT_USER, said, &text);
    chat_render(&c->form, CHAT_ASSISTANT, NULL, &text);
    int code = encode(c, &text, false, ids, err);
    buffer_free(&text);
    uint32_t room = c->run->context - c->head;
    if (!code && ids->count > room)
        code = fail(err, VKGPT_BAD_ARGUMENT, "the turn has %zu tokens: the context has room for %u", ids->count, room);
    return code;
}

int conversation_add(struct Conversation *c, const struct Buffer *text, vkgpt_error *err)
{
    struct Ids end = {0}, user = {0};
    int code = encode_end(c, &end, err);
    if (!code) code = encode_user(c, text, &user, err);
    if (!code) code = conversation_make_room(c, (uint32_t)(end.count + user.count), 0, err);
    if (!code && c->count) code = append(c, end.ids, end.count, err);
    if (!code) {
        push_turn(c, conversation_position(c));
        code = append(c, user.ids, user.count, err);
        struct Turn *turn = last_turn(c);
        turn->answer = turn->end = conversation_position(c);
    }
    free(end.ids);
    free(user.ids);
    return code;
}

static void go_back(struct Conversation *c, size_t count)
{
    turns_free(c->turns + count, c->count - count);
    c->count = count;
    // never past what the session has, so it cannot fail
    (void)vkgpt_session_rewind(c->run->session, count ? c->turns[count - 1].end : c->head, NULL);
}

void conversation_reset(struct Conversation *c)
{
    go_back(c, 0);
    c->told_full = false;
}

bool conversation_undo(struct Conversation *c)
{
    if (!c->count) return false;
    go_back(c, c->count - 1);
    return true;
}

// ------------------------------------------------------------------------------------------- the head

static int encode_head(const struct Conversation *c, const struct Buffer *system, struct Ids *ids, vkgpt_error *err)
{
    struct Buffer text = {0};
    buffer_add(&text, c->form.begin.data, c->form.begin.bytes);
    if (system->bytes) chat_render(&c->form, CHAT_SYSTEM, system, &text);
    int code = encode(c, &text, c->form.starts, ids, err);
    buffer_free(&text);
    return code;
}

int conversation_set_system(struct Conversation *c, const char *system, vkgpt_error *err)
{
    struct Buffer text = {0};
    struct Ids head = {0};
    if (system && *system && !c->form.has[CHAT_SYSTEM])
        return fail(err, VKGPT_BAD_ARGUMENT, "the chat template has no line for a system's text");
    buffer_text(&text, system ? system : c->system.data ? c->system.data : "");
    int code = encode_head(c, &text, &head, err);
    uint32_t context = c->run->context;
    if (!code && head.count >= context)
        code = fail(err, VKGPT_BAD_ARGUMENT, "the system's text has %zu tokens: the context has room for %u",
                    head.count, context);
    if (!code && head.count > c->head) code = conversation_make_room(c, (uint32_t)head.count - c->head, 0, err);
    if (!code) code = rebuild(c, head.ids, head.count, 0, err);
    free(head.ids);
    struct Buffer *other = code ? &text : &c->system;
    buffer_free(other);
    if (!code) c->system = text;
    return code;
}

int conversation_open(struct Conversation *c, struct Run *run, const struct Options *options, struct ChatTemplate form,
                      vkgpt_error *err)
{
    *c = (struct Conversation){.run = run, .options = options, .form = form};
    return conversation_set_system(c, options->system, err);
}

void conversation_close(struct Conversation *c)
{
    turns_free(c->turns, c->count);
    free(c->turns);
    buffer_free(&c->system);
    chat_template_free(&c->form);
    *c = (struct Conversation){0};
}
