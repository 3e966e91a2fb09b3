#include "cli/generation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/os.h"
#include "cli/cli.h"
#include "cli/generation_config.h"
#include "cli/logprobs.h"
#include "cli/print_json.h"
#include "tasks/escapes.h"

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

// Cuts off what a task does not want before and after the text. None of that has been shown yet.
static void shape_text(struct Generation *g)
{
    if (g->trim && !g->keep.scanned) {
        size_t blank = g->text.bytes ? strspn(g->text.data, " \t\r\n") : 0;
        buffer_drop(&g->text, blank);
        if (g->text.bytes) g->trim = false;
    }
    if (!g->trim && keep_reached(&g->keep, &g->text)) g->stopped = true;
}

// Takes a token that is generated again after the device was lost. It has to be the same one: the text has been shown.
static bool repeat(struct Generation *g, uint32_t id)
{
    g->differs = id != g->ids[g->repeated++];
    g->interrupted = os_interrupted();
    return !g->differs && !g->interrupted;
}

static bool on_token(void *user, uint32_t id)
{
    struct Generation *g = user;
    if (g->repeated < g->repeats) return repeat(g, id);
    if (!g->count) g->first = os_seconds() - g->begin;
    remember(g, id);
    if (g->tokenizer) {
        size_t bytes, shown = g->text.bytes;
        const char *piece = vkgpt_token_bytes(g->tokenizer, id, &bytes);
        g->silent += !bytes;
        g->stopped = stops_add(&g->stops, piece, bytes, &g->text);
        shape_text(g);
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
    if (!g->stopped) {
        stops_end(&g->stops, &g->text);
        shape_text(g);
    }
    if (g->text.bytes > shown) show_text(g, shown);
    utf8_end(&g->utf8, &g->screen);
    write_screen(g);
    bool line_open = !g->tokenizer || os_is_terminal(1); // text in a pipe or file gets no extra newline
    if (!g->options->json && line_open) printf("\n");
}

static void echo_prompt(struct Generation *g, const struct Input *input)
{
    if (!g->echo || g->options->json || !g->tokenizer) return;
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

static const char *stop_name(const struct Generation *g)
{
    if (g->stopped) return "stop";
    switch (g->stop) {
    case VKGPT_STOP_EOS: return "eos";
    case VKGPT_STOP_CONTEXT: return "context";
    case VKGPT_STOP_CALLBACK: return "interrupt";
    case VKGPT_STOP_BAD_LOGITS: return "bad logits";
    default: return g->interrupted ? "interrupt" : "length";
    }
}

static double rate(size_t tokens, double seconds) { return seconds > 0 ? (double)tokens / seconds : 0; }

static void print_timings(const struct Generation *g, const struct Run *run)
{
    fprintf(stderr, "%sload    %8.3f s\n", g->options->json ? "" : "\n", run->load_seconds);
    fprintf(stderr, "prefill %8.3f s  %6zu tokens  %9.1f tokens/s\n", g->prefill, g->prefilled,
            rate(g->prefilled, g->prefill));
    fprintf(stderr, "decode  %8.3f s  %6zu tokens  %9.1f tokens/s\n", g->decode, g->count, rate(g->count, g->decode));
    run_lookup(run, g->options);
    fprintf(stderr, "stop: %s, seed: %" PRIu64 "\n", stop_name(g), g->sampling.seed);
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
    cJSON_AddNumberToObject(timings, "decode_steps", (double)vkgpt_session_counters(run->session).steps);
    cJSON_AddNumberToObject(timings, "prefill_tokens_per_s", rate(g->prefilled, g->prefill));
    cJSON_AddNumberToObject(timings, "decode_tokens_per_s", rate(g->count, g->decode));
    return timings;
}

static int print_json(const struct Generation *g, const struct Run *run, const struct Input *input, cJSON *json)
{
    cJSON_AddItemToObject(json, "prompt_ids", json_ids(input->ids, input->count));
    cJSON_AddItemToObject(json, "ids", json_ids(g->ids, g->count));
    if (g->tokenizer) cJSON_AddItemToObject(json, "text", json_bytes(g->text.data, g->text.bytes));
    else cJSON_AddNullToObject(json, "text");
    if (g->logprobs) cJSON_AddItemToObject(json, "logprobs", cJSON_Duplicate(g->logprobs, true));
    cJSON_AddStringToObject(json, "stop", stop_name(g));
    json_add_unsigned(json, "seed", g->sampling.seed);
    cJSON_AddStringToObject(json, "model", run_model(run)->name);
    cJSON_AddStringToObject(json, "device", run_device_names(run));
    cJSON_AddItemToObject(json, "timings", json_timings(g, run));
    return json_print(json);
}

// ------------------------------------------------------------------------------------------- generation

// The given seed, or a drawn one, of 32 bits so that every tool can hold it.
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

vkgpt_sampling generation_sampling(const struct Options *options)
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

void generation_begin(struct Generation *g, const struct Options *options)
{
    *g = (struct Generation){.options = options, .sampling = generation_sampling(options), .echo = options->echo};
    for (size_t i = 0; i < options->stop_count; i++) {
        struct Buffer text = {0};
        buffer_text(&text, options->stops[i]);
        if (options->escape) text.bytes = escapes_replace(text.data, text.bytes);
        generation_add_stop(g, text.data, text.bytes);
        buffer_free(&text);
    }
}

bool generation_echoes(const struct Options *options)
{
    return options->echo || (os_is_terminal(1) && !options->no_echo);
}

int generation_configure(struct Generation *g, struct Options *own, enum CommandBit command, const struct Run *run,
                         vkgpt_error *err)
{
    uint64_t seed = g->sampling.seed; // drawn once
    int code = generation_config(run->dir, command, own, err);
    g->sampling = generation_sampling(own);
    g->sampling.seed = seed;
    return code;
}

void generation_tell_silent(const struct Run *run, size_t silent, size_t count)
{
    if (!silent || !run->tokenizer) return;
    fprintf(stderr, "vkgpt: %zu of %zu new tokens have no text: the tokenizer has %u tokens, the model %u\n", silent,
            count, vkgpt_token_count(run->tokenizer), run_model(run)->vocab);
}

void generation_add_stop(struct Generation *g, const char *text, size_t bytes)
{
    g->stop_texts = reallocate(g->stop_texts, (g->stops.count + 1) * sizeof *g->stop_texts);
    char *data = allocate(bytes);
    memcpy(data, text, bytes);
    g->stop_texts[g->stops.count++] = (struct StopString){data, bytes};
    g->stops.texts = g->stop_texts;
}

static int run_prompt(struct Generation *g, struct Run *run, const struct Input *input, vkgpt_error *err)
{
    double start = os_seconds();
    int code = vkgpt_prompt(run->session, input->ids, input->count, err);
    if (code == VKGPT_INTERRUPTED) code = 0; // not an error: os_interrupted tells it
    if (!code) echo_prompt(g, input);        // a prompt that does not fit leaves nothing on stdout
    if (!code) g->echo = false;              // only once
    g->begin = os_seconds();
    g->prefill = g->begin - start;
    g->prefilled = vkgpt_session_counters(run->session).tokens_prefilled;
    return code;
}

// The prompt, and what a text begins with, the first time and again.
static int begin_tokens(struct Generation *g, struct Run *run, const struct Input *input, vkgpt_error *err)
{
    int code = run_prompt(g, run, input, err);
    if (code) return code;
    g->interrupted = os_interrupted();
    g->stop = VKGPT_STOP_LENGTH;
    g->begun = true;
    g->repeats = g->count;
    g->repeated = 0;
    return code;
}

// What is begun again has to give the tokens that are printed already.
static int check_repeated(const struct Generation *g, const struct Run *run, int code, vkgpt_error *err)
{
    if (!g->differs) return code;
    return fail(err, VKGPT_DEVICE_LOST, "%s: begun again, the text is another one from token %zu on",
                run_device_names(run), g->repeated - 1);
}

int generation_run(struct Generation *g, struct Run *run, const struct Input *input, vkgpt_error *err)
{
    const struct Options *options = g->options;
    g->tokenizer = run->tokenizer;
    if (!g->tokenizer && !options->json)
        fprintf(stderr, "vkgpt: %s: so the new ids are printed, not text\n", run->no_tokenizer);
    os_catch_interrupt(); // not before: loading can simply be ended
    size_t most = options->predict < 0 ? SIZE_MAX : (size_t)options->predict;
    int code;
    for (bool again = false;; again = true) { // once, when the device is lost
        code = begin_tokens(g, run, input, err);
        if (!code && most && !g->interrupted)
            code = vkgpt_generate(run->session, &g->sampling, most, on_token, g, &g->stop, err);
        code = check_repeated(g, run, code, err);
        if (!code || again || (code = run_again(run, options, code, err))) break;
    }
    if (code && !g->begun) return code;
    g->decode = os_seconds() - g->begin;
    finish_text(g); // the text so far, even if a sentence about an error follows
    if (code || !options->logprobs) return code;
    const struct Continued text = {input->ids, g->ids, input->count, g->count, (uint32_t)input->count - 1};
    return logprobs_json(run, &text, (size_t)options->logprobs, &g->logprobs, err);
}

int generation_report(const struct Generation *g, const struct Run *run, const struct Input *input, cJSON *more)
{
    int status = EXIT_OK;
    if (g->options->json) status = print_json(g, run, input, more ? more : cJSON_CreateObject());
    else cJSON_Delete(more);
    status = finish_output(status);
    generation_tell_silent(run, g->silent, g->count);
    print_timings(g, run);
    if (g->options->verbose) run_counters(run);
    return status == EXIT_OK && strcmp(stop_name(g), "interrupt") == 0 ? EXIT_INTERRUPTED : status;
}

void generation_end(struct Generation *g)
{
    for (size_t i = 0; i < g->stops.count; i++) free(g->stop_texts[i].data);
    free(g->stop_texts);
    buffer_free(&g->stops.held);
    buffer_free(&g->text);
    buffer_free(&g->screen);
    free(g->ids);
    cJSON_Delete(g->logprobs);
    *g = (struct Generation){0};
}
