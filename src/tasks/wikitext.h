// WikiText as lm-evaluation-harness evaluates it: page by page, with the tokens joined to text again.
#ifndef VKGPT_TASKS_WIKITEXT_H
#define VKGPT_TASKS_WIKITEXT_H

#include <stdbool.h>

#include "tasks/buffer.h"

// Takes the next page of a raw WikiText file from [*at, end). A page begins with a line " = Title = "; pages of white
// space are skipped, and the line break before the next title is in neither page. False when no page is left.
bool wikitext_page(const char **at, const char *end, const char **page, size_t *bytes);

// Undoes WikiText's tokenization: spaces around punctuation, brackets and quotes, " @-@ " and the like, headings.
void wikitext_detokenize(const char *page, size_t bytes, struct Buffer *text);

// Pieces between runs of white space. A piece at either end counts even if it is empty, as in the harness, which
// divides by this number.
size_t wikitext_words(const char *page, size_t bytes);

#endif
