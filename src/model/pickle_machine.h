// The machine that reads pickles (pickle.h), for the files that it is made of and for the stream of pickles that
// PyTorch wrote before 1.6 (torch_legacy.h).
#ifndef VKGPT_MODEL_PICKLE_MACHINE_H
#define VKGPT_MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

#define PICKLE_LIMIT (8u << 20)   // bytes; that of GPT-2 XL has 150 KB
#define PICKLE_MEMORY (16u << 20) // bytes that any pickle may take; a tensor takes some 1,500 of them
#define PICKLE_TIMES 2            // and for each of its bytes

enum ValueKind {
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE, // items
    VALUE_DICT,  // pairs: keys and values in turns; before them, what `of` lists
    VALUE_NAME,  // something that a GLOBAL names
    VALUE_STORAGE,
    VALUE_TENSOR,
    VALUE_MARK,
};

enum Name { NAME_ORDERED_DICT, NAME_REBUILD_TENSOR, NAME_REBUILD_PARAMETER, NAME_STORAGE };

// Small, because a byte of a pickle can make one: which of each union's members there is, the kind says.
struct Value {
    enum ValueKind kind;
    union {
        enum Name name;    // NAME
        uint32_t capacity; // LIST, TUPLE, DICT: of items
    };
    union {
        int64_t integer; // INT, BOOL; STORAGE: its elements
        size_t count;    // STRING: bytes of text; LIST, TUPLE, DICT: items
    };
    union {
        const char *text;                    // STRING: bytes of the pickle; not ended by NUL
        struct Value **items;                // LIST, TUPLE, DICT
        const struct PickleStorage *storage; // NAME_STORAGE, STORAGE
        struct PickleTensor *tensor;         // TENSOR; its name and key are still NULL
    };
    union {
        const struct Value *key; // STORAGE
        const struct Value *of;  // TENSOR: its storage; DICT: the list of pairs that it was made of, or NULL
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
    bool full;   // it asked for more than PICKLE_MEMORY and PICKLE_TIMES its own size
    vkgpt_error *err;
};

// Runs one pickle, from m->data on; m->at is behind its STOP afterwards, and the result is on top. Free with
// machine_free, also after an error; values and texts live until then.
int machine_run(struct Machine *m);
void machine_free(struct Machine *m);

// The n values on top, without taking them off; NULL when there are fewer, or a mark is among them.
struct Value **machine_top(const struct Machine *m, size_t n);
// Counts memory that is about to be asked for. False: it is more than a pickle of this size may take, and `full` is
// set.
bool machine_afford(struct Machine *m, size_t bytes);
// A new value on the stack, or NULL: no memory.
struct Value *machine_push(struct Machine *m, enum ValueKind kind);
int machine_fail(const struct Machine *m, const char *why);

// The tensors of the state dict on top, in a list that pickle_free frees, also after an error.
int machine_tensors(struct Machine *m, struct PickleTensor **list, size_t *count);

// The opcodes that name something, in pickle_calls.c.
int call_name(struct Machine *m, const char *module, size_t module_bytes, const char *name,
              size_t name_bytes);    // GLOBAL
int call_storage(struct Machine *m); // BINPERSID
int call_reduce(struct Machine *m);  // REDUCE

#define SHOWN 100
// Bytes from the file as a sentence can show them.
const char *machine_shown(const char *text, size_t bytes, char out[SHOWN]);

#endif
