// The table of tensors: adds and finds tensors, and unmaps their files at the end.
#include "model/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static char *copy_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

int table_map(struct TensorTable *table, const char *path, const struct Mapping **mapping, const char **kept_path,
              vkgpt_error *err)
{
    size_t count = table->file_count + 1;
    char **paths = realloc(table->paths, count * sizeof *paths);
    if (!paths) return fail_memory(err, path, count * sizeof *paths);
    table->paths = paths;
    struct Mapping *files = realloc(table->files, count * sizeof *files);
    if (!files) return fail_memory(err, path, count * sizeof *files);
    table->files = files;

    char *kept = copy_text(path);
    if (!kept) return fail_memory(err, path, strlen(path) + 1);
    int code = os_map(path, &files[count - 1], err);
    if (code) {
        free(kept);
        return code;
    }
    paths[count - 1] = kept;
    table->file_count = count;
    *mapping = &files[count - 1];
    *kept_path = kept;
    return 0;
}

static bool widen(struct TensorTable *table, size_t capacity)
{
    if (capacity > UINT32_MAX) return false;
    struct Tensor *tensors = realloc(table->tensors, capacity * sizeof *tensors);
    if (!tensors) return false;
    table->tensors = tensors;
    char **names = realloc(table->names, capacity * sizeof *names);
    if (!names) return false;
    table->names = names;
    table->capacity = table->name_capacity = capacity;
    return true;
}

int table_reserve(struct TensorTable *table, const char *file, size_t count, vkgpt_error *err)
{
    size_t all = table->count + count;
    if ((all <= table->capacity || widen(table, all)) && map_reserve(&table->by_name, all)) return 0;
    return fail_memory(err, file, all * sizeof(struct Tensor));
}

int table_add(struct TensorTable *table, const struct Tensor *tensor, vkgpt_error *err)
{
    for (const char *c = tensor->name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return fail(err, VKGPT_BAD_FILE, "%s: a tensor's name holds the control character 0x%02x", tensor->file,
                        (unsigned char)*c);
    const struct Tensor *there = table_find(table, tensor->name);
    if (there)
        return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is there twice, the other one in %s", tensor->file,
                    tensor->name, there->file);
    if (table->count == table->capacity && !widen(table, table->capacity ? 2 * table->capacity : 256))
        return fail_memory(err, tensor->file, 2 * table->capacity * sizeof *tensor);
    char *name = copy_text(tensor->name);
    if (!name) return fail_memory(err, tensor->file, strlen(tensor->name) + 1);
    table->names[table->name_count++] = name;
    if (map_add(&table->by_name, name, strlen(name), (uint32_t)table->count) < 0)
        return fail_memory(err, tensor->file, 2 * table->by_name.capacity * sizeof(struct MapEntry));
    struct Tensor *slot = &table->tensors[table->count++];
    *slot = *tensor;
    slot->name = name;
    return 0;
}

void *table_room(struct TensorTable *table, size_t bytes)
{
    void **rooms = realloc(table->rooms, (table->room_count + 1) * sizeof *rooms);
    if (!rooms) return NULL;
    table->rooms = rooms;
    void *room = malloc(bytes);
    if (room) rooms[table->room_count++] = room;
    return room;
}

const struct Tensor *table_find(const struct TensorTable *table, const char *name)
{
    uint32_t index;
    return map_find(&table->by_name, name, strlen(name), &index) ? &table->tensors[index] : NULL;
}

#define AHEAD ((size_t)64 << 20) // a few matrices: one core processes them while the disk reads the next

void table_read_ahead(const struct TensorTable *table, const struct Tensor *tensor, const uint8_t **until)
{
    for (size_t i = 0; i < table->file_count; i++) {
        const struct Mapping *file = &table->files[i];
        if (tensor->data < file->data || tensor->data >= file->data + file->bytes) continue;
        size_t left = (size_t)(file->data + file->bytes - tensor->data);
        const uint8_t *from = tensor->data,
                      *to = from + tensor->bytes + (left - tensor->bytes < AHEAD ? left - tensor->bytes : AHEAD);
        if (*until > from && *until <= to) from = *until; // else this is another part of the file
        os_read_ahead(from, (size_t)(to - from));
        *until = to;
    }
}

int table_end(const struct TensorTable *table, int code, vkgpt_error *err)
{
    for (size_t i = 0; i < table->file_count; i++) {
        int cut = os_map_check(&table->files[i], table->paths[i], err);
        if (cut) return cut;
    }
    return code;
}

void table_free(struct TensorTable *table)
{
    for (size_t i = 0; i < table->file_count; i++) {
        os_unmap(&table->files[i]);
        free(table->paths[i]);
    }
    for (size_t i = 0; i < table->name_count; i++) free(table->names[i]);
    for (size_t i = 0; i < table->room_count; i++) free(table->rooms[i]);
    free(table->rooms);
    free(table->files);
    free(table->paths);
    free(table->names);
    free(table->tensors);
    map_free(&table->by_name);
    *table = (struct TensorTable){0};
}

size_t dtype_bytes(enum Dtype dtype)
{
    static const size_t bytes[] = {
        [DTYPE_F32] = 4, [DTYPE_F16] = 2, [DTYPE_BF16] = 2, [DTYPE_F64] = 8, [DTYPE_BLOCKS] = 0, [DTYPE_OTHER] = 0};
    return bytes[dtype];
}

const char *shape_text(int rank, const int64_t *shape, char text[SHAPE_BYTES])
{
    int used = snprintf(text, SHAPE_BYTES, "(");
    for (int i = 0; i < rank; i++) // at most 8 numbers of 20 digits, and commas
        used += snprintf(text + used, (size_t)(SHAPE_BYTES - used), "%s%" PRId64, i ? ", " : "", shape[i]);
    snprintf(text + used, (size_t)(SHAPE_BYTES - used), ")");
    return text;
}
