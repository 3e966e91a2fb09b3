// One reader for each form that a task's items come in (items.h). Each fills an item from a line's object; what it
// filled is freed by the caller, also after an error.
#ifndef VKGPT_TASKS_ITEMS_FORMS_H
#define VKGPT_TASKS_ITEMS_FORMS_H

#include "base/json.h"

#include "tasks/item.h"
#include "vkgpt.h"

struct Line {
    const struct Json *object;
    const char *where; // "FILE:LINE"
    vkgpt_error *err;
};

int form_paper(struct Line *line, struct Item *item);
int form_lambada(struct Line *line, struct Item *item);
int form_hellaswag(struct Line *line, struct Item *item);
int form_piqa(struct Line *line, struct Item *item);
int form_arc(struct Line *line, struct Item *item);
int form_winogrande(struct Line *line, struct Item *item);

#endif
