// POSIX, and Linux's /proc for the program's directory and the free memory.
#define _GNU_SOURCE // sched_getaffinity
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os_files.h"
#include "base/suffix.h"

// ---------------------------------------------------------------------------------------------- reading

int os_fail_errno(vkgpt_error *err, const char *path, const char *doing)
{
    return fail(err, VKGPT_BAD_FILE, "%s: cannot %s: %s", path, doing, strerror(errno));
}

// Without O_NONBLOCK, opening a pipe waits for a writer. On files it has no effect.
int os_open(const char *path, bool only_files, int *fd, struct stat *st, vkgpt_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (only_files ? O_NONBLOCK : 0));
    if (*fd < 0) return os_fail_errno(err, path, "open");
    int code = 0;
    if (fstat(*fd, st) != 0) code = os_fail_errno(err, path, "look at");
    else if (S_ISDIR(st->st_mode)) code = fail(err, VKGPT_BAD_FILE, "%s: is a directory, not a file", path);
    else if (only_files && !S_ISREG(st->st_mode))
        code = fail(err, VKGPT_BAD_FILE, "%s: is a pipe or device, and has to be a file", path);
    if (code) close(*fd);
    return code;
}

// Reads to the end. The buffer grows with the bytes that arrive, not by the size of the file: a pipe has no size. A
// terminal returns whole lines, and a part of a line only when Ctrl-D was pressed after it.
static int read_all(int fd, const char *path, size_t limit, size_t hint, char **data, size_t *bytes, vkgpt_error *err)
{
    bool terminal = os_is_terminal(fd);
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
        size_t asked = capacity - used - 1;
        ssize_t n = read(fd, buffer + used, asked);
        if (n < 0 && errno == EINTR) continue;
        int code = 0;
        if (n < 0) code = os_fail_errno(err, path, "read");
        else if ((size_t)n > limit - used)
            code = fail(err, VKGPT_BAD_FILE, "%s: is larger than %zu bytes", path, limit);
        if (code) {
            free(buffer);
            return code;
        }
        if (n == 0) break;
        used += (size_t)n;
        if (terminal && (size_t)n < asked && buffer[used - 1] != '\n') break;
    }
    buffer[used] = '\0';
    *data = buffer;
    *bytes = used;
    return 0;
}

static int read_whole(const char *path, bool only_files, size_t limit, char **data, size_t *bytes, vkgpt_error *err)
{
    *data = NULL;
    *bytes = 0;
    int fd;
    struct stat st;
    int code = os_open(path, only_files, &fd, &st, err);
    if (code) return code;
    if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > limit)
        code = fail(err, VKGPT_BAD_FILE, "%s: is %jd bytes, %zu at most are read", path, (intmax_t)st.st_size, limit);
    else code = read_all(fd, path, limit, S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : 65536, data, bytes, err);
    close(fd);
    return code;
}

int os_read(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err)
{
    if (strcmp(path, "-") == 0) return read_all(STDIN_FILENO, "stdin", limit, 65536, data, bytes, err);
    return read_whole(path, false, limit, data, bytes, err);
}

int os_read_file(const char *path, size_t limit, char **data, size_t *bytes, vkgpt_error *err)
{
    return read_whole(path, true, limit, data, bytes, err);
}

// ---------------------------------------------------------------------------------------------- paths

// A loop of links and a path without permission count as existing: opening them later gives the error sentence.
bool os_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 || errno == ELOOP || errno == EACCES || errno == EIO || errno == EOVERFLOW;
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
        (void)mkdir(copy, 0777); // the check at the end is enough
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
    size_t count = 0;
    for (struct dirent *entry; list && (entry = readdir(list));) {
        size_t length = strlen(entry->d_name);
        if (length >= size || !has_extension(entry->d_name, suffix)) continue;
        if (count++ == 0 || strcmp(entry->d_name, name) < 0) memcpy(name, entry->d_name, length + 1);
    }
    if (list) closedir(list);
    return count;
}

bool os_next(const char *dir, const char *suffix, char *name, size_t size)
{
    DIR *list = opendir(dir);
    char best[FILE_NAME_BYTES] = "";
    for (struct dirent *entry; list && (entry = readdir(list));) {
        const char *here = entry->d_name;
        size_t length = strlen(here);
        bool ends = length < size && length < sizeof best && has_extension(here, suffix);
        if (ends && strcmp(here, name) > 0 && (!*best || strcmp(here, best) < 0)) memcpy(best, here, length + 1);
    }
    if (list) closedir(list);
    if (*best) memcpy(name, best, strlen(best) + 1);
    return *best;
}

static bool fits(int written, size_t size) { return written >= 0 && (size_t)written < size; }

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

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double os_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }
double os_processor_seconds(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }
double os_thread_seconds(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

void os_name_thread(const char *name) { (void)prctl(PR_SET_NAME, name); }

unsigned os_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (unsigned)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

// For systems without /proc, such as a bare container. An underestimate: memory held by caches is not counted.
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

bool os_is_terminal(int fd) { return isatty(fd) == 1; }

unsigned os_terminal_width(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

// ---------------------------------------------------------------------------------------------- signals

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};

static volatile sig_atomic_t interrupted; // number of the signal; a handler can only reach globals

static void on_interrupt(int number) { interrupted = number; }

static void on_end(int number) { _exit(128 + number); }

void os_ending_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) sigaddset(set, endings[i]);
}

// A signal that was set to be ignored, as nohup does, stays ignored.
static void handle_endings(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, now;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sigaction(endings[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaction(endings[i], &action, NULL);
}

void os_end_on_signals(void)
{
    handle_endings(on_end, 0);
    signal(SIGXFSZ, SIG_IGN); // a limit of the size of files fails the write, as a full disk does
}

void os_ignore_closed_pipes(void) { signal(SIGPIPE, SIG_IGN); }

void os_catch_interrupt(void)
{
    handle_endings(on_interrupt, (int)SA_RESETHAND | SA_RESTART); // the second one ends the process
}

void os_hold_interrupt(void) { handle_endings(on_interrupt, SA_RESTART); }

bool os_interrupted(void) { return interrupted != 0; }

int os_signal(void) { return interrupted ? interrupted : SIGINT; }

void os_forget_interrupt(void) { interrupted = 0; }

// ---------------------------------------------------------------------------------------------- keys

static const int changes[] = {SIGWINCH, SIGCONT};

static volatile sig_atomic_t changed;

static void on_change(int number)
{
    (void)number;
    changed = 1;
}

static void handle_changes(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) sigaction(changes[i], &action, NULL);
}

void os_ask_begin(void)
{
    handle_endings(on_interrupt, 0);
    handle_changes(on_change);
}

void os_ask_end(void)
{
    handle_changes(SIG_DFL);
    os_hold_interrupt();
}

bool os_terminal_changed(void)
{
    bool was = changed != 0;
    changed = 0;
    return was;
}

// The signals are blocked between the look at their flags and the wait, so that none is missed.
enum OsKey os_read_key(uint8_t *byte)
{
    sigset_t watched, old;
    os_ending_signals(&watched);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) sigaddset(&watched, changes[i]);
    sigprocmask(SIG_BLOCK, &watched, &old);
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = interrupted || changed ? 0 : ppoll(&wait, 1, NULL, &old);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (ready <= 0) return OS_KEY_SIGNAL;
    ssize_t n = read(STDIN_FILENO, byte, 1);
    return n > 0 ? OS_KEY : n < 0 && errno == EINTR ? OS_KEY_SIGNAL : OS_KEY_END;
}
