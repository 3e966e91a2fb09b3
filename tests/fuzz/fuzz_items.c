// Items of a task: JSON lines, plain or gzip, in each of the forms.
#include "fuzz.h"
#include "tasks/items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Items items;
    vkgpt_error err = {0};
    fuzz_check(items_read(&items, fuzz_file("t.jsonl", data, size), ITEM_AUTO, &err), &err);
    items_free(&items);
    return 0;
}
