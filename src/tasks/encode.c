#include "tasks/encode.h"

#include <stdlib.h>
#include <string.h>

int encode_open(const vkgpt_tokenizer *tok, const struct Buffer *text, bool special, uint32_t **ids, size_t *count,
                vkgpt_error *err)
{
    int code = vkgpt_encode(tok, text->data, text->bytes, special, ids, count, err);
    if (!code) *count -= vkgpt_trailing_tokens(tok);
    return code;
}

int encode_inside(const vkgpt_tokenizer *tok, const struct Buffer *text, bool special, uint32_t **ids, size_t *count,
                  vkgpt_error *err)
{
    const struct Buffer none = {.data = (char[]){""}};
    uint32_t *start = NULL;
    size_t drop = 0;
    int code = encode_open(tok, &none, special, &start, &drop, err);
    free(start);
    if (!code) code = encode_open(tok, text->bytes ? text : &none, special, ids, count, err);
    if (code || drop > *count) return code;
    *count -= drop;
    memmove(*ids, *ids + drop, *count * sizeof **ids);
    return 0;
}

bool encode_first_token(const vkgpt_model_info *model, uint32_t *id)
{
    if (model->bos < 0 && !model->eos_count) return false;
    *id = model->bos >= 0 ? (uint32_t)model->bos : model->eos[0];
    return true;
}
