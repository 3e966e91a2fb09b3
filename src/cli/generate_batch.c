// Several texts at once: continuations of one prompt with different seeds (--parallel), or one for each line of a file
// (--prompts). Texts that run side by side are printed when all of them are done, whole and in order.
#include "cli/generate_batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/generation.h"
#include "cli/inputs.h"
#include "cli/logprobs.h"
#include "cli/print_json.h"

struct Continuation { // one continuation
    const struct Input *input;
    vkgpt_sampling sampling;
    struct Stops stops;
    struct Buffer text; // the new bytes
    uint32_t *ids;
    size_t count, capacity;
    vkgpt_stop stop;
    cJSON *logprobs;
    bool stopped; // by a stop string
};

struct Batch {
    const struct Options *options;
    struct Options opened; // the same, with as many sequences as the session has
    struct Run run;
    struct Inputs inputs; // the prompts
    struct Continuation *texts;
    size_t count;
    struct Continuation *first; // of those that run now
    cJSON *json;                // the texts that are done
    size_t decoded, silent;     // tokens; without a text
    double prefill, decode;     // seconds
};

// ------------------------------------------------------------------------------------------ the run

static bool on_token(void *user, uint32_t sequence, uint32_t id)
{
    struct Batch *b = user;
    struct Continuation *t = &b->first[sequence];
    if (t->count == t->capacity) {
        t->capacity = t->capacity * 2 + 64;
        t->ids = reallocate(t->ids, t->capacity * sizeof *t->ids);
    }
    t->ids[t->count++] = id;
    b->decoded++;
    size_t bytes = 0;
    const char *piece = b->run.tokenizer ? vkgpt_token_bytes(b->run.tokenizer, id, &bytes) : NULL;
    if (piece) b->silent += !bytes;
    if (piece) t->stopped = stops_add(&t->stops, piece, bytes, &t->text);
    return !t->stopped && !os_interrupted();
}

// If all texts have the same prompt, it is read once and copied.
static int give_prompts(struct Batch *b, uint32_t count, vkgpt_error *err)
{
    uint32_t to[MAX_PARALLEL];
    int code = 0;
    for (uint32_t i = 0; !code && i < count; i++) {
        code = vkgpt_batch_rewind(b->run.session, i, 0, err);
        to[i] = i;
        if (!code && (b->options->prompts || i == 0))
            code = vkgpt_batch_prompt(b->run.session, i, b->first[i].input->ids, b->first[i].input->count, err);
    }
    if (!code) code = vkgpt_batch_prefill(b->run.session, err);
    return code || b->options->prompts ? code : vkgpt_batch_copy(b->run.session, 0, to + 1, count - 1, err);
}

static int run_some(struct Batch *b, uint32_t count, uint32_t sequences, vkgpt_error *err)
{
    vkgpt_sampling sampling[MAX_PARALLEL];
    vkgpt_stop stops[MAX_PARALLEL];
    size_t most = b->options->predict < 0 ? SIZE_MAX : (size_t)b->options->predict;
    double start = os_seconds();
    int code = 0;
    for (uint32_t i = count; !code && i < sequences; i++)
        code = vkgpt_batch_rewind(b->run.session, i, 0, err); // the remaining sequences take no part
    if (!code) code = give_prompts(b, count, err);
    b->prefill += os_seconds() - start;
    for (uint32_t i = 0; i < sequences; i++) sampling[i] = b->first[i < count ? i : 0].sampling;
    start = os_seconds();
    if (!code) code = vkgpt_batch_generate(b->run.session, sampling, most, on_token, b, stops, err);
    b->decode += os_seconds() - start;
    for (uint32_t i = 0; !code && i < count; i++) b->first[i].stop = stops[i];
    for (uint32_t i = 0; !code && b->options->logprobs && i < count; i++) {
        struct Continuation *t = &b->first[i];
        const struct Continued text = {t->input->ids, t->ids, t->input->count, t->count, 0};
        code = logprobs_json(&b->run, &text, (size_t)b->options->logprobs, &t->logprobs, err);
    }
    return code;
}

// Makes the texts that run now empty again.
static void forget_texts(struct Batch *b, uint32_t count)
{
    for (struct Continuation *t = b->first; t < b->first + count; t++) {
        buffer_drop(&t->text, t->text.bytes);
        buffer_drop(&t->stops.held, t->stops.held.bytes);
        cJSON_Delete(t->logprobs);
        t->logprobs = NULL;
        t->count = 0;
        t->stopped = false;
    }
}

// When the device is lost, once, these texts begin again on a new one: none of them has been shown.
static int run_some_again(struct Batch *b, uint32_t count, uint32_t sequences, vkgpt_error *err)
{
    size_t decoded = b->decoded, silent = b->silent;
    int code = run_some(b, count, sequences, err);
    if (!code || (code = run_again(&b->run, &b->opened, code, err))) return code;
    forget_texts(b, count);
    b->decoded = decoded;
    b->silent = silent;
    return run_some(b, count, sequences, err);
}

// ---------------------------------------------------------------------------------------------- output

static const char *stop_name(const struct Continuation *t)
{
    static const char *const names[] = {[VKGPT_STOP_LENGTH] = "length",
                                        [VKGPT_STOP_EOS] = "eos",
                                        [VKGPT_STOP_CONTEXT] = "context",
                                        [VKGPT_STOP_CALLBACK] = "interrupt",
                                        [VKGPT_STOP_BAD_LOGITS] = "bad logits"};
    return t->stopped ? "stop" : names[t->stop];
}

static void keep_json(struct Batch *b, struct Continuation *t)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "prompt_ids", json_ids(t->input->ids, t->input->count));
    cJSON_AddItemToObject(json, "ids", json_ids(t->ids, t->count));
    if (b->run.tokenizer) cJSON_AddItemToObject(json, "text", json_bytes(t->text.data, t->text.bytes));
    else cJSON_AddNullToObject(json, "text");
    if (t->logprobs) cJSON_AddItemToObject(json, "logprobs", t->logprobs);
    cJSON_AddStringToObject(json, "stop", stop_name(t));
    json_add_unsigned(json, "seed", t->sampling.seed);
    cJSON_AddItemToArray(b->json, json);
}

static void print_text(const struct Batch *b, const struct Continuation *t)
{
    struct Utf8 utf8 = {0};
    struct Buffer screen = {0};
    if (b->options->prompts) printf("--- %s\n", t->input->name);
    else printf("--- seed %" PRIu64 "\n", t->sampling.seed);
    if (generation_echoes(b->options) && !t->input->is_ids)
        utf8_add(&utf8, t->input->text.data, t->input->text.bytes, &screen);
    utf8_add(&utf8, t->text.data, t->text.bytes, &screen);
    utf8_end(&utf8, &screen);
    fwrite(screen.data ? screen.data : "", 1, screen.bytes, stdout);
    for (size_t i = 0; !b->run.tokenizer && i < t->count; i++) printf("%s%" PRIu32, i ? " " : "", t->ids[i]);
    printf("\n");
    fflush(stdout);
    buffer_free(&screen);
}

static double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

static int report(struct Batch *b)
{
    double prefilled = (double)vkgpt_session_counters(b->run.session).tokens_prefilled;
    int status = EXIT_OK;
    if (b->json) {
        cJSON *json = cJSON_CreateObject(), *timings = cJSON_CreateObject();
        cJSON_AddItemToObject(json, "completions", b->json);
        cJSON_AddStringToObject(json, "model", run_model(&b->run)->name);
        cJSON_AddStringToObject(json, "device", run_device_names(&b->run));
        cJSON_AddNumberToObject(timings, "load_s", b->run.load_seconds);
        cJSON_AddNumberToObject(timings, "prefill_s", b->prefill);
        cJSON_AddNumberToObject(timings, "decode_s", b->decode);
        cJSON_AddNumberToObject(timings, "prefill_tokens", prefilled);
        cJSON_AddNumberToObject(timings, "decode_tokens", (double)b->decoded);
        cJSON_AddNumberToObject(timings, "decode_steps", (double)vkgpt_session_counters(b->run.session).steps);
        cJSON_AddNumberToObject(timings, "decode_tokens_per_s", rate((double)b->decoded, b->decode));
        cJSON_AddItemToObject(json, "timings", timings);
        b->json = NULL;
        status = json_print(json);
    }
    status = finish_output(status);
    generation_tell_silent(&b->run, b->silent, b->decoded);
    fprintf(stderr, "load    %8.3f s\nprefill %8.3f s  %6.0f tokens  %9.1f tokens/s\n", b->run.load_seconds, b->prefill,
            prefilled, rate(prefilled, b->prefill));
    fprintf(stderr, "decode  %8.3f s  %6zu tokens  %9.1f tokens/s\n", b->decode, b->decoded,
            rate((double)b->decoded, b->decode));
    run_lookup(&b->run, b->options);
    if (b->options->verbose) run_counters(&b->run);
    return status == EXIT_OK && os_interrupted() ? EXIT_INTERRUPTED : status;
}

// ----------------------------------------------------------------------------------------- all of it

static int run_all(struct Batch *b, uint32_t sequences, vkgpt_error *err)
{
    int code = 0;
    os_catch_interrupt();
    for (size_t done = 0; !code && done < b->count && !os_interrupted(); done += sequences) {
        uint32_t count = b->count - done < sequences ? (uint32_t)(b->count - done) : sequences;
        b->first = b->texts + done;
        code = run_some_again(b, count, sequences, err);
        if (code == VKGPT_INTERRUPTED) return 0; // while reading a prompt: none of these has a text yet
        for (uint32_t i = 0; !code && i < count; i++) {
            if (!b->first[i].stopped) stops_end(&b->first[i].stops, &b->first[i].text);
            if (b->json) keep_json(b, &b->first[i]);
            else print_text(b, &b->first[i]);
        }
    }
    return code;
}

// One text per prompt, all with the same seed, as if each ran alone; or several texts of one prompt, with seeds that
// increase by 1.
static void make_texts(struct Batch *b, const struct Generation *g)
{
    b->count = b->options->prompts ? b->inputs.count : (size_t)b->options->parallel;
    b->texts = allocate(b->count * sizeof *b->texts);
    for (size_t i = 0; i < b->count; i++) {
        b->texts[i] = (struct Continuation){.input = &b->inputs.list[b->options->prompts ? i : 0], .stops = g->stops};
    }
}

// Sets the sampling from generation_config.json and the flags.
static void set_sampling(struct Batch *b, const struct Generation *g)
{
    for (size_t i = 0; i < b->count; i++) {
        b->texts[i].sampling = g->sampling;
        if (!b->options->prompts) b->texts[i].sampling.seed += i;
    }
}

static int open_all(struct Batch *b, struct Generation *g, struct Options *own, uint32_t *sequences, vkgpt_error *err)
{
    int code = b->options->prompts ? inputs_read(&b->inputs, b->options, err) : 0;
    if (code) return code;
    make_texts(b, g);
    struct Options *options = &b->opened;
    *options = *b->options;
    int64_t asked = options->parallel ? options->parallel : USUAL_BATCH;
    options->parallel = *sequences = (uint32_t)(asked < (int64_t)b->count ? asked : (int64_t)b->count);
    code = run_open(&b->run, options, !b->inputs.list[0].is_ids || options->stop_count, err);
    if (!code) code = generation_configure(g, own, GENERATE, &b->run, err);
    set_sampling(b, g);
    // all are encoded before the first runs: one that does not fit would waste the work on the others
    return code ? code : inputs_encode(&b->inputs, input_encode, &b->run, options, err);
}

int generate_batch_main(const struct Options *options)
{
    struct Options own = *options;
    struct Batch b = {.options = &own};
    struct Generation g;
    vkgpt_error err;
    uint32_t sequences = 0;
    if (options->prompts && (options->prompt || options->file || options->ids || options->ids_file))
        return wrong_usage("the prompt is given twice: use one of --prompts, -p, -f, --ids and --ids-file");
    if (!options->prompts) {
        int status = inputs_read_one(&b.inputs, options);
        if (status) return status;
    }
    generation_begin(&g, &own);
    int code = open_all(&b, &g, &own, &sequences, &err);
    if (!code && options->json) b.json = cJSON_CreateArray();
    if (!code) code = run_all(&b, sequences, &err);
    int status = code ? failed(&err) : report(&b);

    cJSON_Delete(b.json);
    for (size_t i = 0; i < b.count; i++) {
        buffer_free(&b.texts[i].stops.held);
        buffer_free(&b.texts[i].text);
        free(b.texts[i].ids);
    }
    inputs_free(&b.inputs);
    generation_end(&g);
    run_close(&b.run);
    free(b.texts);
    return status;
}
