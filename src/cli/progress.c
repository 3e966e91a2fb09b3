#include "cli/progress.h"

#include <stdio.h>

#include "base/os.h"

#define STDERR 2
#define MIB (1024.0 * 1024.0)

void progress_start(struct Progress *progress)
{
    *progress = (struct Progress){.start = os_seconds(), .terminal = os_is_terminal(STDERR)};
}

void progress_bytes(void *user, uint64_t done, uint64_t total)
{
    struct Progress *progress = user;
    double now = os_seconds();
    bool due = now - progress->start > 1 && now - progress->drawn > 0.1;
    if (!progress->terminal || !total || !due) return;
    progress->drawn = now;

    char bar[64];
    unsigned width = os_terminal_width(STDERR);
    unsigned columns = width > 40 + sizeof bar ? sizeof bar - 1 : width > 60 ? width - 40 : 20;
    unsigned filled = (unsigned)((double)columns * (double)done / (double)total);
    for (unsigned i = 0; i < columns; i++) bar[i] = i < filled ? '#' : '.';
    bar[columns] = '\0';
    fprintf(stderr, "\rloading [%s] %.0f of %.0f MiB", bar, (double)done / MIB, (double)total / MIB);
    fflush(stderr);
}

void progress_end(struct Progress *progress)
{
    if (progress->drawn > 0) fprintf(stderr, "\r\033[K"); // the bar leaves no trace
}
