// Streams text: whole characters of the tokens so far, without bytes that may still become a stop string.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/buffer.h"
#include "text/stop_strings.h"

struct vkgpt_text {
    const vkgpt_tokenizer *tok;
    struct StopString *stops;
    size_t count;
    struct TextBuffer held; // bytes that may be the beginning of a stop string, or of a character
    struct TextBuffer out;  // the result of the last call
    bool stopped;
};

// ---------------------------------------------------------------------------------------------- characters

// Appends the character at `text` to the output, or U+FFFD if it is malformed. Returns its length; 0: it is incomplete.
static size_t put_character(struct vkgpt_text *t, const char *text, size_t bytes, bool last, bool *added)
{
    bool good;
    size_t length = utf8_next(text, bytes, last, &good);
    if (!length) return 0;
    *added = good ? text_add(&t->out, text, length) : text_add(&t->out, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
    return length;
}

// Moves the first held bytes to the output.
static bool release(struct vkgpt_text *t, size_t bytes, bool last)
{
    size_t at = 0, length = 1;
    bool good = true;
    while (good && at < bytes && length) at += length = put_character(t, t->held.data + at, bytes - at, last, &good);
    t->held.bytes -= at;
    memmove(t->held.data, t->held.data + at, t->held.bytes);
    return good;
}

static int give(struct vkgpt_text *t, bool good, const char **bytes, size_t *count, vkgpt_error *err)
{
    if (!good || !text_room(&t->out, 1)) return fail_memory(err, "a text", (t->out.bytes + t->held.bytes + 1) * 2);
    t->out.data[t->out.bytes] = '\0';
    *bytes = t->out.data;
    if (count) *count = t->out.bytes;
    return VKGPT_OK;
}

// -------------------------------------------------------------------------------------------- all of it

static int copy_stop(struct StopString *stop, const char *text, vkgpt_error *err)
{
    if (!text || !*text) return fail(err, VKGPT_BAD_ARGUMENT, "an empty stop string would end every text at once");
    stop->bytes = strlen(text);
    stop->data = malloc(stop->bytes);
    if (!stop->data) return fail_memory(err, "a stop string", stop->bytes);
    memcpy(stop->data, text, stop->bytes);
    return VKGPT_OK;
}

int vkgpt_text_open(const vkgpt_tokenizer *tok, const char *const *stops, size_t count, vkgpt_text **text,
                    vkgpt_error *err)
{
    *text = NULL;
    vkgpt_text *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(err, "a text", sizeof *t);
    t->tok = tok;
    t->stops = calloc(count + 1, sizeof *t->stops);
    int code = t->stops ? VKGPT_OK : fail_memory(err, "the stop strings", (count + 1) * sizeof *t->stops);
    for (size_t i = 0; !code && i < count; i++, t->count++) code = copy_stop(&t->stops[i], stops[i], err);
    if (code) {
        vkgpt_text_close(t);
        return code;
    }
    *text = t;
    return VKGPT_OK;
}

void vkgpt_text_close(vkgpt_text *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->count; i++) free(t->stops[i].data);
    free(t->stops);
    text_free(&t->held);
    text_free(&t->out);
    free(t);
}

int vkgpt_text_add(vkgpt_text *t, uint32_t id, const char **bytes, size_t *count, bool *stopped, vkgpt_error *err)
{
    size_t added;
    const char *piece = vkgpt_token_bytes(t->tok, id, &added);
    t->out.bytes = 0;
    bool good = t->stopped || text_add(&t->held, piece, added);
    if (good && !t->stopped) {
        size_t free = stop_strings_free(t->stops, t->count, t->held.data, t->held.bytes, added, &t->stopped);
        good = release(t, free, t->stopped);
        if (t->stopped) t->held.bytes = 0;
    }
    if (stopped) *stopped = t->stopped;
    return give(t, good, bytes, count, err);
}

int vkgpt_text_end(vkgpt_text *t, const char **bytes, size_t *count, vkgpt_error *err)
{
    t->out.bytes = 0;
    bool good = release(t, t->held.bytes, true);
    t->stopped = false;
    return give(t, good, bytes, count, err);
}
