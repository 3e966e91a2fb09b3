// vkgpt choose: runs start, context, delimiter, answer, extract for each answer; softmax over the scores. Each answer
// reuses the context that the one before left in the cache.
#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/head_print.h"
#include "cli/input.h"

static int score_answers(struct HeadRun *h, const struct Text *context, struct Row *rows, size_t count,
                         vkgpt_error *err)
{
    float *hidden = allocate(h->info->hidden * sizeof *hidden);
    int code = 0;
    for (size_t i = 0; !code && i < count; i++) {
        code = head_run_sequence(h, context, &rows[i].text, &rows[i].ids, err);
        if (!code) code = head_run_hidden(h, &rows[i].ids, hidden, err);
        if (!code) code = vkgpt_head_scores(h->head, hidden, &rows[i].score, err);
    }
    if (!code) rows_softmax(rows, count);
    free(hidden);
    return code;
}

int choose_main(const struct Options *options)
{
    size_t count = options->answer_count;
    if (count < 2) return wrong_usage("choose needs two answers or more: --answer TEXT --answer TEXT");
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;
    struct HeadRun h;
    struct Row rows[MAX_ANSWERS] = {0};
    struct Buffer kept[MAX_ANSWERS] = {0};
    for (size_t i = 0; i < count; i++) rows[i].text = head_text(options, options->answers[i], "--answer", &kept[i]);
    const struct Text context = {input.text.data, input.text.bytes, input.name};
    vkgpt_error err;
    int code = head_run_open(&h, options, "choose", VKGPT_HEAD_CHOICE, true, &err);
    if (!code) code = score_answers(&h, &context, rows, count, &err);
    if (!code && options->verbose) run_counters(&h.run);
    status = code ? failed(&err) : finish_output(print_answers(rows, count, options->json));
    for (size_t i = 0; i < count; i++) {
        free(rows[i].ids.ids);
        buffer_free(&kept[i]);
    }
    head_run_close(&h);
    input_free(&input);
    return status;
}
