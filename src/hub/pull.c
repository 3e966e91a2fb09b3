#include "hub/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/units.h"
#include "hub/blob.h"
#include "model/config.h"
#include "model/hub.h"
#include "model/locate.h"

// ------------------------------------------------------------------------------------------------ places

static int make_dir(const char *path, vkgpt_error *err)
{
    return os_make_dirs(path) ? fail(err, VKGPT_BAD_FILE, "%s: cannot make this directory", path) : 0;
}

static int make_places(struct Fetch *fetch, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    static const char *const inside[] = {"blobs", "refs"};
    char path[PATH_BYTES], name[64];
    snprintf(name, sizeof name, "snapshots/%s", fetch->commit);
    int code = path_join(snapshot, fetch->folder, name, err);
    if (!code) code = make_dir(snapshot, err);
    if (!code) code = make_dir(fetch->locks, err);
    for (size_t i = 0; !code && i < sizeof inside / sizeof *inside; i++) {
        code = path_join(path, fetch->folder, inside[i], err);
        if (!code) code = make_dir(path, err);
    }
    return code;
}

static int find_places(struct Fetch *fetch, vkgpt_error *err)
{
    char cache[PATH_BYTES], name[PATH_BYTES];
    if (!hub_cache_dir(cache) || !hub_folder(fetch->name, fetch->folder))
        return fail(err, VKGPT_BAD_FILE, "no place for the hub's cache: neither HF_HUB_CACHE, HF_HOME nor HOME is set");
    snprintf(name, sizeof name, ".locks/%s", strrchr(fetch->folder, '/') + 1);
    return path_join(fetch->locks, cache, name, err);
}

// ------------------------------------------------------------------------------------------------ the files

static int check_room(struct Fetch *fetch, const struct Repo *repo, vkgpt_error *err)
{
    uint64_t needed = 0, room;
    for (size_t i = 0; i < repo->count; i++) {
        fetch->total += repo->files[i].bytes;
        if (!blob_there(fetch, &repo->files[i])) needed += repo->files[i].bytes - blob_begun(fetch, &repo->files[i]);
    }
    if (!os_free_disk(fetch->folder, &room) || needed <= room) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: %.3f GB are needed and the disk has %.3f GB left", fetch->folder,
                (double)needed / GB, (double)room / GB);
}

static int get_file(struct Fetch *fetch, const struct RepoFile *file, const char *snapshot, vkgpt_error *err)
{
    char link[PATH_BYTES], to[96];
    int code = blob_fetch(fetch, file, err);
    if (!code) code = path_join(link, snapshot, file->name, err);
    snprintf(to, sizeof to, "../../blobs/%s", file->hash);
    return code ? code : os_symlink(to, link, err);
}

static int get_files(struct Fetch *fetch, const struct Repo *repo, const char *snapshot, vkgpt_error *err)
{
    char config[PATH_BYTES];
    int code = check_room(fetch, repo, err);
    for (size_t i = 0; !code && i < repo->count; i++) {
        code = get_file(fetch, &repo->files[i], snapshot, err);
        if (code || i || !repo->small) continue;
        code = path_join(config, snapshot, repo->files[0].name, err); // config.json
        if (!code) code = config_check_class(config, err);
    }
    return code;
}

static int ref_path(const struct Fetch *fetch, const char *revision, char path[PATH_BYTES], vkgpt_error *err)
{
    char name[HUB_REVISION_BYTES + 8];
    snprintf(name, sizeof name, "refs/%s", revision);
    return path_join(path, fetch->folder, name, err);
}

// refs/REVISION names the commit, unless the revision is the commit itself. "refs/pr/1" has folders of its own.
static int write_ref(const struct Fetch *fetch, const char *revision, vkgpt_error *err)
{
    char path[PATH_BYTES], dir[PATH_BYTES];
    if (strcmp(revision, fetch->commit) == 0) return 0;
    int code = ref_path(fetch, revision, path, err);
    if (code) return code;
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    code = make_dir(dir, err);
    return code ? code : os_write(path, fetch->commit, strlen(fetch->commit), err);
}

// -------------------------------------------------------------------------------------------------- offline

// The folder of a revision in the cache: a commit's own, or that of the commit which its ref names.
static int find_snapshot(const struct Fetch *fetch, const char *revision, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    char ref[PATH_BYTES], name[HUB_REVISION_BYTES + 16], *commit = NULL;
    size_t bytes;
    int code = ref_path(fetch, revision, ref, err);
    if (!code && !os_read_file(ref, HUB_REVISION_BYTES, &commit, &bytes, NULL)) {
        commit[strcspn(commit, " \r\n\t")] = '\0';
        revision = commit;
    }
    snprintf(name, sizeof name, "snapshots/%.*s", HUB_REVISION_BYTES, revision);
    if (!code && !hub_is_revision(revision)) code = fail(err, VKGPT_BAD_FILE, "%s: names no commit", ref);
    if (!code) code = path_join(snapshot, fetch->folder, name, err);
    if (!code && !os_is_dir(snapshot)) code = fail(err, VKGPT_BAD_FILE, "%s: there is no such folder", snapshot);
    free(commit);
    return code;
}

static int find_cached(const struct Fetch *fetch, const struct Pull *pull, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Located at;
    vkgpt_error why;
    int code = find_snapshot(fetch, pull->revision, snapshot, &why);
    if (!code) code = pull->gguf ? path_join(path, snapshot, pull->gguf, &why) : 0;
    if (!code) code = model_locate(pull->gguf ? path : snapshot, NEED_WEIGHTS, &at, &why);
    if (!code) return 0;
    return fail(err, code, "%s: HF_HUB_OFFLINE is set, and the cache does not have all of it: %s", pull->name,
                why.text);
}

int hub_pull(const struct Pull *pull, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    struct Hub hub;
    struct Http *http = NULL;
    struct Fetch fetch = {
        .hub = &hub, .name = pull->name, .progress = pull->progress, .note = pull->note, .user = pull->user};
    struct Repo *repo = calloc(1, sizeof *repo);
    if (!repo) return fail_memory(err, "the list of files", sizeof *repo);
    int code = hub_settings(&hub, err);
    if (!code) code = find_places(&fetch, err);
    if (!code && hub_offline()) {
        free(repo);
        return find_cached(&fetch, pull, snapshot, err);
    }
    if (!code) code = http_open(hub.token[0] ? hub.token : NULL, pull->note, &http, err);
    if (!code) code = repo_read(http, &hub, pull->name, pull->revision, pull->gguf, repo, err);
    fetch.http = http;
    fetch.commit = repo->commit;
    if (!code) code = make_places(&fetch, snapshot, err);
    if (!code) code = get_files(&fetch, repo, snapshot, err);
    if (!code) code = write_ref(&fetch, pull->revision, err);
    http_close(http);
    free(repo);
    return code;
}
