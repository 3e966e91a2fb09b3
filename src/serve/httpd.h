// HTTP, by libmicrohttpd: this file and httpd.c alone know it. One thread reads requests and sends answers. An exchange
// is a request and its answer, which any thread may give, at once or piece by piece.
#ifndef VKGPT_SERVE_HTTPD_H
#define VKGPT_SERVE_HTTPD_H

#include "serve/listen.h"
#include "tasks/buffer.h"
#include "vkgpt.h"

struct Httpd;
struct Exchange;

// How an exchange went.
struct ExchangeEnd {
    int status; // 0: no answer was sent
    size_t bytes_in, bytes_out;
    double seconds;
};

struct HttpdOptions {
    double timeout;    // seconds for the headers and the body of a request, and for a client that takes no answer
    size_t body_limit; // bytes
    // Both are called in the thread of HTTP, and may answer. `check` comes with the headers: what it answers is sent
    // behind the body, which is thrown away. `run` comes with the whole request, unless `check` has answered.
    void (*check)(void *user, struct Exchange *exchange);
    void (*run)(void *user, struct Exchange *exchange);
    // A body cannot be taken: has to answer with the status. 413: it is larger than body_limit; 503: there is no memory
    // for it. Comes in place of `run`.
    void (*refuse)(void *user, struct Exchange *exchange, int status);
    void (*done)(void *user, const struct Exchange *exchange, const struct ExchangeEnd *end); // it is over
    void *user;
};

// Begins to serve on a socket that listens, which it takes over.
int httpd_open(const struct Listening *listening, const struct HttpdOptions *options, struct Httpd **http,
               vkgpt_error *err);
// To be called about 20 times a second: looks for clients that went away, and for requests that take too long.
void httpd_tick(struct Httpd *http);
// Accepts no more connections; those that are open go on.
void httpd_quiesce(struct Httpd *http);
// Exchanges that are not over.
size_t httpd_busy(struct Httpd *http);
// Closes all connections.
void httpd_close(struct Httpd *http);

// ------------------------------------------------------------------------------------ an exchange

const char *exchange_method(const struct Exchange *e);
const char *exchange_path(const struct Exchange *e);
// A header of the request, or NULL: only inside of `check`.
const char *exchange_header(const struct Exchange *e, const char *name);
const struct Buffer *exchange_body(const struct Exchange *e);
const void *exchange_tag(const struct Exchange *e); // what `check` has put there for `run`
void exchange_set_tag(struct Exchange *e, const void *tag);

// An answer that comes later needs a hold on its exchange, and ends with exchange_release.
void exchange_hold(struct Exchange *e);
void exchange_release(struct Exchange *e);
// The client went away: nobody reads the answer.
bool exchange_gone(const struct Exchange *e);

// Adds a header to the answer, before it is given; both are constants.
void exchange_set_header(struct Exchange *e, const char *name, const char *value);
// Gives the whole answer; takes the bytes of `body` over. Only the first answer counts. A body that has failed becomes
// an error of status 500.
void exchange_answer(struct Exchange *e, int status, const char *type, struct Buffer *body);
// An answer of status 200 piece by piece: the first call begins it.
void exchange_write(struct Exchange *e, const char *type, const char *bytes, size_t count);
void exchange_end(struct Exchange *e);
// Closes the connection in the middle of an answer: the rest of it is missing.
void exchange_break(struct Exchange *e);

#endif
