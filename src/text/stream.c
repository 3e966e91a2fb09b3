// Streams text: whole characters of the tokens so far, without bytes that may still become a stop string.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/buffer.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; // U+FFFD

struct Stop {
    char *data;
    size_t bytes;
};

struct vkgpt_text {
    const vkgpt_tokenizer *tok;
    struct Stop *stops;
    size_t count;
    struct TextBuffer held; // bytes that may be the beginning of a stop string, or of a character
    struct TextBuffer out;  // the result of the last call
    bool stopped;
};

// ------------------------------------------------------------------------------------------ stop strings

// The length of the longest stop string at the end of the bytes, 0 if there is none.
static size_t stop_at_end(const struct vkgpt_text *t, const char *data, size_t bytes)
{
    size_t longest = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct Stop *stop = &t->stops[i];
        bool ends = stop->bytes <= bytes && memcmp(data + bytes - stop->bytes, stop->data, stop->bytes) == 0;
        if (ends && stop->bytes > longest) longest = stop->bytes;
    }
    return longest;
}

static bool begins_stop(const struct vkgpt_text *t, const char *data, size_t bytes)
{
    for (size_t i = 0; i < t->count; i++)
        if (bytes < t->stops[i].bytes && memcmp(data, t->stops[i].data, bytes) == 0) return true;
    return false;
}

// How many of the held bytes are not part of a stop string; the last `added` bytes are new. Checks byte by byte, so
// that the result does not depend on where a token ends.
static size_t free_bytes(struct vkgpt_text *t, size_t added)
{
    size_t bytes = t->held.bytes;
    for (size_t end = bytes - added + 1; end <= bytes; end++) {
        size_t stop = stop_at_end(t, t->held.data, end);
        t->stopped = stop != 0;
        if (stop) return end - stop;
    }
    size_t from = 0;
    while (from < bytes && !begins_stop(t, t->held.data + from, bytes - from)) from++;
    return from;
}

// ---------------------------------------------------------------------------------------------- characters

// Appends the character at `text` to the output, or U+FFFD if it is malformed. Returns its length; 0: it is incomplete.
static size_t put_character(struct vkgpt_text *t, const char *text, size_t bytes, bool last, bool *good)
{
    size_t length = utf8_length(text, bytes), part = length ? 0 : utf8_part(text, bytes);
    if (!length && part == bytes && !last && utf8_goes_on(text, bytes)) return 0;
    *good = length ? text_add(&t->out, text, length) : text_add(&t->out, REPLACEMENT, strlen(REPLACEMENT));
    return length ? length : part;
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

static int copy_stop(struct Stop *stop, const char *text, vkgpt_error *err)
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
        size_t free = free_bytes(t, added);
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
