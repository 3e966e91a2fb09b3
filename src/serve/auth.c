#include "serve/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/os.h"

#define MAX_FILE ((size_t)64 << 10)

static int add_key(struct Auth *auth, const char *what, const char *key, size_t bytes, vkgpt_error *err)
{
    while (bytes && (key[bytes - 1] == '\r' || key[bytes - 1] == ' ' || key[bytes - 1] == '\t')) bytes--;
    if (!bytes) return fail(err, VKGPT_BAD_ARGUMENT, "%s: a key is empty", what);
    if (auth->count == MAX_KEYS) return fail(err, VKGPT_BAD_FILE, "%s: there are more than %d keys", what, MAX_KEYS);
    buffer_add(&auth->keys[auth->count], key, bytes);
    return buffer_check(&auth->keys[auth->count++], what, err);
}

static int add_lines(struct Auth *auth, const char *file, const char *text, size_t bytes, vkgpt_error *err)
{
    int code = 0;
    size_t before = auth->count;
    while (!code && bytes) {
        const char *end = memchr(text, '\n', bytes);
        size_t length = end ? (size_t)(end - text) : bytes, next = end ? length + 1 : length;
        if (length && text[0] != '\r') code = add_key(auth, file, text, length, err);
        text += next;
        bytes -= next;
    }
    if (!code && auth->count == before) return fail(err, VKGPT_BAD_FILE, "%s: holds no key", file);
    return code;
}

int auth_open(struct Auth *auth, const char *key, const char *file, vkgpt_error *err)
{
    *auth = (struct Auth){.count = 0};
    char *text = NULL;
    size_t bytes = 0;
    int code = key ? add_key(auth, "--api-key", key, strlen(key), err) : 0;
    if (!code && file) code = os_read(file, MAX_FILE, &text, &bytes, err);
    if (!code && file) code = add_lines(auth, file, text, bytes, err);
    free(text);
    if (code) auth_close(auth);
    return code;
}

void auth_close(struct Auth *auth)
{
    for (size_t i = 0; i < auth->count; i++) buffer_free(&auth->keys[i]);
    auth->count = 0;
}

// Looks at every byte of `given`, whatever the first difference is.
static bool same(const struct Buffer *key, const char *given, size_t bytes)
{
    unsigned difference = key->bytes != bytes;
    for (size_t i = 0; i < bytes; i++) difference |= (unsigned char)given[i] ^ (unsigned char)key->data[i % key->bytes];
    return !difference;
}

bool auth_allows(const struct Auth *auth, const char *header)
{
    if (!auth->count) return true;
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) return false;
    bool allowed = false;
    for (size_t i = 0; i < auth->count; i++) allowed |= same(&auth->keys[i], header + 7, strlen(header + 7));
    return allowed;
}
