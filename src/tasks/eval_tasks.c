// The list of tasks for an evaluation, and how their files are read.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "tasks/eval.h"
#include "tasks/items.h"
#include "tasks/jsonl.h"
#include "tasks/wikitext.h"

static const struct Known {
    const char *name;
    enum EvalKind kind;
    enum ItemForm form;
    bool normalized;
} KNOWN[] = {
    {"lambada", EVAL_LAST_WORD, ITEM_LAMBADA, false}, {"hellaswag", EVAL_CHOICES, ITEM_HELLASWAG, true},
    {"piqa", EVAL_CHOICES, ITEM_PIQA, true},          {"arc_easy", EVAL_CHOICES, ITEM_ARC, true},
    {"arc_challenge", EVAL_CHOICES, ITEM_ARC, true},  {"winogrande", EVAL_CHOICES, ITEM_WINOGRANDE, false},
    {"wikitext", EVAL_PAGES, ITEM_AUTO, false},
};
#define KNOWN_COUNT (sizeof KNOWN / sizeof KNOWN[0])

int eval_at(const struct EvalTask *task, const struct EvalItem *item, vkgpt_error *err)
{
    if (!err) return VKGPT_BAD_FILE;
    vkgpt_error inner = *err;
    return fail(err, inner.code, "%s:%zu: %s", task->path, item->line, inner.text);
}

static struct EvalItem *add_item(struct EvalTask *task, size_t answers)
{
    if (task->count == task->capacity) {
        task->capacity = task->capacity * 2 + 64;
        task->items = reallocate(task->items, task->capacity * sizeof *task->items);
    }
    struct EvalItem *item = &task->items[task->count++];
    *item = (struct EvalItem){.count = answers,
                              .answers = allocate(answers * sizeof *item->answers),
                              .logprobs = allocate(answers * sizeof *item->logprobs)};
    for (size_t i = 0; i < answers; i++) item->answers[i] = (struct EvalAnswer){0};
    return item;
}

// ------------------------------------------------------------------------------------------------ items

static void set_answer(struct EvalAnswer *answer, const char *context, const char *text)
{
    buffer_text(&answer->context, context);
    buffer_text(&answer->text, text);
    answer->characters = item_characters(text);
}

static void take_item(struct EvalTask *task, const struct Item *from)
{
    bool written = task->kind == EVAL_LAST_WORD;
    struct EvalItem *item = add_item(task, written ? 1 : from->choice_count);
    item->line = from->line;
    item->gold = from->gold;
    if (written) set_answer(&item->answers[0], from->context, from->completion);
    for (size_t i = 0; !written && i < item->count; i++)
        set_answer(&item->answers[i], item_context(from, i), from->choices[i].text);
}

static int read_items(struct EvalTask *task, enum ItemForm form, size_t limit, vkgpt_error *err)
{
    struct Items items;
    int code = items_read(&items, task->path, form, err);
    if (!code) {
        task->capacity = items.count;
        task->items = allocate(task->capacity * sizeof *task->items);
    }
    for (size_t i = 0; !code && i < items.count && (!limit || i < limit); i++) take_item(task, &items.items[i]);
    items_free(&items);
    return code;
}

// ------------------------------------------------------------------------------------------------ pages

struct Pages {
    struct EvalTask *task;
    size_t limit;
};

static void take_page(struct Pages *pages, const char *page, size_t bytes, size_t line)
{
    if (pages->limit && pages->task->count == pages->limit) return;
    struct EvalItem *item = add_item(pages->task, 1);
    item->line = line;
    item->words = wikitext_words(page, bytes);
    item->bytes = bytes;
    buffer_text(&item->answers[0].context, "");
    wikitext_detokenize(page, bytes, &item->answers[0].text);
}

static int on_page(void *user, const struct Json *object, const char *where, vkgpt_error *err)
{
    const struct Json *page = json_get(object, "page");
    if (!page) return fail(err, VKGPT_BAD_FILE, "%s: the field \"page\" is missing", where);
    if (!json_text(page) || !json_text(page)[0])
        return fail(err, VKGPT_BAD_FILE, "%s: the field \"page\" is not a text, or empty", where);
    take_page(user, json_text(page), strlen(json_text(page)), (size_t)strtoull(strrchr(where, ':') + 1, NULL, 10));
    return 0;
}

static int read_text_pages(struct Pages *pages, const char *path, vkgpt_error *err)
{
    char *data;
    size_t bytes, line = 1;
    int code = os_read(path, JSONL_MAX_BYTES, &data, &bytes, err);
    if (code) return code;
    const char *at = data, *counted = data, *page;
    for (size_t length; wikitext_page(&at, data + bytes, &page, &length); take_page(pages, page, length, line))
        for (; counted < page; counted++) line += *counted == '\n';
    free(data);
    return 0;
}

static bool is_jsonl(const char *path)
{
    size_t length = strlen(path);
    return (length > 6 && strcmp(path + length - 6, ".jsonl") == 0) ||
           (length > 9 && strcmp(path + length - 9, ".jsonl.gz") == 0);
}

static int read_pages(struct EvalTask *task, size_t limit, vkgpt_error *err)
{
    struct Pages pages = {task, limit};
    int code =
        is_jsonl(task->path) ? jsonl_read(task->path, on_page, &pages, err) : read_text_pages(&pages, task->path, err);
    if (!code && !task->count) code = fail(err, VKGPT_BAD_FILE, "%s: has no text", task->path);
    return code;
}

// ------------------------------------------------------------------------------------------------- list

static int unknown(const char *name, size_t length, vkgpt_error *err)
{
    struct Buffer names = {0};
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (i) buffer_text(&names, ", ");
        buffer_text(&names, KNOWN[i].name);
    }
    fail(err, VKGPT_BAD_ARGUMENT, "--tasks: there is no task '%.*s'; there are %s", length < 40 ? (int)length : 40,
         name, names.data);
    buffer_free(&names);
    return VKGPT_BAD_ARGUMENT;
}

// name:FILE
static int read_task(const char *entry, size_t length, size_t limit, struct EvalTask *task, vkgpt_error *err)
{
    const char *colon = memchr(entry, ':', length);
    size_t name = colon ? (size_t)(colon - entry) : length, known = 0;
    while (known < KNOWN_COUNT && (strlen(KNOWN[known].name) != name || memcmp(KNOWN[known].name, entry, name) != 0))
        known++;
    if (known == KNOWN_COUNT) return unknown(entry, name, err);
    if (name + 1 >= length)
        return fail(err, VKGPT_BAD_ARGUMENT, "--tasks: %s has no file; it is given as %s:FILE", KNOWN[known].name,
                    KNOWN[known].name);
    task->name = KNOWN[known].name;
    task->kind = KNOWN[known].kind;
    task->normalized = KNOWN[known].normalized;
    task->path = allocate(length - name);
    memcpy(task->path, colon + 1, length - name - 1);
    task->path[length - name - 1] = '\0';
    int code = fingerprint_file(task->path, task->hash, &task->bytes, err);
    if (code) return code;
    return task->kind == EVAL_PAGES ? read_pages(task, limit, err) : read_items(task, KNOWN[known].form, limit, err);
}

int eval_tasks_read(const char *list, size_t limit, struct EvalTask **tasks, size_t *count, vkgpt_error *err)
{
    *tasks = NULL;
    *count = 0;
    int code = 0;
    for (const char *at = list; !code && *at;) {
        size_t length = strcspn(at, ",");
        *tasks = reallocate(*tasks, (*count + 1) * sizeof **tasks);
        (*tasks)[*count] = (struct EvalTask){0};
        code = read_task(at, length, limit, &(*tasks)[(*count)++], err);
        for (size_t i = 0; !code && i + 1 < *count; i++)
            if ((*tasks)[i].name == (*tasks)[*count - 1].name)
                code = fail(err, VKGPT_BAD_ARGUMENT, "--tasks: %s is given twice", (*tasks)[i].name);
        at += length + (at[length] == ',');
    }
    if (!code && !*count)
        code = fail(err, VKGPT_BAD_ARGUMENT, "--tasks: is empty; it is given as lambada:FILE,hellaswag:FILE");
    return code;
}

void eval_tasks_free(struct EvalTask *tasks, size_t count)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < tasks[t].count; i++) {
            struct EvalItem *item = &tasks[t].items[i];
            for (size_t a = 0; a < item->count; a++) {
                buffer_free(&item->answers[a].context);
                buffer_free(&item->answers[a].text);
            }
            free(item->answers);
            free(item->logprobs);
        }
        free(tasks[t].items);
        free(tasks[t].path);
    }
    free(tasks);
}
