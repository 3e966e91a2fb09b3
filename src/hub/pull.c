#include "hub/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/units.h"
#include "hub/blob.h"
#include "model/config.h"
#include "model/hub.h"

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

static int write_ref(const struct Fetch *fetch, vkgpt_error *err)
{
    char path[PATH_BYTES];
    int code = path_join(path, fetch->folder, "refs/main", err);
    return code ? code : os_write(path, fetch->commit, strlen(fetch->commit), err);
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
    if (!code) code = http_open(hub.token[0] ? hub.token : NULL, pull->note, &http, err);
    if (!code) code = repo_read(http, &hub, pull->name, pull->gguf, repo, err);
    fetch.http = http;
    fetch.commit = repo->commit;
    if (!code) code = make_places(&fetch, snapshot, err);
    if (!code) code = get_files(&fetch, repo, snapshot, err);
    if (!code) code = write_ref(&fetch, err);
    http_close(http);
    free(repo);
    return code;
}
