// Finds the word that is the nearest to a mistyped one, for "did you mean".
#ifndef VKGPT_CLI_NEAREST_H
#define VKGPT_CLI_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

struct Nearest {
    const char *word; // what was typed, `length` bytes of it
    size_t length;
    char best[64];  // "": none is near
    size_t changes; // between word and best
};

// Begins a search for a word of up to 63 bytes; longer words find nothing.
struct Nearest nearest_to(const char *word, size_t length);
// Compares one more candidate. It is near if at most a third of the letters differ: inserted, dropped, changed, or two
// neighbours swapped (the optimal string alignment distance). Of equally near ones the first stays.
void nearest_add(struct Nearest *nearest, const char *candidate, size_t length);
// The same for each of "a|b|c" or "a, b, c".
void nearest_add_list(struct Nearest *nearest, const char *candidates);

// Writes "; did you mean BEST?", or "", into text.
const char *nearest_hint(const struct Nearest *nearest, char text[96]);

#endif
