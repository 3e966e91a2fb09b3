// Messages between the ranks of an MPI run: bytes with a kind. They arrive in the order in which a rank sent them, and
// while the rank does something else. The ranks have the same byte order.
#ifndef VKGPT_MPI_WIRE_H
#define VKGPT_MPI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WIRE_KINDS 32
#define WIRE_IDS 512
#define WIRE_ANY UINT32_MAX

struct Wire;

struct WireMessage {
    uint32_t from, kind; // kind: below WIRE_KINDS
    uint32_t id;         // below WIRE_IDS: messages of different ids do not wait for each other
    uint8_t *data;       // malloc'ed; wire_free
    size_t bytes;
};

struct WirePart {
    const void *data;
    size_t bytes;
};

// Starts MPI, and a thread that makes all calls of MPI from now on. argc and argv: those of main. NULL: it fails.
struct Wire *wire_open(int *argc, char ***argv, vkgpt_error *err);
// Sends what is queued, waits for all other ranks to come here too, and ends MPI.
void wire_close(struct Wire *wire);
// Ends all ranks now. mpirun has this status, and adds lines of its own.
_Noreturn void wire_abort(struct Wire *wire, int status);

uint32_t wire_rank(const struct Wire *wire);
uint32_t wire_ranks(const struct Wire *wire);

// Queues a message, of the parts one after the other, and returns at once: they are copied.
int wire_send(struct Wire *wire, uint32_t to, uint32_t kind, uint32_t id, const struct WirePart *parts, size_t count,
              vkgpt_error *err);
// Waits for the next message of one of these kinds (1 << kind) from a rank with an id; both may be WIRE_ANY.
void wire_take(struct Wire *wire, uint32_t from, uint32_t kinds, uint32_t id, struct WireMessage *message);
void wire_free(struct WireMessage *message);
// Errors (VKGPT_BAD_ARGUMENT): the message has another size.
int wire_check(const struct WireMessage *message, size_t bytes, vkgpt_error *err);

#endif
