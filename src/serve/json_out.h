// JSON of answers, written from its beginning to its end.
#ifndef VKGPT_SERVE_JSON_OUT_H
#define VKGPT_SERVE_JSON_OUT_H

#include <stdint.h>

#include "tasks/buffer.h"

// Appends any bytes as a string; invalid UTF-8 becomes U+FFFD.
void json_out_bytes(struct Buffer *out, const char *bytes, size_t count);
void json_out_text(struct Buffer *out, const char *text); // NULL: null
void json_out_ids(struct Buffer *out, const uint32_t *ids, size_t count);
// A number with 9 digits, from which the same float is read. What JSON cannot hold: minus infinity is -9999, as in
// OpenAI's answers, and NaN is null.
void json_out_real(struct Buffer *out, float value);

#endif
