#include "serve/handlers.h"

#include <inttypes.h>
#include <string.h>

#include "serve/completion.h"
#include "serve/json_out.h"
#include "serve/page.h"

static int give(struct Exchange *exchange, int status, struct Buffer *body)
{
    exchange_answer(exchange, status, JSON_TYPE, body);
    return 0;
}

// -------------------------------------------------------------------------------------------- about it

int handle_page(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    (void)server, (void)refusal;
    buffer_text(&body, (const char *)SERVE_PAGE);
    exchange_set_header(
        exchange, "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'");
    exchange_answer(exchange, 200, "text/html; charset=utf-8", &body);
    return 0;
}

int handle_health(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    (void)server, (void)refusal;
    buffer_text(&body, "{\"status\":\"ok\"}");
    return give(exchange, 200, &body);
}

int handle_version(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    (void)server, (void)refusal;
    buffer_format(&body, "{\"version\":\"%s\"}", vkgpt_version());
    return give(exchange, 200, &body);
}

int handle_metrics(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    (void)refusal;
    metrics_set(&server->metrics, METRIC_WAITING, (double)waiting_count(&server->waiting));
    metrics_text(&server->metrics, &body);
    exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    return 0;
}

int handle_props(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    const struct Served *s = server->served;
    struct Buffer body = {0};
    (void)refusal;
    buffer_text(&body, "{\"model_alias\":");
    json_out_text(&body, s->name);
    buffer_text(&body, ",\"architecture\":");
    json_out_text(&body, s->model->architecture);
    buffer_text(&body, ",\"weights\":");
    json_out_text(&body, s->model->weights);
    buffer_format(&body, ",\"n_ctx\":%" PRIu32 ",\"n_vocab\":%" PRIu32 ",\"total_slots\":%" PRIu32, s->context,
                  s->model->vocab, s->slots);
    buffer_format(&body, ",\"n_params\":%" PRIu64 ",\"default_generation_settings\":{\"n_ctx\":%" PRIu32 "}",
                  s->model->params, s->context);
    buffer_text(&body, ",\"chat_template\":");
    if (s->chat) json_out_bytes(&body, s->chat->source.data, s->chat->source.bytes);
    else buffer_text(&body, "null");
    buffer_format(&body, ",\"build_info\":\"vkgpt %s\"}", vkgpt_version());
    return give(exchange, 200, &body);
}

static void put_model(const struct Server *server, struct Buffer *body)
{
    const struct Served *s = server->served;
    buffer_text(body, "{\"id\":");
    json_out_text(body, s->name);
    buffer_format(body,
                  ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"vkgpt\",\"max_model_len\":%" PRIu32 "}",
                  server->created, s->context);
}

int handle_models(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    (void)refusal;
    buffer_text(&body, "{\"object\":\"list\",\"data\":[");
    put_model(server, &body);
    buffer_text(&body, "]}");
    return give(exchange, 200, &body);
}

int handle_model(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    struct Buffer body = {0};
    const char *name = exchange_path(exchange) + strlen("/v1/models/");
    if (strcmp(name, server->served->name) != 0)
        return refuse(refusal, 404, "model", "model_not_found", "there is no model %.200s, only %.200s", name,
                      server->served->name);
    put_model(server, &body);
    return give(exchange, 200, &body);
}

// ------------------------------------------------------------------------------------------ completions

static int complete(struct Server *server, struct Exchange *exchange, bool chat, struct Refusal *refusal)
{
    struct Completion *c = completion_make(exchange, server->served, &server->metrics, chat, refusal);
    if (!c) return refusal->status;
    if (waiting_push(&server->waiting, c)) return 0;
    completion_free(c);
    metrics_add(&server->metrics, METRIC_REFUSED, 1);
    exchange_set_header(exchange, "Retry-After", "1");
    return refuse(refusal, 429, NULL, "queue_full", "the queue is full: %zu requests wait",
                  waiting_count(&server->waiting));
}

int handle_completions(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    return complete(server, exchange, false, refusal);
}

int handle_chat(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    return complete(server, exchange, true, refusal);
}
