// vkgpt quality: how much each format of the weights changes a model. All formats run side by side over the windows of
// a text, a few tokens at a time, so that only a few rows of logits are kept. The first is fp32, and the others are
// compared with it: perplexity, mean Kullback-Leibler divergence, and how often both predict the same token.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "engine/logits.h"
#include "model/formats.h"

#define FORMATS VKGPT_Q4_K
#define STRIP 32 // tokens at a time

static vkgpt_format format_at(size_t f) { return (vkgpt_format)(VKGPT_F32 + f); }
static const char *name_at(size_t f) { return FORMAT_INFO[format_at(f)].name; }

struct Candidate {
    vkgpt_model *model;
    vkgpt_session *session;
    double nll, divergence; // sums, in nats
    size_t agreed;
};

struct Quality {
    struct Run run; // in fp32
    struct Candidate of[FORMATS];
    const uint32_t *targets; // the next tokens of the strip; the last row of a window has none
    size_t target_count, vocab, counted;
    float *full;      // logits of the strip in fp32 (STRIP, vocab)
    double *full_sum; // log of the sum of their exponentials
    struct Candidate *now;
};

static uint32_t best_of(const float *row, size_t vocab)
{
    uint32_t best = 0;
    logits_top(row, vocab, 1, &best);
    return best;
}

static double divergence(const float *p, double p_sum, const float *q, double q_sum, size_t vocab)
{
    double total = 0;
    for (size_t i = 0; i < vocab; i++) {
        double log_p = (double)p[i] - p_sum;
        total += exp(log_p) * (log_p - ((double)q[i] - q_sum));
    }
    return total;
}

static bool on_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Quality *q = user;
    bool is_full = q->now == &q->of[0];
    for (size_t r = first; r < first + rows && r < q->target_count; r++) {
        const float *row = logits + (r - first) * q->vocab;
        float *full = q->full + r * q->vocab;
        double sum = logits_log_sum(row, q->vocab);
        if (is_full) {
            memcpy(full, row, q->vocab * sizeof *row);
            q->full_sum[r] = sum;
        } else {
            q->now->divergence += divergence(full, q->full_sum[r], row, sum, q->vocab);
        }
        q->now->nll += sum - (double)row[q->targets[r]];
        q->now->agreed += best_of(full, q->vocab) == best_of(row, q->vocab);
    }
    return true;
}

static int run_window(struct Quality *q, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int code = 0;
    for (size_t f = 0; !code && f < FORMATS; f++) code = vkgpt_session_rewind(q->of[f].session, 0, err);
    for (size_t at = 0; !code && at + 1 < count; at += STRIP) {
        size_t tokens = count - 1 - at < STRIP ? count - 1 - at : STRIP; // the last one predicts nothing
        q->targets = ids + at + 1;
        q->target_count = tokens;
        for (size_t f = 0; !code && f < FORMATS; f++) {
            q->now = &q->of[f];
            code = vkgpt_logits(q->now->session, ids + at, tokens, on_rows, q, err);
        }
        q->counted += tokens;
    }
    return code;
}

static int open_formats(struct Quality *q, const struct Options *options, vkgpt_error *err)
{
    const vkgpt_session_options session = {.context = q->run.context, .kv = VKGPT_F32};
    int code = 0;
    q->of[0].model = q->run.model;
    q->of[0].session = q->run.session;
    for (size_t f = 1; !code && f < FORMATS; f++) {
        struct Candidate *c = &q->of[f];
        const vkgpt_model_options model = {.weights = format_at(f), .lora = options->lora};
        code = vkgpt_model_open(q->run.device, q->run.dir, &model, &c->model, err);
        if (!code && vkgpt_model_describe(c->model)->note[0])
            fprintf(stderr, "vkgpt: %s: %s\n", name_at(f), vkgpt_model_describe(c->model)->note);
        if (!code) code = vkgpt_session_open(c->model, &session, &c->session, err);
        if (!code && vkgpt_session_note(c->session)[0])
            fprintf(stderr, "vkgpt: %s: %s\n", name_at(f), vkgpt_session_note(c->session));
    }
    return code;
}

static int measure(struct Quality *q, struct Input *input, const struct Options *options, vkgpt_error *err)
{
    const vkgpt_model_info *model = run_model(&q->run);
    size_t context = q->run.context;
    int code = input_encode(input, q->run.tokenizer, model->vocab, !options->no_special, err);
    if (!code && input->count < 2)
        code = fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu tokens, quality needs 2 at least", input->name, input->count);
    if (!code) code = open_formats(q, options, err);
    if (code) return code;
    q->vocab = model->vocab;
    q->full = allocate(STRIP * q->vocab * sizeof *q->full);
    q->full_sum = allocate(STRIP * sizeof *q->full_sum);
    for (size_t at = 0; !code && at + 1 < input->count; at += context) {
        size_t left = input->count - at;
        code = run_window(q, input->ids + at, left < context ? left : context, err);
        if (os_is_terminal(2)) fprintf(stderr, "\r%zu of %zu tokens \033[K", at, input->count);
    }
    if (os_is_terminal(2)) fprintf(stderr, "\r\033[K");
    return code;
}

static cJSON *format_json(const struct Quality *q, size_t f)
{
    const struct Candidate *c = &q->of[f];
    double n = (double)q->counted;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "weights", name_at(f));
    json_add_unsigned(json, "size", vkgpt_model_describe(c->model)->device_bytes);
    cJSON_AddNumberToObject(json, "ppl", exp(c->nll / n));
    cJSON_AddNumberToObject(json, "ppl_ratio", exp((c->nll - q->of[0].nll) / n));
    cJSON_AddNumberToObject(json, "kl", c->divergence / n);
    cJSON_AddNumberToObject(json, "top1", (double)c->agreed / n);
    return json;
}

static int print_result(const struct Quality *q, bool as_json)
{
    double n = (double)q->counted;
    if (as_json) {
        cJSON *rows = cJSON_CreateArray();
        for (size_t f = 0; f < FORMATS; f++) cJSON_AddItemToArray(rows, format_json(q, f));
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "model", run_model(&q->run)->name);
        cJSON_AddNumberToObject(json, "counted", n);
        cJSON_AddItemToObject(json, "formats", rows);
        return json_print(json);
    }
    printf("| weights | MiB | perplexity | against f32 | KL divergence | same top token |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t f = 0; f < FORMATS; f++) {
        const struct Candidate *c = &q->of[f];
        printf("| %s | %.2f | %.4f | %+.3f %% | %.2e | %.2f %% |\n", name_at(f),
               (double)vkgpt_model_describe(c->model)->device_bytes / MIB, exp(c->nll / n),
               100 * (exp((c->nll - q->of[0].nll) / n) - 1), c->divergence / n, 100 * (double)c->agreed / n);
    }
    return EXIT_OK;
}

static void quality_close(struct Quality *q)
{
    for (size_t f = 1; f < FORMATS; f++) {
        vkgpt_session_close(q->of[f].session);
        vkgpt_model_close(q->of[f].model);
    }
    free(q->full);
    free(q->full_sum);
    run_close(&q->run);
}

int quality_main(const struct Options *options)
{
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;

    struct Quality q = {0};
    struct Options full = *options;
    full.weights = full.kv = VKGPT_F32;
    vkgpt_error err;
    int code = run_open(&q.run, &full, !input.is_ids, &err);
    if (!code) code = measure(&q, &input, options, &err);
    status = code ? failed(&err) : finish_output(print_result(&q, options->json));
    quality_close(&q);
    input_free(&input);
    return status;
}
