// HTTP through libcurl: a text into memory, and a file that may go on where an earlier download of it stopped.
#ifndef VKGPT_HUB_HTTP_H
#define VKGPT_HUB_HTTP_H

#include "tasks/buffer.h"
#include "vkgpt.h"

struct Http; // one connection, kept open between requests

// `token` NULL: none is sent. It goes to the host of the request only, never to one that the request is redirected to.
// `note` gets a sentence where a request is tried again.
int http_open(const char *token, void (*note)(const char *sentence), struct Http **http, vkgpt_error *err);
void http_close(struct Http *http);

struct Answer {
    long status;        // of HTTP, after redirects
    double retry_after; // seconds, or 0
};

// A text of at most `limit` bytes into `body`, whatever the status. Tries again where the connection is cut, and after
// the statuses 429 and 5xx. Errors: VKGPT_BAD_FILE, with the URL; VKGPT_INTERRUPTED.
int http_text(struct Http *http, const char *url, size_t limit, struct Buffer *body, struct Answer *answer,
              vkgpt_error *err);

// Where the bytes of a file go. `have` counts those that are there when the request begins, and grows.
struct Sink {
    uint64_t have, total;
    int (*add)(void *user, const void *data, size_t bytes, vkgpt_error *err);
    int (*restart)(void *user, vkgpt_error *err); // what is there is dropped: the server sends all of it
    void *user;
};

// A file of `total` bytes: asks for what is not there yet, as often as the server goes on sending. A server that sends
// more or ends early is an error (VKGPT_BAD_FILE) with both numbers; so is any other status than 200 and 206, which is
// left to the caller in `answer`.
int http_file(struct Http *http, const char *url, struct Sink *sink, struct Answer *answer, vkgpt_error *err);

#endif
