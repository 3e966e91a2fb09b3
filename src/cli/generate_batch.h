#ifndef VKGPT_CLI_GENERATE_BATCH_H
#define VKGPT_CLI_GENERATE_BATCH_H

#include "cli/options.h"

// `generate` with --parallel or --prompts: several texts. Returns the exit status.
int generate_batch_main(const struct Options *options);

#endif
