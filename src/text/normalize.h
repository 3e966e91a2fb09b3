// The normalizers of a tokenizer.json, which change a text before it is cut.
#ifndef VKGPT_TEXT_NORMALIZE_H
#define VKGPT_TEXT_NORMALIZE_H

#include "text/steps.h"

int normalizers_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// Runs all steps on a text, as Hugging Face's normalizers do; Unicode is utf8proc's (Unicode 15). A byte that is not
// UTF-8 stays, unless a step drops it (BertNormalizer's clean_text does). The caller frees `out`.
int normalizers_run(const struct Steps *steps, const char *text, size_t bytes, struct TextBuffer *out,
                    vkgpt_error *err);

#endif
