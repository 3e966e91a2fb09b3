// tokenize_lines DIR: encodes and decodes many texts with one tokenizer, for tests against another implementation.
// Lines of stdin and what is printed for each:
//     special HEX|-    the ids of the text; special tokens are recognised (plain: taken as text)
//     decode ID ID ... the text of the ids in hex, or -
// For a text that is refused: "error" and the sentence.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vkgpt.h"

static unsigned hex_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

static void print_encoded(const vkgpt_tokenizer *tok, const char *hex, bool special)
{
    size_t bytes = 0, count;
    uint32_t *ids;
    vkgpt_error err;
    char *text = malloc(strlen(hex) / 2 + 1);
    if (!text) exit(1);
    for (; hex[0] > '-' && hex[1] > '-'; hex += 2) text[bytes++] = (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
    if (vkgpt_encode(tok, text, bytes, special, &ids, &count, &err)) printf("error %s", err.text);
    else
        for (size_t i = 0; i < count; i++) printf("%s%u", i ? " " : "", ids[i]);
    printf("\n");
    free(ids);
    free(text);
}

static void print_decoded(const vkgpt_tokenizer *tok, char *rest)
{
    size_t count = 0, bytes;
    char *text;
    vkgpt_error err;
    uint32_t *ids = malloc((strlen(rest) / 2 + 1) * sizeof *ids);
    if (!ids) exit(1);
    while (*rest == ' ') ids[count++] = (uint32_t)strtoul(rest + 1, &rest, 10);
    if (vkgpt_decode(tok, ids, count, &text, &bytes, &err)) printf("error %s", err.text);
    else if (!bytes) printf("-");
    for (size_t i = 0; text && i < bytes; i++) printf("%02x", (unsigned char)text[i]);
    printf("\n");
    free(ids);
    free(text);
}

int main(int argc, char **argv)
{
    static char line[1 << 20];
    vkgpt_tokenizer *tok;
    vkgpt_error err;
    if (argc != 2 || vkgpt_tokenizer_open(argv[1], 0, &tok, &err)) {
        fprintf(stderr, "%s\n", argc == 2 ? err.text : "usage: tokenize_lines DIR");
        return argc == 2 ? 1 : 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "decode", 6) == 0) print_decoded(tok, line + 6);
        else if (strncmp(line, "special ", 8) == 0) print_encoded(tok, line + 8, true);
        else if (strncmp(line, "plain ", 6) == 0) print_encoded(tok, line + 6, false);
    }
    vkgpt_tokenizer_close(tok);
    return 0;
}
