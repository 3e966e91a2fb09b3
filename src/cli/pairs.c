// vkgpt entail: how one text relates to another; runs start, premise, delimiter, hypothesis, extract.
// vkgpt similar: runs two texts in both orders, because neither comes first, and adds the two hidden states.
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/head_print.h"

struct SentencePair {
    struct Text texts[2];
    struct Buffer kept[2];
    struct Tokens sequences[2]; // the second has the other order
    size_t count;               // of sequences: 1 or 2
};

static int run_pair(struct HeadRun *h, struct SentencePair *pair, double *scores, vkgpt_error *err)
{
    uint32_t dim = h->info->hidden;
    float *hidden = allocate(2 * dim * sizeof *hidden), *other = hidden + dim;
    int code = 0;
    for (size_t i = 0; !code && i < pair->count; i++) {
        code = head_run_sequence(h, &pair->texts[i], &pair->texts[1 - i], &pair->sequences[i], err);
        if (!code) code = head_run_hidden(h, &pair->sequences[i], i ? other : hidden, err);
    }
    for (uint32_t i = 0; !code && pair->count == 2 && i < dim; i++) hidden[i] += other[i];
    if (!code) code = vkgpt_head_scores(h->head, hidden, scores, err);
    free(hidden);
    return code;
}

static int pair_main(const struct Options *options, const char *command, struct SentencePair *pair)
{
    struct HeadRun h;
    double *scores = NULL;
    vkgpt_error err;
    int code = head_run_open(&h, options, command, VKGPT_HEAD_LABELS, true, &err);
    if (!code) code = run_pair(&h, pair, scores = allocate(h.info->scores * sizeof *scores), &err);
    if (!code && options->verbose) run_counters(&h.run);
    int status =
        code ? failed(&err) : finish_output(print_labels(&h, scores, pair->sequences, pair->count, options->json));
    free(scores);
    for (size_t i = 0; i < 2; i++) {
        free(pair->sequences[i].ids);
        buffer_free(&pair->kept[i]);
    }
    head_run_close(&h);
    return status;
}

int entail_main(const struct Options *options)
{
    if (!options->premise || !options->hypothesis)
        return wrong_usage("entail needs --premise TEXT and --hypothesis TEXT");
    struct SentencePair pair = {.count = 1};
    pair.texts[0] = head_text(options, options->premise, "--premise", &pair.kept[0]);
    pair.texts[1] = head_text(options, options->hypothesis, "--hypothesis", &pair.kept[1]);
    return pair_main(options, "entail", &pair);
}

int similar_main(const struct Options *options)
{
    if (!options->first || !options->second)
        return wrong_usage("similar needs two texts, or --first TEXT and --second TEXT");
    struct SentencePair pair = {.count = 2};
    pair.texts[0] = head_text(options, options->first, "--first", &pair.kept[0]);
    pair.texts[1] = head_text(options, options->second, "--second", &pair.kept[1]);
    return pair_main(options, "similar", &pair);
}
