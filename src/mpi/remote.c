// A session below sends messages and takes results. The rank above passes each flight on at once, to its own upstream
// too, and a thread of each session waits for the results and sends them down. So all ranks work at the same time, and
// the residual stream of a flight moves while devices run other ones.
#define _POSIX_C_SOURCE 200809L
#include "mpi/remote.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "engine/stages.h"

// ------------------------------------------------------------------------------------------ the session below

struct Remote {
    struct Upstream upstream; // the first member
    struct Wire *wire;
    uint32_t above, id;
};

static struct Remote *remote_of(struct Upstream *upstream) { return (struct Remote *)upstream; }

static int remote_send(struct Upstream *upstream, const struct StageFlight *flight, const void *inbox,
                       const uint32_t *given, vkgpt_error *err)
{
    const struct Remote *r = remote_of(upstream);
    const struct WirePart parts[] = {
        {flight, sizeof *flight},
        {inbox, sizeof(struct InboxHead) + flight->admissions * sizeof(struct Admission)},
        {given, (size_t)flight->words * 4},
    };
    return wire_send(r->wire, r->above, FLIGHT, r->id, parts, 3, err);
}

static int remote_receive(struct Upstream *upstream, uint32_t turn, void *x, size_t bytes, vkgpt_error *err)
{
    const struct Remote *r = remote_of(upstream);
    struct WireMessage m;
    uint32_t its_turn = UINT32_MAX;
    int status = VKGPT_OK;
    wire_take(r->wire, r->above, 1u << RESULT, r->id, &m);
    if (x) status = wire_check(&m, sizeof its_turn + bytes, err);
    if (m.bytes >= sizeof its_turn) memcpy(&its_turn, m.data, sizeof its_turn);
    if (!status && its_turn != turn)
        status = fail(err, VKGPT_BAD_ARGUMENT, "rank %u sent flight %u, not %u", r->above, its_turn, turn);
    if (!status && x) memcpy(x, m.data + sizeof its_turn, bytes);
    wire_free(&m);
    return status;
}

static int remote_move_cache(struct Upstream *upstream, uint32_t layer, uint32_t half, uint32_t positions, bool write,
                             uint8_t *bytes, vkgpt_error *err)
{
    (void)layer, (void)half, (void)positions, (void)write, (void)bytes;
    return fail(err, VKGPT_BAD_ARGUMENT, "sessions are saved by one process only: rank %u has a part of this one",
                remote_of(upstream)->above);
}

static void remote_close(struct Upstream *upstream)
{
    struct Remote *r = remote_of(upstream);
    wire_send(r->wire, r->above, CLOSE, r->id, NULL, 0, NULL);
    free(r);
}

int remote_open(struct Wire *wire, const struct vkgpt_model *model, const struct StageOptions *options,
                struct Upstream **upstream, vkgpt_error *err)
{
    static uint32_t sessions; // that were opened: one thread opens them
    struct Remote *r = device_alloc(model->device, 1, sizeof *r);
    if (!r) return fail_memory(err, "a stage", sizeof *r);
    *r = (struct Remote){{remote_send, remote_receive, remote_move_cache, remote_close},
                         wire,
                         wire_rank(wire) + 1,
                         sessions++ % WIRE_IDS};
    const struct WirePart part = {options, sizeof *options};
    struct WireMessage opened;
    int status = wire_send(wire, r->above, OPEN, r->id, &part, 1, err);
    if (status) {
        free(r);
        return status;
    }
    wire_take(wire, r->above, 1u << OPENED, r->id, &opened);
    wire_free(&opened);
    *upstream = &r->upstream;
    return VKGPT_OK;
}

// -------------------------------------------------------------------------------------------- the rank above

struct Flying {
    uint32_t turn;
    size_t bytes; // of x
};

struct Served {
    struct Served *next;
    const struct Serving *serving;
    uint32_t below, id;
    struct Upstream *upstream; // the stages of this rank and those above it
    pthread_t thread;
    pthread_mutex_t lock; // protects all that follows
    pthread_cond_t changed;
    struct Flying flying[MAX_IN_FLIGHT];
    uint32_t oldest, count;
    bool ends;
};

static void check(const struct Serving *serving, int status, const vkgpt_error *err)
{
    if (status) serving->failed(serving->user, err);
}

// Sends the results down, one by one.
static void *return_results(void *argument)
{
    struct Served *s = argument;
    uint8_t *x = NULL;
    size_t room = 0;
    vkgpt_error err;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->count && !s->ends) pthread_cond_wait(&s->changed, &s->lock);
        if (!s->count) break;
        const struct Flying f = s->flying[s->oldest];
        s->oldest = (s->oldest + 1) % MAX_IN_FLIGHT;
        s->count--;
        pthread_mutex_unlock(&s->lock);
        if (f.bytes > room) {
            free(x);
            x = malloc(room = f.bytes);
            if (!x) check(s->serving, fail_memory(&err, "the activations for the next stage", room), &err);
        }
        check(s->serving, s->upstream->receive(s->upstream, f.turn, x, f.bytes, &err), &err);
        const struct WirePart parts[] = {{&f.turn, sizeof f.turn}, {x, f.bytes}};
        check(s->serving, wire_send(s->serving->wire, s->below, RESULT, s->id, parts, 2, &err), &err);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    free(x);
    return NULL;
}

static struct Served **find(struct Serving *serving, uint32_t id)
{
    struct Served **at = &serving->sessions;
    while (*at && (*at)->id != id) at = &(*at)->next;
    return at;
}

static void open_session(struct Serving *serving, const struct WireMessage *m)
{
    vkgpt_error err;
    struct StageOptions options;
    struct Served *s = calloc(1, sizeof *s);
    if (!s) check(serving, fail_memory(&err, "a session", sizeof *s), &err);
    *s = (struct Served){.next = serving->sessions, .serving = serving, .below = m->from, .id = m->id};
    check(serving, wire_check(m, sizeof options, &err), &err);
    memcpy(&options, m->data, sizeof options);
    check(serving, stages_open_before(serving->model, &options, &s->upstream, &err), &err);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (!thread_start(&s->thread, return_results, s))
        check(serving, fail(&err, VKGPT_OUT_OF_MEMORY, "a thread for a session cannot be started"), &err);
    serving->sessions = s;
    check(serving, wire_send(serving->wire, m->from, OPENED, m->id, NULL, 0, &err), &err);
}

static void close_session(struct Served **at)
{
    struct Served *s = *at;
    *at = s->next;
    pthread_mutex_lock(&s->lock);
    s->ends = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->upstream->close(s->upstream);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

static void start_flight(struct Served *s, const struct WireMessage *m)
{
    vkgpt_error err;
    struct StageFlight f = {0};
    if (m->bytes >= sizeof f) memcpy(&f, m->data, sizeof f);
    const uint8_t *inbox = m->data + sizeof f;
    const size_t head = sizeof(struct InboxHead) + f.admissions * sizeof(struct Admission);
    check(s->serving, wire_check(m, sizeof f + head + (size_t)f.words * 4, &err), &err);
    check(s->serving, s->upstream->send(s->upstream, &f, inbox, (const uint32_t *)(const void *)(inbox + head), &err),
          &err);
    pthread_mutex_lock(&s->lock);
    s->flying[(s->oldest + s->count++) % MAX_IN_FLIGHT] =
        (struct Flying){f.turn, (size_t)f.rows * s->serving->model->dim * 4};
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void serve_message(struct Serving *serving, const struct WireMessage *m)
{
    if (m->kind == OPEN) {
        open_session(serving, m);
        return;
    }
    struct Served **at = find(serving, m->id);
    if (!*at) return; // it was closed when rank 0 opened another model
    if (m->kind == FLIGHT) start_flight(*at, m);
    if (m->kind == CLOSE) close_session(at);
}

void serve_close(struct Serving *serving)
{
    while (serving->sessions) close_session(&serving->sessions);
}
