// A bar on stderr, if that is a terminal, while weights are uploaded or a long evaluation runs. It appears after a
// second.
#ifndef VKGPT_CLI_PROGRESS_H
#define VKGPT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct Progress {
    double start, drawn; // seconds; drawn 0: nothing is on the screen
    bool terminal;
};

void progress_start(struct Progress *progress);
void progress_bytes(void *progress, uint64_t done, uint64_t total); // a vkgpt_model_options.progress
void progress_download(void *user, uint64_t done, uint64_t total);  // for vkgpt pull
// Shows `done` of `total` pieces of work and the remaining time; `before` were done when the bar started.
void progress_work(struct Progress *progress, const char *name, size_t before, size_t done, size_t total);
void progress_end(struct Progress *progress);

#endif
