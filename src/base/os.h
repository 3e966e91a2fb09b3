// Calls of the operating system that are not C11, behind one interface: another system needs another set of os*.c.
#ifndef VKGPT_BASE_OS_H
#define VKGPT_BASE_OS_H

#include "vkgpt.h"

// A file mapped read only. An empty file has data NULL and bytes 0.
struct Mapping {
    const uint8_t *data;
    size_t bytes;
    struct MapGuard *guard;
};

// Errors (VKGPT_BAD_FILE): missing, unreadable, a directory, pipe or device (a link is followed); VKGPT_OUT_OF_MEMORY.
// From the first os_map to the last os_unmap, the library installs a SIGBUS handler for the whole process: when another
// program truncates a mapped file, the missing part reads as zeros. Any other SIGBUS goes to the handler that was
// installed before.
int os_map(const char *path, struct Mapping *mapping, vkgpt_error *err);
// Call this before using what was read. Errors (VKGPT_BAD_FILE): the file is shorter than when it was mapped.
int os_map_check(const struct Mapping *mapping, const char *path, vkgpt_error *err);
void os_unmap(struct Mapping *mapping);
// Asks the system to read a part of a mapping from the disk in the background. A hint: it cannot fail.
void os_read_ahead(const uint8_t *data, size_t bytes);
// Reads a whole small file into malloc'ed memory and appends a NUL byte. Errors (VKGPT_BAD_FILE): those of os_map, and
// more than `limit` bytes.
int os_read_file(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err);
// The same for a path from the user, not from an untrusted source: it may be a pipe or device, and the call
// waits for its end. "-" is stdin; on a terminal one Ctrl-D ends it, also in the middle of a line.
int os_read(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err);
// Writes a file so that a reader sees all of it or nothing: a temporary file in the same directory, fsync, then a
// rename. A pipe or device is written directly. SIGINT, SIGTERM and SIGHUP are blocked until the file is written.
int os_write(const char *path, const void *data, size_t bytes, vkgpt_error *err);

// A file that is written piece by piece; a reader sees all of it or nothing. A zeroed struct is a closed file.
struct Saving {
    int fd;
    char *temporary, *target; // target NULL: nothing is open
};
int os_save_begin(const char *path, struct Saving *saving, vkgpt_error *err);
// Errors: VKGPT_BAD_FILE; VKGPT_INTERRUPTED as soon as os_interrupted is true.
int os_save_write(struct Saving *saving, const void *data, size_t bytes, vkgpt_error *err);
// Gives the file its name, replacing a file of that name; with `keep` false, removes what was written.
int os_save_end(struct Saving *saving, bool keep, vkgpt_error *err);

// Renames `from` to `to`, after fsync. `from` stays when this fails.
int os_replace(const char *from, const char *to, vkgpt_error *err);

bool os_exists(const char *path); // true also for a path that cannot be checked, such as a loop of links
bool os_is_dir(const char *path);
bool os_is_link(const char *path);  // a symbolic link, also a broken one
int os_make_dirs(const char *path); // like mkdir -p; 0 on success
#define FILE_NAME_BYTES 256         // enough for a name in a directory, which has 255 bytes at most, and its NUL
// How many names in a directory end in `suffix`; `name` becomes the first one by alphabet. Names of `size` bytes and
// more do not count.
size_t os_find(const char *dir, const char *suffix, char *name, size_t size);
// Replaces `name` by the next name in the directory, by alphabet, that ends in `suffix`; an empty `name` asks for the
// first one. False when there is none.
bool os_next(const char *dir, const char *suffix, char *name, size_t size);
bool os_file_bytes(const char *path, uint64_t *bytes); // follows links; false: not a file
bool os_free_disk(const char *dir, uint64_t *bytes);   // free for the user
// Makes a symbolic link at `path`, and replaces a link to something else.
int os_symlink(const char *to, const char *path, vkgpt_error *err);
// A lock between processes (flock), on a file that exists only for this; it ends with the process. `waits` (or NULL) is
// called once if another process holds it. Errors: VKGPT_BAD_FILE; VKGPT_INTERRUPTED as soon as os_interrupted is true.
int os_lock(const char *path, void (*waits)(void *user), void *user, int *lock, vkgpt_error *err);
void os_unlock(int lock);
void os_wait(double seconds);      // less when os_interrupted becomes true
double os_seconds(void);           // a monotonic clock
double os_processor_seconds(void); // that all threads of this process used
double os_thread_seconds(void);    // that the calling thread used
unsigned os_cores(void);
void os_name_thread(const char *name); // the thread that calls, for tools that list threads: at most 15 bytes
// Bytes of physical memory not in use, or 0 when unknown.
uint64_t os_free_memory(void);
// The directory for caches, $XDG_CACHE_HOME/vkgpt or ~/.cache/vkgpt; false when there is none.
bool os_cache_dir(char *path, size_t size);
// The directory of the running program, without a trailing slash.
bool os_program_dir(char *path, size_t size);
// Unpredictable bytes; if the system cannot give any, bytes that differ from run to run.
void os_random(void *bytes, size_t count);
bool os_is_terminal(int fd);
unsigned os_terminal_width(int fd); // columns, 80 when unknown
// The signals that ask a program to end: SIGINT, SIGTERM and SIGHUP. A signal that is ignored stays ignored. After
// os_end_on_signals, each one ends the process at once, with status 128 + its number. After os_catch_interrupt, the
// first one only sets a flag, and the second one ends the process.
void os_end_on_signals(void);
void os_catch_interrupt(void);
// As os_catch_interrupt, but the second one does nothing: for work that must not be left half-written.
void os_hold_interrupt(void);
// From now on, writing to a pipe or connection whose other end is closed fails (EPIPE), and does not end the process.
void os_ignore_closed_pipes(void);
bool os_interrupted(void);
int os_signal(void); // the signal that set the flag; SIGINT if none did
void os_forget_interrupt(void);

// For a program that asks for lines. From os_ask_begin to os_ask_end the signals above only set the flag, and end the
// wait of os_read_key. A new size of the terminal and a SIGCONT end it too, and os_terminal_changed is then true once.
// After os_ask_end it is as after os_hold_interrupt.
void os_ask_begin(void);
void os_ask_end(void);
enum OsKey { OS_KEY, OS_KEY_END, OS_KEY_SIGNAL };
enum OsKey os_read_key(uint8_t *byte); // from stdin
bool os_terminal_changed(void);

#endif
