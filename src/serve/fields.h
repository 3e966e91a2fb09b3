// Fields of a request in JSON, read by a table into a struct. A field that is null counts as not given; one that no
// table has is ignored.
#ifndef VKGPT_SERVE_FIELDS_H
#define VKGPT_SERVE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "serve/refusal.h"

enum FieldKind {
    FIELD_REAL,  // double in [low, high]
    FIELD_WHOLE, // int64_t in [low, high]
    FIELD_FLAG,  // bool
    FIELD_JSON,  // const struct Json *: the value itself, in the body
    FIELD_TEXT,  // the same, of a text
    FIELD_OTHER, // by a function
};

struct Field {
    const char *name;
    enum FieldKind kind;
    size_t offset; // of the member
    double low, high;
    int (*read)(void *request, const struct Json *value, struct Refusal *refusal); // returns 0, or the refusal's status
};

// Reads a body, an object, into `request` by the tables, each of which ends with a NULL name; a NULL ends the list.
// Returns 0, or the refusal's status (400).
int fields_read(const struct Json *body, const struct Field *const *tables, void *request, struct Refusal *refusal);

// Parses a body. Errors: 400.
int fields_parse(const struct Buffer *body, struct Json **json, struct Refusal *refusal);

#endif
