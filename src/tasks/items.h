// The items of a task, read from a file with one JSON object per line: the context, and the answer or the answers to
// choose from. `few-shot` and `eval` run them.
//
// The forms are those of the GPT-3 paper's own files, and of the data sets that lm-evaluation-harness reads. Texts are
// joined as its tasks join them (lambada_openai, hellaswag, piqa, arc, winogrande).
#ifndef VKGPT_TASKS_ITEMS_H
#define VKGPT_TASKS_ITEMS_H

#include "tasks/item.h"
#include "vkgpt.h"

enum ItemForm {
    ITEM_AUTO,       // found from the fields of the first line
    ITEM_PAPER,      // context, completion; optional: description, and choices, of which completion is one
    ITEM_LAMBADA,    // text: the last word is the answer
    ITEM_HELLASWAG,  // ctx, or ctx_a and ctx_b; endings, label; optional: activity_label
    ITEM_PIQA,       // goal, sol1, sol2, label
    ITEM_ARC,        // question (a text, or stem and choices), choices, answerKey
    ITEM_WINOGRANDE, // sentence with a _ in it, option1, option2, answer
};

struct Items {
    const char *path; // as it was given; it has to outlive the items
    enum ItemForm form;
    struct Item *items;
    size_t count, capacity;
};

// Errors (VKGPT_BAD_FILE), each with the file and the line: a line that is not a JSON object, a field that is missing
// or of the wrong kind, an answer that is empty or not among the choices, items with choices mixed with items without;
// a file that has no item, or is too large. Free with items_free, also after an error.
int items_read(struct Items *items, const char *path, enum ItemForm form, vkgpt_error *err);
void items_free(struct Items *items);

const char *item_form_name(enum ItemForm form);
// The text before a choice.
const char *item_context(const struct Item *item, size_t choice);
// Characters of an answer, without the blanks it begins with. The harness divides by this number for acc_norm.
size_t item_characters(const char *answer);

#endif
