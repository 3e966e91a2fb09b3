// The classes of characters in Hugging Face's tokenizers, from utf8proc (Unicode 15). Where Hugging Face uses tables of
// Unicode 8 (punctuation, marks, controls), characters that are newer or have changed since differ. A byte that is not
// UTF-8 (CHARACTER_BYTE) is in no class except is_control.
#ifndef VKGPT_TEXT_PROPERTIES_H
#define VKGPT_TEXT_PROPERTIES_H

#include <stdbool.h>
#include <stdint.h>

bool is_white_space(int32_t c);     // White_Space
bool is_number(int32_t c);          // Nd, Nl, No
bool is_punctuation(int32_t c);     // P*, and all of ASCII's signs that are not letters or digits
bool is_mark(int32_t c);            // Mn, Mc, Me
bool is_nonspacing_mark(int32_t c); // Mn
bool is_control(int32_t c);         // what BERT's clean_text drops: Cc without tab and newlines, Cf, Co, U+FFFD
bool is_bert_ideograph(int32_t c);  // the blocks that BertNormalizer lists
// The lower case of a single character: 1 or 2 characters; returns their number.
int lower_case(int32_t c, int32_t lower[2]);

#endif
