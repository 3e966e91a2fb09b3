// Several prompts at once, each token with the number of its prompt as it comes:
//     cc batch.c -o batch $(pkg-config --cflags --libs vkgpt)
//     ./batch $(pkg-config --variable=models vkgpt)/tales "Once upon a time" "The old man said"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkgpt.h>

#define MOST 16 // prompts
#define TOKENS 24

static vkgpt_error err;

static void check(int code)
{
    if (code) fprintf(stderr, "%s\n", err.text), exit(1);
}

struct Batch {
    vkgpt_text *texts[MOST]; // of each prompt
};

static bool print(void *user, uint32_t sequence, uint32_t id)
{
    struct Batch *batch = user;
    const char *bytes;
    bool stopped;
    check(vkgpt_text_add(batch->texts[sequence], id, &bytes, NULL, &stopped, &err));
    printf("%u:%s|", (unsigned)sequence, bytes);
    fflush(stdout);
    return !stopped;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc - 2 > MOST) return fprintf(stderr, "usage: batch MODEL PROMPT ...\n"), 2;
    uint32_t count = (uint32_t)argc - 2;
    struct Batch batch = {0};
    vkgpt_sampling sampling[MOST];
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_tokenizer *tok;
    check(vkgpt_tokenizer_open(argv[1], 0, &tok, &err));
    check(vkgpt_device_open(NULL, &device, &err));
    check(vkgpt_model_open(device, argv[1], NULL, &model, &err));
    check(vkgpt_session_open(model, &(vkgpt_session_options){.sequences = count}, &session, &err));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *ids;
        size_t id_count;
        check(vkgpt_encode(tok, argv[i + 2], strlen(argv[i + 2]), true, &ids, &id_count, &err));
        check(vkgpt_batch_prompt(session, i, ids, id_count, &err));
        free(ids);
        check(vkgpt_text_open(tok, NULL, 0, &batch.texts[i], &err));
        sampling[i] = vkgpt_sampling_default();
        sampling[i].seed = i;
    }
    check(vkgpt_batch_generate(session, sampling, TOKENS, print, &batch, NULL, &err));
    printf("\n");
    for (uint32_t i = 0; i < count; i++) vkgpt_text_close(batch.texts[i]);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
    vkgpt_tokenizer_close(tok);
    return 0;
}
