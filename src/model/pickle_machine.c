// A stack machine over values in an arena. No value is walked recursively, each opcode creates at most one value, a
// value holds only what the pickle spells out, and the memory of all values is counted and limited (machine_afford).
#include "model/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define PROTOCOL_MOST 5
#define NAME_LIMIT 1024 // bytes of a tensor's name

// ---------------------------------------------------------------------------------------- memory and stack

const char *machine_shown(const char *text, size_t bytes, char out[SHOWN])
{
    size_t count = bytes < SHOWN - 1 ? bytes : SHOWN - 1;
    for (size_t i = 0; i < count; i++) out[i] = text[i] > ' ' && text[i] < 127 ? text[i] : '?';
    out[count] = '\0';
    return out;
}

int machine_fail(const struct Machine *m, const char *why)
{
    return fail(m->err, VKGPT_BAD_FILE, "%s: byte %zu of the pickle: %s", m->what, m->opcode_at, why);
}

#define HEAP 16 // malloc's own bytes per allocation

bool machine_afford(struct Machine *m, size_t bytes)
{
    size_t most = PICKLE_MEMORY + PICKLE_TIMES * m->bytes;
    m->full |= bytes > most || m->used > most - bytes;
    m->used += bytes + HEAP;
    return !m->full;
}

static bool stack_push(struct Machine *m, struct Value *value)
{
    if (m->depth == m->stack_capacity) {
        size_t capacity = m->stack_capacity ? 2 * m->stack_capacity : 256;
        if (!machine_afford(m, capacity * sizeof *m->stack)) return false;
        struct Value **stack = realloc(m->stack, capacity * sizeof *stack);
        if (!stack) return false;
        m->stack = stack;
        m->stack_capacity = capacity;
    }
    m->stack[m->depth++] = value;
    return true;
}

struct Value *machine_push(struct Machine *m, enum ValueKind kind)
{
    struct Value *value = machine_afford(m, sizeof *value) ? calloc(1, sizeof *value) : NULL;
    if (!value) return NULL;
    value->kind = kind;
    value->next = m->arena;
    m->arena = value;
    return stack_push(m, value) ? value : NULL;
}

static int push(struct Machine *m, enum ValueKind kind, int64_t integer)
{
    struct Value *value = machine_push(m, kind);
    if (!value) return fail_memory(m->err, m->what, m->depth * sizeof *m->stack);
    value->integer = integer;
    return 0;
}

struct Value **machine_top(const struct Machine *m, size_t n)
{
    if (m->depth < n) return NULL;
    for (size_t i = 1; i <= n; i++)
        if (m->stack[m->depth - i]->kind == VALUE_MARK) return NULL;
    return m->stack + m->depth - n;
}

// How many values are above the last mark. False when there is no mark.
static bool over_mark(const struct Machine *m, size_t *count)
{
    for (size_t i = m->depth; i > 0; i--) {
        *count = m->depth - i;
        if (m->stack[i - 1]->kind == VALUE_MARK) return true;
    }
    return false;
}

static bool items_append(struct Machine *m, struct Value *value, struct Value *const *items, size_t count)
{
    if (count == 0) return true;
    if (value->capacity - value->count < count) {
        size_t twice = 2 * (size_t)value->capacity, least = value->count + count,
               capacity = twice > least ? twice : least;
        bool fits = machine_afford(m, capacity * sizeof *items);
        struct Value **wider = fits ? realloc(value->items, capacity * sizeof *wider) : NULL;
        if (!wider) return false;
        value->items = wider;
        value->capacity = (uint32_t)capacity; // at most PICKLE_LIMIT
    }
    memcpy(value->items + value->count, items, count * sizeof *items);
    value->count += count;
    return true;
}

void machine_free(struct Machine *m)
{
    while (m->arena) {
        struct Value *v = m->arena;
        m->arena = v->next;
        if (v->kind == VALUE_LIST || v->kind == VALUE_TUPLE || v->kind == VALUE_DICT) free(v->items);
        if (v->kind == VALUE_TENSOR) free(v->tensor);
        free(v);
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
    if (length > 8) return machine_fail(m, "a number of more than 64 bits");
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

// A string whose length is a number of `length_bytes` bytes.
static int push_string(struct Machine *m, size_t length_bytes)
{
    uint64_t length = 0;
    int code = take_number(m, length_bytes, &length);
    if (code) return code;
    const uint8_t *text = length <= m->bytes ? take(m, (size_t)length) : NULL;
    if (!text) return fail_short(m);
    struct Value *value = machine_push(m, VALUE_STRING);
    if (!value) return fail_memory(m->err, m->what, sizeof *value);
    value->text = (const char *)text;
    value->count = (size_t)length;
    return 0;
}

static int memo_set(struct Machine *m, uint64_t index)
{
    struct Value **value = machine_top(m, 1);
    if (!value) return machine_fail(m, "nothing to remember");
    if (index >= m->bytes) return machine_fail(m, "a memo index that no pickle of this size reaches");
    if (index >= m->memo_capacity) {
        size_t capacity = 2 * (size_t)index + 64;
        bool fits = machine_afford(m, capacity * sizeof *m->memo);
        struct Value **memo = fits ? realloc(m->memo, capacity * sizeof *memo) : NULL;
        if (!memo) return fail_memory(m->err, m->what, capacity * sizeof *memo);
        memset(memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof *memo);
        m->memo = memo;
        m->memo_capacity = capacity;
    }
    m->memo_count += !m->memo[index];
    m->memo[index] = *value;
    return 0;
}

static int memo_put(struct Machine *m, size_t index_bytes)
{
    uint64_t index = 0;
    int code = take_number(m, index_bytes, &index);
    return code ? code : memo_set(m, index);
}

static int memo_get(struct Machine *m, size_t index_bytes)
{
    uint64_t index = 0;
    int code = take_number(m, index_bytes, &index);
    if (code) return code;
    if (index >= m->memo_capacity || !m->memo[index]) return machine_fail(m, "a memo index that was never set");
    return stack_push(m, m->memo[index]) ? 0 : fail_memory(m->err, m->what, m->depth * sizeof *m->stack);
}

// --------------------------------------------------------------------------------------------------- names

// One of GLOBAL's two lines, without its newline.
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

static int push_name(struct Machine *m)
{
    const char *module = NULL, *name = NULL;
    size_t module_bytes = 0, name_bytes = 0;
    int code = take_line(m, &module, &module_bytes);
    if (!code) code = take_line(m, &name, &name_bytes);
    return code ? code : call_name(m, module, module_bytes, name, name_bytes);
}

// STACK_GLOBAL: the two texts are on the stack.
static int push_stacked_name(struct Machine *m)
{
    struct Value **pair = machine_top(m, 2);
    if (!pair || pair[0]->kind != VALUE_STRING || pair[1]->kind != VALUE_STRING)
        return machine_fail(m, "a name that is not made of two texts");
    const struct Value *module = pair[0], *name = pair[1];
    m->depth -= 2;
    return call_name(m, module->text, module->count, name->text, name->count);
}

// --------------------------------------------------------------------------------------------- collections

static int push_tuple(struct Machine *m, size_t count, size_t marks)
{
    if (count && !machine_top(m, count)) return machine_fail(m, "a tuple of more values than there are");
    struct Value *tuple = machine_push(m, VALUE_TUPLE); // may move the stack
    if (!tuple || !items_append(m, tuple, m->stack + m->depth - 1 - count, count))
        return fail_memory(m->err, m->what, count * sizeof tuple);
    m->depth -= count + marks;
    m->stack[m->depth - 1] = tuple;
    return 0;
}

// Appends the values on top of the stack to the dict or list below them.
static int append(struct Machine *m, enum ValueKind kind, size_t count, size_t marks)
{
    if (m->depth < count + marks + 1 || !machine_top(m, count) || (kind == VALUE_DICT && count % 2))
        return machine_fail(m, "items for a collection that is not there");
    struct Value *into = m->stack[m->depth - count - marks - 1];
    if (into->kind != kind) return machine_fail(m, "items for something that is not a collection of them");
    if (!items_append(m, into, m->stack + m->depth - count, count))
        return fail_memory(m->err, m->what, count * sizeof into);
    m->depth -= count + marks;
    return 0;
}

// BUILD: a state dict's _metadata; it is dropped, since it says nothing about the tensors.
static int build(struct Machine *m)
{
    struct Value **pair = machine_top(m, 2);
    if (!pair || pair[0]->kind != VALUE_DICT || pair[1]->kind != VALUE_DICT)
        return machine_fail(m, "state for something that is not a dict");
    m->depth--;
    return 0;
}

static int with_mark(struct Machine *m, int opcode)
{
    size_t count;
    if (!over_mark(m, &count)) return machine_fail(m, "a mark is missing");
    if (opcode == 't') return push_tuple(m, count, 1);
    return append(m, opcode == 'u' ? VALUE_DICT : VALUE_LIST, count, 1);
}

// ------------------------------------------------------------------------------------------------ the machine

static int fail_opcode(const struct Machine *m, int opcode)
{
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle is the opcode 0x%02x, which no saved state dict of protocol %u needs; "
                "nothing was run",
                m->what, m->opcode_at, opcode, m->protocol);
}

static int proto(struct Machine *m)
{
    uint64_t version = 0;
    int code = take_number(m, 1, &version);
    m->protocol = (unsigned)version;
    if (code || (version >= 2 && version <= PROTOCOL_MOST)) return code;
    return fail(m->err, VKGPT_BAD_FILE, "%s: a pickle of protocol %u, not 2 to %d", m->what, m->protocol,
                PROTOCOL_MOST);
}

// FRAME: how many of the next bytes a reader may read at once.
static int frame(struct Machine *m)
{
    uint64_t bytes = 0;
    int code = take_number(m, 8, &bytes);
    if (code || bytes <= m->bytes - m->at) return code;
    return machine_fail(m, "a frame that is longer than what is left of the pickle");
}

static int push_float(struct Machine *m)
{
    return take(m, 8) ? push(m, VALUE_FLOAT, 0) : fail_short(m); // the value is not needed
}

// Opcodes that protocol 4 added.
static int step_4(struct Machine *m, int opcode)
{
    switch (opcode) {
    case 0x95: return frame(m);                   // FRAME
    case 0x8c: return push_string(m, 1);          // SHORT_BINUNICODE
    case 0x8d: return push_string(m, 8);          // BINUNICODE8
    case 0x93: return push_stacked_name(m);       // STACK_GLOBAL
    case 0x94: return memo_set(m, m->memo_count); // MEMOIZE
    default: return fail_opcode(m, opcode);
    }
}

static int step(struct Machine *m, int opcode)
{
    switch (opcode) {
    case 0x80: return proto(m);               // PROTO
    case '(': return push(m, VALUE_MARK, 0);  // MARK
    case 'N': return push(m, VALUE_NONE, 0);  // NONE
    case 0x88: return push(m, VALUE_BOOL, 1); // NEWTRUE
    case 0x89: return push(m, VALUE_BOOL, 0); // NEWFALSE
    case 'K': return push_number(m, 1);       // BININT1
    case 'M': return push_number(m, 2);       // BININT2
    case 'J': return push_number(m, 4);       // BININT
    case 0x8a: return push_long(m);           // LONG1
    case 'G': return push_float(m);           // BINFLOAT
    case 'X': return push_string(m, 4);       // BINUNICODE
    case 'U': return push_string(m, 1);       // SHORT_BINSTRING: strings of Python 2
    case 'T': return push_string(m, 4);       // BINSTRING
    case '}': return push(m, VALUE_DICT, 0);  // EMPTY_DICT
    case ']': return push(m, VALUE_LIST, 0);  // EMPTY_LIST
    case ')': return push_tuple(m, 0, 0);     // EMPTY_TUPLE
    case 0x85: return push_tuple(m, 1, 0);    // TUPLE1
    case 0x86: return push_tuple(m, 2, 0);    // TUPLE2
    case 0x87: return push_tuple(m, 3, 0);    // TUPLE3
    case 't':
    case 'u':
    case 'e': return with_mark(m, opcode);        // TUPLE, SETITEMS, APPENDS
    case 's': return append(m, VALUE_DICT, 2, 0); // SETITEM
    case 'a': return append(m, VALUE_LIST, 1, 0); // APPEND
    case 'q': return memo_put(m, 1);              // BINPUT
    case 'r': return memo_put(m, 4);              // LONG_BINPUT
    case 'h': return memo_get(m, 1);              // BINGET
    case 'j': return memo_get(m, 4);              // LONG_BINGET
    case 'c': return push_name(m);                // GLOBAL
    case 'Q': return call_storage(m);             // BINPERSID
    case 'R': return call_reduce(m);              // REDUCE
    case 'b': return build(m);                    // BUILD
    default: return m->protocol >= 4 ? step_4(m, opcode) : fail_opcode(m, opcode);
    }
}

static int fail_full(const struct Machine *m)
{
    return fail(m->err, VKGPT_BAD_FILE,
                "%s: byte %zu of the pickle: its values take more memory than a state dict of %zu bytes needs", m->what,
                m->opcode_at, m->bytes);
}

int machine_run(struct Machine *m)
{
    for (;;) {
        m->opcode_at = m->at;
        const uint8_t *opcode = take(m, 1);
        if (!opcode)
            return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle ends at byte %zu without a STOP", m->what, m->at);
        if (*opcode == '.') return 0;
        int code = step(m, *opcode);
        if (m->full) return fail_full(m);
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
        return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle holds a tensor whose name is not a short string", m->what);
    *out = *value->tensor;
    out->name = text_of(name);
    out->key = text_of(value->of->key);
    if (!out->name || !out->key) return fail_memory(m->err, m->what, name->count);
    return 0;
}

// One pair of the dict; a value that is not a tensor is left out.
static int pair_out(const struct Machine *m, struct Value *const *pair, struct PickleTensor *list, size_t *count)
{
    return pair[1]->kind == VALUE_TENSOR ? tensor_out(m, pair[0], pair[1], &list[(*count)++]) : 0;
}

// The largest possible number of tensors.
static size_t tensors_of(const struct Value *dict)
{
    size_t count = 0;
    for (size_t i = 0; dict->of && i < dict->of->count; i++) {
        const struct Value *pair = dict->of->items[i];
        bool is_pair = (pair->kind == VALUE_LIST || pair->kind == VALUE_TUPLE) && pair->count == 2;
        count += is_pair && pair->items[1]->kind == VALUE_TENSOR;
    }
    for (size_t i = 1; i < dict->count; i += 2) count += dict->items[i]->kind == VALUE_TENSOR;
    return count;
}

int machine_tensors(struct Machine *m, struct PickleTensor **list, size_t *count)
{
    struct Value **result = machine_top(m, 1);
    const struct Value *dict = result ? *result : NULL;
    *count = 0;
    *list = NULL;
    if (!dict || dict->kind != VALUE_DICT)
        return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle holds no state dict", m->what);
    size_t listed = dict->of ? dict->of->count : 0, most = tensors_of(dict);
    if (!machine_afford(m, most * (sizeof **list + 2 * HEAP + 64))) return fail_full(m);
    *list = calloc(most + 1, sizeof **list);
    if (!*list) return fail_memory(m->err, m->what, most * sizeof **list);
    int code = 0;
    for (size_t i = 0; !code && i < listed; i++) {
        const struct Value *pair = dict->of->items[i];
        if ((pair->kind != VALUE_LIST && pair->kind != VALUE_TUPLE) || pair->count != 2)
            return fail(m->err, VKGPT_BAD_FILE, "%s: the pickle holds an OrderedDict that is not made of pairs",
                        m->what);
        code = pair_out(m, pair->items, *list, count);
    }
    for (size_t i = 0; !code && i + 1 < dict->count; i += 2) code = pair_out(m, dict->items + i, *list, count);
    return code;
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
    if (!code) code = machine_tensors(&m, list, count);
    machine_free(&m);
    return code;
}

struct Tensor pickle_tensor(const struct PickleTensor *p, const char *file, const uint8_t *storage)
{
    struct Tensor t = {.name = p->name,
                       .file = file,
                       .dtype = p->storage->dtype,
                       .dtype_name = p->storage->name,
                       .rank = p->rank,
                       .data = storage + p->offset * p->storage->bytes};
    int64_t span = 1;
    for (int i = 0; i < p->rank; i++) {
        t.shape[i] = p->shape[i];
        t.stride[i] = p->stride[i];
        span = p->shape[i] == 0 || span == 0 ? 0 : span + (p->shape[i] - 1) * p->stride[i];
    }
    t.bytes = (size_t)(span * p->storage->bytes);
    return t;
}

void pickle_free(struct PickleTensor *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].key);
    }
    free(list);
}
