// Which handler answers which path.
#ifndef VKGPT_SERVE_ROUTER_H
#define VKGPT_SERVE_ROUTER_H

#include <stdbool.h>

#include "serve/httpd.h"
#include "serve/refusal.h"

struct Server;

struct Route {
    const char *method, *path; // a path that ends with / stands for all that begin with it
    bool open;                 // needs no key
    bool early;                // answers while the model loads, and while the server ends
    // Answers, now or later, and returns 0; or returns the refusal's status.
    int (*run)(struct Server *server, struct Exchange *exchange, struct Refusal *refusal);
};

// The table, which ends with a NULL method.
extern const struct Route ROUTES[];

// The route of a request. Refuses: 404, and 405 with what is allowed in *allow.
int router_find(const char *method, const char *path, const struct Route **route, const char **allow,
                struct Refusal *refusal);

#endif
