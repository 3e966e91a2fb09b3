// A server's parts, which its handlers share.
#ifndef VKGPT_SERVE_SERVER_STATE_H
#define VKGPT_SERVE_SERVER_STATE_H

#include <stdatomic.h>

#include "serve/auth.h"
#include "serve/engine.h"
#include "serve/httpd.h"
#include "serve/metrics.h"
#include "serve/served.h"
#include "serve/waiting.h"
#include "serve/worker.h"

struct ServerOptions {
    const char *host;
    uint16_t port;                      // 0: any free one
    const char *api_key, *api_key_file; // or NULL
    size_t queue;                       // completions that wait
    double timeout;                     // seconds for a request to arrive
    bool verbose;                       // a line on stderr for each request
};

enum ServerState { SERVER_LOADS, SERVER_READY, SERVER_ENDS };

struct Server {
    struct ServerOptions options;
    struct Auth auth;
    struct Metrics metrics;
    struct Waiting waiting;
    struct Httpd *http;
    struct Worker *worker; // of requests with large bodies
    struct Engine *engine;
    const struct Served *served; // from SERVER_READY on
    atomic_int state;            // enum ServerState
    int64_t created;             // when it began to serve, in seconds since 1970
};

#endif
