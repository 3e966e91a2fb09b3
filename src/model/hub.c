#include "model/hub.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define MAX_PART 96 // characters in an organisation's or a model's name: the hub's limit

const struct HubShort HUB_SHORT_NAMES[] = {
    {"gpt2", "openai-community/gpt2"},
    {"gpt2-medium", "openai-community/gpt2-medium"},
    {"gpt2-large", "openai-community/gpt2-large"},
    {"gpt2-xl", "openai-community/gpt2-xl"},
    {"distilgpt2", "distilbert/distilgpt2"},
    {"openai-gpt", "openai-community/openai-gpt"},
    {"gpt-neo-125m", "EleutherAI/gpt-neo-125m"},
    {"gpt-neo-1.3b", "EleutherAI/gpt-neo-1.3B"},
    {"gpt-neo-2.7b", "EleutherAI/gpt-neo-2.7B"},
    {"opt-125m", "facebook/opt-125m"},
    {"opt-350m", "facebook/opt-350m"},
    {"opt-1.3b", "facebook/opt-1.3b"},
    {"opt-2.7b", "facebook/opt-2.7b"},
    {"opt-6.7b", "facebook/opt-6.7b"},
    {"galactica-125m", "facebook/galactica-125m"},
    {"cerebras-gpt-111m", "cerebras/Cerebras-GPT-111M"},
    {"dialogpt-small", "microsoft/DialoGPT-small"},
    {"tinystories-33m", "roneneldan/TinyStories-33M"},
    {0},
};

// One part of a name: no dot or hyphen at its start or end, and no two dots or two hyphens in a row.
static bool is_part(const char *text, size_t length)
{
    static const char marks[] = "-.";
    if (!length || length > MAX_PART || strchr(marks, text[0]) || strchr(marks, text[length - 1])) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool known = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._", c);
        if (!known || (i && strchr(marks, c) && text[i - 1] == c)) return false;
    }
    return true;
}

bool hub_full_name(const char *name, char full[HUB_NAME_BYTES])
{
    for (const struct HubShort *s = HUB_SHORT_NAMES; s->name; s++)
        if (strcmp(s->name, name) == 0) name = s->full;
    const char *slash = strchr(name, '/');
    size_t first = slash ? (size_t)(slash - name) : strlen(name);
    if (!is_part(name, first) || (slash && !is_part(slash + 1, strlen(slash + 1)))) return false;
    memcpy(full, name, strlen(name) + 1); // two parts of MAX_PART bytes at most
    return true;
}

// git-check-ref-format(1): parts with '/' between them, none of which begins with a dot or ends in ".lock".
bool hub_is_revision(const char *revision)
{
    size_t length = strlen(revision);
    if (!length || length >= HUB_REVISION_BYTES || revision[0] == '-' || strstr(revision, "..") ||
        strstr(revision, "@{") || strpbrk(revision, "\\~^:?*[\177"))
        return false;
    for (const char *part = revision, *end; part; part = *end ? end + 1 : NULL) {
        end = part + strcspn(part, "/");
        if (end == part || *part == '.' || end[-1] == '.') return false;
        if (end - part >= 5 && strncmp(end - 5, ".lock", 5) == 0) return false;
    }
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)revision[i] <= ' ') return false;
    return true;
}

static bool is_true(const char *variable)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = getenv(variable);
    char upper[8] = "";
    if (!value || strlen(value) >= sizeof upper) return false;
    for (size_t i = 0; value[i]; i++) upper[i] = (char)toupper((unsigned char)value[i]);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(upper, words[i]) == 0) return true;
    return false;
}

bool hub_offline(void)
{
    const char *own = getenv("HF_HUB_OFFLINE");
    return is_true(own && *own ? "HF_HUB_OFFLINE" : "TRANSFORMERS_OFFLINE");
}

// A variable of the environment. If it begins with "~/", *home is the home directory, as in Python's expanduser.
static const char *folder_from(const char *variable, const char **home)
{
    const char *value = getenv(variable);
    *home = "";
    if (!value || !*value) return NULL;
    if (value[0] != '~' || value[1] != '/') return value;
    *home = getenv("HOME");
    if (!*home) *home = "";
    return value + 1;
}

// Where the hub's files are: in what one of the `own` variables names, or else in `below` of the hub's home, which is
// $HF_HOME, $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface.
static bool find_place(const char *const own[2], const char *below, char path[PATH_BYTES])
{
    const struct Place {
        const char *variable, *inside, *below;
    } places[] = {{own[0], "", ""},
                  {own[1], "", ""},
                  {"HF_HOME", "", below},
                  {"XDG_CACHE_HOME", "/huggingface", below},
                  {"HOME", "/.cache/huggingface", below}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *home, *root = places[i].variable ? folder_from(places[i].variable, &home) : NULL;
        if (!root) continue;
        int n = snprintf(path, PATH_BYTES, "%s%s%s%s", home, root, places[i].inside, places[i].below);
        return n > 0 && n < PATH_BYTES;
    }
    return false;
}

bool hub_cache_dir(char path[PATH_BYTES])
{
    static const char *const own[2] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}; // the second is the older name
    return find_place(own, "/hub", path);
}

bool hub_token_path(char path[PATH_BYTES])
{
    static const char *const own[2] = {"HF_TOKEN_PATH"};
    return find_place(own, "/token", path);
}

bool hub_folder(const char *full, char path[PATH_BYTES])
{
    char root[PATH_BYTES];
    const char *slash = strchr(full, '/');
    if (!hub_cache_dir(root)) return false;
    int n = snprintf(path, PATH_BYTES, "%s/" HUB_FOLDER "%.*s%s%s", root, slash ? (int)(slash - full) : MAX_PART, full,
                     slash ? "--" : "", slash ? slash + 1 : "");
    return n > 0 && n < PATH_BYTES;
}

bool hub_cached(const char *name, char path[PATH_BYTES])
{
    char full[HUB_NAME_BYTES];
    if (!hub_full_name(name, full)) return false;
    if (hub_folder(full, path) && os_is_dir(path)) return true;
    return strchr(name, '/') == NULL && hub_folder(name, path) && os_is_dir(path); // downloaded by its short name
}

bool hub_name_of(const char *folder, char full[HUB_NAME_BYTES])
{
    size_t head = strlen(HUB_FOLDER), length = strlen(folder);
    if (strncmp(folder, HUB_FOLDER, head) != 0 || length - head >= HUB_NAME_BYTES) return false;
    const char *name = folder + head, *between = strstr(name, "--");
    if (!between) snprintf(full, HUB_NAME_BYTES, "%s", name);
    else snprintf(full, HUB_NAME_BYTES, "%.*s/%s", (int)(between - name), name, between + 2);
    return true;
}
