// POSIX, with Linux's /proc for the program's place and the free memory.
#define _GNU_SOURCE // sched_getaffinity
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

// ---------------------------------------------------------------------------------------------- reading

static int fail_errno(vkgpt_error *err, const char *path, const char *doing)
{
    return fail(err, VKGPT_BAD_FILE, "%s: cannot %s: %s", path, doing, strerror(errno));
}

// Opens for reading and tells what it is. Errors: missing, unreadable, a directory.
static int open_file(const char *path, int *fd, struct stat *st, vkgpt_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return fail_errno(err, path, "open");
    int code = 0;
    if (fstat(*fd, st) != 0) code = fail_errno(err, path, "look at");
    else if (S_ISDIR(st->st_mode)) code = fail(err, VKGPT_BAD_FILE, "%s: is a directory, not a file", path);
    if (code) close(*fd);
    return code;
}

int os_map(const char *path, struct Mapping *mapping, vkgpt_error *err)
{
    *mapping = (struct Mapping){0};
    int fd;
    struct stat st;
    int code = open_file(path, &fd, &st, err);
    if (code) return code;
    if (!S_ISREG(st.st_mode)) {
        code = fail(err, VKGPT_BAD_FILE, "%s: is a pipe or device, and has to be a file", path);
    } else if ((uintmax_t)st.st_size > SIZE_MAX) {
        code = fail(err, VKGPT_BAD_FILE, "%s: %jd bytes do not fit the address space", path, (intmax_t)st.st_size);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) code = fail_errno(err, path, "map");
        else *mapping = (struct Mapping){data, (size_t)st.st_size};
    }
    close(fd); // the mapping outlives the descriptor
    return code;
}

void os_unmap(struct Mapping *mapping)
{
    if (mapping->data) munmap((void *)mapping->data, mapping->bytes);
    *mapping = (struct Mapping){0};
}

void os_read_ahead(const uint8_t *data, size_t bytes)
{
    // Linux cuts a request down to the larger of the disk's read-ahead and its best transfer: 128 KiB at the least
    const size_t step = 128u << 10;
    size_t into = (uintptr_t)data % (size_t)sysconf(_SC_PAGESIZE);
    for (data -= into, bytes += into; bytes; data += step) {
        size_t part = bytes < step ? bytes : step;
        (void)madvise((void *)data, part, MADV_WILLNEED);
        bytes -= part;
    }
}

// Reads to the end, growing as bytes come rather than by what the file claims: a pipe claims nothing.
static int read_all(int fd, const char *path, size_t limit, size_t hint, char **data, size_t *bytes, vkgpt_error *err)
{
    size_t capacity = hint < limit ? hint + 1 : 65536, used = 0;
    char *buffer = malloc(capacity);
    if (!buffer) return fail_memory(err, path, capacity);
    for (;;) {
        if (used + 1 >= capacity) { // one byte stays free for the NUL
            char *wider = capacity <= SIZE_MAX / 2 ? realloc(buffer, capacity * 2) : NULL;
            if (!wider) {
                free(buffer);
                return fail_memory(err, path, capacity);
            }
            buffer = wider;
            capacity *= 2;
        }
        ssize_t n = read(fd, buffer + used, capacity - used - 1);
        if (n < 0 && errno == EINTR) continue;
        int code = 0;
        if (n < 0) code = fail_errno(err, path, "read");
        else if ((size_t)n > limit - used) code = fail(err, VKGPT_BAD_FILE, "%s: is larger than %zu bytes", path, limit);
        if (code) {
            free(buffer);
            return code;
        }
        if (n == 0) break;
        used += (size_t)n;
    }
    buffer[used] = '\0';
    *data = buffer;
    *bytes = used;
    return 0;
}

int os_read(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err)
{
    *data = NULL;
    *bytes = 0;
    int fd;
    struct stat st;
    int code = open_file(path, &fd, &st, err);
    if (code) return code;
    if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > limit)
        code = fail(err, VKGPT_BAD_FILE, "%s: is %jd bytes, %zu at most are read", path, (intmax_t)st.st_size, limit);
    else
        code = read_all(fd, path, limit, S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : 65536, data, bytes, err);
    close(fd);
    return code;
}

// ---------------------------------------------------------------------------------------------- writing

// False with errno set when not every byte could be written.
static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes < (1u << 30) ? bytes : 1u << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

// A pipe or device cannot be replaced by a rename: it is written as it stands. /dev/stdout may well be a file
// that holds text already, which stays: hence O_APPEND.
static int write_in_place(const char *path, const void *data, size_t bytes, vkgpt_error *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, path, "open for writing");
    int code = write_all(fd, data, bytes) ? 0 : fail_errno(err, path, "write");
    if (close(fd) != 0 && !code) code = fail_errno(err, path, "write");
    return code;
}

// mode: the permissions of the file that is replaced, or -1 for a new one.
static int write_and_rename(const char *path, const char *target, long mode, const void *data, size_t bytes,
                            vkgpt_error *err)
{
    size_t size = strlen(target) + 32;
    char *temporary = malloc(size);
    if (!temporary) return fail_memory(err, path, size);
    snprintf(temporary, size, "%s.%ld.tmp", target, (long)getpid());

    int code = 0;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        code = fail_errno(err, path, "write a file beside it");
    } else {
        if (mode >= 0) (void)!fchmod(fd, (mode_t)mode); // the bytes matter more than the permissions
        if (!write_all(fd, data, bytes)) code = fail_errno(err, path, "write");
        if (close(fd) != 0 && !code) code = fail_errno(err, path, "write");
        if (!code && rename(temporary, target) != 0) code = fail_errno(err, path, "replace");
        if (code) unlink(temporary);
    }
    free(temporary);
    return code;
}

int os_write(const char *path, const void *data, size_t bytes, vkgpt_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return write_and_rename(path, path, -1, data, bytes, err);
    if (S_ISDIR(st.st_mode)) return fail(err, VKGPT_BAD_FILE, "%s: is a directory, not a file", path);
    if (!S_ISREG(st.st_mode) || strncmp(path, "/dev/", 5) == 0) return write_in_place(path, data, bytes, err);

    char *target = realpath(path, NULL); // a link stays a link
    if (!target) return fail_errno(err, path, "find");
    int code = write_and_rename(path, target, (long)(st.st_mode & 07777), data, bytes, err);
    free(target);
    return code;
}

int os_save_begin(const char *path, struct Saving *saving, vkgpt_error *err)
{
    *saving = (struct Saving){.fd = -1};
    size_t size = strlen(path) + 32;
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && !S_ISREG(st.st_mode)) return fail(err, VKGPT_BAD_FILE, "%s: is no file that can be replaced", path);
    char *target = there ? realpath(path, NULL) : strdup(path); // a link stays a link
    if (target) size = strlen(target) + 32;
    char *temporary = malloc(size);
    if (!target || !temporary) {
        free(target);
        free(temporary);
        return fail_memory(err, path, size);
    }
    snprintf(temporary, size, "%s.%ld.tmp", target, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    int code = fd < 0 ? fail_errno(err, path, "write a file beside it") : 0;
    if (code) {
        free(target);
        free(temporary);
        return code;
    }
    if (there) (void)!fchmod(fd, st.st_mode & 07777); // the bytes matter more than the permissions
    *saving = (struct Saving){fd, temporary, target};
    return 0;
}

int os_save_write(struct Saving *saving, const void *data, size_t bytes, vkgpt_error *err)
{
    return write_all(saving->fd, data, bytes) ? 0 : fail_errno(err, saving->target, "write");
}

int os_save_end(struct Saving *saving, bool keep, vkgpt_error *err)
{
    int code = 0;
    if (!saving->target) return 0;
    if (close(saving->fd) != 0 && keep) code = fail_errno(err, saving->target, "write");
    if (!code && keep && rename(saving->temporary, saving->target) != 0)
        code = fail_errno(err, saving->target, "replace");
    if (code || !keep) unlink(saving->temporary);
    free(saving->temporary);
    free(saving->target);
    *saving = (struct Saving){.fd = -1};
    return code;
}

// ---------------------------------------------------------------------------------------------- places

bool os_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool os_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool os_is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

int os_make_dirs(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return -1;
    for (char *p = copy + 1; *copy && *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        (void)mkdir(copy, 0777); // the last one tells
        *p = '/';
    }
    (void)mkdir(copy, 0777);
    int result = os_is_dir(copy) ? 0 : -1;
    free(copy);
    return result;
}

size_t os_find(const char *dir, const char *suffix, char *name, size_t size)
{
    DIR *list = opendir(dir);
    size_t count = 0, end = strlen(suffix);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        size_t length = strlen(entry->d_name);
        if (length <= end || length >= size || strcmp(entry->d_name + length - end, suffix) != 0) continue;
        if (count++ == 0 || strcmp(entry->d_name, name) < 0) memcpy(name, entry->d_name, length + 1);
    }
    if (list) closedir(list);
    return count;
}

bool os_next(const char *dir, const char *suffix, char *name, size_t size)
{
    DIR *list = opendir(dir);
    size_t end = strlen(suffix);
    char best[256] = "";
    for (struct dirent *entry; list && (entry = readdir(list));) {
        const char *here = entry->d_name;
        size_t length = strlen(here);
        bool ends = length > end && length < size && length < sizeof best && strcmp(here + length - end, suffix) == 0;
        if (ends && strcmp(here, name) > 0 && (!*best || strcmp(here, best) < 0)) memcpy(best, here, length + 1);
    }
    if (list) closedir(list);
    if (*best) memcpy(name, best, strlen(best) + 1);
    return *best;
}

static bool fits(int written, size_t size)
{
    return written >= 0 && (size_t)written < size;
}

bool os_cache_dir(char *path, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/') return fits(snprintf(path, size, "%s/vkgpt", xdg), size);
    if (home && home[0] == '/') return fits(snprintf(path, size, "%s/.cache/vkgpt", home), size);
    return false;
}

bool os_program_dir(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size);
    if (n <= 0 || (size_t)n >= size) return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

// ---------------------------------------------------------------------------------------------- machine

double os_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

unsigned os_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (unsigned)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

// Without /proc, as in a bare container: less than there is, since what caches hold is not counted.
static uint64_t unused_memory(void)
{
    struct sysinfo info;
    return sysinfo(&info) ? 0 : ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
}

uint64_t os_free_memory(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f) return unused_memory();
    char line[256];
    unsigned long long kib = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    fclose(f);
    return kib ? (uint64_t)kib * 1024 : unused_memory();
}

void os_random(void *bytes, size_t count)
{
    if (getrandom(bytes, count, GRND_NONBLOCK) == (ssize_t)count) return;
    uint64_t seed = (uint64_t)(os_seconds() * 1e9) ^ (uint64_t)getpid() << 32 ^ (uintptr_t)bytes;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; // Knuth's
        ((uint8_t *)bytes)[i] = (uint8_t)(seed >> 56);
    }
}

bool os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

unsigned os_terminal_width(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

// ---------------------------------------------------------------------------------------------- Ctrl-C

static volatile sig_atomic_t interrupted; // a signal handler reaches nothing but a global

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

void os_catch_interrupt(void)
{
    struct sigaction action = {0};
    action.sa_handler = on_interrupt;
    action.sa_flags = (int)SA_RESETHAND | SA_RESTART; // the second one meets the default: the end
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool os_interrupted(void)
{
    return interrupted != 0;
}
