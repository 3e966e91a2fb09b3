// How the values of a JSON text lie in memory, for the two files that read it and walk over it.
#ifndef VKGPT_BASE_JSON_NODE_H
#define VKGPT_BASE_JSON_NODE_H

#include <stdint.h>

#define MAX_NUMBER 256 // characters

// The values of a file lie in one block: all nodes, each followed by what it holds, then their texts. A node's text
// begins with what tells its type: { [ " t f n, or a number's first character. Its key goes before its text.
struct Json {
    const char *text;
    uint32_t span;         // nodes from this one on that it and its content take
    uint32_t key : 30;     // bytes of the key and its NUL, before the text; 0: not a member
    uint32_t last : 1;     // of its list or object
    uint32_t replaced : 1; // a later member has the same key
};

#endif
