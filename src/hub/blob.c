#include "hub/blob.h"

#include <errno.h>
#include <inttypes.h>
#include <sha1.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

#define INCOMPLETE ".incomplete" // as huggingface_hub calls it
#define STRETCH 65536

// A file on its way to the cache.
struct Part {
    struct Fetch *fetch;
    const struct RepoFile *file;
    char path[PATH_BYTES + sizeof INCOMPLETE];
    FILE *out;
    SHA2_CTX sha256;
    SHA1_CTX sha1;
    uint64_t before; // fetch->done without this file
};

// ------------------------------------------------------------------------------------------------ places

int blob_path(const struct Fetch *fetch, const struct RepoFile *file, char path[PATH_BYTES], vkgpt_error *err)
{
    char name[80];
    snprintf(name, sizeof name, "blobs/%s", file->hash);
    return path_join(path, fetch->folder, name, err);
}

bool blob_there(const struct Fetch *fetch, const struct RepoFile *file)
{
    char path[PATH_BYTES];
    uint64_t bytes;
    return !blob_path(fetch, file, path, NULL) && os_file_bytes(path, &bytes) && bytes == file->bytes;
}

static int part_path(const struct Fetch *fetch, const struct RepoFile *file, char path[PATH_BYTES + sizeof INCOMPLETE],
                     vkgpt_error *err)
{
    char blob[PATH_BYTES];
    int code = blob_path(fetch, file, blob, err);
    if (!code) snprintf(path, PATH_BYTES + sizeof INCOMPLETE, "%s" INCOMPLETE, blob);
    return code;
}

uint64_t blob_begun(const struct Fetch *fetch, const struct RepoFile *file)
{
    char path[PATH_BYTES + sizeof INCOMPLETE];
    uint64_t bytes;
    bool there = !part_path(fetch, file, path, NULL) && os_file_bytes(path, &bytes) && bytes <= file->bytes;
    return there ? bytes : 0;
}

// ------------------------------------------------------------------------------------------------ hashes

// Git hashes a blob with its size in front of it.
static void hash_begin(struct Part *part)
{
    char head[32];
    int n = snprintf(head, sizeof head, "blob %" PRIu64, part->file->bytes);
    SHA256Init(&part->sha256);
    SHA1Init(&part->sha1);
    SHA1Update(&part->sha1, (const uint8_t *)head, (size_t)n + 1); // the NUL too
}

static void hash_add(struct Part *part, const void *data, size_t bytes)
{
    if (part->file->large) SHA256Update(&part->sha256, data, bytes);
    else SHA1Update(&part->sha1, data, bytes);
}

static void hash_end(struct Part *part, char text[65])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t bytes = part->file->large ? SHA256_DIGEST_LENGTH : SHA1_DIGEST_LENGTH;
    if (part->file->large) SHA256Final(digest, &part->sha256);
    else SHA1Final(digest, &part->sha1);
    for (size_t i = 0; i < bytes; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

// ------------------------------------------------------------------------------------------------ the sink

static int fail_disk(const struct Part *part, const char *doing, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_FILE, "%s: cannot %s: %s", part->path, doing, strerror(errno));
}

static int part_add(void *user, const void *data, size_t bytes, vkgpt_error *err)
{
    struct Part *part = user;
    struct Fetch *fetch = part->fetch;
    if (fwrite(data, 1, bytes, part->out) != bytes) return fail_disk(part, "write", err);
    hash_add(part, data, bytes);
    fetch->done += bytes;
    if (fetch->progress) fetch->progress(fetch->user, fetch->done, fetch->total);
    return 0;
}

static int part_restart(void *user, vkgpt_error *err)
{
    struct Part *part = user;
    part->fetch->done = part->before;
    part->out = freopen(part->path, "wb", part->out);
    if (!part->out) return fail_disk(part, "write", err);
    hash_begin(part);
    return 0;
}

// What is there of it is read for its hash.
static int part_open(struct Part *part, uint64_t *have, vkgpt_error *err)
{
    char stretch[STRETCH];
    *have = 0;
    hash_begin(part);
    part->out = fopen(part->path, "a+b");
    if (!part->out) return fail_disk(part, "write", err);
    rewind(part->out);
    for (size_t n; (n = fread(stretch, 1, sizeof stretch, part->out)) > 0; *have += n) {
        hash_add(part, stretch, n);
        if (os_interrupted()) return fail(err, VKGPT_INTERRUPTED, "%s: interrupted", part->path);
    }
    if (ferror(part->out)) return fail_disk(part, "read", err);
    fseek(part->out, 0, SEEK_END); // C wants it between reading and writing
    part->fetch->done += *have;
    return *have > part->file->bytes ? part_restart(part, err) : 0;
}

static int part_close(struct Part *part, vkgpt_error *err)
{
    FILE *out = part->out;
    part->out = NULL;
    return out && fclose(out) != 0 ? fail_disk(part, "write", err) : 0;
}

// ------------------------------------------------------------------------------------------------ one file

static int part_run(struct Part *part, bool *resumed, vkgpt_error *err)
{
    char url[2048];
    struct Fetch *fetch = part->fetch;
    struct Answer answer = {.status = 200};
    struct Sink sink = {.total = part->file->bytes, .add = part_add, .restart = part_restart, .user = part};
    snprintf(url, sizeof url, "%s/%s/resolve/%s/%s", fetch->hub->endpoint, fetch->name, fetch->commit,
             part->file->name);
    int code = part_open(part, &sink.have, err);
    if (sink.have > sink.total) sink.have = 0;
    *resumed = sink.have > 0;
    bool whole = sink.have == sink.total && sink.total;
    if (!code && !whole) code = http_file(fetch->http, url, &sink, &answer, err);
    int closed = part_close(part, code ? NULL : err);
    if (answer.status == 416) remove(part->path); // it would be asked for again and again
    if (code || closed) return code ? code : closed;
    if (answer.status == 200 || answer.status == 206) return 0;
    return repo_refused(fetch->hub, fetch->name, part->file->name, answer.status, err);
}

static int part_check(struct Part *part, vkgpt_error *err)
{
    char hash[65];
    hash_end(part, hash);
    if (strcmp(hash, part->file->hash) == 0) return 0;
    remove(part->path);
    part->fetch->done = part->before;
    return fail(err, VKGPT_BAD_FILE, "%s: %s came with the hash %s, the hub says %s; what came is removed",
                part->fetch->name, part->file->name, hash, part->file->hash);
}

// What an earlier download left may be wrong: then all of it is fetched once more.
static int fetch_locked(struct Fetch *fetch, const struct RepoFile *file, const char *blob, vkgpt_error *err)
{
    struct Part part = {.fetch = fetch, .file = file, .before = fetch->done};
    bool resumed = false;
    int code = part_path(fetch, file, part.path, err);
    if (!code) code = part_run(&part, &resumed, err);
    if (!code) code = part_check(&part, err);
    if (code && resumed && !os_exists(part.path)) {
        fetch->note("the earlier part of a download was damaged: it starts again");
        code = part_run(&part, &resumed, err);
        if (!code) code = part_check(&part, err);
    }
    return code ? code : os_replace(part.path, blob, err);
}

static void on_wait(void *user)
{
    const struct Fetch *fetch = user;
    fetch->note("another download of the same file is waited for");
}

int blob_fetch(struct Fetch *fetch, const struct RepoFile *file, vkgpt_error *err)
{
    char blob[PATH_BYTES], path[PATH_BYTES], name[80];
    int lock = -1;
    snprintf(name, sizeof name, "%s.lock", file->hash);
    int code = blob_path(fetch, file, blob, err);
    if (!code) code = path_join(path, fetch->locks, name, err);
    if (!code && !blob_there(fetch, file)) code = os_lock(path, on_wait, fetch, &lock, err);
    if (!code && blob_there(fetch, file)) fetch->done += file->bytes;
    else if (!code) code = fetch_locked(fetch, file, blob, err);
    os_unlock(lock);
    if (!code && fetch->progress) fetch->progress(fetch->user, fetch->done, fetch->total);
    return code;
}
