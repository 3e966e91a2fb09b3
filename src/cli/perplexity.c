// vkgpt perplexity: the mean negative log likelihood of tokens 2..T. A text longer than the context is read in windows,
// as Hugging Face's "Perplexity of fixed-length models" defines them: each window begins `stride` tokens after the one
// before, and counts only tokens that no earlier window counted. If the stride is the context, windows do not overlap,
// and the first token of each is not counted, because nothing predicts it.
#include <math.h>
#include <stdlib.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/print_json.h"
#include "cli/run.h"

struct Likelihood {
    const uint32_t *window; // ids of the window
    size_t skip;            // targets [1, skip) of the window were counted before
    size_t vocab;
    double sum; // nats
    size_t counted;
};

// -log softmax(logits)[target], in double: float sums of 50,257 exponentials lose four digits.
static double negative_log_likelihood(const float *logits, size_t vocab, uint32_t target)
{
    float largest = logits[0];
    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > largest) largest = logits[i];
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - (double)largest);
    return log(sum) + (double)largest - (double)logits[target];
}

static bool on_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Likelihood *l = user;
    for (size_t row = 0; row < rows; row++) {
        size_t target = first + row + 1; // the token that this row predicts
        if (target < l->skip) continue;
        l->sum += negative_log_likelihood(logits + row * l->vocab, l->vocab, l->window[target]);
        l->counted++;
    }
    return true;
}

static void show_progress(size_t done, size_t total, double start)
{
    double seconds = os_seconds() - start;
    if (os_is_terminal(2) && seconds > 1)
        fprintf(stderr, "\r%zu of %zu tokens, %.0f s left \033[K", done, total,
                seconds * (double)(total - done) / (double)done);
}

static int run_windows(struct Run *run, const struct Input *input, size_t context, size_t stride, struct Likelihood *l,
                       vkgpt_error *err)
{
    double start = os_seconds();
    size_t counted_to = 0;
    int code = 0;
    for (size_t begin = 0; !code && counted_to < input->count; begin += stride) {
        size_t end = input->count - begin < context ? input->count : begin + context;
        l->window = input->ids + begin;
        l->skip = counted_to > begin ? counted_to - begin : 0;
        code = vkgpt_session_rewind(run->session, 0, err);
        // the window's last token predicts nothing that is counted
        if (!code) code = vkgpt_logits(run->session, l->window, end - begin - 1, on_rows, l, err);
        counted_to = end;
        show_progress(end, input->count, start);
    }
    if (os_is_terminal(2)) fprintf(stderr, "\r\033[K");
    return code;
}

static int windows_of(const struct Options *options, uint32_t positions, size_t *context, size_t *stride,
                      vkgpt_error *err)
{
    *context = positions;
    if (*context < 2)
        return fail(err, VKGPT_BAD_ARGUMENT, "a context of %zu is too short to predict a token from the one before it",
                    *context);
    *stride = options->stride ? (size_t)options->stride : *context / 2;
    if (*stride > *context)
        return fail(
            err, VKGPT_BAD_ARGUMENT,
            "--stride is %zu, it must not be above the context of %zu: tokens between windows would not be read",
            *stride, *context);
    return 0;
}

static int measure(struct Run *run, struct Input *input, const struct Options *options, struct Likelihood *l,
                   vkgpt_error *err)
{
    const vkgpt_model_info *model = run_model(run);
    int code = input_encode(input, run->tokenizer, model->vocab, !options->no_special, err);
    if (code) return code;
    if (input->count < 2)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu tokens, perplexity needs 2 at least", input->name, input->count);
    size_t context = 0, stride = 0;
    code = windows_of(options, run->context, &context, &stride, err);
    if (code) return code;
    l->vocab = model->vocab;
    code = run_windows(run, input, context, stride, l, err);
    if (!code && !isfinite(l->sum))
        code = fail(err, VKGPT_BAD_LOGITS, "%s: the logits give no finite likelihood", input->name);
    return code;
}

static int print_result(const struct Options *options, size_t tokens, const struct Likelihood *l)
{
    double nll = l->sum / (double)l->counted;
    if (!options->json) {
        printf("tokens %zu, nll %.6f nats, perplexity %.4f\n", tokens, nll, exp(nll));
        return EXIT_OK;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "tokens", (double)tokens);
    cJSON_AddNumberToObject(json, "counted", (double)l->counted);
    cJSON_AddNumberToObject(json, "nll", nll);
    cJSON_AddNumberToObject(json, "ppl", exp(nll));
    return json_print(json);
}

int perplexity_main(const struct Options *options)
{
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;

    struct Run run;
    vkgpt_error err;
    struct Likelihood l = {0};
    int code = run_open(&run, options, !input.is_ids, &err);
    if (!code) code = measure(&run, &input, options, &l, &err);
    if (!code && options->verbose) run_counters(&run);
    status = code ? failed(&err) : finish_output(print_result(options, input.count, &l));
    run_close(&run);
    input_free(&input);
    return status;
}
