// Files of which a reader sees all or nothing: written to a temporary file in the same directory, fsync, then a rename.
// Everything that is saved is saved this way.
#define _GNU_SOURCE // realpath, O_NOFOLLOW
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/os.h"
#include "base/os_files.h"

#define PIECE ((size_t)16 << 20) // written between two checks of os_interrupted

// False, with errno set, when not all bytes could be written.
static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes < PIECE ? bytes : PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

// ---------------------------------------------------------------------------------------------- replacing

// The name of a new file is stored in its directory, which needs an fsync of its own.
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd); // some file systems cannot; the file itself is safe
        close(fd);
    }
    free(dir);
}

// Some file systems and devices have no fsync; any other error is a failed write.
static bool sync_file(int fd) { return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS; }

int os_replace(const char *from, const char *to, vkgpt_error *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return os_fail_errno(err, to, "write");
    int code = sync_file(fd) ? 0 : os_fail_errno(err, to, "write");
    close(fd);
    if (!code && rename(from, to) != 0) code = os_fail_errno(err, to, "replace");
    if (!code) sync_directory(to);
    return code;
}

int os_save_begin(const char *path, struct Saving *saving, vkgpt_error *err)
{
    *saving = (struct Saving){.fd = -1};
    size_t size = strlen(path) + 32;
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) return fail(err, VKGPT_BAD_FILE, "%s: is a directory, not a file", path);
    if (there && !S_ISREG(st.st_mode)) return fail(err, VKGPT_BAD_FILE, "%s: is not a file that can be replaced", path);
    char *target = there ? realpath(path, NULL) : strdup(path); // a link stays a link
    if (target) size = strlen(target) + 32;
    char *temporary = malloc(size);
    if (!target || !temporary) {
        free(target);
        free(temporary);
        return fail_memory(err, path, size);
    }
    uint64_t own; // other threads and processes may write the same file
    os_random(&own, sizeof own);
    snprintf(temporary, size, "%s.%016" PRIx64 ".tmp", target, own);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    int code = fd < 0 ? os_fail_errno(err, path, "write a file beside it") : 0;
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
    const char *from = data;
    for (size_t done = 0, some; done < bytes; done += some) {
        some = bytes - done < PIECE ? bytes - done : PIECE;
        if (os_interrupted())
            return fail(err, VKGPT_INTERRUPTED, "%s: interrupted, nothing is written", saving->target);
        if (!write_all(saving->fd, from + done, some)) return os_fail_errno(err, saving->target, "write");
    }
    return 0;
}

int os_save_end(struct Saving *saving, bool keep, vkgpt_error *err)
{
    int code = 0;
    if (!saving->target) return 0;
    if (close(saving->fd) != 0 && keep) code = os_fail_errno(err, saving->target, "write");
    if (!code && keep) code = os_replace(saving->temporary, saving->target, err);
    if (code || !keep) unlink(saving->temporary);
    free(saving->temporary);
    free(saving->target);
    *saving = (struct Saving){.fd = -1};
    return code;
}

// ---------------------------------------------------------------------------------------------- a whole file

// A pipe or device cannot be replaced by a rename: it is written directly. O_APPEND, because /dev/stdout may be a file,
// and the text in it must stay.
static int write_in_place(const char *path, const void *data, size_t bytes, vkgpt_error *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return os_fail_errno(err, path, "open for writing");
    int code = write_all(fd, data, bytes) ? 0 : os_fail_errno(err, path, "write");
    if (close(fd) != 0 && !code) code = os_fail_errno(err, path, "write");
    return code;
}

// Signals that end the process are blocked until the file has its name; the file is small.
int os_write(const char *path, const void *data, size_t bytes, vkgpt_error *err)
{
    struct stat st;
    bool device = strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0; // /dev/stdout may be a file
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || device))
        return write_in_place(path, data, bytes, err);
    sigset_t ends, old;
    struct Saving saving;
    os_ending_signals(&ends);
    pthread_sigmask(SIG_BLOCK, &ends, &old);
    int code = os_save_begin(path, &saving, err);
    if (!code && !write_all(saving.fd, data, bytes)) code = os_fail_errno(err, path, "write");
    int ended = os_save_end(&saving, !code, code ? NULL : err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code ? code : ended;
}
