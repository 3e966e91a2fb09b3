// vkgpt models: lists the models that -m finds by name: those that come with vkgpt and those in the hub's cache.
#include <inttypes.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "cli/print_json.h"
#include "model/gguf.h"
#include "model/hub.h"

#define FILES 4096 // in one folder

struct Entry {
    const char *name, *source;
    char path[PATH_BYTES];
    uint64_t bytes;
    bool runs;
    struct Config config;
    vkgpt_error why; // why it does not run
};

// ------------------------------------------------------------------------------------------------ one model

static uint64_t bytes_of(const char *path)
{
    char name[FILE_NAME_BYTES] = "", file[PATH_BYTES];
    uint64_t bytes = 0, sum = 0;
    if (os_file_bytes(path, &bytes)) return bytes;
    for (int i = 0; i < FILES && os_next(path, "", name, sizeof name); i++)
        if (!path_join(file, path, name, NULL) && os_file_bytes(file, &bytes)) sum += bytes;
    return sum;
}

static void look(struct Entry *e, const char *folder)
{
    struct Located at;
    int code = model_locate(folder, NEED_WEIGHTS, &at, &e->why);
    if (!code) code = model_config_read(at.path, &e->config, &e->why);
    e->runs = !code;
    snprintf(e->path, sizeof e->path, "%s", e->runs ? at.path : folder);
    e->bytes = e->runs ? bytes_of(at.path) : 0;
}

// ------------------------------------------------------------------------------------------------ the list

static void print_entry(const struct Entry *e)
{
    if (!e->runs) {
        printf("%-36s does not run: %s\n", e->name, e->why.text);
        return;
    }
    char params[32];
    snprintf(params, sizeof params, "%.1f M", (double)config_params(&e->config) * 1e-6);
    printf("%-36s %-10s %12s %9.1f MB  %s\n", e->name, e->config.architecture, params, (double)e->bytes * 1e-6,
           e->source);
}

static cJSON *json_entry(const struct Entry *e)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", e->name);
    cJSON_AddStringToObject(json, "source", e->source);
    cJSON_AddStringToObject(json, "path", e->path);
    cJSON_AddBoolToObject(json, "runs", e->runs);
    if (!e->runs) {
        cJSON_AddStringToObject(json, "why", e->why.text);
        return json;
    }
    cJSON_AddStringToObject(json, "class", e->config.architecture);
    json_add_unsigned(json, "parameters", config_params(&e->config));
    json_add_unsigned(json, "bytes", e->bytes);
    return json;
}

static void add(cJSON *list, const char *name, const char *source, const char *folder)
{
    struct Entry entry = {.name = name, .source = source};
    look(&entry, folder);
    if (list) cJSON_AddItemToArray(list, json_entry(&entry));
    else print_entry(&entry);
}

static void add_shipped(cJSON *list)
{
    char dir[PATH_BYTES], folder[PATH_BYTES], config[PATH_BYTES], name[FILE_NAME_BYTES] = "";
    if (!data_path("models", dir, sizeof dir)) return;
    while (os_next(dir, "", name, sizeof name)) {
        if (path_join(folder, dir, name, NULL) || path_join(config, folder, "config.json", NULL)) continue;
        if (os_exists(config)) add(list, name, "comes with vkgpt", folder);
    }
}

static void add_cached(cJSON *list)
{
    char dir[PATH_BYTES], folder[PATH_BYTES], name[FILE_NAME_BYTES] = "", full[HUB_NAME_BYTES];
    if (!hub_cache_dir(dir)) return;
    while (os_next(dir, "", name, sizeof name))
        if (hub_name_of(name, full) && !path_join(folder, dir, name, NULL)) add(list, full, "the hub's cache", folder);
}

int models_main(const struct Options *options)
{
    cJSON *list = options->json ? cJSON_CreateArray() : NULL;
    add_shipped(list);
    add_cached(list);
    if (!list) return finish_output(EXIT_OK);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "models", list);
    return finish_output(json_print(json));
}
