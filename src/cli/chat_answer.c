#include "cli/chat_answer.h"

#include <string.h>

#include "base/os.h"
#include "cli/generation.h"

struct Answer {
    struct Conversation *c;
    struct StopString texts[MAX_STOPS + CHAT_MAX_STOPS];
    struct Stops stops;
    struct Buffer text; // without what is held back, and without a stop string
    struct Utf8 utf8;
    struct Buffer screen;
    size_t count, silent; // tokens, and those of them that have no text
    bool stopped;
    vkgpt_stop stop;
};

static void write_screen(struct Answer *a)
{
    fwrite(a->screen.data, 1, a->screen.bytes, stdout);
    fflush(stdout);
    buffer_drop(&a->screen, a->screen.bytes);
}

static bool on_token(void *user, uint32_t id)
{
    struct Answer *a = user;
    size_t bytes, shown = a->text.bytes;
    const char *piece = vkgpt_token_bytes(a->c->run->tokenizer, id, &bytes);
    a->count++;
    a->silent += !bytes;
    a->stopped = stops_add(&a->stops, piece, bytes, &a->text);
    utf8_add(&a->utf8, a->text.data + shown, a->text.bytes - shown, &a->screen);
    if (a->screen.bytes) write_screen(a);
    return !a->stopped && !os_interrupted();
}

static void begin(struct Answer *a, struct Conversation *c)
{
    const struct Options *options = c->options;
    *a = (struct Answer){.c = c, .stop = VKGPT_STOP_LENGTH};
    for (size_t i = 0; i < options->stop_count; i++) // nobody writes to it
        a->texts[a->stops.count++] = (struct StopString){(char *)options->stops[i], strlen(options->stops[i])};
    for (size_t i = 0; i < c->form.stop_count; i++)
        a->texts[a->stops.count++] = (struct StopString){c->form.stops[i].data, c->form.stops[i].bytes};
    a->stops.texts = a->texts;
}

// Tokens until the answer ends. Where the context is full, the oldest turns go, and it goes on.
static int generate(struct Answer *a, vkgpt_error *err)
{
    struct Conversation *c = a->c;
    const struct Options *options = c->options;
    const vkgpt_sampling sampling = generation_sampling(options);
    size_t most = options->predict < 0 ? SIZE_MAX : (size_t)options->predict;
    int code = 0;
    while (!code && a->count < most && !a->stopped && !os_interrupted()) {
        code = vkgpt_generate(c->run->session, &sampling, most - a->count, on_token, a, &a->stop, err);
        if (code == VKGPT_DEVICE_LOST) {
            code = conversation_again(c, code, err);
            continue;
        }
        if (code || a->stop != VKGPT_STOP_CONTEXT) break;
        size_t turns = c->count;
        code = conversation_make_room(c, 1, 1, err);
        if (!code && c->count == turns) {
            fprintf(stderr, "\nvkgpt: the turn fills the context of %u tokens\n", c->run->context);
            break;
        }
    }
    return code == VKGPT_INTERRUPTED ? 0 : code;
}

// Keeps the tokens whose bytes are all before a stop string, and the bytes of the next one up to it.
static void keep_tokens(struct Answer *a)
{
    struct Conversation *c = a->c;
    struct Turn *turn = &c->turns[c->count - 1];
    uint32_t position = conversation_position(c), at = position - (uint32_t)a->count;
    const uint32_t *tokens = vkgpt_session_tokens(c->run->session);
    size_t sum = 0, bytes;
    for (; at < position; at++, sum += bytes) {
        (void)vkgpt_token_bytes(c->run->tokenizer, tokens[at], &bytes);
        if (a->stopped && sum + bytes > a->text.bytes) break;
    }
    turn->left.bytes = 0;
    if (a->stopped) buffer_add(&turn->left, a->text.data + sum, a->text.bytes - sum);
    (void)vkgpt_session_rewind(c->run->session, at, NULL); // never past what the session has
    turn->end = at;
    turn->whole = a->stopped || a->stop == VKGPT_STOP_EOS;
}

static void finish(struct Answer *a)
{
    size_t shown = a->text.bytes;
    if (!a->stopped) stops_end(&a->stops, &a->text);
    utf8_add(&a->utf8, a->text.data + shown, a->text.bytes - shown, &a->screen);
    utf8_end(&a->utf8, &a->screen);
    buffer_text(&a->screen, "\n");
    write_screen(a);
    generation_tell_silent(a->c->run, a->silent, a->count);
    buffer_free(&a->screen);
    buffer_free(&a->text);
    buffer_free(&a->stops.held);
}

int chat_answer(struct Conversation *c, vkgpt_error *err)
{
    struct Answer a;
    double start = os_seconds();
    begin(&a, c);
    int code = generate(&a, err);
    keep_tokens(&a);
    double seconds = os_seconds() - start;
    size_t count = a.count;
    finish(&a);
    if (c->options->verbose)
        fprintf(stderr, "answer  %8.3f s  %6zu tokens  %9.1f tokens/s\n", seconds, count,
                seconds > 0 ? (double)count / seconds : 0);
    return code;
}
