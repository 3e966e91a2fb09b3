// JSON from untrusted files. yajl reads the text and checks its grammar. The result is one table of values in the
// text's order, 16 bytes each, and their texts: at most 10 bytes for each byte of the file, text included. Also
// refused, beyond JSON's grammar: duplicate keys, invalid UTF-8, half a surrogate pair, the character \u0000, and
// nesting past 128 levels. Keys have no index: walk over an object with many keys once, do not search for each key.
#ifndef VKGPT_BASE_JSON_H
#define VKGPT_BASE_JSON_H

#include "vkgpt.h"

// A value. The functions below accept NULL for an absent value: it has no type and no content.
struct Json;

// Parses `bytes` of text; `what` names the file in sentences. Free with json_free.
// Errors (VKGPT_BAD_FILE): not JSON (with the byte where it stops), nesting too deep, a duplicate key, a number of more
// than 256 characters.
int json_parse(const char *what, const char *text, size_t bytes, struct Json **json, vkgpt_error *err);
// The same for a whole file of at most `limit` bytes.
int json_read(const char *path, size_t limit, struct Json **json, vkgpt_error *err);
// Reads a file as Python's json module does, for files that Python programs read too, such as config.json: the last
// value of a duplicate key counts, and NaN, Infinity and -Infinity are numbers.
// Source: https://docs.python.org/3/library/json.html, "Standard Compliance and Interoperability".
int json_read_python(const char *path, size_t limit, struct Json **json, vkgpt_error *err);
void json_free(struct Json *json); // the value from json_parse or json_read; accepts NULL

bool json_is_null(const struct Json *item);
bool json_is_true(const struct Json *item);
bool json_is_false(const struct Json *item);
bool json_is_bool(const struct Json *item);
bool json_is_number(const struct Json *item);
bool json_is_array(const struct Json *item);
bool json_is_object(const struct Json *item);
extern const struct Json *const json_true, *const json_false; // constants, not from a file

// The text of a string, or NULL when the item is not a string.
const char *json_text(const struct Json *item);
// A number's text as in the file, also NaN, Infinity or -Infinity; NULL when the item is not a number.
const char *json_digits(const struct Json *item);
// The number, or NaN when the item is not a number.
double json_number(const struct Json *item);
// Whole numbers, exact up to 2^53. False when the item is not a number, is fractional, or is outside [min, max].
bool json_integer(const struct Json *item, int64_t min, int64_t max, int64_t *value);

// The entries of a list or the members of an object, in the file's order: the first one, and the one after `item`; NULL
// when there is none. json_count walks over all of them.
const struct Json *json_first(const struct Json *item);
const struct Json *json_next(const struct Json *item);
size_t json_count(const struct Json *item);
// The key of an object's member; NULL for any other value.
const char *json_key(const struct Json *item);

// The member of an object by exact name, or NULL; json_get gives NULL for a JSON null too. They walk over the members.
const struct Json *json_get(const struct Json *object, const char *key);
const struct Json *json_find(const struct Json *object, const char *key);

// A value for use in a sentence: JSON without blanks, cut with "..." when it is too long, "null" for NULL.
#define JSON_SHOWN 96
const char *json_shown(const struct Json *item, char text[JSON_SHOWN]);
const char *json_shown_text(const char *text, char shown[JSON_SHOWN]); // a text, as a JSON string

#endif
