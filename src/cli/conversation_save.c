#include "cli/conversation_save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "engine/saved.h"

#define NOTE_MAGIC "chatnote"
#define NOTE_VERSION 1

// The note: this header, the settings ("name value" in lines), the template as in a file, the system's text, the turns.
struct NoteHeader {
    char magic[8];
    uint32_t version, head, turns, settings_bytes, form_bytes, system_bytes;
};

struct NoteTurn { // the left bytes follow it
    uint32_t begin, answer, end, whole, left_bytes;
};

// Flags whose values are saved, without their hyphens.
static const char *const SETTINGS[] = {"temp",           "top-k",         "top-p", "min-p",
                                       "repeat-penalty", "repeat-last-n", "seed",  "predict"};

// ------------------------------------------------------------------------------------------- writing

static void add_setting(struct Buffer *out, const struct Options *options, const char *name)
{
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
        for (int i = 0; flag->commands & CHAT && i < FLAG_MAX_NAMES && flag->names[i]; i++) {
            if (strncmp(flag->names[i], "--", 2) != 0 || strcmp(flag->names[i] + 2, name) != 0) continue;
            const void *member = (const char *)options + flag->offset;
            if (flag->kind == FLAG_REAL) buffer_format(out, "%s %.17g\n", name, *(const double *)member);
            else buffer_format(out, "%s %" PRId64 "\n", name, *(const int64_t *)member);
        }
}

static void write_note(const struct Conversation *c, struct Buffer *out)
{
    struct Buffer settings = {0};
    for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++) add_setting(&settings, c->options, SETTINGS[i]);
    struct NoteHeader h = {.version = NOTE_VERSION, .head = c->head, .turns = (uint32_t)c->count};
    memcpy(h.magic, NOTE_MAGIC, sizeof h.magic);
    h.settings_bytes = (uint32_t)settings.bytes;
    h.form_bytes = (uint32_t)c->form.source.bytes;
    h.system_bytes = (uint32_t)c->system.bytes;
    buffer_add(out, &h, sizeof h);
    buffer_add(out, settings.data, settings.bytes);
    buffer_add(out, c->form.source.data, c->form.source.bytes);
    buffer_add(out, c->system.data, c->system.bytes);
    for (size_t i = 0; i < c->count; i++) {
        const struct Turn *t = &c->turns[i];
        const struct NoteTurn turn = {t->begin, t->answer, t->end, t->whole, (uint32_t)t->left.bytes};
        buffer_add(out, &turn, sizeof turn);
        buffer_add(out, t->left.data, t->left.bytes);
    }
    buffer_free(&settings);
}

// Only a saved session is replaced.
static int check_target(const char *path, vkgpt_error *err)
{
    struct Mapping file;
    if (!os_exists(path)) return 0;
    int code = os_map(path, &file, err);
    if (code) return code;
    size_t magic = strlen(SAVED_MAGIC);
    bool saved = file.bytes >= magic && memcmp(file.data, SAVED_MAGIC, magic) == 0;
    os_unmap(&file);
    return saved ? 0 : fail(err, VKGPT_BAD_FILE, "%s: is there, and is not a saved session; it is not replaced", path);
}

int conversation_save(struct Conversation *c, const char *path, vkgpt_error *err)
{
    struct Buffer note = {0};
    int code = check_target(path, err);
    if (code) return code;
    write_note(c, &note);
    code = vkgpt_session_save(c->run->session, path, note.data, note.bytes, err);
    if (code == VKGPT_DEVICE_LOST && !(code = conversation_again(c, code, err)))
        code = vkgpt_session_save(c->run->session, path, note.data, note.bytes, err);
    buffer_free(&note);
    return code;
}

// ------------------------------------------------------------------------------------------- reading

struct NoteReader {
    const char *at;
    size_t bytes;
};

// The next `bytes` bytes; NULL if fewer are left.
static const char *take(struct NoteReader *r, size_t bytes)
{
    const char *at = r->at;
    if (bytes > r->bytes) return NULL;
    r->at += bytes;
    r->bytes -= bytes;
    return at;
}

static int damaged(const char *path, const char *what, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_FILE, "%s: is a saved session, but %s", path, what);
}

static bool read_turn(struct NoteReader *r, uint32_t from, uint32_t position, struct Turn *turn)
{
    struct NoteTurn t;
    const char *data = take(r, sizeof t);
    *turn = (struct Turn){.begin = 0};
    if (!data) return false;
    memcpy(&t, data, sizeof t);
    *turn = (struct Turn){.begin = t.begin, .answer = t.answer, .end = t.end, .whole = t.whole != 0};
    const char *left = take(r, t.left_bytes);
    if (!left || t.begin < from || t.answer < t.begin || t.end < t.answer || t.end > position) return false;
    buffer_add(&turn->left, left, t.left_bytes);
    return true;
}

int chat_note_read(const char *path, const char *data, size_t bytes, uint32_t position, struct ChatNote *note,
                   vkgpt_error *err)
{
    struct NoteReader r = {data, bytes};
    struct NoteHeader h;
    *note = (struct ChatNote){0};
    const char *header = take(&r, sizeof h);
    if (!header || memcmp(header, NOTE_MAGIC, sizeof h.magic) != 0) return damaged(path, "not one of vkgpt chat", err);
    memcpy(&h, header, sizeof h);
    if (h.version != NOTE_VERSION) return damaged(path, "of a chat of another version", err);
    *note = (struct ChatNote){
        .settings_bytes = h.settings_bytes, .form_bytes = h.form_bytes, .system_bytes = h.system_bytes, .head = h.head};
    note->settings = take(&r, h.settings_bytes);
    note->form = note->settings ? take(&r, h.form_bytes) : NULL;
    note->system = note->form ? take(&r, h.system_bytes) : NULL;
    if (!note->system || h.head > position || h.turns > r.bytes / sizeof(struct NoteTurn))
        return damaged(path, "its note is cut", err);
    note->turns = allocate(h.turns * sizeof *note->turns + 1);
    bool good = true;
    for (uint32_t from = h.head; good && note->count < h.turns;) {
        struct Turn *turn = &note->turns[note->count++];
        good = read_turn(&r, from, position, turn);
        from = turn->end;
    }
    if (good && !r.bytes && (!note->count || note->turns[0].begin == h.head)) return 0;
    turns_free(note->turns, note->count);
    free(note->turns);
    *note = (struct ChatNote){0};
    return damaged(path, "the places of its turns contradict each other", err);
}

int chat_note_settings(const char *path, const struct ChatNote *note, struct Options *options, vkgpt_error *err)
{
    const char *at = note->settings, *end = at + note->settings_bytes;
    while (at < end) {
        char line[96], sentence[256];
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = stop ? (size_t)(stop - at) : sizeof line;
        if (length >= sizeof line || memchr(at, '\0', length)) return damaged(path, "its settings are no lines", err);
        memcpy(line, at, length);
        line[length] = '\0';
        char *value = strchr(line, ' ');
        if (value) *value++ = '\0';
        bool known = false;
        for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++) known |= strcmp(line, SETTINGS[i]) == 0;
        if (!known || !value) return damaged(path, "one of its settings is unknown", err);
        if (!options_set(CHAT, options, line, line, value, sentence, sizeof sentence))
            return damaged(path, sentence, err);
        at = stop + 1;
    }
    return 0;
}

static int take_note(struct Conversation *c, struct Options *options, const char *path, const char *data, size_t bytes,
                     vkgpt_error *err)
{
    const struct ChatTokens tokens = chat_tokens(run_model(c->run), c->run->tokenizer);
    struct Options own = *options;
    struct ChatTemplate form;
    struct ChatNote note;
    int code = chat_note_read(path, data, bytes, conversation_position(c), &note, err);
    if (code) return code;
    code = chat_note_settings(path, &note, &own, err);
    if (!code) code = chat_template_parse(path, note.form, note.form_bytes, &tokens, &form, err);
    if (code) {
        turns_free(note.turns, note.count);
        free(note.turns);
        return code;
    }
    struct Conversation before = *c;
    *c = (struct Conversation){.run = c->run,
                               .options = c->options,
                               .form = form,
                               .head = note.head,
                               .turns = note.turns,
                               .count = note.count,
                               .capacity = note.count};
    buffer_add(&c->system, note.system, note.system_bytes);
    conversation_close(&before);
    *options = own;
    return 0;
}

static int load(struct Conversation *c, struct Options *options, const char *path, vkgpt_error *err)
{
    vkgpt_session *session = c->run->session;
    uint32_t position = conversation_position(c);
    char *note = NULL;
    size_t bytes;
    uint32_t *ids = allocate(position * sizeof *ids + 1);
    if (position) memcpy(ids, vkgpt_session_tokens(session), position * sizeof *ids);
    int code = vkgpt_session_load(session, path, &note, &bytes, err);
    bool loaded = !code;
    if (!code) code = take_note(c, options, path, note, bytes, err);
    if (code && (loaded || conversation_position(c) != position)) { // read again what was there
        vkgpt_error again;
        uint32_t most = position < c->run->context ? position : c->run->context;
        (void)vkgpt_session_rewind(session, 0, NULL);
        if (vkgpt_prompt(session, ids, most, &again) && again.code != VKGPT_INTERRUPTED)
            *err = again, code = again.code;
    }
    free(ids);
    free(note);
    return code;
}

int conversation_load(struct Conversation *c, struct Options *options, const char *path, vkgpt_error *err)
{
    int code = load(c, options, path, err);
    if (code == VKGPT_DEVICE_LOST && !(code = conversation_again(c, code, err))) code = load(c, options, path, err);
    return code;
}
