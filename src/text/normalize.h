// The normalizers of a tokenizer.json: they change a text before it is cut.
#ifndef VKGPT_TEXT_NORMALIZE_H
#define VKGPT_TEXT_NORMALIZE_H

#include "text/steps.h"

int normalizers_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// The text after all steps, as Hugging Face's normalizers make it: Unicode through utf8proc (Unicode 15). A byte that
// is no UTF-8 stays where a step does not drop it (BertNormalizer's clean_text does). The caller frees `out`.
int normalizers_run(const struct Steps *steps, const char *text, size_t bytes, struct TextBuffer *out,
                    vkgpt_error *err);

#endif
