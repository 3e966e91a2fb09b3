#include "engine/tuning.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "engine/kernels.h"
#include "engine/small.h"

#define MAGIC "vkgpt-tuning "
#define VERSION "1 "
#define MAX_CHOICES 512
#define MAX_FILE_BYTES ((size_t)64 << 10)
#define LINE_BYTES 96
#define MAX_SIDE (1u << 28) // of a matrix

struct Choice {
    struct ProductKey key;
    struct Variant variant;
};

// One block of memory: the device, which knows it as an opaque pointer, frees it.
struct Tuning {
    char note[256];
    bool said;
    uint32_t count;
    struct Choice choices[MAX_CHOICES];
};

// ------------------------------------------------------------------------------------------- the table

static bool key_same(const struct ProductKey *a, const struct ProductKey *b)
{
    return a->product == b->product && a->lanes == b->lanes && a->format == b->format && a->width == b->width &&
           a->outputs == b->outputs && a->tokens == b->tokens;
}

static struct Choice *find(struct Tuning *tuning, const struct ProductKey *key)
{
    for (uint32_t i = 0; i < tuning->count; i++)
        if (key_same(&tuning->choices[i].key, key)) return &tuning->choices[i];
    return NULL;
}

const struct Variant *tuning_find(const vkgpt_device *device, const struct ProductKey *key)
{
    const struct Choice *choice = find(device->tuning, key);
    return choice ? &choice->variant : NULL;
}

int tuning_set(vkgpt_device *device, const struct ProductKey *key, struct Variant variant, vkgpt_error *err)
{
    struct Tuning *tuning = device->tuning;
    struct Choice *choice = find(tuning, key);
    if (!choice && tuning->count == MAX_CHOICES)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %u choices of kernels are kept at most", device->info.name, MAX_CHOICES);
    if (!choice) choice = &tuning->choices[tuning->count++];
    *choice = (struct Choice){*key, variant};
    return VKGPT_OK;
}

// -------------------------------------------------------------------------------------------- reading

static void uuid_text(const VkPhysicalDeviceProperties *properties, char text[2 * VK_UUID_SIZE + 1])
{
    for (unsigned i = 0; i < VK_UUID_SIZE; i++) snprintf(text + 2 * i, 3, "%02x", properties->pipelineCacheUUID[i]);
}

static void first_line(const vkgpt_device *device, char *line, size_t size)
{
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    char uuid[2 * VK_UUID_SIZE + 1];
    uuid_text(&properties, uuid);
    snprintf(line, size, MAGIC VERSION "%04x %04x %08x %s %s", properties.vendorID, properties.deviceID, properties.driverVersion, uuid, device->info.name);
}

// Splits off a word of a line; NULL at its end.
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " ");
    size_t length = strcspn(word, " ");
    if (!length) return NULL;
    *line = word + length + (word[length] != 0);
    word[length] = 0;
    return word;
}

static bool read_number(char **line, uint32_t most, uint32_t *number)
{
    char *word = next_word(line), *end;
    if (!word || *word < '0' || *word > '9' || strlen(word) > 9) return false;
    *number = (uint32_t)strtoul(word, &end, 10);
    return !*end && *number <= most;
}

static bool read_names(char **line, struct ProductKey *key)
{
    const char *product = next_word(line), *kernels = next_word(line), *format = next_word(line);
    if (!product || !kernels || !format) return false;
    uint32_t p = 0, f = 0;
    while (p < PRODUCT_KERNELS && strcmp(product, product_kernel_name(p))) p++;
    while (f < FORMATS && strcmp(format, small_name(f))) f++;
    key->product = p, key->format = f;
    key->lanes = !strcmp(kernels, "lanes");
    return p < PRODUCT_KERNELS && f < FORMATS && (key->lanes || !strcmp(kernels, "gpu"));
}

// A choice whose variant is one that the key may have.
static bool read_choice(const vkgpt_device *device, char *line, struct Choice *choice)
{
    struct ProductKey *key = &choice->key;
    struct Variant variants[MAX_VARIANTS];
    uint32_t staged;
    bool good = read_names(&line, key) && read_number(&line, MAX_SIDE, &key->width) && read_number(&line, MAX_SIDE, &key->outputs) &&
                read_number(&line, STEP_TILE, &key->tokens) && read_number(&line, 8, &choice->variant.rows) &&
                read_number(&line, 1024, &choice->variant.size) && read_number(&line, 1, &staged) && !next_word(&line);
    if (!good || !key->width || !key->outputs || !key->tokens || (key->tokens & (key->tokens - 1))) return false;
    choice->variant.staged = staged;
    for (uint32_t i = 0, count = variants_of(device, key, variants); i < count; i++)
        if (variant_same(variants[i], choice->variant)) return true;
    return false;
}

// Fails with why the file is none of this device.
static int check_first_line(const vkgpt_device *device, const char *path, const char *line, vkgpt_error *err)
{
    char wanted[512];
    first_line(device, wanted, sizeof wanted);
    if (!strcmp(line, wanted)) return VKGPT_OK;
    if (strncmp(line, MAGIC, strlen(MAGIC))) return fail(err, VKGPT_BAD_FILE, "%s: it does not begin with '" MAGIC "'", path);
    if (strncmp(line, MAGIC VERSION, strlen(MAGIC VERSION)))
        return fail(err, VKGPT_BAD_FILE, "%s: its version is %.20s, this program has " VERSION, path, line + strlen(MAGIC));
    return fail(err, VKGPT_BAD_FILE, "%s: it is of another device or driver than %s", path, device->info.name);
}

static int parse(vkgpt_device *device, const char *path, char *text, vkgpt_error *err)
{
    uint32_t number = 1;
    for (char *line = text, *next; *line; line = next, number++) {
        char copy[LINE_BYTES];
        struct Choice choice;
        size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        line[length] = 0;
        int status = number == 1 ? check_first_line(device, path, line, err) : VKGPT_OK;
        if (status) return status;
        if (number == 1 || !length || *line == '#') continue;
        snprintf(copy, sizeof copy, "%s", line);
        if (length >= sizeof copy || !read_choice(device, copy, &choice))
            return fail(err, VKGPT_BAD_FILE, "%s: line %u is no choice: '%.60s'", path, number, line);
        status = tuning_set(device, &choice.key, choice.variant, err);
        if (status) return status;
    }
    return number > 1 ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: it is empty", path);
}

static int read_file(vkgpt_device *device, const char *path, vkgpt_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    int status = os_read(path, MAX_FILE_BYTES, &text, &bytes, err);
    if (!status && strlen(text) != bytes) status = fail(err, VKGPT_BAD_FILE, "%s: byte %zu is a NUL", path, strlen(text));
    if (!status) status = parse(device, path, text, err);
    free(text);
    return status;
}

// ----------------------------------------------------------------------------------------------- files

static const char *asked_file(void)
{
    const char *value = getenv("VKGPT_TUNING");
    return value && *value ? value : NULL;
}

bool vkgpt_tuning_path(const vkgpt_device *device, char *path, size_t size)
{
    const char *asked = asked_file();
    if (asked && strcmp(asked, "off")) return snprintf(path, size, "%s", asked) < (int)size;
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    char dir[3072], uuid[2 * VK_UUID_SIZE + 1];
    if (!os_cache_dir(dir, sizeof dir)) return false;
    uuid_text(&properties, uuid);
    return snprintf(path, size, "%s/tuning-%08x-%s.txt", dir, properties.deviceID, uuid) < (int)size;
}

int tuning_open(vkgpt_device *device, vkgpt_error *err)
{
    if (device->tuning) return VKGPT_OK;
    struct Tuning *tuning = device->tuning = device_alloc(device, 1, sizeof *tuning);
    if (!tuning) return fail_memory(err, "the tuning", sizeof *tuning);
    char path[4096];
    vkgpt_error why;
    const char *asked = asked_file();
    if (asked && !strcmp(asked, "off")) return VKGPT_OK;
    if (!vkgpt_tuning_path(device, path, sizeof path) || (!asked && !os_exists(path))) return VKGPT_OK;
    if (read_file(device, path, &why)) {
        tuning->count = 0;
        snprintf(tuning->note, sizeof tuning->note, "the tuning file is ignored: %.220s", why.text);
    }
    return VKGPT_OK;
}

const char *tuning_note(vkgpt_device *device)
{
    struct Tuning *tuning = device->tuning;
    bool says = tuning->note[0] && !tuning->said;
    tuning->said = true;
    return says ? tuning->note : NULL;
}

static size_t choice_line(const struct Choice *c, char *line, size_t size)
{
    return (size_t)snprintf(line, size, "%s %s %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %d\n",
                            product_kernel_name(c->key.product), c->key.lanes ? "lanes" : "gpu", small_name(c->key.format), c->key.width,
                            c->key.outputs, c->key.tokens, c->variant.rows, c->variant.size, c->variant.staged);
}

static int make_folder(char *path, vkgpt_error *err)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return VKGPT_OK;
    *slash = 0;
    bool made = !os_make_dirs(path);
    int status = made ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: the folder cannot be made", path);
    *slash = '/';
    return status;
}

int vkgpt_tuning_save(vkgpt_device *device, const char *path, vkgpt_error *err)
{
    char usual[4096], text[MAX_FILE_BYTES];
    int status = tuning_open(device, err);
    if (!status && !path) {
        if (!vkgpt_tuning_path(device, usual, sizeof usual))
            return fail(err, VKGPT_BAD_FILE, "there is no place for the tuning: neither XDG_CACHE_HOME nor HOME is set");
        status = make_folder(usual, err);
        path = usual;
    }
    if (status) return status;
    first_line(device, text, 512);
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, sizeof text - used, "\n# product kernels weights width outputs tokens, rows size staged\n");
    for (uint32_t i = 0; i < device->tuning->count && used + LINE_BYTES < sizeof text; i++)
        used += choice_line(&device->tuning->choices[i], text + used, LINE_BYTES);
    return os_write(path, text, used, err);
}
