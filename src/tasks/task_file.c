#include "tasks/task_file.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "tasks/escapes.h"

#define MAX_TASK_BYTES ((size_t)1 << 20)

struct TaskReader {
    struct Task *task;
    char *at;          // the next line
    unsigned line;     // the number of the current one, from 1
    task_check *check; // of settings; NULL: none
    vkgpt_error *err;
};

#define WRONG(reader, ...) wrong_line((reader)->task->path, (reader)->line, (reader)->err, __VA_ARGS__)

__attribute__((format(printf, 4, 5))) static int wrong_line(const char *path, unsigned line, vkgpt_error *err,
                                                            const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return fail(err, VKGPT_BAD_FILE, "%s:%u: %s", path, line, sentence);
}

// ------------------------------------------------------------------------------------------ header lines

// The next line without its line end, or NULL after the last one.
static char *next_line(struct TaskReader *r)
{
    if (!*r->at) return NULL;
    char *line = r->at, *end = strchr(line, '\n');
    r->at = end ? end + 1 : line + strlen(line);
    if (end) *end = '\0';
    r->line++;
    return line;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length && strchr(" \t", text[length - 1])) text[--length] = '\0';
    return text;
}

static bool is_name(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-') return false;
    return bytes > 0;
}

static void set_unescaped(struct Buffer *buffer, const char *value)
{
    buffer_text(buffer, value);
    escapes_replace_in(buffer);
}

// "fields": "text, labels"
static const char *field_names(const struct Task *task, char *names, size_t size)
{
    size_t n = 0;
    snprintf(names, size, "none");
    for (size_t i = 0; i < task->field_count && n < size; i++)
        n += (size_t)snprintf(names + n, size - n, "%s%s", i ? ", " : "", task->fields[i].name);
    return names;
}

size_t task_field(const struct Task *task, const char *name, size_t bytes)
{
    size_t i = 0;
    while (i < task->field_count &&
           (strlen(task->fields[i].name) != bytes || memcmp(task->fields[i].name, name, bytes) != 0))
        i++;
    return i;
}

static int add_field(struct TaskReader *r, const char *name, const char *about)
{
    struct Task *task = r->task;
    if (!is_name(name, strlen(name)))
        return WRONG(r, "'%.40s' is not a name of a field: letters, digits, - and _ are", name);
    if (task_field(task, name, strlen(name)) < task->field_count) return WRONG(r, "field %.40s is here twice", name);
    if (task->field_count == TASK_MAX_FIELDS) return WRONG(r, "there are more than %d fields", TASK_MAX_FIELDS);
    task->fields[task->field_count++] = (struct TaskField){.name = name, .about = about, .line = r->line};
    return 0;
}

static int add_default(struct TaskReader *r, const char *name, const char *value)
{
    struct Task *task = r->task;
    size_t i = task_field(task, name, strlen(name));
    if (i == task->field_count) return WRONG(r, "default %.40s: there is no field of this name above it", name);
    if (task->fields[i].optional) return WRONG(r, "default %.40s is here twice", name);
    task->fields[i].optional = true;
    set_unescaped(&task->fields[i].fallback, value);
    return 0;
}

static int add_stop(struct TaskReader *r, const char *value)
{
    if (!*value) return WRONG(r, "stop needs a text that is not empty, such as \\n");
    if (r->task->stop_count == TASK_MAX_STOPS) return WRONG(r, "there are more than %d stops", TASK_MAX_STOPS);
    set_unescaped(&r->task->stops[r->task->stop_count++], value);
    return 0;
}

// keep: 3 sentences
static int set_keep(struct TaskReader *r, const char *value)
{
    static const struct {
        const char *name;
        enum KeepUnit unit;
    } units[] = {{"word", KEEP_WORDS},  {"words", KEEP_WORDS},        {"line", KEEP_LINES},
                 {"lines", KEEP_LINES}, {"sentence", KEEP_SENTENCES}, {"sentences", KEEP_SENTENCES}};
    char *end;
    long count = isdigit((unsigned char)*value) ? strtol(value, &end, 10) : 0;
    for (size_t i = 0; count > 0 && count <= 1000000 && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end + strspn(end, " \t"), units[i].name) == 0)
            r->task->keep = (struct Keep){.unit = units[i].unit, .limit = (size_t)count};
    return r->task->keep.unit
               ? 0
               : WRONG(r, "keep is '%.40s', it has to be a number of words, lines or sentences, such as 3 sentences",
                       value);
}

static const char *const SETTINGS[] = {"n",    "temp",     "top-k", "top-p", "min-p", "repeat-penalty", "repeat-last-n",
                                       "seed", "normalize"};
#define SETTING_COUNT (sizeof SETTINGS / sizeof SETTINGS[0])
_Static_assert(SETTING_COUNT <= TASK_MAX_SETTINGS, "each can be set once");

int task_refuse_setting(const struct Task *task, const struct TaskSetting *setting, const char *sentence,
                        vkgpt_error *err)
{
    return wrong_line(task->path, setting->line, err, "%s", sentence);
}

static int add_setting(struct TaskReader *r, const char *key, const char *value)
{
    struct Task *task = r->task;
    size_t known = 0;
    while (known < SETTING_COUNT && strcmp(SETTINGS[known], key) != 0) known++;
    if (known == SETTING_COUNT)
        return WRONG(
            r,
            "'%.40s' is nothing that a task's header can say: it has about, field NAME, default NAME, stop, keep, answers, gap, "
            "normalize, n, temp, top-k, top-p, min-p, repeat-penalty, repeat-last-n and seed",
            key);
    struct TaskSetting *setting = &task->settings[task->setting_count++];
    *setting = (struct TaskSetting){SETTINGS[known], value, r->line};
    char sentence[256];
    if (!r->check || r->check(setting->name, value, sentence, sizeof sentence)) return 0;
    return task_refuse_setting(task, setting, sentence, r->err);
}

// ------------------------------------------------------------------------------------------- the header

// Checks the keys that may be given only once.
static int check_once(struct TaskReader *r, const char *key)
{
    const struct Task *task = r->task;
    bool twice = (strcmp(key, "about") == 0 && task->about) || (strcmp(key, "keep") == 0 && task->keep.unit) ||
                 (strcmp(key, "answers") == 0 && task->answers.bytes) || (strcmp(key, "gap") == 0 && task->gap.bytes);
    for (size_t i = 0; i < task->setting_count; i++) twice |= strcmp(key, task->settings[i].name) == 0;
    return twice ? WRONG(r, "%s is here twice", key) : 0;
}

static int read_pair(struct TaskReader *r, char *key, char *value)
{
    struct Task *task = r->task;
    int code = check_once(r, key);
    if (code) return code;
    if (strncmp(key, "field ", 6) == 0) return add_field(r, trim(key + 6), value);
    if (strncmp(key, "default ", 8) == 0) return add_default(r, trim(key + 8), value);
    if (strcmp(key, "stop") == 0) return add_stop(r, value);
    if (strcmp(key, "keep") == 0) return set_keep(r, value);
    bool is_text = strcmp(key, "about") == 0 || strcmp(key, "answers") == 0 || strcmp(key, "gap") == 0;
    if (!is_text) return add_setting(r, key, value);
    if (!*value) return WRONG(r, "%s needs a text that is not empty", key);
    if (*key == 'g') set_unescaped(&task->gap, value);
    else if (key[1] == 'b') task->about = value;
    else {
        set_unescaped(&task->answers, value);
        task->answers_line = r->line;
    }
    return 0;
}

static int read_header(struct TaskReader *r)
{
    for (char *line; (line = next_line(r));) {
        line = trim(line);
        if (*line == '#') continue;
        if (!*line) return 0;
        char *colon = strchr(line, ':');
        if (!colon)
            return WRONG(r, "'%.40s' is not a line of the form key: value, and no blank line that ends the header",
                         line);
        *colon = '\0';
        int code = read_pair(r, trim(line), trim(colon + 1));
        if (code) return code;
    }
    return WRONG(r, "the file ends in its header: a blank line and the prompt have to follow");
}

// ---------------------------------------------------------------------------------------- fields in text

// One piece of a text with fields in braces: literal bytes, or a field (field < field_count).
struct Piece {
    const char *data;
    size_t bytes, field;
};

// Takes the next piece. False when a brace does not open a field; the piece is then the name in the braces, or empty
// if it is not a name.
static bool next_piece(const struct Task *task, const char **at, const char *end, struct Piece *piece)
{
    const char *text = *at;
    *piece = (struct Piece){text, 1, task->field_count};
    if (*text != '{') {
        while (text + piece->bytes < end && text[piece->bytes] != '{') piece->bytes++;
        *at += piece->bytes;
        return true;
    }
    if (text + 1 < end && text[1] == '{') { // {{ is a brace
        *at += 2;
        return true;
    }
    const char *close = memchr(text, '}', (size_t)(end - text));
    size_t length = close ? (size_t)(close - text) - 1 : 0;
    *piece = (struct Piece){text + 1, length, task_field(task, text + 1, length)};
    *at = close ? close + 1 : end;
    if (!close || !is_name(text + 1, length)) piece->bytes = 0;
    return piece->bytes && piece->field < task->field_count;
}

// Marks the fields that a text uses. Errors: a name in braces that is not a field.
static int check_text(struct Task *task, const struct Buffer *text, unsigned line, vkgpt_error *err)
{
    const char *at = text->data, *end = at + text->bytes, *counted = at;
    while (at < end) {
        const char *start = at;
        struct Piece piece;
        bool good = next_piece(task, &at, end, &piece);
        for (; counted < start; counted++) line += *counted == '\n';
        char names[256];
        if (!good && !piece.bytes)
            return wrong_line(task->path, line, err, "'{' opens no field: {name} is one, and {{ is a brace");
        if (!good)
            return wrong_line(task->path, line, err, "there is no field '%.*s'; the header has %s",
                              piece.bytes < 40 ? (int)piece.bytes : 40, piece.data,
                              field_names(task, names, sizeof names));
        if (piece.field < task->field_count) task->fields[piece.field].used = true;
    }
    return 0;
}

// Fills in one line, or any text without line breaks. Returns whether the line is left out.
static bool fill_line(const struct Task *task, const char *at, const char *end, const struct Buffer *values,
                      struct Buffer *out)
{
    size_t fields = 0, before = out->bytes;
    bool literal = false;
    while (at < end) {
        struct Piece piece;
        next_piece(task, &at, end, &piece);
        bool is_field = piece.field < task->field_count;
        if (is_field) buffer_add(out, values[piece.field].data, values[piece.field].bytes);
        else buffer_add(out, piece.data, piece.bytes);
        fields += is_field;
        literal |= !is_field;
    }
    return fields && !literal && out->bytes == before;
}

void task_fill(const struct Task *task, const struct Buffer *values, struct Buffer *prompt)
{
    const char *at = task->prompt.data, *end = at + task->prompt.bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        bool left_out = fill_line(task, at, stop ? stop : end, values, prompt);
        at = stop ? stop + 1 : end;
        if (stop && !left_out) buffer_text(prompt, "\n");
        while (left_out && at < end && *at == '\n') at++;
    }
    buffer_add(prompt, "", 0); // a NUL after it, even when it is empty
}

void task_fill_answers(const struct Task *task, const struct Buffer *values, struct Buffer *answers)
{
    const char *at = task->answers.data;
    if (at) fill_line(task, at, at + task->answers.bytes, values, answers);
    buffer_add(answers, "", 0);
}

// ---------------------------------------------------------------------------------------------- the file

static int read_prompt(struct TaskReader *r)
{
    struct Task *task = r->task;
    task->prompt_line = r->line + 1;
    buffer_text(&task->prompt, r->at);
    // the last line break is the editor's, not a part of the prompt
    if (task->prompt.bytes && task->prompt.data[task->prompt.bytes - 1] == '\n')
        buffer_cut(&task->prompt, task->prompt.bytes - 1);
    if (!task->prompt.bytes) return WRONG(r, "the file ends with its header: the prompt has to follow");
    int code = check_text(task, &task->prompt, task->prompt_line, r->err);
    if (!code && task->answers.bytes) code = check_text(task, &task->answers, task->answers_line, r->err);
    for (size_t i = 0; !code && i < task->field_count; i++)
        if (!task->fields[i].used)
            code = wrong_line(task->path, task->fields[i].line, r->err,
                              "field %.40s is neither in the prompt nor in the answers", task->fields[i].name);
    return code;
}

// Turns CR LF into LF, and removes a byte order mark.
static void clean_text(char *text)
{
    size_t out = 0, at = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (; text[at]; at++)
        if (text[at] != '\r' || text[at + 1] != '\n') text[out++] = text[at];
    text[out] = '\0';
}

int task_read(const char *path, struct Task *task, task_check *check, vkgpt_error *err)
{
    *task = (struct Task){.path = path};
    size_t bytes;
    int code = os_read(path, MAX_TASK_BYTES, &task->text, &bytes, err);
    if (code) return code;
    if (strlen(task->text) != bytes)
        return fail(err, VKGPT_BAD_FILE, "%s: is not a task: byte %zu of it is a NUL", path, strlen(task->text));
    clean_text(task->text);
    struct TaskReader reader = {.task = task, .at = task->text, .check = check, .err = err};
    code = read_header(&reader);
    return code ? code : read_prompt(&reader);
}

void task_free(struct Task *task)
{
    for (size_t i = 0; i < task->field_count; i++) buffer_free(&task->fields[i].fallback);
    for (size_t i = 0; i < task->stop_count; i++) buffer_free(&task->stops[i]);
    buffer_free(&task->answers);
    buffer_free(&task->gap);
    buffer_free(&task->prompt);
    free(task->text);
    *task = (struct Task){0};
}
