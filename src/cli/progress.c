#include "cli/progress.h"

#include <stdio.h>

#include "base/os.h"
#include "base/units.h"

#define STDERR 2

void progress_start(struct Progress *progress)
{
    *progress = (struct Progress){.start = os_seconds(), .terminal = os_is_terminal(STDERR)};
}

// Whether it is time to draw again.
static bool is_due(struct Progress *progress)
{
    double now = os_seconds();
    bool due = progress->terminal && now - progress->start > 1 && now - progress->drawn > 0.1;
    if (due) progress->drawn = now;
    return due;
}

static void draw(const char *name, double share, const char *behind)
{
    char bar[64];
    unsigned width = os_terminal_width(STDERR);
    unsigned columns = width > 40 + sizeof bar ? sizeof bar - 1 : width > 60 ? width - 40 : 20;
    unsigned filled = (unsigned)((double)columns * share);
    for (unsigned i = 0; i < columns; i++) bar[i] = i < filled ? '#' : '.';
    bar[columns] = '\0';
    fprintf(stderr, "\r%s [%s] %s", name, bar, behind);
    fflush(stderr);
}

static void show_bytes(struct Progress *progress, const char *name, uint64_t done, uint64_t total)
{
    if (!total || !is_due(progress)) return;
    char behind[64];
    snprintf(behind, sizeof behind, "%.0f of %.0f MiB", (double)done / MIB, (double)total / MIB);
    draw(name, (double)done / (double)total, behind);
}

void progress_bytes(void *user, uint64_t done, uint64_t total) { show_bytes(user, "loading", done, total); }

void progress_download(void *user, uint64_t done, uint64_t total) { show_bytes(user, "downloading", done, total); }

void progress_work(struct Progress *progress, const char *name, size_t before, size_t done, size_t total)
{
    if (done <= before || !is_due(progress)) return;
    double left = (progress->drawn - progress->start) * (double)(total - done) / (double)(done - before);
    char behind[96];
    if (left < 100) snprintf(behind, sizeof behind, "%zu of %zu, %.0f s left\033[K", done, total, left);
    else if (left < 6000) snprintf(behind, sizeof behind, "%zu of %zu, %.0f min left\033[K", done, total, left / 60);
    else snprintf(behind, sizeof behind, "%zu of %zu, %.1f h left\033[K", done, total, left / 3600);
    draw(name, (double)done / (double)total, behind);
}

void progress_end(struct Progress *progress)
{
    if (progress->drawn > 0) fprintf(stderr, "\r\033[K"); // the bar leaves no trace
}
