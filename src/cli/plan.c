// vkgpt plan: the memory and disk that a model needs, and the arithmetic of the papers. A device is opened only if
// --device names one that the plan has to fit.
#include <inttypes.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "cli/nearest.h"
#include "cli/plan_print.h"
#include "cli/run.h"
#include "engine/formats.h"
#include "engine/memory_advice.h"
#include "model/arithmetic.h"
#include "model/presets.h"
#include "model/weights_file.h"

struct Planned {
    char name[512];
    const struct Preset *preset; // or NULL
    struct Config config;
    struct MemoryOffer offer;      // source NULL: no memory to fit was given
    uint32_t devices, per_machine; // all devices, also those without a layer
    struct ChainAsk ask;
    struct ChainPlan chain;
    struct Arithmetic arithmetic;
};

// --------------------------------------------------------------------------------------------------- the model

// A checkpoint is opened to find out whether its head is tied, but a directory with config.json alone is enough.
static bool has_only_config(const char *path)
{
    char file[PATH_BYTES], name[FILE_NAME_BYTES];
    return !path_join(file, path, "config.json", NULL) && os_exists(file) && !weights_file(path, name, sizeof name);
}

static int read_config(const char *path, struct Config *config, vkgpt_error *err)
{
    if (has_only_config(path)) return config_read(path, config, err);
    struct Checkpoint checkpoint;
    int code = checkpoint_open(path, &checkpoint, err);
    if (code) return code;
    *config = checkpoint.config;
    checkpoint_close(&checkpoint);
    return 0;
}

// -m names a directory, or a preset if there is no such directory.
static int find_model(const struct Options *options, struct Planned *p, vkgpt_error *err)
{
    const char *name = options->preset;
    if (!name && options->model && !os_exists(options->model)) name = options->model;
    p->preset = name ? preset_find(name) : NULL;
    if (p->preset) {
        preset_config(p->preset, &p->config);
        snprintf(p->name, sizeof p->name, "%s", p->preset->name);
        return 0;
    }
    char path[4096], known[256];
    preset_names(known, sizeof known);
    if (options->preset) {
        char hint[96];
        struct Nearest nearest = nearest_to(name, strlen(name));
        nearest_add_list(&nearest, known);
        return fail(err, VKGPT_BAD_ARGUMENT, "there is no preset '%s'; there are %s%s", name, known,
                    nearest_hint(&nearest, hint));
    }
    int code = model_path_for(NEED_CONFIG, options->model, path, sizeof path, err);
    if (!code) code = read_config(path, &p->config, err);
    snprintf(p->name, sizeof p->name, "%.511s", path);
    return code;
}

// --------------------------------------------------------------------------------------------------- the lines

#define ADD(section, key, label, unit, number, ...)                                                                    \
    report_add(r, section, key, label, unit, (double)(number), __VA_ARGS__)

static void add_model(struct Report *r, const struct Planned *p)
{
    const struct Config *c = &p->config;
    const struct MemoryAsk *k = &p->ask.memory;
    report_model(r, p->name, c->architecture, format_name(format_of(k->weights)), format_name(format_of(k->kv)));
    report_note(r, "%s: %s, %u layers, %u heads of %u, width %u, inner %u, context %u, vocabulary %u", p->name,
                c->architecture, c->layers, c->heads, c->head_dim, c->dim, c->inner, c->context, c->vocab);
    if (p->preset && p->preset->departs) report_note(r, "%s", p->preset->departs);
    if (p->preset && p->preset->banded) report_note(r, "%s", PRESET_GPT3_NOTE);
    if (p->devices > p->chain.count)
        report_note(r, "%u of the %u devices stay idle: the model has %u layers to cut over them",
                    p->devices - p->chain.count, p->devices, c->layers);
    if (k->limits)
        report_note(r, "for %s: at most %" PRIu64 " bytes in one buffer, %" PRIu64 " in one allocation",
                    p->offer.info.name, p->offer.info.max_buffer_range, p->offer.info.max_allocation);
    ADD("model", "layers", NULL, UNIT_COUNT, c->layers, " ");
    ADD("model", "heads", NULL, UNIT_COUNT, c->heads, " ");
    ADD("model", "dim", NULL, UNIT_COUNT, c->dim, " ");
    ADD("model", "inner", NULL, UNIT_COUNT, c->inner, " ");
    ADD("model", "context", NULL, UNIT_COUNT, c->context, " ");
    ADD("model", "vocab", NULL, UNIT_COUNT, c->vocab, " ");
    ADD("model", "parameters", "parameters", UNIT_COUNT, p->arithmetic.params,
        "tables (%u + %u) x %u, %u layers of 4 x %u^2 + 2 x %u x %u and their norms and biases, the final norm; the head %s",
        c->vocab, c->position_offset + c->context, c->dim, c->layers, c->dim, c->dim, c->inner,
        c->tied_head ? "is the token table" : "is a table more");
}

static void add_disk(struct Report *r, const struct Planned *p)
{
    const struct Arithmetic *a = &p->arithmetic;
    ADD("disk", "f32", "f32", UNIT_BYTES, a->disk_f32, "4 bytes x parameters");
    ADD("disk", "f16", "f16", UNIT_BYTES, a->disk_f16, "2 bytes x parameters");
    ADD("disk", "q8_0", "q8_0", UNIT_BYTES, a->disk_q8_0,
        "GGUF: 34 bytes for 32 weights of matrices, 4 for a norm's or bias's");
    ADD("disk", "q4_0", "q4_0", UNIT_BYTES, a->disk_q4_0,
        "GGUF: 18 bytes for 32 weights of matrices, 4 for a norm's or bias's");
    ADD("disk", "q4_k", "q4_k", UNIT_BYTES, a->disk_q4_k,
        "GGUF: 144 bytes for 256 weights of matrices, 4 for a norm's or bias's");
}

static void add_memory(struct Report *r, const struct Planned *p)
{
    const struct ChainStage *stage = &p->chain.stages[p->chain.fullest];
    const struct MemoryPlan *m = &stage->memory;
    const struct MemoryAsk *k = &p->ask.memory;
    const struct Config *c = k->config;
    const char *weights = format_name(format_of(k->weights)), *kv = format_name(format_of(k->kv));
    uint32_t layers = stage->end - stage->first;
    ADD("memory", "tables", "tables", UNIT_BYTES, m->tables,
        "token table%s, %u positions%s, of these what the device has: q8_0 or wider, rows padded to 8",
        c->tied_head ? ", which is the head" : " and head", c->context, c->embed_dim == c->dim ? "" : ", projections");
    ADD("memory", "layers", "layers", UNIT_BYTES, m->layers,
        "%u layers x (4 x %u^2 + 2 x %u x %u) in %s, or wider where rows are not a multiple of the block size", layers,
        c->dim, c->dim, c->inner, weights);
    ADD("memory", "vectors", "norms and biases", UNIT_BYTES, m->vectors,
        "4 bytes x (%u layers x (9 x %u + %u) + 2 x %u), padded", layers, c->dim, c->inner, c->dim);
    ADD("memory", "cache", "KV cache", UNIT_BYTES, m->cache,
        "2 x %u layers x %u sequence%s x %u heads x %u positions x %u in %s", layers, k->batch,
        k->batch == 1 ? "" : "s", c->heads, k->context, c->head_dim, kv);
    ADD("memory", "activations", "activations", UNIT_BYTES, m->activations,
        "4 bytes x %u rows of prefill x (4 x %u + %u)", m->rows, c->dim, c->inner);
    ADD("memory", "logits", "logits", UNIT_BYTES, m->logits,
        "4 bytes x vocabulary x the rows that fit into 16 MiB, a row a sequence at least");
    ADD("memory", "state", "state", UNIT_BYTES, m->state, "tokens, sampling, and what the splits of attention leave");
    ADD("memory", "rounding", "rounding", UNIT_BYTES,
        m->device - m->tables - m->layers - m->vectors - m->cache - m->activations - m->logits - m->state,
        "what blocks of 256 MiB for weights and of 32 MiB for the rest leave free");
    ADD("heaps", "device", "device", UNIT_BYTES, m->device, "all of the above%s",
        p->chain.count > 1 ? ", on the device that needs most" : "");
    ADD("heaps", "upload", "upload", UNIT_BYTES, m->upload, "what the host writes: state and tokens");
    ADD("heaps", "read", "read back", UNIT_BYTES, m->read, "what the host reads: tokens and a block of logits");
    ADD("heaps", "staging", "staging", UNIT_BYTES, m->staging,
        "two pieces of 16 MiB while weights are loaded, where the device has its own memory");
}

static void add_arithmetic(struct Report *r, const struct Planned *p, const struct Options *o)
{
    const struct Arithmetic *a = &p->arithmetic;
    const uint64_t step = p->chain.step, step_cache = p->chain.step_cache;
    double empty = (double)step / o->bandwidth * 1e3, full = (double)(step + step_cache) / o->bandwidth * 1e3;
    ADD("training", "tokens", "tokens", UNIT_FLOPS, o->train_tokens, "--tokens");
    ADD("training", "flops", "FLOPs", UNIT_FLOPS, a->training_flops,
        "6 x parameters x tokens (GPT-3 paper, appendix D)");
    ADD("training", "rate", "FLOP/s", UNIT_FLOPS, o->flops, "--flops, of one device; 28e12 is a V100");
    ADD("training", "years", "years", UNIT_YEARS, a->years, "FLOPs / FLOP/s / (365.25 x 86400), on one device");
    ADD("training", "device_hours", "device hours", UNIT_FLOPS, a->hours, "FLOPs / FLOP/s / 3600");
    if (o->price > 0) ADD("training", "cost", "cost", UNIT_FLOPS, a->cost, "device hours x %g", o->price);
    ADD("inference", "forward_flops", "FLOPs per token", UNIT_FLOPS, a->forward_flops,
        "2 x parameters (GPT-3 paper, appendix D)");
    ADD("inference", "attention_flops", "and attention", UNIT_FLOPS, a->attention_flops,
        "4 x width x positions seen, of all layers, at the last position");
    ADD("inference", "weights_read", "weights read", UNIT_BYTES, step,
        "a step reads all layers and the head once, for all sequences");
    ADD("inference", "cache_read", "cache read", UNIT_BYTES, step_cache,
        "K and V of the positions seen, at the end of the context");
    ADD("inference", "least_ms", "ms per token", UNIT_MS, empty, "at least: weights read / %g GB/s",
        o->bandwidth * 1e-9);
    ADD("inference", "least_ms_full", "with a full cache", UNIT_MS, full,
        "at least: (weights read + cache read) / %g GB/s", o->bandwidth * 1e-9);
}

static void add_stages(struct Report *r, const struct Planned *p)
{
    if (p->chain.count == 1) return;
    r->stages = &p->chain;
    r->per_machine = p->per_machine;
}

static void add_times(struct Report *r, const struct Planned *p)
{
    const struct CostTimes *empty = &p->chain.empty, *full = &p->chain.full;
    const struct ChainAsk *k = &p->ask;
    const uint32_t stages = p->chain.count, streams = k->memory.batch, m = p->chain.micro_batches;
    ADD("time", "ms", "one stream, ms", UNIT_MS, empty->token * 1e3,
        "a token: %u stage%s of bytes / %g GB/s + dispatches x %g us%s", stages,
        stages == 1 ? "" : "s, one after another,", k->device.bandwidth * 1e-9, k->device.dispatch * 1e6,
        stages > 1 ? ", and their transfers" : "");
    ADD("time", "ms_full", "with a full cache", UNIT_MS, full->token * 1e3, "the same at the end of the context");
    if (stages > 1)
        ADD("time", "transfers_ms", "of it transfers", UNIT_MS, p->chain.transfers * 1e3,
            "%u x (%g us + 4 bytes x %u / %g GB/s), and %g us back", stages - 1, k->link.latency * 1e6,
            k->memory.config->dim, k->link.bandwidth * 1e-9, k->link.latency * 1e6);
    if (streams == 1) return;
    ADD("time", "streams_ms", "all streams, ms", UNIT_MS, empty->round * 1e3,
        "a token of each of %u streams: the longer of a micro-batch's way and %u x the slowest stage", streams, m);
    ADD("time", "tokens_per_s", "tokens/s", UNIT_MS, empty->rate, "%u streams / that time", streams);
    ADD("time", "tokens_per_s_full", "with a full cache", UNIT_MS, full->rate, "the same at the end of the context");
    ADD("time", "micro_batches", "micro-batches", UNIT_COUNT, m, "%s",
        k->micro_batches ? "--micro-batches" : "one for each stage, at most one for each stream");
    ADD("time", "bubble", "bubble, %", UNIT_MS, empty->bubble * 100,
        "the time in which the slowest stage waits: 1 - %u x its time / that of all streams", m);
}

static void add_fit(struct Report *r, const struct Planned *p)
{
    const struct MemoryOffer *offer = &p->offer;
    if (!offer->source) return;
    struct MemoryAdvice advice[MAX_ADVICE];
    uint32_t count = p->chain.fits ? 0 : memory_advise(&p->ask, p->per_machine, advice);
    report_fit(r, &(struct ReportFit){p->chain.fits, offer->bytes, p->chain.stages[p->chain.fullest].memory.device,
                                      p->chain.count, chain_least_devices(&p->ask), offer->source, offer->formula});
    for (uint32_t i = 0; i < count; i++) report_advice(r, advice[i].flags, advice[i].device);
}

// ----------------------------------------------------------------------------------------------------- all of it

// The memory that the plan has to fit: that of --device-memory, else that of the device.
static int find_memory(const struct Options *o, struct Planned *p, vkgpt_error *err)
{
    int code = o->device ? memory_offer(o->device, &p->offer, err) : 0;
    if (o->device_memory > 0) {
        p->offer.bytes = (uint64_t)o->device_memory;
        p->offer.source = p->offer.formula = "--device-memory";
    }
    return code;
}

static int make_plan(const struct Options *o, struct Planned *p, vkgpt_error *err)
{
    static const vkgpt_format kv[] = {VKGPT_AUTO, VKGPT_F32, VKGPT_F16, VKGPT_Q8_0}; // in the order of --kv's choices
    int code = find_model(o, p, err);
    if (!code) code = find_memory(o, p, err);
    if (code) return code;
    const struct TrainingPlan training = {o->train_tokens, o->flops, o->price};
    arithmetic_of(&p->config, &training, &p->arithmetic);
    p->per_machine = (uint32_t)o->devices_per_machine;
    p->devices = (uint32_t)o->machines * p->per_machine;
    p->ask = (struct ChainAsk){
        .memory =
            {
                .config = &p->config,
                .weights = (vkgpt_format)o->plan_weights,
                .kv = kv[o->plan_kv],
                .context = context_of(o, p->config.context),
                .batch = (uint32_t)o->batch,
                .limits = o->device ? &p->offer.info : NULL,
            },
        .devices = p->devices,
        .device_memory = p->offer.bytes,
        .device = {o->bandwidth, o->flops, o->dispatch},
        .link = {o->link, o->latency},
        .micro_batches = (uint32_t)o->micro_batches,
    };
    return chain_plan(&p->ask, &p->chain, err);
}

int plan_main(const struct Options *options)
{
    if (options->preset && options->model) return wrong_usage("plan takes a preset or -m, not both");
    vkgpt_error err;
    struct Planned planned = {0};
    if (make_plan(options, &planned, &err)) return failed(&err);
    struct Report report = {.explain = options->explain};
    add_model(&report, &planned);
    add_disk(&report, &planned);
    add_memory(&report, &planned);
    add_arithmetic(&report, &planned, options);
    add_times(&report, &planned);
    add_stages(&report, &planned);
    add_fit(&report, &planned);
    int status = finish_output(options->json ? report_json(&report) : report_table(&report));
    chain_plan_free(&planned.chain);
    return status;
}
