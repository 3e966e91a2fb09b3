// Files in memory. If a file is truncated while it is mapped, reading the missing part raises SIGBUS in the thread that
// reads. While any file is mapped, a handler of ours maps pages of zeros there and sets a flag. The reader continues to
// its end, and calls os_map_check before it uses what it read. Any other SIGBUS goes to the handler installed before.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "base/os_files.h"

// ---------------------------------------------------------------------------------------------- the guard

// A mapping that is watched. It is never freed but used again for the next file: the handler may be reading it.
struct MapGuard {
    struct MapGuard *next;
    atomic_uintptr_t begin, end; // end 0: free
    atomic_bool cut;
    dev_t device;
    ino_t inode;
};

// Globals: a handler can reach nothing else.
static _Atomic(struct MapGuard *) guards;
static size_t guarded;
static struct sigaction before;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(number);
    else sigaction(number, &before, NULL); // the signal is raised again, and ends the process
}

static void on_bus(int number, siginfo_t *info, void *context)
{
    int error = errno;
    uintptr_t at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct MapGuard *g = atomic_load(&guards);
    while (g && !(at >= atomic_load(&g->begin) && at < atomic_load(&g->end))) g = g->next;
    uintptr_t from = at / page * page;
    void *zeros =
        g ? mmap((void *)from, atomic_load(&g->end) - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
          : MAP_FAILED;
    errno = error;
    if (zeros == MAP_FAILED) pass_on(number, info, context);
    else atomic_store(&g->cut, true);
}

static void install(void)
{
    struct sigaction ours = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, &before);
}

// Restores the old handler, unless another one has been installed since.
static void uninstall(void)
{
    struct sigaction now;
    if (!sigaction(SIGBUS, NULL, &now) && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus)
        sigaction(SIGBUS, &before, NULL);
}

static struct MapGuard *free_guard(void)
{
    struct MapGuard *g = atomic_load(&guards);
    while (g && atomic_load(&g->end)) g = g->next;
    if (g || !(g = calloc(1, sizeof *g))) return g;
    g->next = atomic_load(&guards);
    atomic_store(&guards, g);
    return g;
}

static int guard(void *data, const struct stat *st, const char *path, struct Mapping *mapping, vkgpt_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)st->st_size;
    pthread_mutex_lock(&lock);
    struct MapGuard *g = free_guard();
    if (g) {
        g->device = st->st_dev;
        g->inode = st->st_ino;
        atomic_store(&g->cut, false);
        atomic_store(&g->begin, (uintptr_t)data);
        atomic_store(&g->end, (uintptr_t)data + (bytes + page - 1) / page * page);
        if (!guarded++) install();
    }
    pthread_mutex_unlock(&lock);
    *mapping = (struct Mapping){g ? data : NULL, g ? bytes : 0, g};
    if (g) return 0;
    munmap(data, bytes);
    return fail_memory(err, path, sizeof *g);
}

static void unguard(struct MapGuard *g)
{
    pthread_mutex_lock(&lock);
    atomic_store(&g->end, 0);
    if (!--guarded) uninstall();
    pthread_mutex_unlock(&lock);
}

// A cut inside the last page raises no SIGBUS, so the size is compared too.
int os_map_check(const struct Mapping *mapping, const char *path, vkgpt_error *err)
{
    struct stat st;
    const struct MapGuard *g = mapping->guard;
    if (!g) return 0;
    bool same = stat(path, &st) == 0 && st.st_dev == g->device && st.st_ino == g->inode;
    if (!atomic_load(&g->cut) && !(same && (uintmax_t)st.st_size < mapping->bytes)) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: had %zu bytes, and was cut while it was read", path, mapping->bytes);
}

// ---------------------------------------------------------------------------------------------- mapping

int os_map(const char *path, struct Mapping *mapping, vkgpt_error *err)
{
    *mapping = (struct Mapping){0};
    int fd;
    struct stat st;
    int code = os_open(path, true, &fd, &st, err);
    if (code) return code;
    if ((uintmax_t)st.st_size > SIZE_MAX) {
        code = fail(err, VKGPT_BAD_FILE, "%s: %jd bytes do not fit the address space", path, (intmax_t)st.st_size);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) code = os_fail_errno(err, path, "map");
        else code = guard(data, &st, path, mapping, err);
    }
    close(fd); // the mapping outlives the descriptor
    return code;
}

void os_unmap(struct Mapping *mapping)
{
    if (mapping->data) {
        unguard(mapping->guard);
        munmap((void *)mapping->data, mapping->bytes);
    }
    *mapping = (struct Mapping){0};
}

void os_read_ahead(const uint8_t *data, size_t bytes)
{
    // Linux limits a request to the larger of the disk's read-ahead and its best transfer size, at least 128 KiB
    const size_t step = 128u << 10;
    size_t into = (uintptr_t)data % (size_t)sysconf(_SC_PAGESIZE);
    for (data -= into, bytes += into; bytes; data += step) {
        size_t part = bytes < step ? bytes : step;
        (void)madvise((void *)data, part, MADV_WILLNEED);
        bytes -= part;
    }
}
