// Every call of the operating system that is not C11 lives here, so that another system is one more file.
#ifndef VKGPT_BASE_OS_H
#define VKGPT_BASE_OS_H

#include "vkgpt.h"

// A file mapped read only. An empty file has data NULL and bytes 0.
struct Mapping {
    const uint8_t *data;
    size_t bytes;
    struct MapGuard *guard;
};

// Errors (VKGPT_BAD_FILE): missing, unreadable, a directory, pipe or device, also behind a link; VKGPT_OUT_OF_MEMORY.
// From the first os_map to the last os_unmap a handler of SIGBUS of the library's is installed, for the whole process:
// what another program cuts off a mapped file reads as zeros. Any other SIGBUS goes to the handler that was there
// before.
int os_map(const char *path, struct Mapping *mapping, vkgpt_error *err);
// To be asked before what was read is believed. Errors (VKGPT_BAD_FILE): the file is shorter than when it was mapped.
int os_map_check(const struct Mapping *mapping, const char *path, vkgpt_error *err);
void os_unmap(struct Mapping *mapping);
// Asks for a part of a mapping to be read from the disk while the caller does something else. A hint: nothing fails.
void os_read_ahead(const uint8_t *data, size_t bytes);
// Reads a small file whole into malloc'ed memory, one NUL byte added behind it. Errors (VKGPT_BAD_FILE): as of os_map,
// and more than `limit` bytes.
int os_read_file(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err);
// The same for what the user names and no stranger sends, which may be a pipe or device: it is waited for. "-" is
// stdin; on a terminal one Ctrl-D ends it, in the middle of a line too.
int os_read(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err);
// Writes a file so that a reader sees all of it or nothing: a temporary file beside it, fsync, then a rename. A pipe or
// device is written as it stands. SIGINT, SIGTERM and SIGHUP wait meanwhile.
int os_write(const char *path, const void *data, size_t bytes, vkgpt_error *err);

// A file that is written piece by piece, and that a reader sees whole or not at all. Zeroed is closed.
struct Saving {
    int fd;
    char *temporary, *target; // target NULL: nothing is open
};
int os_save_begin(const char *path, struct Saving *saving, vkgpt_error *err);
// Errors: VKGPT_BAD_FILE; VKGPT_INTERRUPTED as soon as os_interrupted says so.
int os_save_write(struct Saving *saving, const void *data, size_t bytes, vkgpt_error *err);
// Gives the file its name, replacing one of that name; or, when it is not to be kept, removes what was written.
int os_save_end(struct Saving *saving, bool keep, vkgpt_error *err);

// Brings a file that was written beside its place to the disk, and gives it its name. `from` stays where that fails.
int os_replace(const char *from, const char *to, vkgpt_error *err);

bool os_exists(const char *path); // a file or directory, or something that cannot be looked at
bool os_is_dir(const char *path);
bool os_is_link(const char *path);  // a symbolic one, also to what is not there
int os_make_dirs(const char *path); // like mkdir -p; 0 on success
// How many names in a directory end in `suffix`; the first by alphabet that fits goes into `name`.
size_t os_find(const char *dir, const char *suffix, char *name, size_t size);
// The name in a directory that ends in `suffix` and follows `name` by alphabet, put in its place; an empty `name`
// asks for the first one. False when there is none.
bool os_next(const char *dir, const char *suffix, char *name, size_t size);
bool os_file_bytes(const char *path, uint64_t *bytes); // of a file, also behind a link; false: it is none
bool os_free_disk(const char *dir, uint64_t *bytes);   // that the user may still write there
// A symbolic link at `path`; one that leads elsewhere is replaced.
int os_symlink(const char *to, const char *path, vkgpt_error *err);
// A lock between processes, on a file that is made for it (flock); it ends with the process. `waits` (or NULL) is
// called once where another one holds it. Errors: VKGPT_BAD_FILE; VKGPT_INTERRUPTED as soon as os_interrupted says so.
int os_lock(const char *path, void (*waits)(void *user), void *user, int *lock, vkgpt_error *err);
void os_unlock(int lock);
void os_wait(double seconds); // or until os_interrupted says so
double os_seconds(void);      // a monotonic clock
unsigned os_cores(void);
// Bytes of physical memory not in use, or 0 when unknown.
uint64_t os_free_memory(void);
// Where caches go ($XDG_CACHE_HOME/vkgpt or ~/.cache/vkgpt), or false when there is no such place.
bool os_cache_dir(char *path, size_t size);
// The directory of the running program, without a trailing slash.
bool os_program_dir(char *path, size_t size);
// Bytes that nobody can foretell, or, where the system has none to give, that differ from run to run.
void os_random(void *bytes, size_t count);
bool os_is_terminal(int fd);
unsigned os_terminal_width(int fd); // columns, 80 when unknown
// The signals that ask a program to end (SIGINT, SIGTERM, SIGHUP; one that is ignored stays so). From os_end_on_signals
// on each ends the process at once, with status 128 + its number; from os_catch_interrupt on the first one only sets a
// flag, and the second one ends the process.
void os_end_on_signals(void);
void os_catch_interrupt(void);
// The same for whoever would leave something half-written: the second one does nothing more.
void os_hold_interrupt(void);
bool os_interrupted(void);
int os_signal(void); // the one that os_interrupted tells of; SIGINT before there is any

#endif
