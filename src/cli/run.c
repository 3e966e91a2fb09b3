#include "cli/run.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "base/units.h"
#include "cli/input.h"
#include "cli/model_path.h"
#include "cli/open_devices.h"
#include "cli/progress.h"
#include "engine/stages_text.h"
#include "mpi/ranks.h"

static bool goes_on(void *user)
{
    (void)user;
    return !os_interrupted();
}

uint32_t context_of(const struct Options *options, uint32_t positions)
{
    if (!options->context) return positions;
    if (options->context <= positions) return (uint32_t)options->context;
    fprintf(stderr, "vkgpt: -c %lld: the model has %u positions, and all of them are taken\n",
            (long long)options->context, positions);
    return positions;
}

static vkgpt_session_options session_options(const struct Options *options, uint32_t context)
{
    return (vkgpt_session_options){
        .context = context,
        .kv = (vkgpt_format)options->kv,
        .tokens_per_submission = (uint32_t)options->submit,
        .sequences = (uint32_t)options->parallel,
        .lookup = (uint32_t)options->lookup,
        .deterministic = options->deterministic,
        .micro_batches = (uint32_t)options->micro_batches,
        .on_block = goes_on,
    };
}

static int open_model(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    const vkgpt_session_options session = session_options(options, (uint32_t)options->context);
    uint32_t split[MAX_LIST];
    struct Progress progress;
    progress_start(&progress);
    const vkgpt_model_options model = {
        .weights = (vkgpt_format)options->weights,
        .progress = progress_bytes,
        .user = &progress,
        .hidden_only = run->hidden_only,
        .lora = options->lora,
        .session = &session,
    };
    struct Ranks *ranks = options->ranks;
    const size_t count = options->split.count;
    for (size_t i = 0; i < count && i < MAX_LIST; i++) split[i] = (uint32_t)options->split.values[i];
    int code = ranks ? ranks->open_model(ranks, run->devices, run->device_count, count ? split : NULL, count, run->dir,
                                         &model, &run->model, err)
                     : vkgpt_model_open_split(run->devices, run->device_count, count ? split : NULL, run->dir, &model,
                                              &run->model, err);
    progress_end(&progress);
    if (!code && ranks) snprintf(run->device_names, sizeof run->device_names, "%s", ranks->devices);
    if (!code && run_model(run)->note[0]) fprintf(stderr, "vkgpt: %s\n", run_model(run)->note);
    return code;
}

static int open_session(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    run->context = context_of(options, run_model(run)->context);
    const vkgpt_session_options session = session_options(options, run->context);
    int code = vkgpt_session_open(run->model, &session, &run->session, err);
    if (!code && vkgpt_session_note(run->session)[0]) fprintf(stderr, "vkgpt: %s\n", vkgpt_session_note(run->session));
    return code;
}

static void describe(const struct Run *run)
{
    const vkgpt_model_info *model = run_model(run);
    for (size_t i = 0; i < run->device_count; i++) {
        const vkgpt_device_info *device = vkgpt_device_describe(run->devices[i]);
        fprintf(stderr, "device   %d: %s, %s, %s, Vulkan %s\n", device->index, device->name, device->type,
                device->driver, device->api);
    }
    fprintf(stderr, "model    %s: %s, %u layers, width %u, %u heads, context %u, vocabulary %u, %.2f M parameters\n",
            run->dir, model->architecture, model->layers, model->dim, model->heads, model->context, model->vocab,
            (double)model->params * 1e-6);
    fprintf(stderr, "weights  %s, %.1f MiB on the device, %.1f MiB read for each token\n", model->weights,
            (double)model->device_bytes / MIB, (double)model->step_bytes / MIB);
}

// One device, or those of --devices.
static int open_all_devices(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    const char *names[MAX_STAGES];
    int code = 0;
    if (options->devices) code = open_devices(options->devices, run->devices, MAX_STAGES, &run->device_count, err);
    else if (!(code = vkgpt_device_open(options->device, &run->devices[0], err))) run->device_count = 1;
    for (size_t i = 0; i < run->device_count; i++) {
        run->device = run->devices[i];
        names[i] = run_device(run)->name;
    }
    stages_list_devices(run->device_names, sizeof run->device_names, names, NULL, (uint32_t)run->device_count);
    run->cut = options->ranks || run->device_count > 1;
    if (!code && !options->ranks && options->split.count && options->split.count != run->device_count)
        code = fail(err, VKGPT_BAD_ARGUMENT, "--split has %zu numbers, --devices names %zu devices",
                    options->split.count, run->device_count);
    return code;
}

static int open_on_device(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    int code = open_all_devices(run, options, err);
    if (!code) code = open_model(run, options, err);
    return code ? code : open_session(run, options, err);
}

// If ids are enough, the error of a tokenizer that is missing or cannot be read is only kept.
static int open_text(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err)
{
    vkgpt_error why = {0};
    int code = open_tokenizer(options, run->dir, &run->tokenizer, &why);
    bool needed = needs_text || options->tokenizer; // a tokenizer that a flag names has to be valid
    memcpy(run->no_tokenizer, why.text, sizeof run->no_tokenizer);
    if (code && needed) *err = why;
    return needed ? code : 0;
}

static int open_all(struct Run *run, const struct Options *options, bool needs_text, bool hidden_only, vkgpt_error *err)
{
    *run = (struct Run){.hidden_only = hidden_only};
    double start = os_seconds();
    int code = model_path(options->model, run->dir, sizeof run->dir, err);
    // the tokenizer first: it is quick, and a wrong one is found without a device
    if (!code) code = open_text(run, options, needs_text, err);
    if (!code) tokenizer_notes(run->tokenizer);
    if (!code) code = open_on_device(run, options, err);
    if (code) {
        run_close(run);
        return code;
    }
    run->load_seconds = os_seconds() - start;
    if (options->verbose) describe(run);
    return 0;
}

int run_open(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err)
{
    return open_all(run, options, needs_text, false, err);
}

int run_open_hidden(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err)
{
    return open_all(run, options, needs_text, true, err);
}

// Once, no matter in how many submissions it happened.
static void tell_gave_up(const struct Run *run)
{
    if (!run->session || !vkgpt_session_counters(run->session).gave_up) return;
    fprintf(
        stderr,
        "vkgpt: decode as one kernel ended early on this device, and went on with dispatches (VKGPT_PERSISTENT=off avoids it)\n");
}

static void close_on_device(struct Run *run)
{
    tell_gave_up(run);
    vkgpt_session_close(run->session);
    vkgpt_model_close(run->model);
    while (run->device_count) vkgpt_device_close(run->devices[--run->device_count]);
    run->session = NULL;
    run->model = NULL;
    run->device = NULL;
    run->device_names[0] = '\0';
}

int run_again(struct Run *run, const struct Options *options, int code, vkgpt_error *err)
{
    if (code != VKGPT_DEVICE_LOST || run->again) return code;
    fprintf(stderr, "vkgpt: %s; once, this begins again on a new device\n", err->text);
    run->again = true;
    return run_reopen(run, options, err);
}

int run_reopen(struct Run *run, const struct Options *options, vkgpt_error *err)
{
    close_on_device(run);
    return open_on_device(run, options, err);
}

void run_close(struct Run *run)
{
    close_on_device(run);
    vkgpt_tokenizer_close(run->tokenizer);
    *run = (struct Run){0};
}

int run_fits(const struct Run *run, const char *name, size_t tokens, vkgpt_error *err)
{
    uint32_t positions = run_model(run)->context;
    if (tokens <= run->context) return 0;
    if (tokens <= positions)
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "%s: %zu tokens: the context has room for %u; -c %zu makes room, up to -c %u", name, tokens,
                    run->context, tokens, positions);
    return fail(err, VKGPT_BAD_ARGUMENT,
                "%s: %zu tokens: the context has room for %u, and the model has %u positions; "
                "a shorter text is needed, or a model with more",
                name, tokens, run->context, positions);
}

const vkgpt_device_info *run_device(const struct Run *run) { return vkgpt_device_describe(run->device); }

const char *run_device_names(const struct Run *run) { return run->device_names; }

const vkgpt_model_info *run_model(const struct Run *run) { return vkgpt_model_describe(run->model); }

void run_tell_default(const struct Run *run)
{
    if (model_is_default(run->dir))
        fprintf(stderr,
                "vkgpt: tales, the small model that comes with vkgpt, writes children's stories; it knows no facts "
                "and follows no instructions (-m takes another one)\n");
}

void run_lookup(const struct Run *run, const struct Options *options)
{
    vkgpt_counters c = vkgpt_session_counters(run->session);
    if (options->lookup && c.steps)
        fprintf(stderr, "lookup  %8llu steps of up to %lld drafts: %.2f tokens a step\n", (unsigned long long)c.steps,
                (long long)options->lookup, (double)c.tokens_decoded / (double)c.steps);
}

void run_counters(const struct Run *run)
{
    vkgpt_counters c = vkgpt_session_counters(run->session);
    fprintf(stderr, "counters %llu submissions of up to %u tokens, %llu dispatches per token, %.3f s of device time\n",
            (unsigned long long)c.submissions, c.tokens_per_submission, (unsigned long long)c.dispatches_per_token,
            c.device_seconds);
    fprintf(stderr, "         %llu recordings, %llu descriptor writes, %llu device and %llu host allocations\n",
            (unsigned long long)c.recordings, (unsigned long long)c.descriptor_writes,
            (unsigned long long)c.device_allocations, (unsigned long long)c.host_allocations);
}
