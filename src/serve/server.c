#include "serve/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/error.h"
#include "base/os.h"
#include "serve/handlers.h"
#include "serve/router.h"

#define MAX_BODY ((size_t)16 << 20)
#define LARGE_BODY ((size_t)64 << 10) // its text takes more than about 10 ms to tokenize
#define FLUSH_SECONDS 2               // for the last answers

// ------------------------------------------------------------------------------------------- one request

static void give_refusal(struct Exchange *exchange, const struct Refusal *refusal)
{
    struct Buffer body = {0};
    refusal_json(refusal, &body);
    exchange_answer(exchange, refusal->status, JSON_TYPE, &body);
}

// Only JSON by its name: a page of another site can send text/plain to a server on loopback, but not this.
static bool is_json(const char *type)
{
    return type && strncasecmp(type, JSON_TYPE, strlen(JSON_TYPE)) == 0 && strchr("; \t", type[strlen(JSON_TYPE)]);
}

static int check_state(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    int state = atomic_load(&server->state);
    if (state == SERVER_READY) return 0;
    exchange_set_header(exchange, "Retry-After", "1");
    return refuse(refusal, 503, NULL, NULL,
                  state == SERVER_LOADS ? "the model is being loaded" : "the server ends and takes no more requests");
}

static int check(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    const struct Route *route;
    const char *allow, *method = exchange_method(exchange);
    int status = router_find(method, exchange_path(exchange), &route, &allow, refusal);
    if (status == 405) exchange_set_header(exchange, "Allow", allow);
    if (status) return status;
    exchange_set_tag(exchange, route);
    if (!route->open && !auth_allows(&server->auth, exchange_header(exchange, "Authorization"))) {
        exchange_set_header(exchange, "WWW-Authenticate", "Bearer");
        return refuse(refusal, 401, NULL, "invalid_api_key",
                      "the API key is missing or wrong (Authorization: Bearer KEY)");
    }
    if (strcmp(method, "POST") == 0 && !is_json(exchange_header(exchange, "Content-Type")))
        return refuse(refusal, 415, NULL, NULL,
                      "the body has to be JSON, with the header Content-Type: application/json");
    return route->early ? 0 : check_state(server, exchange, refusal);
}

static void on_check(void *user, struct Exchange *exchange)
{
    struct Refusal refusal;
    if (check(user, exchange, &refusal)) give_refusal(exchange, &refusal);
}

static void run_route(struct Server *server, struct Exchange *exchange)
{
    struct Refusal refusal;
    const struct Route *route = exchange_tag(exchange);
    if (route->run(server, exchange, &refusal)) give_refusal(exchange, &refusal);
}

// In the worker's thread, some time after the request came.
static void on_work(void *user, struct Exchange *exchange)
{
    struct Refusal refusal;
    if (check_state(user, exchange, &refusal)) give_refusal(exchange, &refusal);
    else run_route(user, exchange);
}

static void on_run(void *user, struct Exchange *exchange)
{
    struct Server *server = user;
    const struct Route *route = exchange_tag(exchange);
    struct Refusal refusal;
    if (exchange_body(exchange)->bytes <= LARGE_BODY || route->early) {
        run_route(server, exchange);
    } else if (!worker_push(server->worker, exchange)) {
        refuse_memory(&refusal, "the request");
        give_refusal(exchange, &refusal);
    }
}

static void on_refuse(void *user, struct Exchange *exchange, int status)
{
    struct Refusal refusal;
    (void)user;
    if (status == 413) refuse(&refusal, status, NULL, NULL, "the body is larger than %zu bytes", MAX_BODY);
    else refuse_memory(&refusal, "the body");
    give_refusal(exchange, &refusal);
}

static void on_done(void *user, const struct Exchange *exchange, const struct ExchangeEnd *end)
{
    struct Server *server = user;
    char line[512];
    metrics_status(&server->metrics, end->status);
    if (!server->options.verbose) return;
    snprintf(line, sizeof line, "%.20s %.300s %d, %zu bytes in, %zu out, %.3f s%s", exchange_method(exchange),
             exchange_path(exchange), end->status, end->bytes_in, end->bytes_out, end->seconds,
             exchange_gone(exchange) ? ", the client went away" : "");
    clean_sentence(line);
    fprintf(stderr, "%s\n", line);
}

// ------------------------------------------------------------------------------------------- all of it

static int start_http(struct Server *server, vkgpt_error *err)
{
    struct Listening l;
    const struct ServerOptions *o = &server->options;
    const struct HttpdOptions http = {.timeout = o->timeout,
                                      .body_limit = MAX_BODY,
                                      .check = on_check,
                                      .run = on_run,
                                      .refuse = on_refuse,
                                      .done = on_done,
                                      .user = server};
    int code = listen_open(o->host, o->port, &l, err);
    if (!code) code = httpd_open(&l, &http, &server->http, err);
    if (code) return code;
    if (!l.loopback && !server->auth.count)
        fprintf(stderr, "vkgpt: other machines can reach %s, and no --api-key is set: everybody there may ask\n",
                o->host);
    fprintf(stderr, "vkgpt: listens on http://%s:%u\n", l.address, l.port);
    return 0;
}

int server_open(const struct ServerOptions *options, struct Server **opened, vkgpt_error *err)
{
    struct Server *server = calloc(1, sizeof *server);
    *opened = NULL;
    if (!server) return fail_memory(err, "the server", sizeof *server);
    *server = (struct Server){.options = *options, .state = SERVER_LOADS};
    metrics_open(&server->metrics);
    waiting_open(&server->waiting, options->queue);
    int code = auth_open(&server->auth, options->api_key, options->api_key_file, err);
    if (!code) code = worker_open(on_work, server, &server->worker, err);
    if (!code) code = start_http(server, err);
    *opened = server;
    if (!code) return 0;
    server_close(server);
    *opened = NULL;
    return code;
}

int server_start(struct Server *server, const struct Served *served, vkgpt_session *session,
                 int (*reopen)(void *user, vkgpt_session **session, vkgpt_error *err), void *user, vkgpt_error *err)
{
    const struct EngineOptions engine = {.session = session,
                                         .slots = served->slots,
                                         .reopen = reopen,
                                         .user = user,
                                         .waiting = &server->waiting,
                                         .metrics = &server->metrics};
    server->served = served;
    server->created = (int64_t)time(NULL);
    metrics_set(&server->metrics, METRIC_SLOTS, served->slots);
    metrics_set(&server->metrics, METRIC_CACHE_SIZE, (double)served->slots * served->context);
    int code = engine_open(&engine, &server->engine, err);
    if (!code) atomic_store(&server->state, SERVER_READY);
    return code;
}

int server_tick(struct Server *server, vkgpt_error *err)
{
    httpd_tick(server->http);
    return server->engine && engine_failed(server->engine, err) ? err->code : 0;
}

static void wait_for_answers(struct Server *server, double seconds)
{
    double end = os_seconds() + seconds;
    while (httpd_busy(server->http) && os_seconds() < end) {
        httpd_tick(server->http);
        os_wait(0.05);
    }
}

void server_drain(struct Server *server, double seconds)
{
    atomic_store(&server->state, SERVER_ENDS);
    httpd_quiesce(server->http);
    wait_for_answers(server, seconds);
}

void server_close(struct Server *server)
{
    if (!server) return;
    atomic_store(&server->state, SERVER_ENDS);
    engine_close(server->engine);
    worker_close(server->worker);
    if (server->http) wait_for_answers(server, FLUSH_SECONDS);
    httpd_close(server->http);
    waiting_close(&server->waiting);
    auth_close(&server->auth);
    metrics_close(&server->metrics);
    free(server);
}
