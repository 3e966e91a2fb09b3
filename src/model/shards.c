// Reading the index of a sharded checkpoint. Shards lie beside it: a name that leads elsewhere is refused.
#include "model/shards.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "model/content.h"
#include "model/path.h"
#include "model/table.h"

#define INDEX_BYTES (64u << 20)

static int name_check(const char *index, const cJSON *entry, vkgpt_error *err)
{
    if (!cJSON_IsString(entry))
        return fail(err, VKGPT_BAD_FILE, "%s: weight_map names no file for tensor %.200s", index, entry->string);
    const char *name = entry->valuestring;
    if (*name && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is said to be in \"%.200s\", which is no plain file name",
                index, entry->string, name);
}

// Every shard once, in the order of their first tensors.
static int shards_open(const char *dir, const char *index, const cJSON *map, ShardReadFn *read,
                       struct TensorTable *table, vkgpt_error *err)
{
    struct Map seen = {0};
    char path[PATH_BYTES];
    int code = 0;
    for (const cJSON *entry = map->child; entry && !code; entry = entry->next) {
        if ((code = name_check(index, entry, err))) break;
        int added = map_add(&seen, entry->valuestring, strlen(entry->valuestring), 0);
        if (added < 0) code = fail_memory(err, index, seen.count * sizeof(struct MapEntry));
        if (added <= 0) continue;
        code = path_join(path, dir, entry->valuestring, err);
        if (!code) code = content_check(path, err);
        if (!code) code = read(path, table, err);
    }
    map_free(&seen);
    return code;
}

// Names of tensors that need not be where the index says: a head that is the token table is often listed and not saved
// (transformers' save_pretrained leaves it out). Where it is a matrix of its own, checkpoint_open misses it.
static bool may_be_tied(const char *name) { return strcmp(name, "lm_head.weight") == 0; }

static int places_check(const char *dir, const char *index, const cJSON *map, const struct TensorTable *table,
                        vkgpt_error *err)
{
    char path[PATH_BYTES];
    for (const cJSON *entry = map->child; entry; entry = entry->next) {
        int code = path_join(path, dir, entry->valuestring, err);
        if (code) return code;
        const struct Tensor *tensor = table_find(table, entry->string);
        if (!tensor && may_be_tied(entry->string)) continue;
        if (!tensor || strcmp(tensor->file, path) != 0)
            return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is absent from %s, where the index says it is", index,
                        entry->string, entry->valuestring);
    }
    return 0;
}

int shards_read(const char *dir, const char *name, ShardReadFn *read, struct TensorTable *table, vkgpt_error *err)
{
    char path[PATH_BYTES];
    cJSON *json;
    int code = path_join(path, dir, name, err);
    if (!code) code = json_read(path, INDEX_BYTES, &json, err);
    if (code) return code;
    const cJSON *map = json_get(json, "weight_map");
    if (!cJSON_IsObject(map) || !map->child)
        code = fail(err, VKGPT_BAD_FILE, "%s: no weight_map that names the file of each tensor", path);
    if (!code) code = shards_open(dir, path, map, read, table, err);
    if (!code) code = places_check(dir, path, map, table, err);
    cJSON_Delete(json);
    return code;
}
