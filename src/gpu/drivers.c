#define _GNU_SOURCE // strcasestr
#include "gpu/drivers.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "base/suffix.h"

#define MANIFEST_LIMIT ((size_t)1 << 20)
#define NAME 256
#define SAID 320

// Debian packages that NVIDIA's driver needs in addition to what the container runtime brings.
#define NVIDIA_PACKAGES "libegl1 libgl1 libglx0 libgles2 libopengl0 libglvnd0 libvulkan1"

struct Drivers {
    uint32_t count;     // manifests
    char name[NAME];    // of the manifest that the sentence names: NVIDIA's, else the first
    char library[NAME]; // that it names, or ""
    char said[SAID];    // by the loader, about that library if it names it
    bool nvidia;
};

// ---------------------------------------------------------------------------------------------- manifests

// The value of "library_path", or "" where it cannot be read: the loader cannot read it then either.
static void read_library(const char *path, char *library, size_t size)
{
    char *text = NULL;
    size_t bytes = 0;
    *library = 0;
    if (os_read_file(path, MANIFEST_LIMIT, &text, &bytes, NULL)) return;
    const char *key = memmem(text, bytes, "\"library_path\"", 14), *end = text + bytes;
    const char *from = key ? memchr(key + 14, '"', (size_t)(end - key) - 14) : NULL;
    const char *to = from ? memchr(from + 1, '"', (size_t)(end - from) - 1) : NULL;
    if (to) snprintf(library, size, "%.*s", (int)(to - from) - 1, from + 1);
    free(text);
}

static void add_manifest(struct Drivers *d, const char *path)
{
    char library[NAME];
    if (!os_exists(path)) return;
    read_library(path, library, sizeof library);
    bool nvidia = strcasestr(path, "nvidia") || strcasestr(library, "nvidia");
    if (d->count++ && (d->nvidia || !nvidia)) return;
    d->nvidia = nvidia;
    snprintf(d->name, sizeof d->name, "%s", path);
    snprintf(d->library, sizeof d->library, "%s", library);
}

// Adds the manifests of a directory, or one file.
static void add_path(struct Drivers *d, const char *path)
{
    char file[4096];
    DIR *dir = opendir(path);
    if (!dir) {
        add_manifest(d, path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!ends_with(entry->d_name, ".json")) continue;
        if (snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < (int)sizeof file) add_manifest(d, file);
    }
    closedir(dir);
}

// Adds each path of a list separated by colons, with `below` appended.
static void add_list(struct Drivers *d, const char *list, const char *below)
{
    char path[4096];
    while (list && *list) {
        size_t length = strcspn(list, ":");
        int wrote = snprintf(path, sizeof path, "%.*s%s", (int)length, list, below);
        if (length && wrote < (int)sizeof path) add_path(d, path);
        list += length + (list[length] == ':');
    }
}

static const char *or_else(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

// Looks where the loader looks ("LoaderDriverInterface.md" of Vulkan-Loader).
static void find_manifests(struct Drivers *d)
{
    char home[4096];
    const char *only = or_else("VK_DRIVER_FILES", or_else("VK_ICD_FILENAMES", NULL)), *below = "/vulkan/icd.d";
    if (only) {
        add_list(d, only, "");
        return;
    }
    add_list(d, getenv("VK_ADD_DRIVER_FILES"), "");
    snprintf(home, sizeof home, "%s/.config", or_else("HOME", "/nonexistent"));
    add_list(d, or_else("XDG_CONFIG_HOME", home), below);
    add_list(d, or_else("XDG_CONFIG_DIRS", "/etc/xdg"), below);
    add_list(d, "/usr/local/etc:/etc", below);
    snprintf(home, sizeof home, "%s/.local/share", or_else("HOME", "/nonexistent"));
    add_list(d, or_else("XDG_DATA_HOME", home), below);
    add_list(d, or_else("XDG_DATA_DIRS", "/usr/local/share:/usr/share"), below);
}

// ------------------------------------------------------------------------------------------------- the loader

static void keep_said(struct Drivers *d, const char *text)
{
    size_t length = 0;
    for (; *text && length + 1 < sizeof d->said; text++) {
        bool space = isspace((unsigned char)*text);
        if (!space || (length && d->said[length - 1] != ' ')) d->said[length++] = space ? ' ' : *text;
    }
    while (length && strchr(" .", d->said[length - 1])) length--;
    d->said[length] = 0;
}

// Keeps the first sentence about the library, or else the first of all: the loader ends with one that only says that
// there is no driver.
static VKAPI_ATTR VkBool32 VKAPI_CALL on_said(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                              VkDebugUtilsMessageTypeFlagsEXT types,
                                              const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity;
    (void)types;
    struct Drivers *d = user;
    const char *slash = strrchr(d->library, '/'), *file = slash ? slash + 1 : d->library;
    if (!d->said[0] || (*file && strstr(data->pMessage, file) && !strstr(d->said, file))) keep_said(d, data->pMessage);
    return VK_FALSE;
}

// Creates an instance once more, to hear the loader: a messenger in the chain gets its messages, without any driver.
static void ask_loader(struct Drivers *d, const VkInstanceCreateInfo *info)
{
    const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    const VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
        .pfnUserCallback = on_said,
        .pUserData = d,
    };
    const VkInstanceCreateInfo asked = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = &messenger,
        .pApplicationInfo = info->pApplicationInfo,
        .enabledExtensionCount = 1,
        .ppEnabledExtensionNames = &extension,
    };
    VkInstance instance = VK_NULL_HANDLE;
    if (vkCreateInstance(&asked, NULL, &instance)) return;
    PFN_vkDestroyInstance destroy = (PFN_vkDestroyInstance)vkGetInstanceProcAddr(instance, "vkDestroyInstance");
    if (destroy) destroy(instance, NULL);
}

// Asks the system about the library where the loader says nothing. A path is relative to its manifest.
static void ask_system(struct Drivers *d)
{
    char path[2 * NAME];
    if (d->said[0] || !d->library[0]) return;
    const char *slash = strrchr(d->name, '/');
    bool relative = strchr(d->library, '/') && d->library[0] != '/' && slash;
    snprintf(path, sizeof path, "%.*s%s", relative ? (int)(slash - d->name) + 1 : 0, d->name, d->library);
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (!library) keep_said(d, dlerror());
    else if (!dlsym(library, "vk_icdGetInstanceProcAddr"))
        keep_said(d, "the library has no vk_icdGetInstanceProcAddr: it is not a Vulkan driver");
    if (library) dlclose(library);
}

int drivers_fail(const VkInstanceCreateInfo *info, vkgpt_error *err)
{
    struct Drivers d = {.count = 0};
    char more[64] = "", packages[256] = "";
    find_manifests(&d);
    if (!d.count)
        return fail(err, VKGPT_NO_DEVICE,
                    "no Vulkan driver is installed; one for every machine is in mesa-vulkan-drivers (Debian, Ubuntu, "
                    "Fedora), vulkan-swrast (Arch) or libvulkan_lvp (openSUSE)");
    ask_loader(&d, info);
    ask_system(&d);
    if (d.count > 1) snprintf(more, sizeof more, " (the first of %u manifests)", d.count);
    if (d.nvidia)
        snprintf(packages, sizeof packages,
                 "; NVIDIA's driver needs libraries that most containers lack, "
                 "on Debian: apt-get install %s",
                 NVIDIA_PACKAGES);
    return fail(err, VKGPT_NO_DEVICE,
                "a Vulkan driver is installed and offers no device: %s%s names %s, and the loader says: %s%s", d.name,
                more, d.library[0] ? d.library : "no library", d.said[0] ? d.said : "nothing", packages);
}
