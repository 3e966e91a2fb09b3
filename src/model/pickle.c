// A stack machine over values in an arena. No value is ever walked recursively, each opcode makes at most one value,
// and a value holds only what the pickle spelled out, so memory is bounded by the file's size.
#include "model/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/table.h"

#define PICKLE_LIMIT (8u << 20) // bytes; that of GPT-2 XL has 150 KB
#define NAME_LIMIT 1024          // bytes of a tensor's name
#define KEY_LIMIT 64             // bytes of a storage's name

enum ValueKind {
    VALUE_NONE, VALUE_BOOL, VALUE_INT, VALUE_FLOAT, VALUE_STRING, VALUE_LIST,
    VALUE_TUPLE,   // items
    VALUE_DICT,    // pairs: keys and values in turns
    VALUE_NAME,    // something that a GLOBAL names
    VALUE_STORAGE,
    VALUE_TENSOR,
    VALUE_MARK,
};

enum Name { NAME_ORDERED_DICT, NAME_REBUILD_TENSOR, NAME_REBUILD_PARAMETER, NAME_STORAGE };

struct Value {
    enum ValueKind kind;
    enum Name name;
    int64_t integer;    // INT, BOOL
    const char *text;   // STRING: bytes of the pickle; not ended by NUL
    size_t count;       // bytes of text, or items
    size_t capacity;
    struct Value **items;
    const struct PickleStorage *storage; // NAME_STORAGE and VALUE_STORAGE
    const struct Value *key;             // of a storage
    struct PickleTensor *tensor;         // its name and key are still NULL
    const struct Value *of;              // a tensor's storage
    struct Value *next;                  // in the arena
};

struct Machine {
    const char *what;
    const uint8_t *data;
    size_t bytes, at;
    size_t opcode_at;
    struct Value *arena;
    struct Value **stack;
    size_t depth, stack_capacity;
    struct Value **memo;
    size_t memo_capacity;
    vkgpt_error *err;
};

static const struct PickleStorage storages[] = {
    {"FloatStorage", DTYPE_F32, 4},         {"HalfStorage", DTYPE_F16, 2},    {"BFloat16Storage", DTYPE_BF16, 2},
    {"DoubleStorage", DTYPE_OTHER, 8},      {"ByteStorage", DTYPE_OTHER, 1},  {"BoolStorage", DTYPE_OTHER, 1},
    {"CharStorage", DTYPE_OTHER, 1},        {"ShortStorage", DTYPE_OTHER, 2}, {"IntStorage", DTYPE_OTHER, 4},
    {"LongStorage", DTYPE_OTHER, 8},        {"ComplexFloatStorage", DTYPE_OTHER, 8},
    {"ComplexDoubleStorage", DTYPE_OTHER, 16},
};

static const struct {
    const char *module, *name;
    enum Name is;
} names[] = {
    {"collections", "OrderedDict", NAME_ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", NAME_REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", NAME_REBUILD_PARAMETER},
};

// ---------------------------------------------------------------------------------------- memory and stack

#define SHOWN 100

// Bytes from the file as a sentence can show them.
static const char *shown(const char *text, size_t bytes, char out[SHOWN])
{
    size_t count = bytes < SHOWN - 1 ? bytes : SHOWN - 1;
    for (size_t i = 0; i < count; i++) out[i] = text[i] > ' ' && text[i] < 127 ? text[i] : '?';
    out[count] = '\0';
    return out;
}

static int fail_at(const struct Machine *m, const char *why)
{
    return fail(m->err, VKGPT_BAD_FILE, "%s: byte %zu of the pickle: %s", m->what, m->opcode_at, why);
}

static bool stack_push(struct Machine *m, struct Value *value)
{
    if (m->depth == m->stack_capacity) {
        size_t capacity = m->stack_capacity ? 2 * m->stack_capacity : 256;
        struct Value **stack = realloc(m->stack, capacity * sizeof *stack);
        if (!stack) return false;
        m->stack = stack;
        m->stack_capacity = capacity;
    }
    m->stack[m->depth++] = value;
    return true;
}

// A new value on the stack, or NULL.
static struct Value *value_push(struct Machine *m, enum ValueKind kind)
{
    struct Value *value = calloc(1, sizeof *value);
    if (!value) return NULL;
    value->kind = kind;
    value->next = m->arena;
    m->arena = value;
    return stack_push(m, value) ? value : NULL;
}

static int push(struct Machine *m, enum ValueKind kind, int64_t integer)
{
    struct Value *value = value_push(m, kind);
    if (!value) return fail_memory(m->err, m->what, m->depth * sizeof *m->stack);
    value->integer = integer;
    return 0;
}

// The n values on top, without taking them off; NULL when there are fewer, or a mark is among them.
static struct Value **top(const struct Machine *m, size_t n)
{
    if (m->depth < n) return NULL;
    for (size_t i = 1; i <= n; i++)
        if (m->stack[m->depth - i]->kind == VALUE_MARK) return NULL;
    return m->stack + m->depth - n;
}

// How many values lie over the last mark. False when there is no mark.
static bool over_mark(const struct Machine *m, size_t *count)
{
    for (size_t i = m->depth; i > 0; i--) {
        *count = m->depth - i;
        if (m->stack[i - 1]->kind == VALUE_MARK) return true;
    }
    return false;
}

static bool items_append(struct Value *value, struct Value *const *items, size_t count)
{
    if (count == 0) return true;
    if (value->capacity - value->count < count) {
        size_t capacity = 2 * value->capacity > value->count + count ? 2 * value->capacity : value->count + count;
        struct Value **wider = realloc(value->items, capacity * sizeof *wider);
        if (!wider) return false;
        value->items = wider;
        value->capacity = capacity;
    }
    memcpy(value->items + value->count, items, count * sizeof *items);
    value->count += count;
    return true;
}

static void machine_free(struct Machine *m)
{
    while (m->arena) {
        struct Value *next = m->arena->next;
        free(m->arena->items);
        free(m->arena->tensor);
        free(m->arena);
        m->arena = next;
    }
    free(m->stack);
    free(m->memo);
}

// ------------------------------------------------------------------------------------- arguments of opcodes

static const uint8_t *take(struct Machine *m, size_t bytes)
{
    if (m->bytes - m->at < bytes) return NULL;
    m->at += bytes;
    return m->data + m->at - bytes;
}

static int fail_short(const struct Machine *m)
{
    return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle ends at byte %zu, inside the opcode of byte %zu", m->what,
                m->bytes, m->opcode_at);
}

// A little-endian number of 1 to 8 bytes.
static int take_number(struct Machine *m, size_t bytes, uint64_t *value)
{
    const uint8_t *p = take(m, bytes);
    if (!p) return fail_short(m);
    *value = 0;
    for (size_t i = bytes; i > 0; i--) *value = *value << 8 | p[i - 1];
    return 0;
}

// LONG1: two's complement of the given length, 64 bits at most.
static int push_long(struct Machine *m)
{
    uint64_t length = 0, value = 0;
    int code = take_number(m, 1, &length);
    if (code) return code;
    if (length > 8) return fail_at(m, "a number of more than 64 bits");
    if (length && (code = take_number(m, (size_t)length, &value))) return code;
    if (length && length < 8 && value >> (8 * length - 1)) value |= UINT64_MAX << (8 * length);
    return push(m, VALUE_INT, (int64_t)value);
}

static int push_number(struct Machine *m, size_t bytes)
{
    uint64_t value = 0;
    int code = take_number(m, bytes, &value);
    if (code) return code;
    return push(m, VALUE_INT, bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value);
}

static int push_string(struct Machine *m)
{
    uint64_t length = 0;
    int code = take_number(m, 4, &length);
    if (code) return code;
    const uint8_t *text = take(m, (size_t)length);
    if (!text) return fail_short(m);
    struct Value *value = value_push(m, VALUE_STRING);
    if (!value) return fail_memory(m->err, m->what, sizeof *value);
    value->text = (const char *)text;
    value->count = (size_t)length;
    return 0;
}

static int memo_put(struct Machine *m, size_t index_bytes)
{
    uint64_t index = 0;
    int code = take_number(m, index_bytes, &index);
    if (code) return code;
    struct Value **value = top(m, 1);
    if (!value) return fail_at(m, "nothing to remember");
    if (index >= m->bytes) return fail_at(m, "a memo index that no pickle of this size reaches");
    if (index >= m->memo_capacity) {
        size_t capacity = 2 * (size_t)index + 64;
        struct Value **memo = realloc(m->memo, capacity * sizeof *memo);
        if (!memo) return fail_memory(m->err, m->what, capacity * sizeof *memo);
        memset(memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof *memo);
        m->memo = memo;
        m->memo_capacity = capacity;
    }
    m->memo[index] = *value;
    return 0;
}

static int memo_get(struct Machine *m, size_t index_bytes)
{
    uint64_t index = 0;
    int code = take_number(m, index_bytes, &index);
    if (code) return code;
    if (index >= m->memo_capacity || !m->memo[index]) return fail_at(m, "a memo index that was never set");
    return stack_push(m, m->memo[index]) ? 0 : fail_memory(m->err, m->what, m->depth * sizeof *m->stack);
}

// ------------------------------------------------------------------------------------------ names and calls

// One line of GLOBAL's two, without its newline.
static int take_line(struct Machine *m, const char **line, size_t *length)
{
    const uint8_t *start = m->data + m->at;
    const uint8_t *end = memchr(start, '\n', m->bytes - m->at);
    if (!end) return fail_short(m);
    *line = (const char *)start;
    *length = (size_t)(end - start);
    m->at += *length + 1;
    return 0;
}

static bool is_text(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(text, wanted, length) == 0;
}

static int push_name(struct Machine *m)
{
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    int code = take_line(m, &module, &module_length);
    if (!code) code = take_line(m, &name, &name_length);
    if (code) return code;
    struct Value *value = value_push(m, VALUE_NAME);
    if (!value) return fail_memory(m->err, m->what, sizeof *value);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        value->name = names[i].is;
        if (is_text(module, module_length, names[i].module) && is_text(name, name_length, names[i].name)) return 0;
    }
    value->name = NAME_STORAGE;
    for (size_t i = 0; i < sizeof storages / sizeof *storages && is_text(module, module_length, "torch"); i++) {
        value->storage = &storages[i];
        if (is_text(name, name_length, storages[i].name)) return 0;
    }
    char module_text[SHOWN], name_text[SHOWN];
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle asks for %s.%s, which no saved state dict needs; nothing was run", m->what,
                m->opcode_at, shown(module, module_length, module_text), shown(name, name_length, name_text));
}

// Storages are named by numbers.
static bool is_key(const struct Value *value)
{
    if (value->kind != VALUE_STRING || value->count == 0 || value->count > KEY_LIMIT) return false;
    for (size_t i = 0; i < value->count; i++)
        if (value->text[i] <= ' ' || value->text[i] > '~' || value->text[i] == '/') return false;
    return true;
}

// ('storage', torch.HalfStorage, '0', 'cpu', 1024)
static int push_storage(struct Machine *m)
{
    struct Value **id = top(m, 1);
    if (!id || (*id)->kind != VALUE_TUPLE || (*id)->count != 5) return fail_at(m, "a persistent id of no storage");
    struct Value **part = (*id)->items;
    if (part[0]->kind != VALUE_STRING || !is_text(part[0]->text, part[0]->count, "storage") ||
        part[1]->kind != VALUE_NAME || part[1]->name != NAME_STORAGE || !is_key(part[2]) ||
        part[4]->kind != VALUE_INT)
        return fail_at(m, "a persistent id of no storage");
    int64_t bytes;
    if (part[4]->integer < 0 || __builtin_mul_overflow(part[4]->integer, part[1]->storage->bytes, &bytes))
        return fail_at(m, "a storage of an impossible size");
    m->depth--;
    struct Value *value = value_push(m, VALUE_STORAGE);
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

// Whether the last element of the view lies within the storage. A view without elements does.
static bool view_fits(const struct PickleTensor *t)
{
    int64_t last = t->offset;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] == 0) return t->offset <= t->elements;
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
        return fail_at(m, "_rebuild_tensor_v2 with arguments of the wrong kind");
    if (args[2]->count > TENSOR_MAX_RANK) return fail_at(m, "a tensor of more than 8 dimensions");
    struct PickleTensor *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(m->err, m->what, sizeof *t);
    result->kind = VALUE_TENSOR;
    result->tensor = t;
    result->of = args[0];
    t->storage = args[0]->storage;
    t->elements = args[0]->integer;
    t->offset = args[1]->integer;
    t->rank = (int)args[2]->count;
    if (!read_sizes(args[2], t->rank, t->shape) || !read_sizes(args[3], t->rank, t->stride))
        return fail_at(m, "a tensor whose sizes and strides are not as many whole numbers");
    if (view_fits(t)) return 0;
    char shape[SHAPE_BYTES], stride[SHAPE_BYTES], key[SHOWN];
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle: a tensor of shape %s and strides %s at offset %" PRId64
                " leaves its storage %s of %" PRId64 " elements",
                m->what, m->opcode_at, shape_text(t->rank, t->shape, shape), shape_text(t->rank, t->stride, stride),
                t->offset, shown(args[0]->key->text, args[0]->key->count, key), t->elements);
}

// REDUCE: the call of a name with a tuple of arguments.
static int reduce(struct Machine *m)
{
    struct Value **pair = top(m, 2);
    if (!pair || pair[0]->kind != VALUE_NAME || pair[1]->kind != VALUE_TUPLE) return fail_at(m, "a call of no name");
    struct Value *name = pair[0], *args = pair[1];
    m->depth -= 2;
    struct Value *result = value_push(m, VALUE_DICT);
    if (!result) return fail_memory(m->err, m->what, sizeof *result);
    switch (name->name) {
    case NAME_ORDERED_DICT:
        if (args->count == 0) return 0;
        return fail_at(m, "an OrderedDict made from arguments");
    case NAME_REBUILD_TENSOR: return rebuild_tensor(m, args->items, args->count, result);
    case NAME_REBUILD_PARAMETER: // (data, requires_grad, backward_hooks): the data themselves
        if (args->count == 0 || args->items[0]->kind != VALUE_TENSOR) return fail_at(m, "a parameter of no tensor");
        m->stack[m->depth - 1] = args->items[0];
        return 0;
    case NAME_STORAGE: break;
    }
    return fail_at(m, "a storage is called, which only names a type");
}

// --------------------------------------------------------------------------------------------- collections

static int push_tuple(struct Machine *m, size_t count, size_t marks)
{
    if (count && !top(m, count)) return fail_at(m, "a tuple of more values than there are");
    struct Value *tuple = value_push(m, VALUE_TUPLE); // may move the stack
    if (!tuple || !items_append(tuple, m->stack + m->depth - 1 - count, count))
        return fail_memory(m->err, m->what, count * sizeof tuple);
    m->depth -= count + marks;
    m->stack[m->depth - 1] = tuple;
    return 0;
}

// Puts the values on top into the dict or list below them.
static int append(struct Machine *m, enum ValueKind kind, size_t count, size_t marks)
{
    if (m->depth < count + marks + 1 || !top(m, count) || (kind == VALUE_DICT && count % 2))
        return fail_at(m, "items for a collection that is not there");
    struct Value *into = m->stack[m->depth - count - marks - 1];
    if (into->kind != kind) return fail_at(m, "items for something that is no collection of them");
    if (!items_append(into, m->stack + m->depth - count, count))
        return fail_memory(m->err, m->what, count * sizeof into);
    m->depth -= count + marks;
    return 0;
}

// BUILD: a state dict's _metadata, which says nothing about its tensors.
static int build(struct Machine *m)
{
    struct Value **pair = top(m, 2);
    if (!pair || pair[0]->kind != VALUE_DICT || pair[1]->kind != VALUE_DICT)
        return fail_at(m, "state for something that is no dict");
    m->depth--;
    return 0;
}

static int with_mark(struct Machine *m, int opcode)
{
    size_t count;
    if (!over_mark(m, &count)) return fail_at(m, "a mark is missing");
    if (opcode == 't') return push_tuple(m, count, 1);
    return append(m, opcode == 'u' ? VALUE_DICT : VALUE_LIST, count, 1);
}

// ------------------------------------------------------------------------------------------------ the machine

static int fail_opcode(const struct Machine *m, int opcode)
{
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle is the opcode 0x%02x, which no saved state dict of protocol 2 needs; "
                "nothing was run",
                m->what, m->opcode_at, opcode);
}

static int proto(struct Machine *m)
{
    uint64_t version = 0;
    int code = take_number(m, 1, &version);
    if (code || version == 2) return code;
    return fail(m->err, VKGPT_BAD_FILE, "%s: a pickle of protocol %u, not 2", m->what, (unsigned)version);
}

static int push_float(struct Machine *m)
{
    return take(m, 8) ? push(m, VALUE_FLOAT, 0) : fail_short(m); // no float says anything about a tensor
}

static int step(struct Machine *m, int opcode)
{
    switch (opcode) {
    case 0x80: return proto(m);                      // PROTO
    case '(': return push(m, VALUE_MARK, 0);         // MARK
    case 'N': return push(m, VALUE_NONE, 0);         // NONE
    case 0x88: return push(m, VALUE_BOOL, 1);        // NEWTRUE
    case 0x89: return push(m, VALUE_BOOL, 0);        // NEWFALSE
    case 'K': return push_number(m, 1);              // BININT1
    case 'M': return push_number(m, 2);              // BININT2
    case 'J': return push_number(m, 4);              // BININT
    case 0x8a: return push_long(m);                  // LONG1
    case 'G': return push_float(m);                  // BINFLOAT
    case 'X': return push_string(m);                 // BINUNICODE
    case '}': return push(m, VALUE_DICT, 0);         // EMPTY_DICT
    case ']': return push(m, VALUE_LIST, 0);         // EMPTY_LIST
    case ')': return push_tuple(m, 0, 0);            // EMPTY_TUPLE
    case 0x85: return push_tuple(m, 1, 0);           // TUPLE1
    case 0x86: return push_tuple(m, 2, 0);           // TUPLE2
    case 0x87: return push_tuple(m, 3, 0);           // TUPLE3
    case 't': case 'u': case 'e': return with_mark(m, opcode); // TUPLE, SETITEMS, APPENDS
    case 's': return append(m, VALUE_DICT, 2, 0);    // SETITEM
    case 'a': return append(m, VALUE_LIST, 1, 0);    // APPEND
    case 'q': return memo_put(m, 1);                 // BINPUT
    case 'r': return memo_put(m, 4);                 // LONG_BINPUT
    case 'h': return memo_get(m, 1);                 // BINGET
    case 'j': return memo_get(m, 4);                 // LONG_BINGET
    case 'c': return push_name(m);                   // GLOBAL
    case 'Q': return push_storage(m);                // BINPERSID
    case 'R': return reduce(m);                      // REDUCE
    case 'b': return build(m);                       // BUILD
    default: return fail_opcode(m, opcode);
    }
}

static int machine_run(struct Machine *m)
{
    for (;;) {
        m->opcode_at = m->at;
        const uint8_t *opcode = take(m, 1);
        if (!opcode) return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle ends at byte %zu without a STOP", m->what, m->at);
        if (*opcode == '.') return 0;
        int code = step(m, *opcode);
        if (code) return code;
    }
}

// ------------------------------------------------------------------------------------------------ the result

static char *text_of(const struct Value *string)
{
    char *text = malloc(string->count + 1);
    if (!text) return NULL;
    memcpy(text, string->text, string->count);
    text[string->count] = '\0';
    return text;
}

static int tensor_out(const struct Machine *m, const struct Value *name, const struct Value *value,
                      struct PickleTensor *out)
{
    if (name->kind != VALUE_STRING || name->count > NAME_LIMIT || memchr(name->text, 0, name->count))
        return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle holds a tensor whose name is no short string", m->what);
    *out = *value->tensor;
    out->name = text_of(name);
    out->key = text_of(value->of->key);
    if (!out->name || !out->key) return fail_memory(m->err, m->what, name->count);
    return 0;
}

static int dict_out(const struct Machine *m, const struct Value *dict, struct PickleTensor **list, size_t *count)
{
    *list = calloc(dict->count / 2 + 1, sizeof **list);
    if (!*list) return fail_memory(m->err, m->what, dict->count / 2 * sizeof **list);
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        if (dict->items[i + 1]->kind != VALUE_TENSOR) continue;
        int code = tensor_out(m, dict->items[i], dict->items[i + 1], &(*list)[(*count)++]);
        if (code) return code;
    }
    return 0;
}

int pickle_read(const char *what, const uint8_t *data, size_t bytes, struct PickleTensor **list, size_t *count,
                vkgpt_error *err)
{
    *list = NULL;
    *count = 0;
    if (bytes > PICKLE_LIMIT)
        return fail(err, VKGPT_BAD_FILE, "%s: a pickle of %zu bytes, more than the limit of %u", what, bytes,
                    PICKLE_LIMIT);
    struct Machine m = {.what = what, .data = data, .bytes = bytes, .err = err};
    int code = machine_run(&m);
    struct Value **result = top(&m, 1);
    if (!code && (!result || (*result)->kind != VALUE_DICT))
        code = fail(err, VKGPT_BAD_FILE, "%s: the pickle holds no state dict", what);
    if (!code) code = dict_out(&m, *result, list, count);
    machine_free(&m);
    return code;
}

void pickle_free(struct PickleTensor *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].key);
    }
    free(list);
}
