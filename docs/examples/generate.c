// Writes on from a prompt, and prints the text as it comes:
//     cc generate.c -o generate $(pkg-config --cflags --libs vkgpt)
//     ./generate $(pkg-config --variable=models vkgpt)/tales "Once upon a time"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkgpt.h>

static vkgpt_error err;

static void check(int code)
{
    if (code) fprintf(stderr, "%s\n", err.text), exit(1);
}

static bool print(void *text, uint32_t id)
{
    const char *bytes;
    bool stopped;
    check(vkgpt_text_add(text, id, &bytes, NULL, &stopped, &err));
    fputs(bytes, stdout);
    fflush(stdout);
    return !stopped;
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "usage: generate MODEL PROMPT\n"), 2;
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_tokenizer *tok;
    vkgpt_text *text;
    uint32_t *ids;
    size_t count;
    check(vkgpt_tokenizer_open(argv[1], 0, &tok, &err));
    check(vkgpt_text_open(tok, (const char *[]){"\n\n"}, 1, &text, &err)); // an empty line ends the text
    check(vkgpt_encode(tok, argv[2], strlen(argv[2]), true, &ids, &count, &err));
    check(vkgpt_device_open(NULL, &device, &err));
    check(vkgpt_model_open(device, argv[1], NULL, &model, &err));
    check(vkgpt_session_open(model, NULL, &session, &err));
    check(vkgpt_prompt(session, ids, count, &err));
    check(vkgpt_generate(session, NULL, 64, print, text, NULL, &err));
    const char *rest; // what was held back, as it might have become an empty line
    check(vkgpt_text_end(text, &rest, NULL, &err));
    puts(rest);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
    free(ids);
    vkgpt_text_close(text);
    vkgpt_tokenizer_close(tok);
    return 0;
}
