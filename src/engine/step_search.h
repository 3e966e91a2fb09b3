// Finds the quickest settings of a decode step by trying: runs whole steps in the session's own recordings, alternating
// with the best settings so far (A B A B), so that what slows the machine for a while slows both. The median decides.
// A change that wins by less than 2 % is not taken, and neither is one whose tokens differ, which would be a fault of
// the driver.
#ifndef VKGPT_ENGINE_STEP_SEARCH_H
#define VKGPT_ENGINE_STEP_SEARCH_H

#include "engine/settings.h"

struct StepSearch {
    vkgpt_model *model;
    vkgpt_format kv;
    enum FoundBy by;                 // quick: every change; thorough: `measured`, and changes of the whole step
    const struct Settings *measured; // the best of each product by itself; or NULL
    bool whole_only;                 // only changes of the whole step
    double budget;                   // seconds, from when the first settings have made a token
    uint32_t rounds;                 // of A and B, at most MAX_ROUNDS
    double (*pretend)(const struct Settings *settings); // seconds of a step, for tests; or NULL
    struct Settings best;                               // the first settings, then the best so far
    // results
    uint32_t tried;
    double before, after; // seconds of a step with the first settings and with the best; 0: none was timed
    double seconds;       // of all this, as the budget counts it
    char taken[128];      // names of the changes that were taken: "4 rows, 24 loads"
};

#define MAX_ROUNDS 15

// Installs the best settings, also where it fails.
int step_search(struct StepSearch *search, vkgpt_error *err);

#endif
