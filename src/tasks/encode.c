#include "tasks/encode.h"

int encode_open(const vkgpt_tokenizer *tok, const struct Buffer *text, bool special, uint32_t **ids, size_t *count,
                vkgpt_error *err)
{
    int code = vkgpt_encode(tok, text->data, text->bytes, special, ids, count, err);
    if (!code) *count -= vkgpt_trailing_tokens(tok);
    return code;
}

bool encode_first_token(const vkgpt_model_info *model, uint32_t *id)
{
    if (model->bos < 0 && !model->eos_count) return false;
    *id = model->bos >= 0 ? (uint32_t)model->bos : model->eos[0];
    return true;
}
