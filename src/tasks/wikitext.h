// WikiText as lm-evaluation-harness evaluates it: a page at a time, its tokens put back together as text.
#ifndef VKGPT_TASKS_WIKITEXT_H
#define VKGPT_TASKS_WIKITEXT_H

#include <stdbool.h>

#include "tasks/buffer.h"

// Cuts the next page of a raw WikiText file off [*at, end): a line " = Title = " begins one, pages of white space are
// passed over, and the line break in front of the next title is in neither. False when there is none left.
bool wikitext_page(const char **at, const char *end, const char **page, size_t *bytes);

// Undoes WikiText's tokenization: spaces around punctuation, brackets and quotes, " @-@ " and its kin, headings.
void wikitext_detokenize(const char *page, size_t bytes, struct Buffer *text);

// Pieces between runs of white space, those at the ends counted though they may be empty: what the harness divides by.
size_t wikitext_words(const char *page, size_t bytes);

#endif
