// What answers the requests; router.c says which path is whose.
#ifndef VKGPT_SERVE_HANDLERS_H
#define VKGPT_SERVE_HANDLERS_H

#include "serve/refusal.h"
#include "serve/server_state.h"

// Each returns 0 after it has answered, or will, or the refusal's status.
int handle_page(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_health(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_version(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_metrics(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_props(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_models(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_model(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_completions(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_chat(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_tokenize(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_detokenize(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
int handle_tokenizer_info(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);

#define JSON_TYPE "application/json"

#endif
