#include "tasks/escapes.h"

#include <ctype.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t escapes_replace(char *text, size_t bytes)
{
    static const char letters[] = "nrt'\"\\", meanings[] = "\n\r\t'\"\\";
    size_t out = 0;
    for (size_t i = 0; i < bytes; i++) {
        char next = i + 1 < bytes ? text[i + 1] : '\0';
        const char *letter = text[i] == '\\' && next ? strchr(letters, next) : NULL;
        if (letter) {
            text[out++] = meanings[letter - letters];
            i++;
        } else if (text[i] == '\\' && next == 'x' && i + 3 < bytes && hex_digit(text[i + 2]) >= 0 &&
                   hex_digit(text[i + 3]) >= 0) {
            text[out++] = (char)(hex_digit(text[i + 2]) * 16 + hex_digit(text[i + 3]));
            i += 3;
        } else {
            text[out++] = text[i];
        }
    }
    return out;
}

void escapes_replace_in(struct Buffer *text) { buffer_cut(text, escapes_replace(text->data, text->bytes)); }
