// vkgpt classify: the label of a text; runs start, text, extract.
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/head_print.h"
#include "cli/input.h"

static int classify(struct HeadRun *h, struct Input *input, struct Tokens *tokens, double *scores, vkgpt_error *err)
{
    float *hidden = allocate(h->info->hidden * sizeof *hidden);
    const struct Text text = {input->text.data, input->text.bytes, input->name};
    int code = input->is_ids ? input_encode(input, NULL, run_model(&h->run)->vocab, true, err) : 0;
    if (!code && input->is_ids) code = head_run_ids(h, input->ids, input->count, input->name, tokens, err);
    else if (!code) code = head_run_sequence(h, &text, NULL, tokens, err);
    if (!code) code = head_run_hidden(h, tokens, hidden, err);
    if (!code) code = vkgpt_head_scores(h->head, hidden, scores, err);
    free(hidden);
    return code;
}

int classify_main(const struct Options *options)
{
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;
    struct HeadRun h;
    struct Tokens tokens = {0};
    double *scores = NULL;
    vkgpt_error err;
    int code = head_run_open(&h, options, "classify", VKGPT_HEAD_LABELS, !input.is_ids, &err);
    if (!code) code = classify(&h, &input, &tokens, scores = allocate(h.info->scores * sizeof *scores), &err);
    if (!code && options->verbose) run_counters(&h.run);
    status = code ? failed(&err) : finish_output(print_labels(&h, scores, &tokens, 1, options->json));
    free(scores);
    free(tokens.ids);
    head_run_close(&h);
    input_free(&input);
    return status;
}
