// The two ends of an Upstream between two ranks: what a session calls, and what the rank above does then.
#ifndef VKGPT_MPI_REMOTE_H
#define VKGPT_MPI_REMOTE_H

#include "mpi/messages.h"

// For the first stage of a rank: opens the sessions of the rank above it, and waits until they are open.
int remote_open(struct Wire *wire, const struct vkgpt_model *model, const struct StageOptions *options,
                struct Upstream **upstream, vkgpt_error *err);

// The sessions that a rank has opened for the one below it.
struct Served;

// Failing ends the run, so these functions report once, by `failed`, and from any thread.
struct Serving {
    struct Wire *wire;
    vkgpt_model *model; // the last stage of this rank; NULL: none is open
    struct Served *sessions;
    void (*failed)(void *user, const vkgpt_error *err); // does not return
    void *user;
};

// Does what a message of the rank below asks for: OPEN, FLIGHT or CLOSE.
void serve_message(struct Serving *serving, const struct WireMessage *message);
// Closes all sessions.
void serve_close(struct Serving *serving);

#endif
