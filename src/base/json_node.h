// The layout of JSON values in memory, for json.c and json_walk.c.
#ifndef VKGPT_BASE_JSON_NODE_H
#define VKGPT_BASE_JSON_NODE_H

#include <stdint.h>

#define MAX_NUMBER 256 // characters

// The values of a file are one block of memory: all nodes, each followed by the nodes inside it, then all texts. The
// first character of a node's text is its type: { [ " t f n, or a number's first character. Its key is before its text.
struct Json {
    const char *text;
    uint32_t span;         // number of nodes: this one and all inside it
    uint32_t key : 30;     // bytes of the key and its NUL, before the text; 0: not a member
    uint32_t last : 1;     // the last one in its list or object
    uint32_t replaced : 1; // a later member has the same key
};

#endif
