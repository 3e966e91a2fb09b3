#include "tasks/eval_record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "model/formats.h"
#include "tasks/json_values.h"

#define MAX_RECORD ((size_t)1 << 30)
#define FORMAT "vkgpt-eval-1"

// What has to be the same for a run to continue a record. The model's name is only for error sentences: its hash
// decides.
struct Setting {
    const char *name;
    char value[320];
};
enum { FORMAT_SETTING, MODEL, MODEL_HASH, WEIGHTS, KV, CONTEXT, SETTINGS };

static int settings_of(struct Setting settings[SETTINGS], const struct EvalSubject *subject, vkgpt_error *err)
{
    char hash[FINGERPRINT_BYTES], context[16];
    int code = fingerprint_model(subject->dir, hash, err);
    if (!code) code = fingerprint_add(NEED_TOKENIZER, subject->tokenizer, hash, err);
    if (!code) code = fingerprint_add(NEED_ADAPTER, subject->lora, hash, err);
    if (code) return code;
    snprintf(context, sizeof context, "%" PRIu32, subject->context);
    // clang-format off
    const char *const values[SETTINGS][2] = {
        [FORMAT_SETTING] = {"format", FORMAT}, [MODEL] = {"model", subject->model->name},
        [MODEL_HASH] = {"model_hash", hash},   [WEIGHTS] = {"weights", subject->model->weights},
        [KV] = {"kv", FORMAT_INFO[subject->kv ? subject->kv : VKGPT_F16].name}, [CONTEXT] = {"context", context},
    };
    // clang-format on
    for (int i = 0; i < SETTINGS; i++) {
        settings[i].name = values[i][0];
        snprintf(settings[i].value, sizeof settings[i].value, "%s", values[i][1]);
    }
    return 0;
}

static int write_line(struct EvalRecord *record, cJSON *json, vkgpt_error *err)
{
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text) return fail_memory(err, "a line of results", 0);
    bool good = fprintf(record->file, "%s\n", text) > 0;
    cJSON_free(text);
    return good ? 0 : fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", record->path, strerror(errno));
}

// ------------------------------------------------------------------------------------- reading a record

struct RecordReader {
    const char *path;
    size_t line;
    const struct Setting *settings;
    struct EvalTask *tasks;
    size_t count;
    bool *known; // tasks whose line has been read
    vkgpt_error *err;
};

static int broken_line(const struct RecordReader *r, const char *what)
{
    return fail(r->err, VKGPT_BAD_FILE, "%s:%zu: is not a line of results: %s", r->path, r->line, what);
}

static int read_settings(const struct RecordReader *r, const struct Json *json)
{
    const char *model = "";
    for (int i = 0; i < SETTINGS; i++) {
        const struct Setting *now = &r->settings[i];
        const char *then = json_text(json_get(json, now->name));
        if (!then && i == FORMAT_SETTING)
            return fail(r->err, VKGPT_BAD_FILE, "%s: holds no results of vkgpt eval", r->path);
        if (!then) return fail(r->err, VKGPT_BAD_FILE, "%s:%zu: does not say its %s", r->path, r->line, now->name);
        if (i == MODEL) model = then;
        if (i == MODEL || strcmp(then, now->value) == 0) continue;
        if (i == MODEL_HASH)
            return fail(r->err, VKGPT_BAD_ARGUMENT,
                        "%s: its results are of model %.200s (%.20s), and this run is of %.200s (%s)", r->path, model,
                        then, r->settings[MODEL].value, now->value);
        return fail(r->err, VKGPT_BAD_ARGUMENT, "%s: its results are of %s %.200s, and this run is of %s", r->path,
                    now->name, then, now->value);
    }
    return 0;
}

static size_t find_task(const struct RecordReader *r, const char *name)
{
    size_t i = 0;
    while (i < r->count && strcmp(r->tasks[i].name, name) != 0) i++;
    return i;
}

static int read_task(const struct RecordReader *r, const struct Json *json, size_t at)
{
    const struct EvalTask *task = &r->tasks[at];
    const char *file = json_text(json_get(json, "file")), *hash = json_text(json_get(json, "hash"));
    int64_t bytes;
    if (!file || !hash || !json_integer(json_get(json, "bytes"), 0, INT64_MAX, &bytes))
        return broken_line(r, "file, bytes and hash have to be there");
    if ((uint64_t)bytes != task->bytes || strcmp(hash, task->hash) != 0)
        return fail(r->err, VKGPT_BAD_ARGUMENT,
                    "%s: its results of %s are of %.200s (%" PRId64 " bytes, %.20s), and this run is of %s (%" PRIu64
                    " bytes, %s)",
                    r->path, task->name, file, bytes, hash, task->path, task->bytes, task->hash);
    r->known[at] = true;
    return 0;
}

static int read_item(const struct RecordReader *r, const struct Json *json, struct EvalTask *task)
{
    int64_t number, cut;
    if (!json_integer(json_get(json, "item"), 0, INT32_MAX, &number))
        return broken_line(r, "item is not a number of an item");
    if ((size_t)number >= task->count) return 0; // beyond --limit
    struct EvalItem *item = &task->items[number];
    const struct Json *logprobs = json_get(json, "logprobs"), *greedy = json_get(json, "greedy");
    if (!json_is_array(logprobs) || json_count(logprobs) != item->count)
        return broken_line(r, "logprobs has to have one number for each answer");
    if (!json_is_bool(greedy)) return broken_line(r, "greedy has to be true or false");
    if (!json_integer(json_get(json, "cut"), 0, INT32_MAX, &cut))
        return broken_line(r, "cut is not a number of tokens");
    size_t i = 0;
    for (const struct Json *value = json_first(logprobs); value; value = json_next(value)) {
        if (!json_is_number(value) || !isfinite(json_number(value)))
            return broken_line(r, "logprobs has to have one number for each answer");
        item->logprobs[i++] = json_number(value);
    }
    item->greedy = json_is_true(greedy);
    item->cut = (size_t)cut;
    item->done = true;
    return 0;
}

static int read_line(const struct RecordReader *r, const char *text, size_t bytes)
{
    char what[4096 + 32];
    snprintf(what, sizeof what, "%s:%zu", r->path, r->line);
    struct Json *json;
    int code = json_parse(what, text, bytes, &json, r->err);
    if (code) return code;
    const char *name = json_text(json_get(json, "task"));
    size_t at = name ? find_task(r, name) : r->count;
    if (r->line == 1) code = read_settings(r, json);
    else if (!name) code = broken_line(r, "it names no task");
    else if (at == r->count) code = 0; // of a task that this run does not have
    else if (json_get(json, "file")) code = read_task(r, json, at);
    else if (!r->known[at]) code = broken_line(r, "the line that says of which file the task is has to come first");
    else code = read_item(r, json, &r->tasks[at]);
    json_free(json);
    return code;
}

// Reads the complete lines, and cuts off what follows them, so that the next line starts on a line of its own.
static int read_record(struct RecordReader *r)
{
    char *data;
    size_t bytes, at = 0;
    int code = os_read(r->path, MAX_RECORD, &data, &bytes, r->err);
    if (code) return code;
    for (const char *end; !code && (end = memchr(data + at, '\n', bytes - at)); at = (size_t)(end - data) + 1) {
        r->line++;
        code = read_line(r, data + at, (size_t)(end - data) - at);
    }
    // a file without any line end is not a record, unless it is the beginning of a record's first line
    size_t start = strlen("{\"format\":\"" FORMAT);
    bool foreign = !r->line && bytes && strncmp(data, "{\"format\":\"" FORMAT, bytes < start ? bytes : start) != 0;
    if (!code && foreign) code = fail(r->err, VKGPT_BAD_FILE, "%s: holds no results of vkgpt eval", r->path);
    if (!code && at < bytes) code = os_write(r->path, data, at, r->err);
    free(data);
    return code;
}

// ------------------------------------------------------------------------------------- writing a record

static int write_settings(struct EvalRecord *record, const struct Setting *settings, vkgpt_error *err)
{
    cJSON *json = cJSON_CreateObject();
    for (int i = 0; i < SETTINGS; i++) cJSON_AddStringToObject(json, settings[i].name, settings[i].value);
    return write_line(record, json, err);
}

static int write_task(struct EvalRecord *record, const struct EvalTask *task, vkgpt_error *err)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "task", task->name);
    cJSON_AddItemToObject(json, "file", json_bytes(task->path, strlen(task->path)));
    cJSON_AddNumberToObject(json, "bytes", (double)task->bytes);
    cJSON_AddStringToObject(json, "hash", task->hash);
    return write_line(record, json, err);
}

static int flush(struct EvalRecord *record, int code, vkgpt_error *err)
{
    if (!code && fflush(record->file))
        code = fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", record->path, strerror(errno));
    return code;
}

int eval_record_add(struct EvalRecord *record, const struct EvalTask *task, size_t first, size_t count,
                    vkgpt_error *err)
{
    int code = 0;
    for (size_t i = first; !code && i < first + count; i++) {
        const struct EvalItem *item = &task->items[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "task", task->name);
        cJSON_AddNumberToObject(json, "item", (double)i);
        cJSON_AddItemToObject(json, "logprobs", cJSON_CreateDoubleArray(item->logprobs, (int)item->count));
        cJSON_AddBoolToObject(json, "greedy", item->greedy);
        cJSON_AddNumberToObject(json, "cut", (double)item->cut);
        code = write_line(record, json, err);
    }
    return flush(record, code, err);
}

int eval_record_open(struct EvalRecord *record, const char *path, const struct EvalSubject *subject,
                     struct EvalTask *tasks, size_t count, vkgpt_error *err)
{
    struct Setting settings[SETTINGS];
    int code = settings_of(settings, subject, err);
    struct RecordReader reader = {path, 0, settings, tasks, count, calloc(count, sizeof(bool)), err};
    if (!code && !reader.known) code = fail_memory(err, "the tasks", count);
    if (!code && os_exists(path)) code = read_record(&reader);
    *record = (struct EvalRecord){.path = path};
    if (!code && !(record->file = fopen(path, "ab")))
        code = fail(err, VKGPT_BAD_FILE, "%s: cannot write: %s", path, strerror(errno));
    if (!code && !reader.line) code = write_settings(record, settings, err);
    for (size_t i = 0; !code && i < count; i++)
        if (!reader.known[i]) code = write_task(record, &tasks[i], err);
    free(reader.known);
    return code ? code : flush(record, 0, err);
}

int eval_record_close(struct EvalRecord *record, vkgpt_error *err)
{
    bool good = !record->file || fclose(record->file) == 0;
    record->file = NULL;
    return good ? 0 : fail(err, VKGPT_BAD_FILE, "%s: cannot write all of it", record->path);
}
