// A command line: the first byte chooses the command, each further argument ends in a NUL.
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "fuzz.h"

#define MOST 32 // arguments

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    char *text = malloc(size), *argv[MOST + 1] = {NULL}, sentence[512] = "";
    if (!text) abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    int argc = 0;
    for (size_t at = 0; at < size && argc < MOST; at += strlen(text + at) + 1) argv[argc++] = text + at;
    struct Options options = {0};
    bool good = options_parse((enum CommandBit)(1u << data[0] % 20), argc, argv, &options, sentence, sizeof sentence);
    if (!good && (!*sentence || !memchr(sentence, 0, sizeof sentence))) abort();
    free(text);
    return 0;
}
