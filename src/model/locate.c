// A path is a usable folder, a file in one, a folder of the hub's cache, or a folder around one of these. For anything
// else, the error explains what it is.
#include "model/locate.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/suffix.h"
#include "model/config.h"
#include "model/content.h"
#include "model/hub.h"
#include "model/openai.h"
#include "model/weights_file.h"

#define SMALL_FILE ((size_t)64 << 20)
#define MAX_INSIDE 512 // most folders that are looked into
#define ADAPTER_CONFIG "adapter_config.json"

static bool has(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    return !path_join(path, dir, name, NULL) && os_exists(path);
}

static bool has_config(const char *dir) { return has(dir, "config.json") || has(dir, OPENAI_SHAPES); }

// The first tokenizer file, in the order of precedence.
static const char *tokenizer_in(const char *dir)
{
    static const char *const files[] = {"tokenizer.json", "vocab.json", "encoder_bpe_40000.json", "vocab.txt",
                                        "spiece.model",   "spm.model",  "sentencepiece.model",    "tokenizer.model"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (has(dir, files[i])) return files[i];
    return NULL;
}

static size_t gguf_in(const char *dir, char *name, size_t size)
{
    return has(dir, "config.json") ? 0 : os_find(dir, ".gguf", name, size);
}

static bool is_usable(const char *dir, enum Need need)
{
    char name[FILE_NAME_BYTES];
    bool good = false;
    switch (need) {
    case NEED_WEIGHTS: good = has_config(dir) && weights_file(dir, name, sizeof name); break;
    case NEED_CONFIG: good = has_config(dir); break;
    case NEED_TOKENIZER: good = tokenizer_in(dir) != NULL; break;
    case NEED_ADAPTER: return has(dir, ADAPTER_CONFIG);
    }
    return good || gguf_in(dir, name, sizeof name);
}

static bool is_hub_folder(const char *dir)
{
    char path[PATH_BYTES];
    return !path_join(path, dir, "snapshots", NULL) && os_is_dir(path);
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// The folder of a file: "." if the path has none.
static void folder_of(const char *path, char dir[PATH_BYTES])
{
    size_t length = (size_t)(last_component(path) - path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length >= PATH_BYTES) length = PATH_BYTES - 1;
    snprintf(dir, PATH_BYTES, "%.*s", (int)(length ? length : 1), length ? path : ".");
}

static int take(const char *path, struct Located *l, vkgpt_error *err)
{
    if (strlen(path) >= PATH_BYTES)
        return fail(err, VKGPT_BAD_FILE, "%.200s...: a path of more than %d bytes", path, PATH_BYTES - 1);
    memmove(l->path, path, strlen(path) + 1);
    return 0;
}

// ------------------------------------------------------------------------------------- not a model

static int fail_adapter(const char *dir, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Json *json = NULL;
    int code = path_join(path, dir, ADAPTER_CONFIG, err);
    if (code) return code;
    (void)json_read(path, SMALL_FILE, &json, NULL); // the sentence leaves out what the file does not say
    const char *type = json_text(json_get(json, "peft_type"));
    const char *base = json_text(json_get(json, "base_model_name_or_path"));
    if (type && strcmp(type, "LORA") != 0)
        code = fail(err, VKGPT_BAD_MODEL,
                    "%s: holds an adapter of PEFT's type %.60s, not a model; vkgpt merges LORA only", dir, type);
    else
        code = fail(err, VKGPT_BAD_MODEL,
                    "%s: holds an adapter (LoRA weights of PEFT for %.200s), not a model; give that model with -m, "
                    "and this folder with --lora",
                    dir, base ? base : "another model");
    json_free(json);
    return code;
}

#define SAVE_AGAIN(from) "load it in transformers 4 with " from "=True and save it again"

// Weights of other programs, by their file names; a name that begins with a dot is a suffix.
static const struct Foreign {
    const char *name, *what;
} foreign[] = {
    {"tf_model.h5", "weights of TensorFlow; " SAVE_AGAIN("from_tf")},
    {"flax_model.msgpack", "weights of Flax; " SAVE_AGAIN("from_flax")},
    {".ckpt.index",
     "a TensorFlow checkpoint, as OpenAI released GPT-2; the same model as Hugging Face saves it is needed"},
    {"rust_model.ot", "weights of rust-bert; model.safetensors or pytorch_model.bin is needed"},
    {".onnx", "a graph of ONNX; the Hugging Face directory that it was exported from is needed"},
    {"consolidated.00.pth", "weights as Meta releases Llama, which llama.cpp converts and runs"},
    {".ckpt", "a checkpoint of PyTorch Lightning; a Hugging Face directory made of it is needed"},
    {".pt", "a file of PyTorch such as nanoGPT's checkpoints; a Hugging Face directory made of it (config.json, "
            "model.safetensors) is needed"},
    {".pth", "a file of PyTorch; a Hugging Face directory made of it (config.json, model.safetensors) is needed"},
    {".npz", "arrays of NumPy; the Hugging Face directory that they were made from is needed"},
    {".mlmodel", "a model of Core ML; the Hugging Face directory that it was made from is needed"},
};

static int fail_foreign(const char *dir, vkgpt_error *err)
{
    char name[FILE_NAME_BYTES], path[PATH_BYTES];
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const struct Foreign *f = &foreign[i];
        bool there = f->name[0] == '.' ? os_find(dir, f->name, name, sizeof name) > 0 : has(dir, f->name);
        if (there)
            return fail(err, VKGPT_BAD_MODEL, "%s: holds %s, which is %s", dir, f->name[0] == '.' ? name : f->name,
                        f->what);
    }
    if (!os_find(dir, ".bin", name, sizeof name)) return 0;
    int code = path_join(path, dir, name, err);
    if (!code) code = content_check(path, err); // a model of llm.c, or of ggml before GGUF
    return code ? code
                : fail(err, VKGPT_BAD_MODEL,
                       "%s: holds %s, which is not a name that is read; a Hugging Face directory has config.json "
                       "and model.safetensors or pytorch_model.bin",
                       dir, name);
}

static int fail_no_weights(const char *dir, vkgpt_error *err)
{
    char name[FILE_NAME_BYTES];
    if (os_find(dir, ".gguf", name, sizeof name))
        return fail(err, VKGPT_BAD_MODEL, "%s: the weights are in %s only, which holds its config too: give its path",
                    dir, name);
    int code = fail_foreign(dir, err);
    if (code) return code;
    if (os_find(dir, ".safetensors", name, sizeof name))
        return fail(err, VKGPT_BAD_FILE,
                    "%s: no model.safetensors there, and no model.safetensors.index.json that says which of %s and "
                    "others holds which tensor",
                    dir, name);
    return fail(err, VKGPT_BAD_FILE,
                "%s: no weights there: neither model.safetensors nor pytorch_model.bin, nor an index of shards", dir);
}

// An unfinished download leaves a broken link in the cache.
static int check_link(const char *path, vkgpt_error *err)
{
    if (!os_is_link(path) || os_exists(path)) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: is a link to a file that is not there: the download did not end", path);
}

static int check_links(const char *dir, vkgpt_error *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "pytorch_model.bin"};
    char path[PATH_BYTES];
    int code = 0;
    for (size_t i = 0; !code && i < sizeof names / sizeof *names; i++) {
        code = path_join(path, dir, names[i], err);
        if (!code) code = check_link(path, err);
    }
    return code;
}

// Refuses files whose content does not fit their names; these errors come before all others.
static int check_files(const char *dir, vkgpt_error *err)
{
    char path[PATH_BYTES], name[FILE_NAME_BYTES];
    int code = check_links(dir, err);
    if (!code) code = path_join(path, dir, "config.json", err);
    if (!code && os_exists(path)) code = content_check(path, err);
    if (!code && os_exists(path)) code = config_check_class(path, err);
    if (code || !weights_file(dir, name, sizeof name)) return code;
    code = path_join(path, dir, name, err);
    return code ? code : content_check(path, err);
}

static int explain(const char *dir, enum Need need, vkgpt_error *err)
{
    if (need == NEED_ADAPTER)
        return fail(err, VKGPT_BAD_MODEL, "%s: no " ADAPTER_CONFIG " there, so these are not LoRA weights of PEFT",
                    dir);
    bool model = need == NEED_WEIGHTS || need == NEED_CONFIG;
    int code = 0;
    if (model) code = check_files(dir, err);
    if (!code && !has_config(dir)) code = has(dir, ADAPTER_CONFIG) ? fail_adapter(dir, err) : fail_foreign(dir, err);
    if (code) return code;
    if (need == NEED_TOKENIZER)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: holds no tokenizer: none of tokenizer.json, vocab.json, vocab.txt and spiece.model is there; "
                    "--tokenizer DIR|FILE takes one from elsewhere, such as the model's that this one was trained from",
                    dir);
    if (has_config(dir)) return fail_no_weights(dir, err);
    return fail(
        err, VKGPT_BAD_FILE,
        "%s: no config.json there, so this is not a model directory; one as Hugging Face's transformers save it, "
        "or a GGUF file, is needed",
        dir);
}

// Whether this can be a name on the hub, such as "gpt2" or "openai-community/gpt2".
static bool is_hub_name(const char *path)
{
    const char *slash = strchr(path, '/');
    size_t known = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./");
    if (path[known] || !*path || *path == '.' || *path == '/' || has_extension(path, ".gguf")) return false;
    return !slash || (slash[1] && !strchr(slash + 1, '/'));
}

static int fail_missing(const char *path, vkgpt_error *err)
{
    char full[HUB_NAME_BYTES];
    static const char missing[] = "no such model directory or GGUF file";
    if (!is_hub_name(path) || !hub_full_name(path, full)) return fail(err, VKGPT_BAD_FILE, "%s: %s", path, missing);
    return fail(err, VKGPT_BAD_FILE,
                "%s: %s, and Hugging Face's cache has no such model; if this is its name on the hub, `vkgpt pull %s` "
                "downloads it",
                path, missing, path);
}

// ------------------------------------------------------------------------------------------------- a directory

static int take_gguf(const char *path, struct Located *l, vkgpt_error *err)
{
    int code = content_check(path, err);
    return code ? code : take(path, l, err);
}

static int take_dir(const char *dir, enum Need need, struct Located *l, vkgpt_error *err)
{
    char name[FILE_NAME_BYTES], path[PATH_BYTES];
    bool model = need == NEED_WEIGHTS || need == NEED_CONFIG;
    bool own = need == NEED_ADAPTER || (need == NEED_TOKENIZER ? tokenizer_in(dir) != NULL : has_config(dir));
    size_t count = own ? 0 : gguf_in(dir, name, sizeof name);
    if (count > 1)
        return fail(err, VKGPT_BAD_MODEL, "%s: holds %zu GGUF files (%s and others), give the path of one", dir, count,
                    name);
    int code = count ? path_join(path, dir, name, err) : model ? check_files(dir, err) : 0;
    if (code) return code;
    if (count) return take_gguf(path, l, err);
    if (model && has(dir, ADAPTER_CONFIG))
        snprintf(l->note, sizeof l->note, "%.300s: the adapter that lies there too is not merged without --lora", dir);
    clean_sentence(l->note);
    return take(dir, l, err);
}

struct Inside { // folders inside a folder
    size_t count;
    char first[FILE_NAME_BYTES], list[400];
};

static void look_inside(const char *dir, bool every, enum Need need, struct Inside *in)
{
    char name[FILE_NAME_BYTES] = "", path[PATH_BYTES];
    size_t used = 0;
    *in = (struct Inside){0};
    for (int i = 0; i < MAX_INSIDE && os_next(dir, "", name, sizeof name); i++) {
        if (name[0] == '.' || path_join(path, dir, name, NULL) || !os_is_dir(path)) continue;
        if (!every && !is_usable(path, need) && !is_hub_folder(path)) continue;
        if (in->count++ == 0) memcpy(in->first, name, sizeof name);
        int n = snprintf(in->list + used, sizeof in->list - used, "%s%s", used ? ", " : "", name);
        if (n > 0 && used + (size_t)n < sizeof in->list) used += (size_t)n;
        else in->list[used] = '\0';
    }
}

static int fail_several(const char *dir, const char *what, const struct Inside *in, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_MODEL, "%s: holds %zu %s (%s), give the path of one", dir, in->count, what, in->list);
}

// The snapshot that refs/main names, or the only one.
static int find_snapshot(const char *dir, char path[PATH_BYTES], vkgpt_error *err)
{
    char snapshots[PATH_BYTES], refs[PATH_BYTES], *commit = NULL;
    size_t bytes;
    struct Inside in;
    int code = path_join(snapshots, dir, "snapshots", err);
    if (!code) code = path_join(refs, dir, "refs/main", err);
    if (code) return code;
    if (!os_exists(refs)) {
        look_inside(snapshots, true, NEED_WEIGHTS, &in);
        if (in.count == 1) return path_join(path, snapshots, in.first, err);
        if (in.count) return fail_several(snapshots, "snapshots, and refs/main is absent", &in, err);
        return fail(
            err, VKGPT_BAD_FILE,
            "%s: a folder of Hugging Face's cache without any snapshot: the download did not end, `vkgpt pull` goes on with it",
            dir);
    }
    code = os_read_file(refs, 4096, &commit, &bytes, err);
    if (code) return code;
    commit[strcspn(commit, " \r\n\t")] = '\0';
    bool plain = *commit && !strchr(commit, '/') && *commit != '.';
    code = plain ? path_join(path, snapshots, commit, err) : fail(err, VKGPT_BAD_FILE, "%s: names no snapshot", refs);
    if (!code && !os_is_dir(path))
        code = fail(
            err, VKGPT_BAD_FILE,
            "%s: refs/main is %.60s, and there is no such folder in snapshots: the download did not end, `vkgpt pull` goes on with it",
            dir, commit);
    free(commit);
    return code;
}

static int locate_dir(const char *dir, enum Need need, bool outer, struct Located *l, vkgpt_error *err)
{
    static const char *const what[] = {[NEED_WEIGHTS] = "models",
                                       [NEED_CONFIG] = "models",
                                       [NEED_TOKENIZER] = "tokenizers",
                                       [NEED_ADAPTER] = "adapters"};
    char path[PATH_BYTES];
    struct Inside in = {0};
    if (is_usable(dir, need)) return take_dir(dir, need, l, err);
    if (is_hub_folder(dir)) {
        int code = find_snapshot(dir, path, err);
        return code ? code : locate_dir(path, need, false, l, err);
    }
    if (outer) look_inside(dir, false, need, &in);
    if (in.count > 1) return fail_several(dir, what[need], &in, err);
    if (!in.count) return explain(dir, need, err);
    int code = path_join(path, dir, in.first, err);
    if (!code) code = locate_dir(path, need, false, l, err);
    if (!code) snprintf(l->note, sizeof l->note, "%.200s: what lies in its folder %.200s is used", dir, in.first);
    clean_sentence(l->note);
    return code;
}

// ------------------------------------------------------------------------------------------------------ a file

// Whether the index of a directory's shards names the file.
static bool is_shard(const char *dir, const char *index, const char *name)
{
    char path[PATH_BYTES], quoted[260], *text;
    size_t bytes;
    if (!has_extension(index, ".index.json") || path_join(path, dir, index, NULL) ||
        os_read_file(path, SMALL_FILE, &text, &bytes, NULL))
        return false;
    snprintf(quoted, sizeof quoted, "\"%.256s\"", name);
    bool found = strstr(text, quoted);
    free(text);
    return found;
}

static int fail_alone(const char *path, enum Content content, vkgpt_error *err)
{
    const char *what = content == CONTENT_SAFETENSORS ? "a safetensors file"
                       : content == CONTENT_PYTORCH   ? "a file of PyTorch"
                                                      : "a JSON file";
    return fail(err, VKGPT_BAD_FILE,
                "%s: is %s, and no config.json beside it says of what model; a directory as Hugging Face's "
                "transformers save it, or a GGUF file, is needed",
                path, what);
}

// A file in a model's directory means the directory, if it is the file that is read there.
static int locate_part(const char *path, enum Content content, enum Need need, struct Located *l, vkgpt_error *err)
{
    char dir[PATH_BYTES], read[256];
    const char *name = last_component(path);
    bool weights = content != CONTENT_JSON && (need == NEED_WEIGHTS || need == NEED_CONFIG);
    folder_of(path, dir);
    if (need != NEED_ADAPTER && !has_config(dir) && has(dir, ADAPTER_CONFIG) && !strncmp(name, "adapter_", 8))
        return fail_adapter(dir, err);
    if ((need == NEED_WEIGHTS || need == NEED_CONFIG) && !has_config(dir)) return fail_alone(path, content, err);
    if (!weights) return locate_dir(dir, need, false, l, err);
    bool any = weights_file(dir, read, sizeof read);
    if (any && (strcmp(read, name) == 0 || is_shard(dir, read, name))) return locate_dir(dir, need, false, l, err);
    if (any)
        return fail(
            err, VKGPT_BAD_FILE,
            "%s: %s lies beside it, and is what is read there; give the directory for that one, or move it away", path,
            read);
    return fail(err, VKGPT_BAD_FILE, "%s: is not read under this name; model.safetensors and pytorch_model.bin are",
                path);
}

// A file of a tokenizer means its directory, if no other file there has precedence.
static int locate_tokenizer(const char *path, struct Located *l, vkgpt_error *err)
{
    char dir[PATH_BYTES];
    folder_of(path, dir);
    const char *name = last_component(path), *first = tokenizer_in(dir);
    bool merges = !strcmp(name, "merges.txt") && first && !strcmp(first, "vocab.json");
    if (first && (merges || strcmp(name, first) == 0)) return locate_dir(dir, NEED_TOKENIZER, false, l, err);
    if (first)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: %s lies beside it, and is what is read there; give that one, or a folder without it", path,
                    first);
    return fail(
        err, VKGPT_BAD_FILE,
        "%s: is not read under this name; tokenizer.json, vocab.json with merges.txt, vocab.txt and spiece.model are",
        path);
}

static bool is_tokenizer_part(const char *path)
{
    static const char *const ends[] = {".txt", ".model", "tokenizer.json", "vocab.json", ".bpe"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (has_extension(path, ends[i])) return true;
    return false;
}

static int locate_file(const char *path, enum Need need, struct Located *l, vkgpt_error *err)
{
    enum Content content = content_of(path);
    if (content == CONTENT_FOREIGN) return content_check(path, err);
    bool gguf =
        content == CONTENT_GGUF || (content == CONTENT_UNKNOWN && has_extension(path, ".gguf")); // its reader fails
    if (gguf && need == NEED_ADAPTER)
        return fail(err, VKGPT_BAD_MODEL, "%s: is a GGUF file, and LoRA weights of PEFT are needed", path);
    if (gguf) return take(path, l, err);
    if (need == NEED_TOKENIZER && is_tokenizer_part(path)) return locate_tokenizer(path, l, err);
    if (content != CONTENT_UNKNOWN) return locate_part(path, content, need, l, err);
    return fail(
        err, VKGPT_BAD_FILE,
        "%s: is a file of a kind that is not known; a model is a directory as Hugging Face's transformers save it, "
        "or a GGUF file",
        path);
}

int model_locate(const char *given, enum Need need, struct Located *located, vkgpt_error *err)
{
    char path[PATH_BYTES];
    if (strlen(given) >= sizeof path)
        return fail(err, VKGPT_BAD_FILE, "%.200s...: a path of more than %d bytes", given, PATH_BYTES - 1);
    memcpy(path, given, strlen(given) + 1); // it may be located->path
    *located = (struct Located){0};
    int code = check_link(path, err);
    if (code) return code;
    if (!os_exists(path)) {
        char cached[PATH_BYTES];
        if (!is_hub_name(path) || !hub_cached(path, cached)) return fail_missing(path, err);
        return locate_dir(cached, need, false, located, err);
    }
    return os_is_dir(path) ? locate_dir(path, need, true, located, err) : locate_file(path, need, located, err);
}

void model_name(const char *path, char *name, size_t size)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    static const char snapshots[] = "/snapshots/";
    size_t tail = sizeof snapshots - 1;
    if (start > tail && strncmp(path + start - tail, snapshots, tail) == 0) { // .../models--org--name/snapshots/commit
        start = end = start - tail;
        while (start > 0 && path[start - 1] != '/') start--;
    }
    bool hub = strncmp(path + start, HUB_FOLDER, strlen(HUB_FOLDER)) == 0;
    for (size_t i = start; hub && i + 2 < end; i++)
        if (path[i] == '-' && path[i + 1] == '-') start = i + 2;
    snprintf(name, size, "%.*s", (int)(end - start < size ? end - start : size - 1), path + start);
}
