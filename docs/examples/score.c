// How likely each continuation of a context is:
//     cc score.c -o score $(pkg-config --cflags --libs vkgpt)
//     ./score $(pkg-config --variable=models vkgpt)/tales "The boy went into the" " forest" " ink"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkgpt.h>

#define MOST 64 // continuations

static vkgpt_error err;

static void check(int code)
{
    if (code) fprintf(stderr, "%s\n", err.text), exit(1);
}

// Context and continuation as one array of tokens; free its ids.
static vkgpt_continuation join(const vkgpt_tokenizer *tok, const char *context, const char *text)
{
    uint32_t *ids, *more;
    size_t count, added;
    check(vkgpt_encode(tok, context, strlen(context), true, &ids, &count, &err));
    check(vkgpt_encode(tok, text, strlen(text), true, &more, &added, &err));
    ids = realloc(ids, (count + added) * sizeof *ids);
    if (!ids) abort();
    memcpy(ids + count, more, added * sizeof *more);
    free(more);
    return (vkgpt_continuation){.ids = ids, .count = count + added, .context = count};
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > MOST) return fprintf(stderr, "usage: score MODEL CONTEXT CONTINUATION ...\n"), 2;
    size_t count = (size_t)argc - 3;
    vkgpt_continuation continuations[MOST];
    vkgpt_scored scored[MOST];
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_tokenizer *tok;
    check(vkgpt_tokenizer_open(argv[1], 0, &tok, &err));
    for (size_t i = 0; i < count; i++) continuations[i] = join(tok, argv[2], argv[i + 3]);
    check(vkgpt_device_open(NULL, &device, &err));
    check(vkgpt_model_open(device, argv[1], NULL, &model, &err));
    check(vkgpt_session_open(model, NULL, &session, &err));
    check(vkgpt_score(session, continuations, count, scored, &err));
    for (size_t i = 0; i < count; i++) printf("%9.4f  %s\n", scored[i].logprob, argv[i + 3]);
    for (size_t i = 0; i < count; i++) free((void *)continuations[i].ids);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
    vkgpt_tokenizer_close(tok);
    return 0;
}
