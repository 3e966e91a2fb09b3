// What a pickle may name and call: kinds of storages, storages, and the few functions that build a state dict from
// them. Nothing is imported; a name that is not in a table here is refused.
#include "model/pickle_machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/table.h"

#define KEY_LIMIT 64 // bytes of a storage's name

static const struct PickleStorage storages[] = {
    {"FloatStorage", DTYPE_F32, 4},  {"HalfStorage", DTYPE_F16, 2},           {"BFloat16Storage", DTYPE_BF16, 2},
    {"DoubleStorage", DTYPE_F64, 8}, {"ByteStorage", DTYPE_OTHER, 1},         {"BoolStorage", DTYPE_OTHER, 1},
    {"CharStorage", DTYPE_OTHER, 1}, {"ShortStorage", DTYPE_OTHER, 2},        {"IntStorage", DTYPE_OTHER, 4},
    {"LongStorage", DTYPE_OTHER, 8}, {"ComplexFloatStorage", DTYPE_OTHER, 8}, {"ComplexDoubleStorage", DTYPE_OTHER, 16},
};

static const struct {
    const char *module, *name;
    enum Name is;
} names[] = {
    {"collections", "OrderedDict", NAME_ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", NAME_REBUILD_TENSOR},
    {"torch._utils", "_rebuild_tensor", NAME_REBUILD_TENSOR}, // before PyTorch 0.4: the first four arguments
    {"torch._utils", "_rebuild_parameter", NAME_REBUILD_PARAMETER},
};

static bool is_text(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(text, wanted, length) == 0;
}

int call_name(struct Machine *m, const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    struct Value *value = machine_push(m, VALUE_NAME);
    if (!value) return fail_memory(m->err, m->what, sizeof *value);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        value->name = names[i].is;
        if (is_text(module, module_bytes, names[i].module) && is_text(name, name_bytes, names[i].name)) return 0;
    }
    value->name = NAME_STORAGE;
    for (size_t i = 0; i < sizeof storages / sizeof *storages && is_text(module, module_bytes, "torch"); i++) {
        value->storage = &storages[i];
        if (is_text(name, name_bytes, storages[i].name)) return 0;
    }
    char module_text[SHOWN], name_text[SHOWN];
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle asks for %s.%s, which no saved state dict needs; nothing was run", m->what,
                m->opcode_at, machine_shown(module, module_bytes, module_text),
                machine_shown(name, name_bytes, name_text));
}

// Whether this is the name of a storage; PyTorch uses numbers.
static bool is_key(const struct Value *value)
{
    if (value->kind != VALUE_STRING || value->count == 0 || value->count > KEY_LIMIT) return false;
    for (size_t i = 0; i < value->count; i++)
        if (value->text[i] <= ' ' || value->text[i] > '~' || value->text[i] == '/') return false;
    return true;
}

// ('storage', torch.HalfStorage, '0', 'cpu', 1024); before PyTorch 1.6 with a None at the end.
int call_storage(struct Machine *m)
{
    struct Value **id = machine_top(m, 1);
    if (!id || (*id)->kind != VALUE_TUPLE || (*id)->count < 5 || (*id)->count > 6)
        return machine_fail(m, "a persistent id of no storage");
    struct Value **part = (*id)->items;
    if (part[0]->kind != VALUE_STRING || !is_text(part[0]->text, part[0]->count, "storage") ||
        part[1]->kind != VALUE_NAME || part[1]->name != NAME_STORAGE || !is_key(part[2]) || part[4]->kind != VALUE_INT)
        return machine_fail(m, "a persistent id of no storage");
    if ((*id)->count == 6 && part[5]->kind != VALUE_NONE)
        return machine_fail(m, "a storage that is a part of another one, which is not read");
    int64_t bytes;
    if (part[4]->integer < 0 || __builtin_mul_overflow(part[4]->integer, part[1]->storage->bytes, &bytes))
        return machine_fail(m, "a storage of an impossible size");
    m->depth--;
    struct Value *value = machine_push(m, VALUE_STORAGE);
    if (!value) return fail_memory(m->err, m->what, sizeof *value);
    value->storage = part[1]->storage;
    value->key = part[2];
    value->integer = part[4]->integer;
    return 0;
}

static bool read_sizes(const struct Value *tuple, int rank, int64_t out[TENSOR_MAX_RANK])
{
    if (tuple->kind != VALUE_TUPLE || tuple->count != (size_t)rank) return false;
    for (int i = 0; i < rank; i++) {
        if (tuple->items[i]->kind != VALUE_INT || tuple->items[i]->integer < 0) return false;
        out[i] = tuple->items[i]->integer;
    }
    return true;
}

// Whether the product of the nonzero sizes fits, in bytes too: with strides of 0, a small storage may have any sizes.
static bool sizes_fit(const struct PickleTensor *t)
{
    int64_t product = 8;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] && __builtin_mul_overflow(product, t->shape[i], &product)) return false;
    return true;
}

// Whether the last element of the view is inside the storage. For a view without elements, only the offset is checked;
// its strides mean nothing and become 0.
static bool view_fits(struct PickleTensor *t)
{
    int64_t last = t->offset;
    if (!sizes_fit(t)) return false;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] == 0) {
            memset(t->stride, 0, sizeof t->stride);
            return t->offset <= t->elements;
        }
    for (int i = 0; i < t->rank; i++) {
        int64_t step;
        if (__builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &step)) return false;
        if (__builtin_add_overflow(last, step, &last)) return false;
    }
    return last < t->elements;
}

// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata=None)
static int rebuild_tensor(struct Machine *m, struct Value *const *args, size_t count, struct Value *result)
{
    if (count < 4 || args[0]->kind != VALUE_STORAGE || args[1]->kind != VALUE_INT || args[1]->integer < 0 ||
        args[2]->kind != VALUE_TUPLE)
        return machine_fail(m, "_rebuild_tensor_v2 with arguments of the wrong kind");
    if (args[2]->count > TENSOR_MAX_RANK) return machine_fail(m, "a tensor of more than 8 dimensions");
    struct PickleTensor *t = machine_afford(m, sizeof *t) ? calloc(1, sizeof *t) : NULL;
    if (!t) return fail_memory(m->err, m->what, sizeof *t);
    result->kind = VALUE_TENSOR;
    result->tensor = t;
    result->of = args[0];
    t->storage = args[0]->storage;
    t->elements = args[0]->integer;
    t->offset = args[1]->integer;
    t->rank = (int)args[2]->count;
    if (!read_sizes(args[2], t->rank, t->shape) || !read_sizes(args[3], t->rank, t->stride))
        return machine_fail(m, "a tensor whose sizes and strides are not as many whole numbers");
    if (view_fits(t)) return 0;
    char shape[SHAPE_BYTES], stride[SHAPE_BYTES], key[SHOWN];
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle: a tensor of shape %s and strides %s at offset %" PRId64
                " leaves its storage %s of %" PRId64 " elements",
                m->what, m->opcode_at, shape_text(t->rank, t->shape, shape), shape_text(t->rank, t->stride, stride),
                t->offset, machine_shown(args[0]->key->text, args[0]->key->count, key), t->elements);
}

// REDUCE: calls a name with a tuple of arguments.
int call_reduce(struct Machine *m)
{
    struct Value **pair = machine_top(m, 2);
    if (!pair || pair[0]->kind != VALUE_NAME || pair[1]->kind != VALUE_TUPLE)
        return machine_fail(m, "a call of no name");
    struct Value *name = pair[0], *args = pair[1];
    m->depth -= 2;
    struct Value *result = machine_push(m, VALUE_DICT);
    if (!result) return fail_memory(m->err, m->what, sizeof *result);
    switch (name->name) {
    case NAME_ORDERED_DICT:
        if (args->count == 0) return 0;
        if (args->count == 1 && args->items[0]->kind == VALUE_LIST) { // a list of pairs, from Python 2
            result->of = args->items[0];
            return 0;
        }
        return machine_fail(m, "an OrderedDict made from arguments");
    case NAME_REBUILD_TENSOR: return rebuild_tensor(m, args->items, args->count, result);
    case NAME_REBUILD_PARAMETER: // (data, requires_grad, backward_hooks): the result is data
        if (args->count == 0 || args->items[0]->kind != VALUE_TENSOR)
            return machine_fail(m, "a parameter of no tensor");
        m->stack[m->depth - 1] = args->items[0];
        return 0;
    case NAME_STORAGE: break;
    }
    return machine_fail(m, "a storage is called, which only names a type");
}
