#include "tasks/answer.h"

#include <stdlib.h>
#include <string.h>

#include "tasks/blanks.h"
#include "text/characters.h"

int answer_normalize(const char *text, size_t bytes, struct Buffer *out, vkgpt_error *err)
{
    char *nfc;
    size_t count;
    int code = characters_nfc(text, bytes, &nfc, &count, err);
    if (code) return code;
    size_t end = count - blanks_at_end(nfc, count);
    for (size_t at = blanks_at_start(nfc, end); at < end;) {
        size_t blanks = blanks_at_start(nfc + at, end - at);
        if (blanks) buffer_text(out, " ");
        else buffer_add(out, nfc + at, 1);
        at += blanks ? blanks : 1;
    }
    buffer_add(out, "", 0);
    free(nfc);
    return 0;
}

bool answer_exact(const struct Buffer *answer, const struct Buffer *right)
{
    return answer->bytes == right->bytes && (!right->bytes || memcmp(answer->data, right->data, right->bytes) == 0);
}

// --------------------------------------------------------------------------------------------------- F1

struct Word {
    const char *text;
    size_t bytes;
};

static int compare_words(const void *a, const void *b)
{
    const struct Word *x = a, *y = b;
    size_t shorter = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, shorter);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static struct Word *sorted_words(const struct Buffer *text, size_t *count)
{
    struct Word *words = allocate((text->bytes / 2 + 1) * sizeof *words);
    *count = 0;
    for (size_t at = 0, length; at < text->bytes; at += length + 1) {
        const char *end = memchr(text->data + at, ' ', text->bytes - at);
        length = end ? (size_t)(end - text->data) - at : text->bytes - at;
        words[(*count)++] = (struct Word){text->data + at, length};
    }
    qsort(words, *count, sizeof *words, compare_words);
    return words;
}

double answer_f1(const struct Buffer *answer, const struct Buffer *right)
{
    size_t a_count, b_count, common = 0;
    struct Word *a = sorted_words(answer, &a_count), *b = sorted_words(right, &b_count);
    for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
        int order = compare_words(&a[i], &b[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    free(a);
    free(b);
    return common ? 2.0 * (double)common / (double)(a_count + b_count) : 0.0;
}
