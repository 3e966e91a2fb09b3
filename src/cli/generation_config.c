#include "cli/generation_config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "model/path.h"
#include "tasks/buffer.h"

#define NAME "generation_config.json"
#define SMALL_FILE ((size_t)1 << 20)

// A key and the flag with the same meaning.
static const struct Key {
    const char *key, *flag;
} keys[] = {
    {"temperature", "temp"},
    {"top_k", "top-k"},
    {"top_p", "top-p"},
    {"min_p", "min-p"},
    {"repetition_penalty", "repeat-penalty"},
    {"max_new_tokens", "predict"},
};

struct Taking {
    const char *path;
    enum CommandBit command;
    struct Options *options;
    struct Buffer words; // "temperature 0.7, top_k 50"
};

static void add_words(struct Taking *t, const char *key, const char *value)
{
    if (t->words.bytes) buffer_text(&t->words, ", ");
    buffer_text(&t->words, key);
    buffer_text(&t->words, " ");
    buffer_text(&t->words, value);
}

static int set(struct Taking *t, const char *key, const char *flag, const char *value, vkgpt_error *err)
{
    char sentence[256];
    if (!t->options->generation_config ||
        options_preset(t->command, t->options, flag, value, sentence, sizeof sentence))
        return 0;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s: %s is %s: %s", t->path, key, value, sentence);
}

static int take(struct Taking *t, const struct Key *key, const struct Json *json, vkgpt_error *err)
{
    const struct Json *item = json_get(json, key->key);
    char text[JSON_SHOWN];
    if (!item) return 0;
    const char *value = json_shown(item, text);
    int code = json_is_number(item)
                   ? set(t, key->key, key->flag, value, err)
                   : fail(err, VKGPT_BAD_FILE, "%s: %s is %s and not a number", t->path, key->key, value);
    if (!code) add_words(t, key->key, value);
    bool penalty = strcmp(key->flag, "repeat-penalty") == 0;
    if (!code && penalty) code = set(t, key->key, "repeat-last-n", "-1", err); // transformers looks back at all tokens
    return code;
}

static int take_all(struct Taking *t, vkgpt_error *err)
{
    struct Json *json;
    int code = json_read_python(t->path, SMALL_FILE, &json, err);
    for (size_t i = 0; !code && i < sizeof keys / sizeof *keys; i++) code = take(t, &keys[i], json, err);
    if (!code && json_is_false(json_get(json, "do_sample"))) {
        add_words(t, "do_sample", "false");
        code = set(t, "do_sample", "temp", "0", err);
    }
    json_free(json);
    return code;
}

static void say(const struct Taking *t)
{
    const struct Options *options = t->options;
    if (options->generation_config && !t->words.bytes) fprintf(stderr, "vkgpt: %s: names no sampling\n", t->path);
    else if (options->generation_config)
        fprintf(stderr, "vkgpt: %s: %s, where no flag says otherwise\n", t->path, t->words.data);
    else if (options->verbose && t->words.bytes)
        fprintf(stderr, "sampling " NAME " names %s, which --generation-config takes\n", t->words.data);
}

int generation_config(const char *dir, enum CommandBit command, struct Options *options, vkgpt_error *err)
{
    char path[PATH_BYTES];
    if (!options->generation_config && !options->verbose) return 0;
    int code = path_join(path, dir, NAME, err);
    if (code) return code;
    if (!os_exists(path)) {
        if (options->generation_config)
            fprintf(stderr, "vkgpt: %s: there is none, so the usual sampling is taken\n", path);
        return 0;
    }
    struct Taking t = {.path = path, .command = command, .options = options};
    code = take_all(&t, err);
    if (!code) say(&t);
    if (code && !options->generation_config) { // only read for -v
        fprintf(stderr, "sampling %s\n", err->text);
        code = 0;
    }
    buffer_free(&t.words);
    return code;
}
