// Reads the index of a sharded checkpoint. Shards are in the same directory: a name of another place is refused.
#include "model/shards.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "model/content.h"
#include "model/path.h"
#include "model/table.h"

#define INDEX_BYTES (64u << 20)

static int name_check(const char *index, const struct Json *entry, vkgpt_error *err)
{
    if (!json_text(entry))
        return fail(err, VKGPT_BAD_FILE, "%s: weight_map names no file for tensor %.200s", index, json_key(entry));
    const char *name = json_text(entry);
    if (*name && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is said to be in \"%.200s\", which is not a plain file name",
                index, json_key(entry), name);
}

// Reads every shard once, in the order of their first tensors.
static int shards_open(const char *dir, const char *index, const struct Json *map, ShardReadFn *read,
                       struct TensorTable *table, vkgpt_error *err)
{
    struct Map seen = {0};
    char path[PATH_BYTES];
    int code = 0;
    for (const struct Json *entry = json_first(map); entry && !code; entry = json_next(entry)) {
        if ((code = name_check(index, entry, err))) break;
        int added = map_add(&seen, json_text(entry), strlen(json_text(entry)), 0);
        if (added < 0) code = fail_memory(err, index, seen.count * sizeof(struct MapEntry));
        if (added <= 0) continue;
        code = path_join(path, dir, json_text(entry), err);
        if (!code) code = content_check(path, err);
        if (!code) code = read(path, table, err);
    }
    map_free(&seen);
    return code;
}

// Whether the tensor may be absent although the index lists it: a tied head is often listed and not saved
// (transformers' save_pretrained leaves it out). If the head is not tied, checkpoint_open fails without it.
static bool may_be_tied(const char *name) { return strcmp(name, "lm_head.weight") == 0; }

static int places_check(const char *dir, const char *index, const struct Json *map, const struct TensorTable *table,
                        vkgpt_error *err)
{
    char path[PATH_BYTES];
    for (const struct Json *entry = json_first(map); entry; entry = json_next(entry)) {
        int code = path_join(path, dir, json_text(entry), err);
        if (code) return code;
        const struct Tensor *tensor = table_find(table, json_key(entry));
        if (!tensor && may_be_tied(json_key(entry))) continue;
        if (!tensor || strcmp(tensor->file, path) != 0)
            return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is absent from %s, where the index says it is", index,
                        json_key(entry), json_text(entry));
    }
    return 0;
}

int shards_read(const char *dir, const char *name, ShardReadFn *read, struct TensorTable *table, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Json *json;
    int code = path_join(path, dir, name, err);
    if (!code) code = json_read(path, INDEX_BYTES, &json, err);
    if (code) return code;
    const struct Json *map = json_get(json, "weight_map");
    if (!json_is_object(map) || !json_first(map))
        code = fail(err, VKGPT_BAD_FILE, "%s: no weight_map that names the file of each tensor", path);
    if (!code) code = shards_open(dir, path, map, read, table, err);
    if (!code) code = places_check(dir, path, map, table, err);
    json_free(json);
    return code;
}
