#include "cli/model_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "cli/cli.h"

#define MODELS "models"
#define DEFAULT_MODEL MODELS "/tales"

// An installed program finds bin/../share/vkgpt. In the build tree share/vkgpt beside the program points to the
// sources.
bool data_path(const char *what, char *path, size_t size)
{
    static const char *const PLACES[] = {"share/vkgpt", VKGPT_DATA_FROM_BIN};
    char program[4096];
    if (!os_program_dir(program, sizeof program)) return false;
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
        int n = snprintf(path, size, "%s/%s/%s", program, PLACES[i], what);
        if (n > 0 && (size_t)n < size && os_is_dir(path)) return true;
    }
    return false;
}

int list_data(const char *what, const char *suffix, int (*list)(const char *path, const char *name, vkgpt_error *err))
{
    char dir[4096], path[4096 + FILE_NAME_BYTES], name[FILE_NAME_BYTES] = "";
    vkgpt_error err;
    if (!data_path(what, dir, sizeof dir)) {
        fail(&err, VKGPT_BAD_FILE, "what comes with vkgpt in %s should be in %s, which is not there", what, dir);
        return failed(&err);
    }
    while (os_next(dir, suffix, name, sizeof name)) {
        char stem[sizeof name];
        snprintf(stem, sizeof stem, "%.*s", (int)(strlen(name) - strlen(suffix)), name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (list(path, stem, &err)) return failed(&err);
    }
    return finish_output(EXIT_OK);
}

// Looks for a model that comes with the program, if the name is not a path here.
static bool find_shipped(const char *name, char *path, size_t size)
{
    char what[128];
    if (os_exists(name) || !*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
        return false;
    int n = snprintf(what, sizeof what, MODELS "/%s", name);
    if (n < 0 || (size_t)n >= sizeof what || !data_path(what, path, size)) return false;
    char config[PATH_BYTES];
    return !path_join(config, path, "config.json", NULL) && os_exists(config);
}

bool model_is_default(const char *dir)
{
    char path[PATH_BYTES];
    return data_path(DEFAULT_MODEL, path, sizeof path) && strcmp(path, dir) == 0;
}

static int find_given(const char *given, char *path, size_t size, const char **found, vkgpt_error *err)
{
    const char *environment = getenv("VKGPT_MODEL");
    *found = given ? given : environment && *environment ? environment : path;
    if (*found != path) {
        if (find_shipped(*found, path, size)) *found = path;
        return 0;
    }
    if (data_path(DEFAULT_MODEL, path, size)) return 0;
    return fail(err, VKGPT_BAD_FILE,
                "no model: give its directory with -m DIR (the one that comes with vkgpt should be at %s)", path);
}

int model_path_for(enum Need need, const char *given, char *path, size_t size, vkgpt_error *err)
{
    struct Located at;
    const char *found;
    int code = find_given(given, path, size, &found, err);
    if (!code) code = model_locate(found, need, &at, err);
    if (code) return code;
    if (strlen(at.path) >= size)
        return fail(err, VKGPT_BAD_FILE, "the model's path is %zu bytes long, %zu at most are read", strlen(at.path),
                    size - 1);
    memcpy(path, at.path, strlen(at.path) + 1);
    if (at.note[0]) fprintf(stderr, "vkgpt: %s\n", at.note);
    return 0;
}

int model_path(const char *given, char *path, size_t size, vkgpt_error *err)
{
    return model_path_for(NEED_WEIGHTS, given, path, size, err);
}

int open_tokenizer(const struct Options *options, const char *dir, vkgpt_tokenizer **tok, vkgpt_error *err)
{
    char path[PATH_BYTES];
    *tok = NULL;
    if (!options->tokenizer) return vkgpt_tokenizer_open(dir, 0, tok, err);
    int code = model_path_for(NEED_TOKENIZER, options->tokenizer, path, sizeof path, err);
    return code ? code : vkgpt_tokenizer_open(path, 0, tok, err);
}
