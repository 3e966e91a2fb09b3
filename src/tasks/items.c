#include "tasks/items.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/blanks.h"
#include "tasks/buffer.h"
#include "tasks/items_forms.h"
#include "tasks/jsonl.h"

#define MAX_ITEMS ((size_t)1 << 17) // Winogrande, the largest task known, has 40,398

static const struct Form {
    const char *name, *field; // a field that none of the forms above has
    int (*read)(struct Line *line, struct Item *item);
} FORMS[] = {
    [ITEM_PAPER] = {"context and completion", "context", form_paper},
    [ITEM_HELLASWAG] = {"hellaswag", "endings", form_hellaswag},
    [ITEM_PIQA] = {"piqa", "goal", form_piqa},
    [ITEM_ARC] = {"arc", "question", form_arc},
    [ITEM_WINOGRANDE] = {"winogrande", "sentence", form_winogrande},
    [ITEM_LAMBADA] = {"lambada", "text", form_lambada},
};

#define FORM_COUNT (sizeof FORMS / sizeof FORMS[0])

const char *item_form_name(enum ItemForm form) { return FORMS[form].name; }

const char *item_context(const struct Item *item, size_t choice)
{
    const char *own = choice < item->choice_count ? item->choices[choice].context : NULL;
    return own ? own : item->context;
}

size_t item_characters(const char *answer)
{
    size_t count = 0;
    for (const char *c = answer + blanks_at_start(answer, strlen(answer)); *c; c++) count += (*c & 0xC0) != 0x80;
    return count;
}

static int tell_form(const struct Json *object, const char *where, enum ItemForm *form, vkgpt_error *err)
{
    for (size_t f = ITEM_PAPER; f < FORM_COUNT && *form == ITEM_AUTO; f++)
        if (json_get(object, FORMS[f].field)) *form = (enum ItemForm)f;
    if (*form != ITEM_AUTO) return 0;
    return fail(err, VKGPT_BAD_FILE,
                "%s: is of no form that is known: it has none of context, text, endings, goal, question and sentence",
                where);
}

// Errors: an answer has only blanks; a single choice; the item has choices and the items before had none, or the other
// way round.
static int check_item(const struct Items *items, const struct Item *item, const char *where, vkgpt_error *err)
{
    for (size_t i = 0; i < item->choice_count; i++)
        if (!item_characters(item->choices[i].text))
            return fail(err, VKGPT_BAD_FILE, "%s: answer %zu of %zu is empty", where, i + 1, item->choice_count);
    if (!item_characters(item->completion)) return fail(err, VKGPT_BAD_FILE, "%s: the answer is empty", where);
    if (item->choice_count == 1)
        return fail(err, VKGPT_BAD_FILE, "%s: there is one answer only, and nothing to choose from", where);
    if (items->count && !item->choice_count != !items->items[0].choice_count)
        return fail(err, VKGPT_BAD_FILE, "%s: has %zu answers to choose from, the line of the first item %zu", where,
                    item->choice_count, items->items[0].choice_count);
    return 0;
}

static struct Item *next_item(struct Items *items)
{
    if (items->count == items->capacity) {
        items->capacity = items->capacity * 2 + 64;
        items->items = reallocate(items->items, items->capacity * sizeof *items->items);
    }
    items->items[items->count] = (struct Item){0};
    return &items->items[items->count];
}

static void free_item(struct Item *item)
{
    free(item->description);
    free(item->context);
    free(item->completion);
    for (size_t i = 0; i < item->choice_count; i++) {
        free(item->choices[i].context);
        free(item->choices[i].text);
    }
    free(item->choices);
}

static int on_object(void *user, const struct Json *object, const char *where, vkgpt_error *err)
{
    struct Items *items = user;
    struct Line line = {object, where, err};
    int code = tell_form(object, where, &items->form, err);
    if (!code && items->count == MAX_ITEMS)
        code = fail(err, VKGPT_BAD_FILE, "%s: there are more than %zu items", where, MAX_ITEMS);
    if (code) return code;
    struct Item *item = next_item(items);
    item->line = (size_t)strtoull(strrchr(where, ':') + 1, NULL, 10);
    code = FORMS[items->form].read(&line, item);
    if (!code) code = check_item(items, item, where, err);
    if (code) free_item(item);
    else items->count++;
    return code;
}

int items_read(struct Items *items, const char *path, enum ItemForm form, vkgpt_error *err)
{
    *items = (struct Items){.path = path, .form = form};
    int code = jsonl_read(path, on_object, items, err);
    if (!code && !items->count) code = fail(err, VKGPT_BAD_FILE, "%s: has no items", path);
    return code;
}

void items_free(struct Items *items)
{
    for (size_t i = 0; i < items->count; i++) free_item(&items->items[i]);
    free(items->items);
    *items = (struct Items){0};
}
