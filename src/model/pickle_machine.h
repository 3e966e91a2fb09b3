// The machine that reads pickles (pickle.h): internal to its own files, and for the streams of pickles that PyTorch
// wrote before 1.6 (torch_legacy.h).
#ifndef VKGPT_MODEL_PICKLE_MACHINE_H
#define VKGPT_MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

#define PICKLE_LIMIT (8u << 20)   // largest pickle in bytes; GPT-2 XL's has 150 KB
#define PICKLE_MEMORY (16u << 20) // bytes of memory that any pickle may use; a tensor uses about 1,500
#define PICKLE_TIMES 2            // and this many more for each of its bytes

enum ValueKind {
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE, // items
    VALUE_DICT,  // items: key, value, key, value, ...; the pairs of `of` come before them
    VALUE_NAME,  // a name from a GLOBAL
    VALUE_STORAGE,
    VALUE_TENSOR,
    VALUE_MARK,
};

enum Name { NAME_ORDERED_DICT, NAME_REBUILD_TENSOR, NAME_REBUILD_PARAMETER, NAME_STORAGE };

// Small, because a single byte of a pickle can create one. The kind says which member of each union is set.
struct Value {
    enum ValueKind kind;
    union {
        enum Name name;    // NAME
        uint32_t capacity; // LIST, TUPLE, DICT: room for items
    };
    union {
        int64_t integer; // INT, BOOL; STORAGE: number of elements
        size_t count;    // STRING: bytes of text; LIST, TUPLE, DICT: items
    };
    union {
        const char *text;                    // STRING: points into the pickle; no NUL at the end
        struct Value **items;                // LIST, TUPLE, DICT
        const struct PickleStorage *storage; // NAME_STORAGE, STORAGE
        struct PickleTensor *tensor;         // TENSOR; its name and key are still NULL
    };
    union {
        const struct Value *key; // STORAGE
        const struct Value *of;  // TENSOR: its storage; DICT: the list of pairs that it was created from, or NULL
    };
    struct Value *next; // in the arena
};

struct Machine {
    const char *what;
    const uint8_t *data;
    size_t bytes, at;
    size_t opcode_at;
    unsigned protocol;
    struct Value *arena;
    struct Value **stack;
    size_t depth, stack_capacity;
    struct Value **memo;
    size_t memo_capacity, memo_count;
    size_t used; // bytes of memory
    bool full;   // it needs more than PICKLE_MEMORY plus PICKLE_TIMES its size
    vkgpt_error *err;
};

// Runs one pickle, from m->at on. Afterwards m->at is after its STOP, and the result is on top of the stack. Free with
// machine_free, also after an error; values and texts live until then.
int machine_run(struct Machine *m);
void machine_free(struct Machine *m);

// The n values on top of the stack, which stay there; NULL when there are fewer, or one is a mark.
struct Value **machine_top(const struct Machine *m, size_t n);
// Counts memory before it is allocated. False, and `full` is set: a pickle of this size may not use so much.
bool machine_afford(struct Machine *m, size_t bytes);
// Pushes a new value on the stack. NULL: no memory.
struct Value *machine_push(struct Machine *m, enum ValueKind kind);
int machine_fail(const struct Machine *m, const char *why);

// The tensors of the state dict on top of the stack, in a list. Free it with pickle_free, also after an error.
int machine_tensors(struct Machine *m, struct PickleTensor **list, size_t *count);

// The opcodes for names and calls, in pickle_calls.c.
int call_name(struct Machine *m, const char *module, size_t module_bytes, const char *name,
              size_t name_bytes);    // GLOBAL
int call_storage(struct Machine *m); // BINPERSID
int call_reduce(struct Machine *m);  // REDUCE

#define SHOWN 100
// Bytes from the file, for use in a sentence.
const char *machine_shown(const char *text, size_t bytes, char out[SHOWN]);

#endif
