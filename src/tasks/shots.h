// The prompt of an item with K examples before it: description, examples with their answers, query (Brown et al. 2020,
// figure 2.1 and appendix G).
#ifndef VKGPT_TASKS_SHOTS_H
#define VKGPT_TASKS_SHOTS_H

#include "tasks/buffer.h"
#include "tasks/items.h"

#define MAX_SHOTS 1024

struct Shots {
    const struct Items *items;    // the queries
    const struct Items *examples; // to draw from: the same, or those of another file
    const char *description;      // NULL: each item's own
    const char *separator;        // before a context; NULL: an empty line, unless the context begins with a line break
    uint64_t seed;
    size_t drawn[MAX_SHOTS]; // the examples that shots_draw drew last
    size_t count;
    size_t *order; // of all examples
};

void shots_open(struct Shots *shots, const struct Items *items, const struct Items *examples, uint64_t seed);
void shots_close(struct Shots *shots);

// Draws examples for a query. They depend on the seed and the query alone, and are never the query itself or another
// item with the same context, which would tell its answer. A smaller draw gives the first examples of a larger one.
// Returns how many there are, at most `count`.
size_t shots_draw(struct Shots *shots, size_t query, size_t count);

// Appends the prompt: the description, the first `count` of the drawn examples, and the context of one of the query's
// choices (0 if it has none).
void shots_prompt(const struct Shots *shots, size_t query, size_t count, size_t choice, struct Buffer *prompt);

#endif
