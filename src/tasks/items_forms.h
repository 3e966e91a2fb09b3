// One reader for each form of a task's items (items.h). Each fills an item from the object of a line. The caller frees
// the item, also after an error.
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
