#include "cli/nearest.h"

#include <stdio.h>
#include <string.h>

#define MOST 63 // the most bytes of a word

struct Nearest nearest_to(const char *word, size_t length) { return (struct Nearest){.word = word, .length = length}; }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][MOST + 1]; // this row of the table, the one before, and the one before that, in turn
    for (size_t j = 0; j <= b_length; j++) rows[1][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *now = rows[(i + 1) % 3], *one = rows[i % 3], *two = rows[(i + 2) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = a[i - 1] != b[j - 1];
            now[j] = least(least(one[j] + 1, now[j - 1] + 1), one[j - 1] + change);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) now[j] = least(now[j], two[j - 2] + 1);
        }
    }
    return rows[(a_length + 1) % 3][b_length];
}

void nearest_add(struct Nearest *n, const char *candidate, size_t length)
{
    if (!n->length || n->length > MOST || !length || length > MOST) return;
    size_t longer = length > n->length ? length : n->length, allowed = longer / 3;
    size_t changes = distance(n->word, n->length, candidate, length);
    if (changes > allowed || changes >= longer || (n->best[0] && changes >= n->changes)) return;
    n->changes = changes;
    snprintf(n->best, sizeof n->best, "%.*s", (int)length, candidate);
}

void nearest_add_list(struct Nearest *n, const char *candidates)
{
    static const char between[] = "|, ";
    while (*candidates) {
        size_t length = strcspn(candidates, between);
        nearest_add(n, candidates, length);
        candidates += length;
        candidates += strspn(candidates, between);
    }
}

const char *nearest_hint(const struct Nearest *n, char text[96])
{
    if (n->best[0]) snprintf(text, 96, "; did you mean %s?", n->best);
    else text[0] = '\0';
    return text;
}
