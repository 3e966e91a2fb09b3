// Ends generated text after a number of words, lines or sentences, while it is generated.
#ifndef VKGPT_TASKS_KEEP_H
#define VKGPT_TASKS_KEEP_H

#include <stdbool.h>

#include "tasks/buffer.h"

enum KeepUnit { KEEP_ALL, KEEP_WORDS, KEEP_LINES, KEEP_SENTENCES };

struct Keep {
    enum KeepUnit unit;
    size_t limit;
    size_t scanned, seen; // bytes looked at, units that have ended
    bool inside;          // a word or line has begun; of a sentence: its last mark has just been read
};

// Reads what was added to `text` since the last call. True when the last unit has ended: the text after it is cut
// off. Words end at white space and at marks such as a full stop. A sentence ends with . ! or ? (and the quotes or
// brackets after it) before white space, or with one of the full-width marks 。！？. Abbreviations are not treated
// specially, as in the papers' "first three sentences".
bool keep_reached(struct Keep *keep, struct Buffer *text);

#endif
