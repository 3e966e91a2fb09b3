// The items and examples of `few-shot`: the prompts that they make, and the answers as they are compared.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tasks/answer.h"
#include "tasks/shots.h"

#define MOST 8 // items that are looked at, and shots

static void compare(const char *text, const struct Buffer *right)
{
    struct Buffer answer = {0};
    vkgpt_error err = {0};
    int code = answer_normalize(text, strlen(text), &answer, &err);
    fuzz_check(code, &err);
    if (!code && right) {
        double f1 = answer_f1(&answer, right);
        if (!(f1 >= 0 && f1 <= 1) || (answer_exact(&answer, right) && answer.bytes && f1 < 1)) abort();
    }
    buffer_free(&answer);
}

static void look(struct Shots *shots, size_t query)
{
    const struct Item *item = &shots->items->items[query];
    struct Buffer prompt = {0}, right = {0};
    vkgpt_error err = {0};
    for (size_t count = 0; count <= MOST; count += MOST / 2) {
        size_t drawn = shots_draw(shots, query, count);
        if (drawn > count) abort();
        for (size_t choice = 0; !choice || choice < item->choice_count; choice++) {
            buffer_cut(&prompt, 0);
            shots_prompt(shots, query, drawn, choice, &prompt);
        }
    }
    int code = answer_normalize(item->completion, strlen(item->completion), &right, &err);
    fuzz_check(code, &err);
    compare(item->context, code ? NULL : &right);
    compare(item->completion, code ? NULL : &right);
    buffer_free(&prompt);
    buffer_free(&right);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"items.jsonl", "examples.jsonl", NULL};
    struct Items items = {0}, examples = {0};
    struct Shots shots;
    vkgpt_error err = {0};
    fuzz_files(data, size, names);
    int code = items_read(&items, fuzz_path("items.jsonl"), ITEM_AUTO, &err);
    fuzz_check(code, &err);
    bool others = !code && !items_read(&examples, fuzz_path("examples.jsonl"), ITEM_AUTO, &err);
    if (!code) {
        shots_open(&shots, &items, others ? &examples : &items, size);
        for (size_t i = 0; i < items.count && i < MOST; i++) look(&shots, i);
        shots_close(&shots);
    }
    items_free(&examples);
    items_free(&items);
    return 0;
}
