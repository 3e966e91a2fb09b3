// A completion and its choices, as data: completion.c lets them live, answer.c writes them.
#ifndef VKGPT_SERVE_CHOICE_H
#define VKGPT_SERVE_CHOICE_H

#include "serve/assembly.h"
#include "serve/httpd.h"
#include "serve/metrics.h"
#include "serve/prompts.h"
#include "serve/request.h"

struct Completion;

struct Choice { // one sequence
    struct Completion *completion;
    const struct Prompt *prompt;
    size_t index; // in the answer
    vkgpt_batch_options options;
    struct Assembly assembly;
    size_t tokens;      // generated
    double sum;         // of their log probabilities
    const char *finish; // "stop" or "length", once it has ended
    bool begun;         // a piece of it was sent
    double last;        // when its last token came
};

struct Completion {
    struct Exchange *exchange;
    const struct Served *served;
    struct Metrics *metrics;
    struct Request request;
    struct Prompts prompts;
    char id[48];
    int64_t created;
    double received;
    struct Choice *choices;
    size_t count, started, running, ended; // choices
    struct Completion *next;               // in the queue
};

#endif
