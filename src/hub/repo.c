#include "hub/repo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/suffix.h"
#include "model/hub.h"
#include "model/old_files.h"

#define MAX_ANSWER ((size_t)32 << 20)
#define MAX_BYTES ((int64_t)1 << 50) // of one file

// ------------------------------------------------------------------------------------------------ settings

// Without the blanks around it; false where it does not fit.
static bool copy_trimmed(char *to, size_t size, const char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) length--;
    if (length >= size) return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static int read_token(struct Hub *hub, vkgpt_error *err)
{
    char path[PATH_BYTES], *text = NULL;
    size_t bytes;
    const char *token = getenv("HF_TOKEN");
    if (!token || !*token) token = getenv("HUGGING_FACE_HUB_TOKEN"); // the older name
    if (!token || !*token) {
        if (!hub_token_path(path) || os_read_file(path, 4096, &text, &bytes, NULL)) return 0; // there is none
        token = text;
    }
    bool good = copy_trimmed(hub->token, sizeof hub->token, token);
    for (const char *c = hub->token; good && *c; c++) good = *c > ' ' && *c < 127;
    free(text);
    return good ? 0
                : fail(err, VKGPT_BAD_ARGUMENT,
                       "HF_TOKEN: is not a token: it holds something else than printing characters");
}

int hub_settings(struct Hub *hub, vkgpt_error *err)
{
    const char *endpoint = getenv("HF_ENDPOINT");
    *hub = (struct Hub){0};
    if (!endpoint || !*endpoint) endpoint = "https://huggingface.co";
    bool web = strncmp(endpoint, "http://", 7) == 0 || strncmp(endpoint, "https://", 8) == 0;
    if (!web || !copy_trimmed(hub->endpoint, sizeof hub->endpoint, endpoint))
        return fail(err, VKGPT_BAD_ARGUMENT, "HF_ENDPOINT is '%.200s', it has to begin with https:// or http://",
                    endpoint);
    for (size_t end = strlen(hub->endpoint); end && hub->endpoint[end - 1] == '/'; end--) hub->endpoint[end - 1] = '\0';
    return read_token(hub, err);
}

int repo_refused(const struct Hub *hub, const char *name, const char *what, long status, vkgpt_error *err)
{
    switch (status) {
    case 401:
    case 403:
        if (!hub->token[0])
            return fail(err, VKGPT_BAD_FILE,
                        "%s: there is no such model on %s, or it needs a token (answer %ld): "
                        "HF_TOKEN=... or `hf auth login` gives one",
                        name, hub->endpoint, status);
        return fail(err, VKGPT_BAD_FILE,
                    "%s: %s refuses the token (answer %ld); %s/%s says whether its terms have to be "
                    "accepted",
                    name, hub->endpoint, status, hub->endpoint, name);
    case 404:
        return fail(err, VKGPT_BAD_FILE, "%s: there is no %s of this name on %s (answer 404)", name, what,
                    hub->endpoint);
    case 429:
        return fail(err, VKGPT_BAD_FILE, "%s: %s has had too many requests (answer 429); please try again later", name,
                    hub->endpoint);
    default: return fail(err, VKGPT_BAD_FILE, "%s: %s answers %ld for the %s", name, hub->endpoint, status, what);
    }
}

// ------------------------------------------------------------------------------------------------ the list

// Weights by the names that they have: one file, or an index with shards.
static const struct Weights {
    const char *file, *index, *shard, *end;
} weights[] = {
    {"model.safetensors", "model.safetensors.index.json", "model-", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-", ".bin"},
};

static bool is_hex(const char *text, size_t digits)
{
    return text && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

static const char *text_of(const struct Json *object, const char *key) { return json_text(json_get(object, key)); }

// What the list says of a file; NULL: it is not in the list.
static const struct Json *find_file(const struct Json *list, const char *name)
{
    for (const struct Json *file = json_first(list); file; file = json_next(file)) {
        const char *here = text_of(file, "rfilename");
        if (here && strcmp(here, name) == 0) return file;
    }
    return NULL;
}

static int add_file(struct Repo *repo, const struct Json *file, const char *model, vkgpt_error *err)
{
    const char *name = text_of(file, "rfilename");
    const struct Json *lfs = json_get(file, "lfs");
    struct RepoFile *f = &repo->files[repo->count];
    const char *hash = lfs ? text_of(lfs, "sha256") : text_of(file, "blobId");
    int64_t bytes = 0;
    if (repo->count == REPO_MAX_FILES)
        return fail(err, VKGPT_BAD_FILE, "%s: has more than %d files", model, REPO_MAX_FILES);
    if (strlen(name) >= sizeof f->name)
        return fail(err, VKGPT_BAD_FILE, "%s: the name %.100s... is too long", model, name);
    bool sized = json_integer(json_get(lfs ? lfs : file, "size"), 0, MAX_BYTES, &bytes);
    if (!sized || !is_hex(hash, lfs ? 64 : 40))
        return fail(err, VKGPT_BAD_FILE, "%s: the hub gives no size and hash of %s", model, name);
    *f = (struct RepoFile){.bytes = (uint64_t)bytes, .large = lfs != NULL};
    memcpy(f->name, name, strlen(name) + 1);
    memcpy(f->hash, hash, strlen(hash) + 1);
    repo->count++;
    return 0;
}

static bool is_shard(const char *name, const struct Weights *w)
{
    size_t length = strlen(name), head = strlen(w->shard), tail = strlen(w->end);
    return length > head + tail && !strncmp(name, w->shard, head) && ends_with(name, w->end) &&
           strspn(name + head, "0123456789-of") == length - head - tail;
}

static int add_weights(struct Repo *repo, const struct Json *list, const char *model, bool *found, vkgpt_error *err)
{
    int code = 0;
    *found = false;
    for (size_t i = 0; !*found && !code && i < sizeof weights / sizeof *weights; i++) {
        const struct Weights *w = &weights[i];
        const struct Json *file = find_file(list, w->file), *index = find_file(list, w->index);
        *found = file || index;
        if (file || index) code = add_file(repo, file ? file : index, model, err);
        for (const struct Json *shard = json_first(list); index && !file && !code && shard; shard = json_next(shard)) {
            const char *name = text_of(shard, "rfilename");
            if (name && is_shard(name, w)) code = add_file(repo, shard, model, err);
        }
    }
    return code;
}

static bool is_gguf(const char *name) { return name && has_extension(name, ".gguf") && !strchr(name, '/'); }

// The one that is named, or the only one.
static int add_gguf(struct Repo *repo, const struct Json *list, const char *model, const char *wanted, vkgpt_error *err)
{
    char names[400] = "";
    size_t count = 0, used = 0;
    const struct Json *last = NULL;
    for (const struct Json *file = json_first(list); file; file = json_next(file)) {
        const char *name = text_of(file, "rfilename");
        if (!is_gguf(name) || (wanted && strcmp(name, wanted) != 0)) continue;
        last = file;
        int n = snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "", name);
        if (n > 0 && used + (size_t)n < sizeof names) used += (size_t)n;
        else names[used] = '\0';
    }
    if (count == 1) return add_file(repo, last, model, err);
    if (wanted) return fail(err, VKGPT_BAD_FILE, "%s: has no file %s", model, wanted);
    if (count)
        return fail(err, VKGPT_BAD_FILE, "%s: holds %zu GGUF files (%s); `vkgpt pull %s FILE.gguf` takes one", model,
                    count, names, model);
    return fail(err, VKGPT_BAD_FILE, "%s: holds no config.json and no GGUF file, so it is not a model that vkgpt reads",
                model);
}

static int add_if_there(struct Repo *repo, const struct Json *list, const char *name, const char *model,
                        vkgpt_error *err)
{
    const struct Json *file = find_file(list, name);
    return file ? add_file(repo, file, model, err) : 0;
}

static int choose(struct Repo *repo, const struct Json *list, const char *model, const char *gguf, vkgpt_error *err)
{
    int code = 0;
    bool found;
    if (gguf || !find_file(list, "config.json")) return add_gguf(repo, list, model, gguf, err);
    code = add_if_there(repo, list, "config.json", model, err);
    if (!code) code = add_if_there(repo, list, "generation_config.json", model, err);
    for (const struct TokenizerFile *f = TOKENIZER_FILES; !code && f->name; f++)
        code = add_if_there(repo, list, f->name, model, err);
    repo->small = repo->count;
    if (!code) code = add_weights(repo, list, model, &found, err);
    if (code || found) return code;
    return fail(err, VKGPT_BAD_FILE, "%s: holds no weights that vkgpt reads (model.safetensors or pytorch_model.bin)",
                model);
}

// As Python's quote(text, safe="").
static void quote(const char *text, char quoted[3 * HUB_REVISION_BYTES])
{
    size_t used = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c && used + 4 <= 3 * HUB_REVISION_BYTES; c++)
        if ((*c < 128 && isalnum(*c)) || strchr("-._~", *c)) quoted[used++] = (char)*c;
        else used += (size_t)snprintf(quoted + used, 4, "%%%02X", *c);
    quoted[used] = '\0';
}

// The sentence for an answer that is not the list. The hub answers 404 for an unknown model and an unknown revision.
static int no_list(const struct Hub *hub, const char *name, const char *revision, long status, vkgpt_error *err)
{
    if (status != 404 || strcmp(revision, "main") == 0) return repo_refused(hub, name, "model", status, err);
    return fail(err, VKGPT_BAD_FILE, "%s: there is no such model on %s, or it has no revision '%s' (answer 404)", name,
                hub->endpoint, revision);
}

int repo_read(struct Http *http, const struct Hub *hub, const char *name, const char *revision, const char *gguf,
              struct Repo *repo, vkgpt_error *err)
{
    char url[2048], quoted[3 * HUB_REVISION_BYTES];
    struct Buffer body = {0};
    struct Answer answer;
    struct Json *json = NULL;
    *repo = (struct Repo){0};
    quote(revision, quoted);
    snprintf(url, sizeof url, "%s/api/models/%s/revision/%s?blobs=true", hub->endpoint, name, quoted);
    int code = http_text(http, url, MAX_ANSWER, &body, &answer, err);
    if (!code && answer.status != 200) code = no_list(hub, name, revision, answer.status, err);
    if (!code) code = json_parse(url, body.data ? body.data : "", body.bytes, &json, err);
    const char *commit = text_of(json, "sha");
    if (!code && !is_hex(commit, REPO_COMMIT)) code = fail(err, VKGPT_BAD_FILE, "%s: the answer names no commit", url);
    if (!code) memcpy(repo->commit, commit, REPO_COMMIT + 1);
    const struct Json *list = json_get(json, "siblings");
    if (!code && !json_is_array(list)) code = fail(err, VKGPT_BAD_FILE, "%s: the answer lists no files", url);
    if (!code) code = choose(repo, list, name, gguf, err);
    json_free(json);
    buffer_free(&body);
    return code;
}
