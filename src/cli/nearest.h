// The nearest of several words to one that was mistyped, for "did you mean".
#ifndef VKGPT_CLI_NEAREST_H
#define VKGPT_CLI_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

struct Nearest {
    const char *word; // what was typed, `length` bytes of it
    size_t length;
    char best[64];  // "": none is near
    size_t changes; // from one to the other
};

// A word of up to 63 bytes; longer ones have nothing near.
struct Nearest nearest_to(const char *word, size_t length);
// Looks at one more candidate. It counts where a third of the letters at most differ: inserted,
// dropped, changed, or two neighbours swapped (the optimal string alignment distance). The first of the nearest stays.
void nearest_add(struct Nearest *nearest, const char *candidate, size_t length);
// The same for each of "a|b|c" or "a, b, c".
void nearest_add_list(struct Nearest *nearest, const char *candidates);

// "; did you mean BEST?", or "", into text.
const char *nearest_hint(const struct Nearest *nearest, char text[96]);

#endif
