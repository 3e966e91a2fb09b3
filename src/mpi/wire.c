// One thread makes all calls of MPI, so that messages move while the others run devices. It looks for messages again
// and again: MPI has no call that waits for a message and for this process at the same time. Where there are cores to
// spare it does not sleep while messages come and go.
#define _POSIX_C_SOURCE 200809L
#include "mpi/wire.h"

#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "base/thread.h"

#define AT_ONCE_SECONDS 0.01 // after the last message it looks without a pause, with cores to spare
#define AWAKE_SECONDS 0.5    // and up to here with short pauses, while the core is free
#define SHORT_PAUSE 150000   // nanoseconds
#define LONG_PAUSE 1000000   // nanoseconds: a look takes 15 us of the core, which a software driver may need
#define CORES_A_RANK 4       // more than these: there are cores to spare
#define BUSY_SHARE 0.5       // of the time that the other threads use a core: it is not free

struct Parcel { // a message that is sent, or arrives
    struct Parcel *next;
    struct WireMessage message;
    uint32_t to;
    MPI_Request request;
    bool moves, arrived; // its request was made; it has ended
};

struct Parcels { // in the order of their coming
    struct Parcel *first, **last;
};

struct Wire {
    uint32_t rank, ranks;
    bool spare; // cores
    pthread_t thread;
    pthread_mutex_t lock;    // protects all that follows
    pthread_cond_t arrived;  // a message has come in whole
    pthread_cond_t queued;   // something is to be sent, somebody waits, or the thread is to end
    pthread_mutex_t calling; // held by whoever calls MPI
    struct Parcels out, in;
    bool ends;
};

// ------------------------------------------------------------------------------------------------ parcels

static void parcels_add(struct Parcels *list, struct Parcel *parcel)
{
    *list->last = parcel;
    list->last = &parcel->next;
}

static void parcels_remove(struct Parcels *list, struct Parcel **at)
{
    struct Parcel *parcel = *at;
    *at = parcel->next;
    if (list->last == &parcel->next) list->last = at;
}

static void parcels_free(struct Parcels *list)
{
    for (struct Parcel *p = list->first, *next; p; p = next) {
        next = p->next;
        free(p->message.data);
        free(p);
    }
}

// -------------------------------------------------------------------------------------- the calls of MPI

static int tag_of(uint32_t kind, uint32_t id) { return (int)(id * WIRE_KINDS + kind); }

static bool send_queued(struct Wire *wire)
{
    bool moved = false;
    for (struct Parcel **at = &wire->out.first, *p; (p = *at);) {
        int ended = 0;
        if (!p->moves)
            MPI_Isend(p->message.data, (int)p->message.bytes, MPI_BYTE, (int)p->to,
                      tag_of(p->message.kind, p->message.id), MPI_COMM_WORLD, &p->request);
        p->moves = true;
        MPI_Test(&p->request, &ended, MPI_STATUS_IGNORE);
        if (!ended) {
            at = &p->next;
            continue;
        }
        parcels_remove(&wire->out, at);
        free(p->message.data);
        free(p);
        moved = true;
    }
    return moved;
}

// Begins to receive a message that is there. Nobody can be told of a lack of memory here but all: the run ends.
static void begin_receiving(struct Wire *wire, MPI_Message *found, const MPI_Status *status)
{
    int bytes;
    struct Parcel *p = calloc(1, sizeof *p);
    MPI_Get_count(status, MPI_BYTE, &bytes);
    if (p) p->message.data = malloc(bytes ? (size_t)bytes : 1);
    if (!p || !p->message.data) MPI_Abort(MPI_COMM_WORLD, 1);
    p->message.from = (uint32_t)status->MPI_SOURCE;
    p->message.kind = (uint32_t)status->MPI_TAG % WIRE_KINDS;
    p->message.id = (uint32_t)status->MPI_TAG / WIRE_KINDS;
    p->message.bytes = (size_t)bytes;
    MPI_Imrecv(p->message.data, bytes, MPI_BYTE, found, &p->request);
    parcels_add(&wire->in, p);
}

static bool receive(struct Wire *wire)
{
    bool moved = false;
    for (int there = 1; there;) {
        MPI_Message found;
        MPI_Status status;
        MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &found, &status);
        if (there) begin_receiving(wire, &found, &status);
    }
    for (struct Parcel *p = wire->in.first; p; p = p->next) {
        int ended = p->arrived;
        if (!ended) MPI_Test(&p->request, &ended, MPI_STATUS_IGNORE);
        if (!ended || p->arrived) continue;
        p->arrived = moved = true;
        pthread_cond_broadcast(&wire->arrived);
    }
    return moved;
}

static void pause_until_queued(struct Wire *wire, long nanoseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += nanoseconds;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&wire->queued, &wire->lock, &until);
}

// When the thread looked last, and what the other threads of this process had used of the processor by then.
struct Look {
    double at, used_by_others;
};

static struct Look look_now(void) { return (struct Look){os_seconds(), os_processor_seconds() - os_thread_seconds()}; }

// Whether the other threads computed since the last look: those of a software driver, in most cases.
static bool others_compute(const struct Look *before, const struct Look *now)
{
    return now->used_by_others - before->used_by_others > BUSY_SHARE * (now->at - before->at);
}

static void *work(void *argument)
{
    struct Wire *wire = argument;
    struct Look before = look_now();
    double last = before.at;
    pthread_mutex_lock(&wire->lock);
    while (!wire->ends || wire->out.first) {
        pthread_mutex_lock(&wire->calling);
        bool moved = send_queued(wire);
        moved = receive(wire) || moved;
        pthread_mutex_unlock(&wire->calling);
        struct Look now = look_now();
        if (moved) last = now.at;
        double quiet = now.at - last;
        if (wire->spare && quiet < AT_ONCE_SECONDS) {
            pthread_mutex_unlock(&wire->lock);
            sched_yield();
            pthread_mutex_lock(&wire->lock);
        } else {
            bool often = quiet < AWAKE_SECONDS && !others_compute(&before, &now);
            pause_until_queued(wire, often ? SHORT_PAUSE : LONG_PAUSE);
        }
        before = now;
    }
    pthread_mutex_unlock(&wire->lock);
    return NULL;
}

// ------------------------------------------------------------------------------------- opening and closing

// mpirun's number of ranks on this machine, which it tells each of them.
static unsigned ranks_here(void)
{
    const char *text = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    return text ? (unsigned)strtoul(text, NULL, 10) : 1;
}

static void wire_delete(struct Wire *wire)
{
    parcels_free(&wire->in);
    parcels_free(&wire->out);
    pthread_mutex_destroy(&wire->lock);
    pthread_mutex_destroy(&wire->calling);
    pthread_cond_destroy(&wire->arrived);
    pthread_cond_destroy(&wire->queued);
    free(wire);
}

struct Wire *wire_open(int *argc, char ***argv, vkgpt_error *err)
{
    int level, rank, ranks;
    struct Wire *wire = calloc(1, sizeof *wire);
    if (!wire) {
        fail_memory(err, "the messages of MPI", sizeof *wire);
        return NULL;
    }
    if (MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level) || level < MPI_THREAD_SERIALIZED) {
        fail(err, VKGPT_BAD_ARGUMENT, "MPI does not start with MPI_THREAD_SERIALIZED");
        free(wire);
        return NULL;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    wire->rank = (uint32_t)rank, wire->ranks = (uint32_t)ranks;
    wire->spare = os_cores() > CORES_A_RANK * ranks_here();
    wire->in.last = &wire->in.first, wire->out.last = &wire->out.first;
    pthread_mutex_init(&wire->lock, NULL);
    pthread_mutex_init(&wire->calling, NULL);
    pthread_cond_init(&wire->arrived, NULL);
    pthread_cond_init(&wire->queued, NULL);
    if (thread_start(&wire->thread, work, wire)) return wire;
    fail(err, VKGPT_OUT_OF_MEMORY, "a thread for the messages of MPI cannot be started");
    wire_delete(wire);
    return NULL;
}

void wire_close(struct Wire *wire)
{
    if (!wire) return;
    pthread_mutex_lock(&wire->lock);
    wire->ends = true;
    pthread_cond_signal(&wire->queued);
    pthread_mutex_unlock(&wire->lock);
    pthread_join(wire->thread, NULL);
    MPI_Finalize();
    wire_delete(wire);
}

_Noreturn void wire_abort(struct Wire *wire, int status)
{
    pthread_mutex_lock(&wire->calling);
    MPI_Abort(MPI_COMM_WORLD, status);
    _Exit(status);
}

uint32_t wire_rank(const struct Wire *wire) { return wire->rank; }
uint32_t wire_ranks(const struct Wire *wire) { return wire->ranks; }

// ------------------------------------------------------------------------------------------------ messages

int wire_send(struct Wire *wire, uint32_t to, uint32_t kind, uint32_t id, const struct WirePart *parts, size_t count,
              vkgpt_error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts[i].bytes;
    if (bytes > INT_MAX)
        return fail(err, VKGPT_BAD_ARGUMENT, "a message of %zu bytes to rank %u: MPI takes %d at most", bytes, to,
                    INT_MAX);
    struct Parcel *p = calloc(1, sizeof *p);
    uint8_t *data = malloc(bytes ? bytes : 1);
    if (!p || !data) {
        free(p);
        free(data);
        return fail_memory(err, "a message", bytes);
    }
    p->message = (struct WireMessage){wire->rank, kind, id, data, bytes};
    p->to = to;
    for (size_t i = 0; i < count; data += parts[i].bytes, i++)
        if (parts[i].bytes) memcpy(data, parts[i].data, parts[i].bytes);
    pthread_mutex_lock(&wire->lock);
    parcels_add(&wire->out, p);
    pthread_cond_signal(&wire->queued);
    pthread_mutex_unlock(&wire->lock);
    return VKGPT_OK;
}

// The first message that is asked for, also if it has not come in whole: those after it wait for it.
static struct Parcel **find(struct Wire *wire, uint32_t from, uint32_t kinds, uint32_t id)
{
    for (struct Parcel **at = &wire->in.first; *at; at = &(*at)->next) {
        const struct WireMessage *m = &(*at)->message;
        if ((from == WIRE_ANY || m->from == from) && (id == WIRE_ANY || m->id == id) && kinds >> m->kind & 1) return at;
    }
    return NULL;
}

void wire_take(struct Wire *wire, uint32_t from, uint32_t kinds, uint32_t id, struct WireMessage *message)
{
    struct Parcel **at;
    pthread_mutex_lock(&wire->lock);
    while (!(at = find(wire, from, kinds, id)) || !(*at)->arrived) {
        pthread_cond_signal(&wire->queued); // look now: this thread has just let the core go
        pthread_cond_wait(&wire->arrived, &wire->lock);
    }
    struct Parcel *p = *at;
    parcels_remove(&wire->in, at);
    pthread_mutex_unlock(&wire->lock);
    *message = p->message;
    free(p);
}

int wire_check(const struct WireMessage *m, size_t bytes, vkgpt_error *err)
{
    if (m->bytes == bytes) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "rank %u sent a message of kind %u with %zu bytes, not %zu", m->from, m->kind,
                m->bytes, bytes);
}

void wire_free(struct WireMessage *message)
{
    free(message->data);
    *message = (struct WireMessage){0};
}
