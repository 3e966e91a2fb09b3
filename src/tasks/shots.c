#include "tasks/shots.h"

#include <stdlib.h>
#include <string.h>

// splitmix64 (Steele et al. 2014)
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint64_t next_number(uint64_t *state) { return mix(*state += 0x9E3779B97F4A7C15u); }

// A number below n, each equally likely: numbers from the largest multiple of n on are drawn again.
static size_t next_below(uint64_t *state, size_t n)
{
    uint64_t most = UINT64_MAX - UINT64_MAX % n, number;
    do number = next_number(state);
    while (number >= most);
    return (size_t)(number % n);
}

void shots_open(struct Shots *shots, const struct Items *items, const struct Items *examples, uint64_t seed)
{
    *shots = (struct Shots){.items = items, .examples = examples, .seed = seed};
    shots->order = allocate(examples->count * sizeof *shots->order);
    for (size_t i = 0; i < examples->count; i++) shots->order[i] = i;
}

void shots_close(struct Shots *shots)
{
    free(shots->order);
    *shots = (struct Shots){0};
}

static void swap(size_t *a, size_t *b)
{
    size_t kept = *a;
    *a = *b;
    *b = kept;
}

// A shuffle (Fisher and Yates) that ends as soon as there are enough examples. It is then undone, because the order has
// to be the same for every query.
size_t shots_draw(struct Shots *shots, size_t query, size_t count)
{
    const struct Items *examples = shots->examples;
    const char *context = shots->items->items[query].context;
    uint64_t state = mix(shots->seed) + mix(query + 1);
    size_t *swapped = allocate(examples->count * sizeof *swapped), at = 0;
    if (count > MAX_SHOTS) count = MAX_SHOTS;
    shots->count = 0;
    for (; at < examples->count && shots->count < count; at++) {
        swapped[at] = at + next_below(&state, examples->count - at);
        swap(&shots->order[at], &shots->order[swapped[at]]);
        size_t drawn = shots->order[at];
        if (strcmp(examples->items[drawn].context, context) != 0) shots->drawn[shots->count++] = drawn;
    }
    while (at--) swap(&shots->order[at], &shots->order[swapped[at]]);
    free(swapped);
    return shots->count;
}

static void add_context(const struct Shots *shots, const char *context, struct Buffer *prompt)
{
    const char *separator = shots->separator ? shots->separator : context[0] == '\n' ? "" : "\n\n";
    if (prompt->bytes) buffer_text(prompt, separator);
    buffer_text(prompt, context);
}

void shots_prompt(const struct Shots *shots, size_t query, size_t count, size_t choice, struct Buffer *prompt)
{
    const struct Item *item = &shots->items->items[query];
    buffer_text(prompt, shots->description ? shots->description : item->description);
    for (size_t i = 0; i < count && i < shots->count; i++) {
        const struct Item *example = &shots->examples->items[shots->drawn[i]];
        add_context(shots, example->context, prompt);
        buffer_text(prompt, example->completion);
    }
    add_context(shots, item_context(item, choice), prompt);
}
