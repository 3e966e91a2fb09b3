// What several programs share on a disk: locks, links, and the free space.
#define _GNU_SOURCE // flock
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "base/os_files.h"

#define WAIT 0.2 // seconds between two tries of a lock

void os_wait(double seconds)
{
    double end = os_seconds() + seconds;
    for (double left = seconds; left > 0 && !os_interrupted(); left = end - os_seconds()) {
        double step = left < 0.1 ? left : 0.1;
        nanosleep(&(struct timespec){0, (long)(step * 1e9)}, NULL);
    }
}

int os_lock(const char *path, void (*waits)(void *user), void *user, int *lock, vkgpt_error *err)
{
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (*lock < 0) return os_fail_errno(err, path, "open");
    int code = 0;
    for (bool told = false; !code && flock(*lock, LOCK_EX | LOCK_NB) != 0;) {
        if (errno == ENOSYS || errno == ENOTSUP || errno == ENOLCK) break; // a file system without locks
        if (errno != EWOULDBLOCK && errno != EINTR) code = os_fail_errno(err, path, "lock");
        if (!code && !told && waits) waits(user);
        told = true;
        if (!code) os_wait(WAIT);
        if (!code && os_interrupted())
            code = fail(err, VKGPT_INTERRUPTED, "%s: interrupted while waiting for it", path);
    }
    if (code) {
        os_unlock(*lock);
        *lock = -1;
    }
    return code;
}

void os_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

int os_symlink(const char *to, const char *path, vkgpt_error *err)
{
    char now[PATH_MAX];
    ssize_t n = readlink(path, now, sizeof now - 1);
    if (n > 0 && (size_t)n == strlen(to) && memcmp(now, to, (size_t)n) == 0) return 0;
    if (n > 0) unlink(path); // a link to something else
    return symlink(to, path) == 0 || errno == EEXIST ? 0 : os_fail_errno(err, path, "make a link");
}

bool os_file_bytes(const char *path, uint64_t *bytes)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *bytes = (uint64_t)st.st_size;
    return true;
}

bool os_free_disk(const char *dir, uint64_t *bytes)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0) return false;
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return true;
}
