// A bar on stderr while weights are uploaded or a long evaluation runs, on a terminal, once it has taken more than a
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
void progress_download(void *user, uint64_t done, uint64_t total);  // likewise, of vkgpt pull
// `done` of `total` pieces of work, of which `before` were done when the bar was started, with the time that is left.
void progress_work(struct Progress *progress, const char *name, size_t before, size_t done, size_t total);
void progress_end(struct Progress *progress);

#endif
