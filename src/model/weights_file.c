#include "model/weights_file.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "model/openai.h"
#include "model/safetensors.h"
#include "model/shards.h"
#include "model/torch_zip.h"

static const struct Source {
    const char *name;
    bool sharded; // the name is an index
    ShardReadFn *read;
} sources[] = {
    {"model.safetensors", false, safetensors_read},
    {"model.safetensors.index.json", true, safetensors_read},
    {"pytorch_model.bin", false, torch_read},
    {"pytorch_model.bin.index.json", true, torch_read},
    {OPENAI_SHAPES, false, openai_read},
};

bool weights_file(const char *dir, char *name, size_t size)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        if (path_join(path, dir, sources[i].name, NULL) || !os_exists(path)) continue;
        snprintf(name, size, "%s", sources[i].name);
        return true;
    }
    return os_find(dir, ".safetensors", name, size) == 1 && !strstr(name, "-of-") && strncmp(name, "adapter_", 8) != 0;
}

int weights_read(const char *dir, struct TensorTable *table, char path[PATH_BYTES], vkgpt_error *err)
{
    char name[FILE_NAME_BYTES];
    if (!weights_file(dir, name, sizeof name))
        return fail(err, VKGPT_BAD_FILE, "%s: no weights there", dir); // deleted since model_locate
    int code = path_join(path, dir, name, err);
    for (size_t i = 0; !code && i < sizeof sources / sizeof *sources; i++) {
        const struct Source *source = &sources[i];
        if (strcmp(name, source->name) != 0) continue;
        if (source->sharded) return shards_read(dir, source->name, source->read, table, err);
        return source->read(path, table, err);
    }
    return code ? code : safetensors_read(path, table, err);
}
