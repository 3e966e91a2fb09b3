// A rank above 0 reads the same command line, for the model and for the device of its own machine.
#include "cli/ranks/under_mpi.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_path.h"
#include "cli/open_devices.h"

struct OtherRank {
    uint32_t rank;
    int argc;
    char **argv;
    struct Options options;
    char dir[4096];
};

// The devices of a machine go round among its ranks.
static int open_local_device(vkgpt_device **device, vkgpt_error *err)
{
    const char *place = getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    const unsigned long wanted = place ? strtoul(place, NULL, 10) : 0;
    vkgpt_device_info *list;
    size_t count, usable = 0;
    int status = vkgpt_devices(&list, &count, err);
    if (status) return status;
    for (size_t i = 0; i < count; i++) usable += list[i].usable;
    unsigned long skip = usable ? wanted % usable : 0;
    char number[16] = "0"; // opening it says why none is usable
    for (size_t i = 0; i < count; i++)
        if (list[i].usable && !skip--) snprintf(number, sizeof number, "%d", list[i].index);
    free(list);
    return vkgpt_device_open(number, device, err);
}

static int rank_options(void *user, struct RankOptions *o, vkgpt_error *err)
{
    struct OtherRank *r = user;
    char sentence[512];
    const struct Command *command = r->argc < 2 ? NULL : commands_find(r->argv[1]);
    if (!command) return fail(err, VKGPT_BAD_ARGUMENT, "rank 0 has a command, and this rank has none");
    if (!options_parse(command->bit, r->argc - 2, r->argv + 2, &r->options, sentence, sizeof sentence))
        return fail(err, VKGPT_BAD_ARGUMENT, "%s", sentence);
    int status = model_path(r->options.model, r->dir, sizeof r->dir, err);
    if (status) return status;
    o->dir = r->dir;
    o->lora = r->options.lora;
    if (r->options.devices)
        return open_devices(r->options.devices, o->devices, sizeof o->devices / sizeof *o->devices, &o->device_count,
                            err);
    if (r->options.device) status = vkgpt_device_open(r->options.device, &o->devices[0], err);
    else status = open_local_device(&o->devices[0], err);
    o->device_count = !status;
    return status;
}

static void tell(void *user, const vkgpt_error *err)
{
    const struct OtherRank *r = user;
    fprintf(stderr, "vkgpt: rank %u: %s\n", r->rank, err->text);
}

struct Ranks *under_mpi(int argc, char **argv)
{
    vkgpt_error err;
    struct Ranks *ranks = ranks_begin(&argc, &argv, &err);
    if (!ranks) exit(failed(&err));
    if (!ranks->rank) return ranks;
    struct OtherRank other = {.rank = ranks->rank, .argc = argc, .argv = argv};
    const struct RankCalls calls = {rank_options, tell, &other};
    ranks_work(ranks, &calls);
    exit(EXIT_OK);
}
