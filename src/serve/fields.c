#include "serve/fields.h"

#include <string.h>

int fields_parse(const struct Buffer *body, struct Json **json, struct Refusal *refusal)
{
    vkgpt_error err;
    *json = NULL;
    int code = json_parse("the body", body->data ? body->data : "", body->bytes, json, &err);
    if (code) return refuse_error(refusal, 400, NULL, &err);
    if (json_is_object(*json)) return 0;
    json_free(*json);
    *json = NULL;
    return refuse(refusal, 400, NULL, NULL, "the body has to be a JSON object");
}

static const struct Field *find(const struct Field *const *tables, const char *name)
{
    for (; *tables; tables++)
        for (const struct Field *field = *tables; field->name; field++)
            if (strcmp(field->name, name) == 0) return field;
    return NULL;
}

static int read_number(const struct Field *field, void *member, const struct Json *value, struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    const char *kind = field->kind == FIELD_WHOLE ? "a whole number" : "a number";
    int64_t whole = 0;
    double number = json_number(value);
    bool good = number >= field->low && number <= field->high; // NaN is not
    if (good && field->kind == FIELD_WHOLE)
        good = json_integer(value, (int64_t)field->low, (int64_t)field->high, &whole);
    if (!good)
        return refuse(refusal, 400, field->name, NULL, "%s is %s, it has to be %s between %.15g and %.15g", field->name,
                      json_shown(value, shown), kind, field->low, field->high);
    if (field->kind == FIELD_WHOLE) memcpy(member, &whole, sizeof whole);
    else memcpy(member, &number, sizeof number);
    return 0;
}

static int read_flag(const struct Field *field, bool *member, const struct Json *value, struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    *member = json_is_true(value);
    if (json_is_bool(value)) return 0;
    return refuse(refusal, 400, field->name, NULL, "%s is %s, it has to be true or false", field->name,
                  json_shown(value, shown));
}

static int keep(const struct Field *field, const struct Json **member, const struct Json *value,
                struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    *member = value;
    if (field->kind == FIELD_JSON || json_text(value)) return 0;
    return refuse(refusal, 400, field->name, NULL, "%s is %s, it has to be a text", field->name,
                  json_shown(value, shown));
}

static int read_field(const struct Field *field, void *request, const struct Json *value, struct Refusal *refusal)
{
    char *member = (char *)request + field->offset;
    switch (field->kind) {
    case FIELD_REAL:
    case FIELD_WHOLE: return read_number(field, member, value, refusal);
    case FIELD_FLAG: return read_flag(field, (bool *)(void *)member, value, refusal);
    case FIELD_JSON:
    case FIELD_TEXT: return keep(field, (const struct Json **)(void *)member, value, refusal);
    case FIELD_OTHER: break;
    }
    return field->read(request, value, refusal);
}

int fields_read(const struct Json *body, const struct Field *const *tables, void *request, struct Refusal *refusal)
{
    int status = 0;
    for (const struct Json *member = json_first(body); member && !status; member = json_next(member)) {
        const struct Field *field = find(tables, json_key(member));
        if (field && !json_is_null(member)) status = read_field(field, request, member, refusal);
    }
    return status;
}
