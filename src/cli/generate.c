// vkgpt generate: a prompt in, new text out as it comes.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/print_json.h"
#include "cli/run.h"
#include "cli/stops.h"
#include "cli/utf8.h"

struct Generation {
    const struct Options *options;
    const vkgpt_tokenizer *tokenizer;
    struct Stops stops;
    struct Utf8 utf8;
    struct Buffer text;       // the new bytes, before anything is made of those that are no UTF-8
    struct Buffer screen;     // whole characters that wait to be written
    uint32_t *ids;
    size_t count, capacity;
    size_t prefilled; // tokens of the prompt without its last, which the first step takes
    bool stopped, interrupted;
    double prefill, first, decode; // seconds: of the prompt, to the first token, of all tokens
    double begin;                  // when decoding began
};

// --------------------------------------------------------------------------------------------- streaming

static void write_screen(struct Generation *g)
{
    if (!g->options->json && g->screen.bytes) {
        fwrite(g->screen.data, 1, g->screen.bytes, stdout);
        fflush(stdout);
    }
    buffer_drop(&g->screen, g->screen.bytes);
}

static void show_text(struct Generation *g, size_t from)
{
    utf8_add(&g->utf8, g->text.data + from, g->text.bytes - from, &g->screen);
    write_screen(g);
}

static void show_id(const struct Generation *g, uint32_t id)
{
    if (g->options->json) return;
    printf("%s%" PRIu32, g->count > 1 ? " " : "", id);
    fflush(stdout);
}

static void remember(struct Generation *g, uint32_t id)
{
    if (g->count == g->capacity) {
        g->capacity = g->capacity * 2 + 64;
        g->ids = reallocate(g->ids, g->capacity * sizeof *g->ids);
    }
    g->ids[g->count++] = id;
}

static bool on_token(void *user, uint32_t id)
{
    struct Generation *g = user;
    if (!g->count) g->first = os_seconds() - g->begin;
    remember(g, id);
    if (g->tokenizer) {
        size_t bytes, shown = g->text.bytes;
        const char *piece = vkgpt_token_bytes(g->tokenizer, id, &bytes);
        g->stopped = stops_add(&g->stops, piece, bytes, &g->text);
        show_text(g, shown);
    } else {
        show_id(g, id);
    }
    g->interrupted = os_interrupted();
    return !g->stopped && !g->interrupted;
}

static void finish_text(struct Generation *g)
{
    size_t shown = g->text.bytes;
    if (!g->stopped) stops_end(&g->stops, &g->text);
    if (g->text.bytes > shown) show_text(g, shown);
    utf8_end(&g->utf8, &g->screen);
    write_screen(g);
    bool line_open = !g->tokenizer || os_is_terminal(1); // text in a pipe or file gets no newline of ours
    if (!g->options->json && line_open) printf("\n");
}

static void echo_prompt(struct Generation *g, const struct Input *input)
{
    if (!g->options->echo || !g->tokenizer) return;
    if (!input->is_ids) {
        utf8_add(&g->utf8, input->text.data, input->text.bytes, &g->screen);
    } else {
        for (size_t i = 0; i < input->count; i++) {
            size_t bytes;
            const char *piece = vkgpt_token_bytes(g->tokenizer, input->ids[i], &bytes);
            utf8_add(&g->utf8, piece, bytes, &g->screen);
        }
    }
    write_screen(g);
}

// -------------------------------------------------------------------------------------------- reporting

static const char *stop_name(const struct Generation *g, vkgpt_stop stop)
{
    if (g->stopped) return "stop";
    switch (stop) {
    case VKGPT_STOP_EOS: return "eos";
    case VKGPT_STOP_CONTEXT: return "context";
    case VKGPT_STOP_CALLBACK: return "interrupt";
    default: return g->interrupted ? "interrupt" : "length";
    }
}

static double rate(size_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static void print_timings(const struct Generation *g, const struct Run *run, uint64_t seed, const char *stop)
{
    fprintf(stderr, "%sload    %8.3f s\n", g->options->json ? "" : "\n", run->load_seconds);
    fprintf(stderr, "prefill %8.3f s  %6zu tokens  %9.1f tokens/s\n", g->prefill, g->prefilled, rate(g->prefilled, g->prefill));
    fprintf(stderr, "decode  %8.3f s  %6zu tokens  %9.1f tokens/s\n", g->decode, g->count, rate(g->count, g->decode));
    fprintf(stderr, "stop: %s, seed: %" PRIu64 "\n", stop, seed);
}

static cJSON *json_timings(const struct Generation *g, const struct Run *run)
{
    cJSON *timings = cJSON_CreateObject();
    cJSON_AddNumberToObject(timings, "load_s", run->load_seconds);
    cJSON_AddNumberToObject(timings, "prefill_s", g->prefill);
    cJSON_AddNumberToObject(timings, "first_token_s", run->load_seconds + g->prefill + g->first);
    cJSON_AddNumberToObject(timings, "decode_s", g->decode);
    cJSON_AddNumberToObject(timings, "prefill_tokens", (double)g->prefilled);
    cJSON_AddNumberToObject(timings, "decode_tokens", (double)g->count);
    cJSON_AddNumberToObject(timings, "prefill_tokens_per_s", rate(g->prefilled, g->prefill));
    cJSON_AddNumberToObject(timings, "decode_tokens_per_s", rate(g->count, g->decode));
    return timings;
}

static int print_json(const struct Generation *g, const struct Run *run, const struct Input *input, uint64_t seed, const char *stop)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "prompt_ids", json_ids(input->ids, input->count));
    cJSON_AddItemToObject(json, "ids", json_ids(g->ids, g->count));
    if (g->tokenizer) cJSON_AddItemToObject(json, "text", json_bytes(g->text.data, g->text.bytes));
    else cJSON_AddNullToObject(json, "text");
    cJSON_AddStringToObject(json, "stop", stop);
    json_add_unsigned(json, "seed", seed);
    cJSON_AddStringToObject(json, "model", run_model(run)->name);
    cJSON_AddStringToObject(json, "device", run_device(run)->name);
    cJSON_AddItemToObject(json, "timings", json_timings(g, run));
    return json_print(json);
}

// ------------------------------------------------------------------------------------------- generation

// A seed for those who gave none, of 32 bits so that every tool can hold it.
static uint64_t seed_of(const struct Options *options)
{
    if (options->seed >= 0) return (uint64_t)options->seed;
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    uint64_t x = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u; // splitmix64's mixing (Steele et al. 2014)
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (x ^ x >> 31) & 0xFFFFFFFFu;
}

static vkgpt_sampling sampling_of(const struct Options *options)
{
    return (vkgpt_sampling){
        .temperature = (float)options->temperature,
        .top_k = (uint32_t)options->top_k,
        .top_p = (float)options->top_p,
        .min_p = (float)options->min_p,
        .repeat_penalty = (float)options->repeat_penalty,
        .repeat_last_n = options->repeat_last_n < 0 ? UINT32_MAX : (uint32_t)options->repeat_last_n,
        .seed = seed_of(options),
        .ignore_eos = options->ignore_eos,
    };
}

static int generate(struct Generation *g, struct Run *run, const struct Input *input, const vkgpt_sampling *sampling,
                    vkgpt_stop *stop, vkgpt_error *err)
{
    const struct Options *options = g->options;
    os_catch_interrupt(); // not before: loading can simply be ended
    double start = os_seconds();
    int code = vkgpt_prompt(run->session, input->ids, input->count, err);
    if (!code) echo_prompt(g, input); // a prompt that does not fit leaves nothing on stdout
    g->begin = os_seconds();
    g->prefill = g->begin - start;
    g->prefilled = vkgpt_session_counters(run->session).tokens_prefilled;
    g->interrupted = os_interrupted();
    *stop = VKGPT_STOP_LENGTH;
    size_t most = options->predict < 0 ? SIZE_MAX : (size_t)options->predict;
    if (!code && most && !g->interrupted) code = vkgpt_generate(run->session, sampling, most, on_token, g, stop, err);
    g->decode = os_seconds() - g->begin;
    return code;
}

static int report(struct Generation *g, const struct Run *run, const struct Input *input, uint64_t seed, vkgpt_stop stop)
{
    const char *name = stop_name(g, stop);
    int status = g->options->json ? print_json(g, run, input, seed, name) : EXIT_OK;
    status = finish_output(status);
    print_timings(g, run, seed, name);
    if (g->options->verbose) run_counters(run);
    return status == EXIT_OK && strcmp(name, "interrupt") == 0 ? EXIT_INTERRUPTED : status;
}

static int prepare(struct Generation *g, struct Run *run, struct Input *input, vkgpt_error *err)
{
    const struct Options *options = g->options;
    int code = run_open(run, options, !input->is_ids || options->stop_count, err);
    if (!code) code = input_encode(input, run->tokenizer, run_model(run)->vocab, !options->no_special, err);
    if (!code) code = input_never_empty(input, run_model(run), err);
    if (code) return code;
    g->tokenizer = run->tokenizer;
    if (!g->tokenizer && !options->json) fprintf(stderr, "vkgpt: %s has no tokenizer: the new ids are printed, not text\n", run->dir);
    return 0;
}

static struct Buffer *read_stops(const struct Options *options)
{
    struct Buffer *texts = allocate(options->stop_count * sizeof *texts);
    for (size_t i = 0; i < options->stop_count; i++) {
        texts[i] = (struct Buffer){0};
        buffer_text(&texts[i], options->stops[i]);
        if (options->escape) texts[i].bytes = unescape(texts[i].data, texts[i].bytes);
    }
    return texts;
}

int generate_main(const struct Options *options)
{
    struct Input input;
    int status = input_read(&input, options, true);
    if (status) return status;
    struct Buffer *stop_texts = read_stops(options);
    struct Generation g = {.options = options, .stops = {stop_texts, options->stop_count, {0}}};
    struct Run run;
    vkgpt_error err;
    vkgpt_stop stop;
    int code = prepare(&g, &run, &input, &err);
    if (!code) {
        const vkgpt_sampling sampling = sampling_of(options);
        code = generate(&g, &run, &input, &sampling, &stop, &err);
        finish_text(&g); // what there is, also before the sentence of an error
        if (!code) status = report(&g, &run, &input, sampling.seed, stop);
    }
    if (code) status = failed(&err);

    run_close(&run);
    input_free(&input);
    for (size_t i = 0; i < options->stop_count; i++) buffer_free(&stop_texts[i]);
    free(stop_texts);
    buffer_free(&g.stops.held);
    buffer_free(&g.text);
    buffer_free(&g.screen);
    free(g.ids);
    return status;
}
