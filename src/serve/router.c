#include "serve/router.h"

#include <string.h>

#include "serve/handlers.h"

// clang-format off
const struct Route ROUTES[] = {
    {"GET",  "/",                    true,  true,  handle_page},
    {"GET",  "/health",              true,  false, handle_health},
    {"GET",  "/version",             false, true,  handle_version},
    {"GET",  "/metrics",             false, true,  handle_metrics},
    {"GET",  "/props",               false, false, handle_props},
    {"GET",  "/v1/models",           false, false, handle_models},
    {"GET",  "/v1/models/",          false, false, handle_model},
    {"POST", "/v1/completions",      false, false, handle_completions},
    {"POST", "/v1/chat/completions", false, false, handle_chat},
    {"POST", "/tokenize",            false, false, handle_tokenize},
    {"POST", "/detokenize",          false, false, handle_detokenize},
    {"GET",  "/tokenizer_info",      false, false, handle_tokenizer_info},
    {0},
};
// clang-format on

static bool matches(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);
    bool beginning = length > 1 && pattern[length - 1] == '/';
    return beginning ? strncmp(pattern, path, length) == 0 && path[length] : strcmp(pattern, path) == 0;
}

int router_find(const char *method, const char *path, const struct Route **found, const char **allow,
                struct Refusal *refusal)
{
    *found = NULL;
    *allow = NULL;
    for (const struct Route *route = ROUTES; route->method; route++) {
        if (!matches(route->path, path)) continue;
        *allow = route->method;
        *found = route;
        if (strcmp(route->method, method) == 0) return 0;
    }
    if (!*allow) return refuse(refusal, 404, NULL, NULL, "there is nothing at %.200s", path);
    return refuse(refusal, 405, NULL, NULL, "%.200s takes %s, not %.20s", path, *allow, method);
}
