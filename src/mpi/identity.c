#include "mpi/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

static uint64_t config_hash(const struct Config *c)
{
    const uint64_t more[] = {c->tied_head, c->qkv_bias, c->bias};
    uint64_t facts[CONFIG_FACTS];
    config_facts(c, facts);
    uint64_t hash = fnv_add(FNV_START, facts, sizeof facts);
    hash = fnv_add(hash, more, sizeof more);
    hash = fnv_add(hash, c->architecture, strlen(c->architecture));
    hash = fnv_add(hash, &c->eps, sizeof c->eps);
    return fnv_add(hash, c->local, sizeof c->local);
}

static uint64_t header_hash(uint64_t hash, const struct Tensor *t)
{
    const uint64_t numbers[] = {t->dtype, t->dtype == DTYPE_BLOCKS ? t->block : 0, (uint64_t)t->rank, t->bytes};
    hash = fnv_add(hash, t->name, strlen(t->name) + 1);
    hash = fnv_add(hash, numbers, sizeof numbers);
    hash = fnv_add(hash, t->shape, (size_t)t->rank * sizeof t->shape[0]);
    return fnv_add(hash, t->stride, (size_t)t->rank * sizeof t->stride[0]);
}

void identity_of(const struct Checkpoint *checkpoint, struct Identity *identity)
{
    *identity = (struct Identity){
        .config = config_hash(&checkpoint->config), .tensors = checkpoint->table.count, .headers = FNV_START};
    snprintf(identity->version, sizeof identity->version, "%s", vkgpt_version());
    for (size_t i = 0; i < checkpoint->table.count; i++) {
        identity->bytes += checkpoint->table.tensors[i].bytes;
        identity->headers = header_hash(identity->headers, &checkpoint->table.tensors[i]);
    }
}

int identity_check(const struct Identity *own, const struct Identity *rank_0, const char *path, vkgpt_error *err)
{
    if (strncmp(own->version, rank_0->version, sizeof own->version) != 0)
        return fail(err, VKGPT_BAD_ARGUMENT, "this is vkgpt %s, rank 0 runs %.31s", own->version, rank_0->version);
    if (own->config != rank_0->config)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: another model than on rank 0: the configs differ (hash %016" PRIx64 ", rank 0 has %016" PRIx64
                    ")",
                    path, own->config, rank_0->config);
    if (own->tensors != rank_0->tensors || own->bytes != rank_0->bytes)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: another model than on rank 0: %" PRIu64 " tensors of %" PRIu64 " bytes, rank 0 has %" PRIu64
                    " of %" PRIu64,
                    path, own->tensors, own->bytes, rank_0->tensors, rank_0->bytes);
    if (own->headers != rank_0->headers)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: another model than on rank 0: names, types or shapes of tensors differ "
                    "(hash %016" PRIx64 ", rank 0 has %016" PRIx64 ")",
                    path, own->headers, rank_0->headers);
    return VKGPT_OK;
}
