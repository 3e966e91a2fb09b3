// WikiText: pages, words, and the text behind its tokens.
#include "fuzz.h"
#include "tasks/wikitext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size, *page;
    size_t words = 0;
    for (size_t bytes; wikitext_page(&at, end, &page, &bytes);) {
        struct Buffer text = {0};
        words += wikitext_words(page, bytes);
        wikitext_detokenize(page, bytes, &text);
        buffer_free(&text);
    }
    return (int)(words & 0);
}
