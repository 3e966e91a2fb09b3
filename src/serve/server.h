// The server: HTTP, the queue and the engine, and what they share.
#ifndef VKGPT_SERVE_SERVER_H
#define VKGPT_SERVE_SERVER_H

#include "serve/server_state.h"

// Listens, and says so on stderr. Until server_start the answer to nearly all is 503.
int server_open(const struct ServerOptions *options, struct Server **server, vkgpt_error *err);
// Begins to serve a model. `served` and `session` have to outlive the server; `reopen` is EngineOptions'.
int server_start(struct Server *server, const struct Served *served, vkgpt_session *session,
                 int (*reopen)(void *user, vkgpt_session **session, vkgpt_error *err), void *user, vkgpt_error *err);
// To be called about 20 times a second. Returns 0, or the error after which nothing can be served any more.
int server_tick(struct Server *server, vkgpt_error *err);
// Takes no more requests, and waits for those that run, `seconds` at most.
void server_drain(struct Server *server, double seconds);
void server_close(struct Server *server);

#endif
