// JSON that is written from its beginning to its end, without a tree: for objects that are as long as a vocabulary.
#ifndef VKGPT_MODEL_JSON_TEXT_H
#define VKGPT_MODEL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct JsonText { // zeroed is empty
    char *data;   // without a NUL
    size_t bytes, capacity;
};

// Adds characters as they are. Both return false if there is no memory.
bool json_text_add(struct JsonText *text, const char *characters);
// Adds a member, "key":number, and a comma before all but the first of an object.
bool json_text_member(struct JsonText *text, const char *key, uint32_t number);
void json_text_free(struct JsonText *text);

#endif
