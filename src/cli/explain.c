// vkgpt explain: what a model does with a text, as a page for a browser.
#include <math.h>
#include <stdlib.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/explain_page.h"
#include "cli/input.h"
#include "cli/run.h"
#include "engine/logits.h"
#include "engine/trace.h"

#define MAX_PAIRS ((uint64_t)8 << 20) // weights of attention in a page: 22 MB

static uint64_t pairs_of(const struct Explained *e) { return (uint64_t)e->count * (e->count + 1) / 2; }

// A row of logits at a place in the lens.
static void take_logits(struct Explained *e, uint32_t layer, uint32_t t, const float *logits)
{
    uint32_t vocab = e->config->vocab, lens = explain_guesses(e->config, LENS_TOP),
             next = explain_guesses(e->config, NEXT_TOP), ids[NEXT_TOP];
    size_t at = (size_t)layer * e->count + t;
    double sum = logits_log_sum(logits, vocab);
    logits_top(logits, vocab, next, ids);
    for (uint32_t i = 0; i < lens; i++)
        e->lens[at * lens + i] = (struct Guess){ids[i], (float)exp((double)logits[ids[i]] - sum)};
    for (uint32_t i = 0; layer == e->config->layers && i < next; i++)
        e->next[(size_t)t * next + i] = (struct Guess){ids[i], (float)exp((double)logits[ids[i]] - sum)};
    e->given[at] = t + 1 < e->count ? exp((double)logits[e->ids[t + 1]] - sum) : 0;
}

static void on_rows(void *user, const struct TraceRows *rows)
{
    struct Explained *e = user;
    for (uint32_t r = 0; r < rows->count; r++) {
        const float *x = rows->x + (size_t)r * rows->x_stride;
        double squares = 0;
        for (uint32_t i = 0; i < e->config->dim; i++) squares += (double)x[i] * (double)x[i];
        e->norms[(size_t)rows->layer * e->count + rows->first + r] = sqrt(squares);
        take_logits(e, rows->layer, rows->first + r, rows->logits + (size_t)r * rows->logits_stride);
    }
}

static void on_attention(void *user, const struct TraceAttention *a)
{
    struct Explained *e = user;
    uint16_t *to = e->attention + ((size_t)a->layer * e->config->heads + a->head) * pairs_of(e);
    for (uint32_t r = 0; r < a->count; r++) {
        uint64_t t = a->first + r;
        for (uint32_t p = 0; p <= t; p++)
            to[t * (t + 1) / 2 + p] = (uint16_t)lrintf(65535 * a->weights[r * (size_t)(a->first + a->count) + p]);
    }
}

static void make_room(struct Explained *e)
{
    size_t cells = (size_t)(e->config->layers + 1) * e->count;
    e->norms = allocate(cells * sizeof *e->norms);
    e->given = allocate(cells * sizeof *e->given);
    e->lens = allocate(cells * LENS_TOP * sizeof *e->lens);
    e->next = allocate((size_t)e->count * NEXT_TOP * sizeof *e->next);
    e->attention = allocate((size_t)e->config->layers * e->config->heads * pairs_of(e) * sizeof *e->attention);
}

static void free_room(struct Explained *e)
{
    free(e->norms);
    free(e->given);
    free(e->lens);
    free(e->next);
    free(e->attention);
}

// The page would be too large for a browser.
static int check_size(const struct Explained *e, const char *name, vkgpt_error *err)
{
    uint64_t heads = (uint64_t)e->config->layers * e->config->heads, room = 0;
    while ((room + 1) * (room + 2) / 2 * heads <= MAX_PAIRS) room++;
    if (e->count <= room) return 0;
    return fail(err, VKGPT_BAD_ARGUMENT,
                "%s: %u tokens: a page has room for %llu of a model with %llu heads; a shorter text is needed", name,
                e->count, (unsigned long long)room, (unsigned long long)heads);
}

static int write_page(const struct Run *run, const struct Input *input, const char *path, vkgpt_error *err)
{
    struct Explained e = {.model = run_model(run),
                          .device = run_device(run),
                          .config = trace_config(run->model),
                          .tokenizer = run->tokenizer,
                          .ids = input->ids,
                          .count = (uint32_t)input->count};
    struct Buffer page = {0};
    int code = run_fits(run, input->name, input->count, err); // before memory is allocated for it
    if (!code) code = check_size(&e, input->name, err);
    if (code) return code;
    make_room(&e);
    const struct Trace trace = {on_rows, on_attention, &e};
    code = trace_run(run->session, input->ids, input->count, &trace, err);
    if (!code) explain_page(&e, &page);
    if (!code) code = os_write(path, page.data, page.bytes, err);
    if (!code) fprintf(stderr, "vkgpt: %s: %u tokens, %zu kB; a browser shows it\n", path, e.count, page.bytes / 1000);
    buffer_free(&page);
    free_room(&e);
    return code;
}

int explain_main(const struct Options *options)
{
    if (!options->output) return wrong_usage("explain needs the name of the page to write: -o PAGE.html");
    struct Input input;
    int status = input_read(&input, options, true);
    if (status) return status;

    struct Options own = *options;
    own.kv = VKGPT_F32; // the weights of attention are computed from the cache
    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, &own, !input.is_ids, &err);
    if (!code) code = input_encode(&input, run.tokenizer, run_model(&run)->vocab, !options->no_special, &err);
    if (!code) code = input_never_empty(&input, run_model(&run), &err);
    if (!code) code = write_page(&run, &input, options->output, &err);
    if (!code && options->verbose) run_counters(&run);
    run_close(&run);
    input_free(&input);
    return code ? failed(&err) : EXIT_OK;
}
