// The machine that reads pickles (pickle.h), for the files that it is made of and for the stream of pickles that
// PyTorch wrote before 1.6 (torch_legacy.h).
#ifndef VKGPT_MODEL_PICKLE_MACHINE_H
#define VKGPT_MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

#define PICKLE_LIMIT (8u << 20) // bytes; that of GPT-2 XL has 150 KB

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

struct Value {
    enum ValueKind kind;
    enum Name name;
    int64_t integer;  // INT, BOOL
    const char *text; // STRING: bytes of the pickle; not ended by NUL
    size_t count;     // bytes of text, or items
    size_t capacity;
    struct Value **items;
    const struct PickleStorage *storage; // NAME_STORAGE and VALUE_STORAGE
    const struct Value *key;             // of a storage
    struct PickleTensor *tensor;         // its name and key are still NULL
    const struct Value *of;              // a tensor's storage; the list of pairs that a dict was made of, or NULL
    struct Value *next;                  // in the arena
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
    vkgpt_error *err;
};

// Runs one pickle, from m->data on; m->at is behind its STOP afterwards, and the result is on top. Free with
// machine_free, also after an error; values and texts live until then.
int machine_run(struct Machine *m);
void machine_free(struct Machine *m);

// The n values on top, without taking them off; NULL when there are fewer, or a mark is among them.
struct Value **machine_top(const struct Machine *m, size_t n);
// A new value on the stack, or NULL: no memory.
struct Value *machine_push(struct Machine *m, enum ValueKind kind);
int machine_fail(const struct Machine *m, const char *why);

// The tensors of the state dict on top, in a list that pickle_free frees, also after an error.
int machine_tensors(const struct Machine *m, struct PickleTensor **list, size_t *count);

// The opcodes that name something, in pickle_calls.c.
int call_name(struct Machine *m, const char *module, size_t module_bytes, const char *name,
              size_t name_bytes);    // GLOBAL
int call_storage(struct Machine *m); // BINPERSID
int call_reduce(struct Machine *m);  // REDUCE

#define SHOWN 100
// Bytes from the file as a sentence can show them.
const char *machine_shown(const char *text, size_t bytes, char out[SHOWN]);

#endif
