// A model over the ranks of an MPI run. Rank 0 is the user's: it runs the command and has the last stages. Rank r has
// the stages before those of rank r - 1, so that the highest rank embeds the tokens. Ranks above 0 run no command: they
// open what rank 0 opens, and run the flights that come.
//
// A rank that fails says why, once, and ends all of them.
#ifndef VKGPT_MPI_RANKS_H
#define VKGPT_MPI_RANKS_H

#include "model/limits.h"
#include "vkgpt.h"

struct Ranks;

// What rank 0 needs in place of vkgpt_model_open_split, so that the command line knows no MPI.
struct Ranks {
    uint32_t rank, count;
    char devices[320]; // of all ranks: their names, once a model was opened
    // vkgpt_model_open_split over all ranks. split: the layers of each device of the chain, beginning with those of the
    // highest rank; NULL: what makes the slowest device as fast as can be. Rank 0 alone calls it.
    int (*open_model)(struct Ranks *ranks, vkgpt_device *const *devices, size_t count, const uint32_t *split,
                      size_t split_count, const char *dir, const vkgpt_model_options *options, vkgpt_model **model,
                      vkgpt_error *err);
};

// What a rank above 0 opens when rank 0 opens a model: its part of the same command line.
struct RankOptions {
    vkgpt_device *devices[MAX_STAGES];
    size_t device_count;
    const char *dir, *lora;
};

struct RankCalls {
    // Opens the devices of this rank, and fills the rest, on its own machine. Called once, when the first model is
    // opened.
    int (*options)(void *user, struct RankOptions *options, vkgpt_error *err);
    // Says why this rank ends the run; it is called once, by any thread.
    void (*tell)(void *user, const vkgpt_error *err);
    void *user;
};

// Whether mpirun started this process, with others.
bool ranks_launched(void);
// Starts MPI. NULL: it fails.
struct Ranks *ranks_begin(int *argc, char ***argv, vkgpt_error *err);
// Of a rank above 0: works until rank 0 ends. If this rank fails, it ends all ranks.
void ranks_work(struct Ranks *ranks, const struct RankCalls *calls);
// Of rank 0, after its command: the others end too; with a status other than 0 they are made to.
void ranks_end(struct Ranks *ranks, int status);

#endif
