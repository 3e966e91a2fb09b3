// Opening a model over the ranks, and the loop of those above 0.
#include "mpi/ranks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "engine/elsewhere.h"
#include "engine/stages.h"
#include "engine/stages_text.h"
#include "mpi/remote.h"

struct RankState {
    struct Ranks ranks; // the first member
    struct Wire *wire;
    struct StagesElsewhere elsewhere;
    // of rank 0, while it opens a model
    const uint32_t *split;
    size_t split_count;
    char note[384]; // the split, for vkgpt_model_info
    // of the others
    const struct RankCalls *calls;
    struct RankOptions options;
    bool has_options;
    struct Hello hello; // what rank 0 opens
    struct Serving serving;
    atomic_flag told;
};

static int send_all(const struct RankState *s, uint32_t kind, const void *data, size_t bytes, vkgpt_error *err)
{
    const struct WirePart part = {data, bytes};
    int status = VKGPT_OK;
    for (uint32_t r = 1; !status && r < s->ranks.count; r++) status = wire_send(s->wire, r, kind, 0, &part, 1, err);
    return status;
}

static int send_to(const struct RankState *s, uint32_t rank, uint32_t kind, const void *data, size_t bytes,
                   vkgpt_error *err)
{
    const struct WirePart part = {data, bytes};
    return wire_send(s->wire, rank, kind, 0, &part, 1, err);
}

static int take(const struct RankState *s, uint32_t from, uint32_t kind, void *data, size_t bytes, vkgpt_error *err)
{
    struct WireMessage m;
    wire_take(s->wire, from, 1u << kind, 0, &m);
    int status = wire_check(&m, bytes, err);
    if (!status) memcpy(data, m.data, bytes);
    wire_free(&m);
    return status;
}

static int open_upstream(const struct vkgpt_model *model, const struct StageOptions *options,
                         struct Upstream **upstream, vkgpt_error *err)
{
    const struct RankState *s = model->elsewhere->user;
    return remote_open(s->wire, model, options, upstream, err);
}

// What the ranks have to agree on once all have loaded their layers.
static void loaded_of(vkgpt_model *last, struct Loaded *loaded)
{
    stages_most_rows(last);
    *loaded = (struct Loaded){
        .most_rows = last->most_rows, .device_bytes = last->info.device_bytes, .step_bytes = last->info.step_bytes};
    for (uint32_t f = 0; f < FORMATS; f++) loaded->formats[f] = last->formats[f];
}

static void loaded_add(struct Loaded *all, const struct Loaded *one)
{
    if (one->most_rows < all->most_rows) all->most_rows = one->most_rows;
    for (uint32_t f = 0; f < FORMATS; f++) all->formats[f] |= one->formats[f];
    all->device_bytes += one->device_bytes;
    all->step_bytes += one->step_bytes;
}

static void loaded_set(vkgpt_model *last, const struct Loaded *all)
{
    for (vkgpt_model *m = last; m; m = m->before) {
        m->most_rows = all->most_rows;
        for (uint32_t f = 0; f < FORMATS; f++) m->formats[f] = all->formats[f];
    }
    last->info.device_bytes = all->device_bytes;
    last->info.step_bytes = all->step_bytes;
}

// --------------------------------------------------------------------------------------------------- rank 0

struct Chain { // all devices, those of the highest rank first
    struct StageOffer offers[MAX_STAGES];
    uint32_t ranks[MAX_STAGES]; // of each device
    uint32_t count;
};

static int add_offers(struct Chain *chain, uint32_t rank, const struct StageOffer *offers, size_t count,
                      vkgpt_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (chain->count == MAX_STAGES)
            return fail(err, VKGPT_BAD_ARGUMENT, "the ranks have more than %d devices, %d at most can be", MAX_STAGES,
                        MAX_STAGES);
        chain->offers[chain->count] = offers[i];
        chain->ranks[chain->count++] = rank;
    }
    return VKGPT_OK;
}

// The part of the chain that each rank has.
static void parts_of(const struct Chain *chain, const uint32_t *layers, struct Part *parts)
{
    for (uint32_t i = 0, first = 0; i < chain->count; first += layers[i], i++) {
        struct Part *part = &parts[chain->ranks[i]];
        if (!i || chain->ranks[i - 1] != chain->ranks[i]) *part = (struct Part){.first = first, .stage = i};
        part->layers[i - part->stage] = layers[i];
    }
}

// Asks all ranks for their offers.
static int gather(const struct RankState *s, uint32_t kind, const void *data, size_t bytes,
                  const struct StageDevices *d, struct Chain *chain, vkgpt_error *err)
{
    struct StageOffer offers[MAX_STAGES];
    int status = send_all(s, kind, data, bytes, err);
    chain->count = 0;
    for (uint32_t r = s->ranks.count - 1; !status && r; r--) {
        struct WireMessage m;
        wire_take(s->wire, r, 1u << OFFER, 0, &m);
        const size_t count = m.bytes / sizeof offers[0];
        status = wire_check(&m, count * sizeof offers[0], err);
        if (!status) status = add_offers(chain, r, (const struct StageOffer *)(const void *)m.data, count, err);
        wire_free(&m);
    }
    if (!status) status = stages_offers(d, kind == MEASURE, offers, err);
    return status ? status : add_offers(chain, 0, offers, d->count, err);
}

static int choose_layers(const struct RankState *s, const struct Chain *chain, struct StageShare *share,
                         uint32_t *layers, vkgpt_error *err)
{
    const struct vkgpt_model *m = share->whole;
    if (s->split) return stages_take_split(s->split, s->split_count, chain->count, m, layers, err);
    share->offers = chain->offers, share->count = chain->count;
    return stage_share(share, layers, err);
}

static void describe_split(struct RankState *s, const struct Chain *chain, const uint32_t *layers)
{
    struct StagesNamed stages = {.ranks = chain->ranks, .count = chain->count};
    for (uint32_t i = 0; i < chain->count; i++) stages.layers[i] = layers[i], stages.names[i] = chain->offers[i].name;
    stages_describe(s->note, sizeof s->note, &stages);
    stages_list_devices(s->ranks.devices, sizeof s->ranks.devices, stages.names, stages.ranks, stages.count);
}

static int agree_as_first(struct StagesElsewhere *e, struct StageDevices *d, const struct Checkpoint *ck,
                          struct StageShare *share, vkgpt_error *err)
{
    struct RankState *s = e->user;
    struct Hello hello = {.weights = s->hello.weights, .hidden_only = s->hello.hidden_only};
    struct Part parts[MAX_STAGES] = {0};
    struct Chain chain;
    uint32_t layers[MAX_STAGES];
    identity_of(ck, &hello.identity);
    int status = gather(s, HELLO, &hello, sizeof hello, d, &chain, err);
    if (!status && !s->split && !stage_offers_alike(chain.offers, chain.count))
        status = gather(s, MEASURE, NULL, 0, d, &chain, err);
    if (!status) status = choose_layers(s, &chain, share, layers, err);
    if (status) return status;
    parts_of(&chain, layers, parts);
    describe_split(s, &chain, layers);
    for (uint32_t r = 1; !status && r < s->ranks.count; r++)
        status = send_to(s, r, LOAD, &parts[r], sizeof *parts, err);
    stages_take_part(d, parts[0].first, parts[0].stage, parts[0].layers);
    return status;
}

static int loaded_as_first(struct StagesElsewhere *e, vkgpt_model *last, vkgpt_error *err)
{
    const struct RankState *s = e->user;
    struct Loaded all, one;
    loaded_of(last, &all);
    int status = VKGPT_OK;
    for (uint32_t r = 1; !status && r < s->ranks.count; r++) {
        status = take(s, r, LOADED, &one, sizeof one, err);
        if (!status) loaded_add(&all, &one);
    }
    if (status) return status;
    loaded_set(last, &all);
    const size_t used = strlen(last->info.note);
    snprintf(last->info.note + used, sizeof last->info.note - used, "%s%s", used ? "; " : "", s->note);
    return send_all(s, AGREED, &all, sizeof all, err);
}

static int open_model(struct Ranks *ranks, vkgpt_device *const *devices, size_t count, const uint32_t *split,
                      size_t split_count, const char *dir, const vkgpt_model_options *options, vkgpt_model **model,
                      vkgpt_error *err)
{
    struct RankState *s = (struct RankState *)ranks;
    s->split = split, s->split_count = split_count;
    s->hello.weights = options->weights, s->hello.hidden_only = options->hidden_only;
    s->elsewhere = (struct StagesElsewhere){agree_as_first, loaded_as_first, open_upstream, s};
    struct StageDevices d = {.devices = devices, .count = count, .elsewhere = &s->elsewhere};
    return model_open_part(&d, dir, options, model, err);
}

// ------------------------------------------------------------------------------------------ the other ranks

// Sends what the devices of this rank offer, and takes the answer: MEASURE or LOAD.
static int offer(const struct RankState *s, const struct StageDevices *d, bool measure, struct WireMessage *answer,
                 vkgpt_error *err)
{
    struct StageOffer offers[MAX_STAGES];
    int status = stages_offers(d, measure, offers, err);
    if (!status) status = send_to(s, 0, OFFER, offers, d->count * sizeof offers[0], err);
    if (!status) wire_take(s->wire, 0, 1u << MEASURE | 1u << LOAD, 0, answer);
    return status;
}

static int agree_as_other(struct StagesElsewhere *e, struct StageDevices *d, const struct Checkpoint *ck,
                          struct StageShare *share, vkgpt_error *err)
{
    const struct RankState *s = e->user;
    struct WireMessage answer = {0};
    struct Identity own;
    struct Part part;
    (void)share; // rank 0 has the same
    identity_of(ck, &own);
    int status = identity_check(&own, &s->hello.identity, s->options.dir, err);
    if (!status) status = offer(s, d, false, &answer, err);
    if (!status && answer.kind == MEASURE) {
        wire_free(&answer);
        status = offer(s, d, true, &answer, err);
    }
    if (!status) status = wire_check(&answer, sizeof part, err);
    if (!status) {
        memcpy(&part, answer.data, sizeof part);
        stages_take_part(d, part.first, part.stage, part.layers);
    }
    wire_free(&answer);
    return status;
}

static int loaded_as_other(struct StagesElsewhere *e, vkgpt_model *last, vkgpt_error *err)
{
    const struct RankState *s = e->user;
    struct Loaded own, all;
    loaded_of(last, &own);
    int status = send_to(s, 0, LOADED, &own, sizeof own, err);
    if (status) return status;
    status = take(s, 0, AGREED, &all, sizeof all, err);
    if (!status) loaded_set(last, &all);
    return status;
}

static void end_by_failure(void *user, const vkgpt_error *err)
{
    struct RankState *s = user;
    while (atomic_flag_test_and_set(&s->told)) os_wait(1.0); // another thread ends the run
    s->calls->tell(s->calls->user, err);
    wire_abort(s->wire, 1);
}

static void close_model(struct RankState *s)
{
    serve_close(&s->serving);
    vkgpt_model_close(s->serving.model);
    s->serving.model = NULL;
}

static int open_again(struct RankState *s, const struct WireMessage *m, vkgpt_error *err)
{
    close_model(s);
    s->hello = (struct Hello){0};
    memcpy(&s->hello, m->data, m->bytes < sizeof s->hello ? m->bytes : sizeof s->hello);
    int status = s->has_options ? VKGPT_OK : s->calls->options(s->calls->user, &s->options, err);
    if (status) return status;
    s->has_options = true;
    const vkgpt_model_options options = {
        .weights = (vkgpt_format)s->hello.weights, .hidden_only = s->hello.hidden_only, .lora = s->options.lora};
    struct StageDevices d = {
        .devices = s->options.devices, .count = s->options.device_count, .elsewhere = &s->elsewhere};
    return model_open_part(&d, s->options.dir, &options, &s->serving.model, err);
}

void ranks_work(struct Ranks *ranks, const struct RankCalls *calls)
{
    struct RankState *s = (struct RankState *)ranks;
    s->calls = calls;
    s->elsewhere = (struct StagesElsewhere){agree_as_other, loaded_as_other, open_upstream, s};
    s->serving = (struct Serving){.wire = s->wire, .failed = end_by_failure, .user = s};
    for (bool quits = false; !quits;) {
        vkgpt_error err;
        struct WireMessage m;
        wire_take(s->wire, WIRE_ANY, ASKED, WIRE_ANY, &m);
        quits = m.kind == QUIT;
        if (m.kind == HELLO && open_again(s, &m, &err)) end_by_failure(s, &err);
        else if (!quits) serve_message(&s->serving, &m);
        wire_free(&m);
    }
    close_model(s);
    for (size_t i = 0; i < s->options.device_count; i++) vkgpt_device_close(s->options.devices[i]);
    wire_close(s->wire);
    free(s);
}

// ------------------------------------------------------------------------------------------ begin and end

// OpenMPI's mpirun tells each process how many there are.
bool ranks_launched(void)
{
    const char *ranks = getenv("OMPI_COMM_WORLD_SIZE");
    return ranks && strtoul(ranks, NULL, 10) > 1;
}

struct Ranks *ranks_begin(int *argc, char ***argv, vkgpt_error *err)
{
    struct RankState *s = calloc(1, sizeof *s);
    if (!s) {
        fail_memory(err, "the ranks", sizeof *s);
        return NULL;
    }
    s->wire = wire_open(argc, argv, err);
    if (!s->wire) {
        free(s);
        return NULL;
    }
    s->ranks = (struct Ranks){.rank = wire_rank(s->wire), .count = wire_ranks(s->wire), .open_model = open_model};
    return &s->ranks;
}

void ranks_end(struct Ranks *ranks, int status)
{
    struct RankState *s = (struct RankState *)ranks;
    if (status) wire_abort(s->wire, status);
    send_all(s, QUIT, NULL, 0, NULL);
    wire_close(s->wire);
    free(s);
}
