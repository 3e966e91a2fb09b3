// A connection whose answer is not ready is suspended: MHD does not look at it then, so httpd_tick watches its
// descriptor. One lock protects all exchanges. MHD's own lock is taken inside of it, never the other way round: MHD
// holds none when it calls back.
#define _GNU_SOURCE // POLLRDHUP
#include "serve/httpd.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "serve/connections.h"

#define MOST_CONNECTIONS ((size_t)4096)
#define OWN_DESCRIPTORS 64 // of the program: files, drivers
#define SPARE 16           // connections that are accepted while older ones are closed
#define MAX_HEADERS 2
#define MAX_BODIES ((size_t)1 << 30) // bytes of all bodies together
#define PIECE 4096                   // of an answer that comes piece by piece

static const char NO_MEMORY[] = "{\"error\":{\"message\":\"no host memory for the answer\",\"type\":\"server_error\","
                                "\"param\":null,\"code\":null}}";

struct Httpd {
    struct MHD_Daemon *daemon;
    struct HttpdOptions options;
    struct Connections connections;
    pthread_mutex_t lock; // protects all that follows, and the exchanges
    struct Exchange *first;
    size_t count, bodies; // exchanges that are not over; bytes of their bodies
    bool closing;
};

struct Exchange {
    struct Httpd *http;
    struct MHD_Connection *connection; // NULL: over
    struct Connection *waits;
    struct Exchange *previous, *next;
    unsigned holds;
    char *method, *path;
    const void *tag;
    struct Buffer body;
    size_t body_bytes; // also of what was thrown away
    bool whole;        // the request is
    const char *headers[MAX_HEADERS][2];
    // the answer
    int status; // 0: there is none yet
    const char *type;
    struct Buffer out; // what MHD has not taken yet
    bool pieces, ended, queued, suspended;
    atomic_bool gone;
    size_t sent;
    double begun;
};

const char *exchange_method(const struct Exchange *e) { return e->method; }
const char *exchange_path(const struct Exchange *e) { return e->path; }
const struct Buffer *exchange_body(const struct Exchange *e) { return &e->body; }
const void *exchange_tag(const struct Exchange *e) { return e->tag; }
void exchange_set_tag(struct Exchange *e, const void *tag) { e->tag = tag; }
bool exchange_gone(const struct Exchange *e) { return atomic_load(&e->gone); }

const char *exchange_header(const struct Exchange *e, const char *name)
{
    return MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, name);
}

// ------------------------------------------------------------------------------------- its life

static struct Exchange *begin(struct Httpd *http, struct MHD_Connection *connection, const char *method,
                              const char *path)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct Exchange *e = calloc(1, sizeof *e);
    struct Buffer own_method = {0}, own_path = {0};
    buffer_text(&own_method, method);
    buffer_text(&own_path, path);
    if (!e || own_method.failed || own_path.failed) {
        buffer_free(&own_method);
        buffer_free(&own_path);
        free(e);
        return NULL;
    }
    *e = (struct Exchange){.http = http, .connection = connection, .holds = 1, .begun = os_seconds()};
    e->waits = info ? info->socket_context : NULL;
    e->method = own_method.data;
    e->path = own_path.data;
    pthread_mutex_lock(&http->lock);
    e->next = http->first;
    if (e->next) e->next->previous = e;
    http->first = e;
    http->count++;
    pthread_mutex_unlock(&http->lock);
    return e;
}

void exchange_hold(struct Exchange *e)
{
    pthread_mutex_lock(&e->http->lock);
    e->holds++;
    pthread_mutex_unlock(&e->http->lock);
}

void exchange_release(struct Exchange *e)
{
    pthread_mutex_lock(&e->http->lock);
    bool last = --e->holds == 0;
    pthread_mutex_unlock(&e->http->lock);
    if (!last) return;
    buffer_free(&e->body);
    buffer_free(&e->out);
    free(e->method);
    free(e->path);
    free(e);
}

static void resume(struct Exchange *e)
{
    if (!e->suspended) return;
    e->suspended = false;
    MHD_resume_connection(e->connection);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct Httpd *http = user;
    struct Exchange *e = *context;
    (void)connection;
    if (!e) return;
    *context = NULL;
    pthread_mutex_lock(&http->lock);
    *(e->previous ? &e->previous->next : &http->first) = e->next;
    if (e->next) e->next->previous = e->previous;
    http->count--;
    http->bodies -= e->body.bytes;
    e->connection = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) atomic_store(&e->gone, true);
    pthread_mutex_unlock(&http->lock);
    connections_set_reading(&http->connections, e->waits, true);
    const struct ExchangeEnd end = {e->queued ? e->status : 0, e->body_bytes, e->sent, os_seconds() - e->begun};
    http->options.done(http->options.user, e, &end);
    exchange_release(e);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct Httpd *http = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? connections_add(&http->connections, info->connect_fd) : NULL;
    } else {
        connections_remove(&http->connections, *context);
        *context = NULL;
    }
}

// ------------------------------------------------------------------------------------- the answer

void exchange_set_header(struct Exchange *e, const char *name, const char *value)
{
    for (size_t i = 0; i < MAX_HEADERS; i++) {
        if (e->headers[i][0]) continue;
        e->headers[i][0] = name;
        e->headers[i][1] = value;
        return;
    }
}

void exchange_answer(struct Exchange *e, int status, const char *type, struct Buffer *body)
{
    pthread_mutex_lock(&e->http->lock);
    if (!e->status) {
        e->status = body->failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : status;
        e->type = body->failed ? "application/json" : type;
        e->out = *body;
        *body = (struct Buffer){0};
        resume(e);
    }
    pthread_mutex_unlock(&e->http->lock);
    buffer_free(body);
}

void exchange_write(struct Exchange *e, const char *type, const char *bytes, size_t count)
{
    pthread_mutex_lock(&e->http->lock);
    if (!e->status) {
        e->status = MHD_HTTP_OK;
        e->type = type;
        e->pieces = true;
    }
    if (e->pieces && !e->ended && !exchange_gone(e)) buffer_add(&e->out, bytes, count);
    resume(e);
    pthread_mutex_unlock(&e->http->lock);
}

void exchange_end(struct Exchange *e)
{
    pthread_mutex_lock(&e->http->lock);
    e->ended = true;
    resume(e);
    pthread_mutex_unlock(&e->http->lock);
}

void exchange_break(struct Exchange *e)
{
    pthread_mutex_lock(&e->http->lock);
    e->out.failed = true;
    resume(e);
    pthread_mutex_unlock(&e->http->lock);
}

// MHD asks for more of an answer that comes piece by piece.
static ssize_t read_piece(void *user, uint64_t position, char *bytes, size_t most)
{
    struct Exchange *e = user;
    ssize_t count = 0;
    (void)position;
    pthread_mutex_lock(&e->http->lock);
    if (exchange_gone(e) || e->http->closing || e->out.failed) {
        count = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (e->out.bytes) {
        count = (ssize_t)(e->out.bytes < most ? e->out.bytes : most);
        memcpy(bytes, e->out.data, (size_t)count);
        buffer_drop(&e->out, (size_t)count);
        e->sent += (size_t)count;
    } else if (e->ended) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        e->suspended = true;
        MHD_suspend_connection(e->connection);
    }
    pthread_mutex_unlock(&e->http->lock);
    return count;
}

static void end_pieces(void *user) { exchange_release(user); }

static struct MHD_Response *make_response(struct Exchange *e)
{
    struct MHD_Response *response;
    if (e->pieces) {
        e->holds++; // the lock is held
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_piece, e, end_pieces);
        if (!response) e->holds--;
    } else if (e->out.failed) {
        response = MHD_create_response_from_buffer(sizeof NO_MEMORY - 1, (void *)NO_MEMORY, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer(e->out.bytes, e->out.data, MHD_RESPMEM_MUST_FREE);
        e->sent = e->out.bytes;
        if (response) e->out = (struct Buffer){0};
    }
    if (!response) return NULL;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, e->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    for (size_t i = 0; i < MAX_HEADERS && e->headers[i][0]; i++)
        MHD_add_response_header(response, e->headers[i][0], e->headers[i][1]);
    return response;
}

// Sends the answer, or waits for it. MHD_NO closes the connection.
static enum MHD_Result give(struct Exchange *e)
{
    struct Httpd *http = e->http;
    struct MHD_Response *response = NULL;
    enum MHD_Result result = MHD_NO;
    pthread_mutex_lock(&http->lock);
    if (exchange_gone(e) || http->closing) {
        // nobody reads it
    } else if (!e->status) {
        e->suspended = true;
        MHD_suspend_connection(e->connection);
        result = MHD_YES;
    } else {
        response = make_response(e);
        e->queued = response != NULL;
    }
    unsigned status = (unsigned)e->status;
    pthread_mutex_unlock(&http->lock);
    if (!response) return result;
    result = MHD_queue_response(e->connection, status, response);
    MHD_destroy_response(response); // MHD has its own hold
    return result;
}

// ------------------------------------------------------------------------------------- the request

static bool too_large(const struct Exchange *e, size_t more)
{
    const struct Httpd *http = e->http;
    return e->body_bytes + more > http->options.body_limit || http->bodies + more > MAX_BODIES;
}

static void refuse_body(struct Exchange *e, int status)
{
    struct Httpd *http = e->http;
    pthread_mutex_lock(&http->lock);
    http->bodies -= e->body.bytes;
    pthread_mutex_unlock(&http->lock);
    buffer_free(&e->body);
    if (!e->status) http->options.refuse(http->options.user, e, status);
}

// What will not be used is thrown away, so that the client sees the answer and not a connection that was reset.
static void take_body(struct Exchange *e, const char *bytes, size_t count)
{
    struct Httpd *http = e->http;
    if (!e->status && too_large(e, count)) refuse_body(e, 413);
    e->body_bytes += count;
    if (e->status) return;
    buffer_add(&e->body, bytes, count);
    if (e->body.failed) {
        refuse_body(e, 503);
        return;
    }
    pthread_mutex_lock(&http->lock);
    http->bodies += count;
    pthread_mutex_unlock(&http->lock);
}

static enum MHD_Result take_headers(struct Exchange *e)
{
    const char *length = exchange_header(e, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *expect = exchange_header(e, MHD_HTTP_HEADER_EXPECT);
    e->http->options.check(e->http->options.user, e);
    if (!e->status && length && strtoull(length, NULL, 10) > e->http->options.body_limit) refuse_body(e, 413);
    return e->status && expect ? give(e) : MHD_YES; // such a client waits with its body
}

static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                                 const char *version, const char *bytes, size_t *count, void **context)
{
    struct Httpd *http = user;
    struct Exchange *e = *context;
    (void)version;
    if (!e) {
        *context = e = begin(http, connection, method, path);
        return e ? take_headers(e) : MHD_NO;
    }
    if (*count) {
        take_body(e, bytes, *count);
        *count = 0;
        return MHD_YES;
    }
    if (!e->whole) {
        e->whole = true;
        connections_set_reading(&http->connections, e->waits, false);
        if (!e->status) http->options.run(http->options.user, e);
    }
    return give(e);
}

// ------------------------------------------------------------------------------------- all of it

int httpd_open(const struct Listening *listening, const struct HttpdOptions *options, struct Httpd **opened,
               vkgpt_error *err)
{
    struct Httpd *http = calloc(1, sizeof *http);
    size_t most = listen_most_descriptors();
    most = most > MOST_CONNECTIONS + OWN_DESCRIPTORS ? MOST_CONNECTIONS
           : most > 2 * OWN_DESCRIPTORS              ? most - OWN_DESCRIPTORS
                                                     : most / 2;
    *opened = NULL;
    if (!http) {
        close(listening->fd);
        return fail_memory(err, "the server", sizeof *http);
    }
    *http = (struct Httpd){.options = *options};
    pthread_mutex_init(&http->lock, NULL);
    connections_open(&http->connections, most > 2 * SPARE ? most - SPARE : most / 2 + 1, options->timeout);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (listening->v6 ? MHD_USE_IPv6 : 0);
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_access, http, MHD_OPTION_LISTEN_SOCKET, listening->fd,
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)most, MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)options->timeout + 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
                                    MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    *opened = http;
    if (http->daemon) return 0;
    *opened = NULL;
    connections_close(&http->connections);
    pthread_mutex_destroy(&http->lock);
    free(http);
    close(listening->fd);
    return fail(err, VKGPT_BAD_ARGUMENT, "libmicrohttpd %s cannot serve on port %u", MHD_get_version(),
                listening->port);
}

// A client that waits has nothing to send: its descriptor is readable only where it went away.
static bool went_away(const struct Exchange *e)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd poll_one = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    return poll(&poll_one, 1, 0) > 0 && poll_one.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void httpd_tick(struct Httpd *http)
{
    pthread_mutex_lock(&http->lock);
    for (struct Exchange *e = http->first; e; e = e->next) {
        if (!e->suspended || !went_away(e)) continue;
        atomic_store(&e->gone, true);
        resume(e);
    }
    pthread_mutex_unlock(&http->lock);
    connections_tick(&http->connections);
}

void httpd_quiesce(struct Httpd *http)
{
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0) close(fd);
}

size_t httpd_busy(struct Httpd *http)
{
    pthread_mutex_lock(&http->lock);
    size_t count = http->count;
    pthread_mutex_unlock(&http->lock);
    return count;
}

void httpd_close(struct Httpd *http)
{
    if (!http) return;
    pthread_mutex_lock(&http->lock);
    http->closing = true; // from now on nobody is suspended
    for (struct Exchange *e = http->first; e; e = e->next) {
        atomic_store(&e->gone, true);
        resume(e);
    }
    pthread_mutex_unlock(&http->lock);
    MHD_stop_daemon(http->daemon);
    connections_close(&http->connections);
    pthread_mutex_destroy(&http->lock);
    free(http);
}
