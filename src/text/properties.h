// Classes of characters, as Hugging Face's tokenizers asks for them, through utf8proc (Unicode 15). What they take from
// tables of Unicode 8 (punctuation, marks, controls) differs for characters that came or changed later. A byte that is
// no UTF-8 (CHARACTER_BYTE) belongs to none of them but is_control.
#ifndef VKGPT_TEXT_PROPERTIES_H
#define VKGPT_TEXT_PROPERTIES_H

#include <stdbool.h>
#include <stdint.h>

bool is_white_space(int32_t c);     // White_Space
bool is_number(int32_t c);          // Nd, Nl, No
bool is_punctuation(int32_t c);     // P*, and what ASCII has besides letters, digits and blanks
bool is_mark(int32_t c);            // Mn, Mc, Me
bool is_nonspacing_mark(int32_t c); // Mn
bool is_control(int32_t c);         // what BERT's clean_text drops: Cc, Cf, Co without tab and newlines, NUL, U+FFFD
bool is_bert_ideograph(int32_t c);  // the blocks that BertNormalizer names
// The lower case of one character on its own, 1 or 2 of them; returns how many.
int lower_case(int32_t c, int32_t lower[2]);

#endif
