// One item of a task: what stands before the answer, and the answer, or the answers to choose from.
#ifndef VKGPT_TASKS_ITEM_H
#define VKGPT_TASKS_ITEM_H

#include <stddef.h>

struct Choice {
    char *context; // what stands before it, where that differs from choice to choice (Winogrande); else NULL
    char *text;    // with the blank that parts it from the context
};

struct Item {
    char *description; // of the task, "" where there is none
    char *context;     // with Winogrande, that of the right choice
    char *completion;  // the right answer, with the blank that parts it from the context
    struct Choice *choices;
    size_t choice_count; // 0: the answer is written, not chosen
    size_t gold;         // the right choice
    size_t line;         // of the file
};

#endif
