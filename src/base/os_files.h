// Functions shared by the files base/os*.c.
#ifndef VKGPT_BASE_OS_FILES_H
#define VKGPT_BASE_OS_FILES_H

#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

// Fails with the sentence of errno.
int os_fail_errno(vkgpt_error *err, const char *path, const char *doing);
// Opens a file for reading, and returns its stat. Errors: missing, unreadable, a directory; with only_files also a pipe
// or device, without waiting for a writer.
int os_open(const char *path, bool only_files, int *fd, struct stat *st, vkgpt_error *err);
// SIGINT, SIGTERM and SIGHUP: the signals that ask a program to end.
void os_ending_signals(sigset_t *set);

#endif
