// The page of `vkgpt explain`: one HTML file with all that it needs (explain/page.html, page.css and page.js).
#ifndef VKGPT_CLI_EXPLAIN_PAGE_H
#define VKGPT_CLI_EXPLAIN_PAGE_H

#include "model/config.h"
#include "tasks/buffer.h"
#include "vkgpt.h"

#define NEXT_TOP 10 // tokens that may come next
#define LENS_TOP 5  // the same, after each layer

struct Guess {
    uint32_t id;
    float probability;
};

// What the page shows. `layers + 1` rows: before each layer, and after the last one.
struct Explained {
    const vkgpt_model_info *model;
    const vkgpt_device_info *device;
    const struct Config *config;
    const vkgpt_tokenizer *tokenizer; // or NULL: the page shows ids
    const uint32_t *ids;
    uint32_t count;
    double *norms;       // (layers + 1, count): L2, of the residual stream
    double *given;       // (layers + 1, count): the probability of the token that comes next in the text
    struct Guess *lens;  // (layers + 1, count, LENS_TOP), the likeliest first
    struct Guess *next;  // (count, NEXT_TOP), the likeliest first
    uint16_t *attention; // (layers, heads, count * (count + 1) / 2): rows of the lower triangle, 65535 is 1
};

// Appends the page.
void explain_page(const struct Explained *explained, struct Buffer *page);

// How many of `most` guesses there are: a vocabulary may be smaller.
uint32_t explain_guesses(const struct Config *config, uint32_t most);

#endif
