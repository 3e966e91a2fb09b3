#include "engine/tuning.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "gpu/recording.h"
#include "engine/formats.h"

#define MAGIC "vkgpt-tuning "
#define FORMAT_VERSION "5 "
#define MAX_CHOICES 1024
#define MAX_STEP_CHOICES 128
#define MAX_FILE_BYTES ((size_t)128 << 10)
#define FIRST_LINE_BYTES 512
#define LINE_BYTES 96
#define MAX_SIDE (1u << 28) // of a matrix
#define SWITCH_VALUES 3

struct Choice {
    struct ProductKey key;
    struct Variant variant;
    enum FoundBy by;
};

struct StepChoice {
    struct StepKey key;
    enum StepSwitch which;
    uint32_t value;
    enum FoundBy by;
};

// One block of memory: the device, which knows it as an opaque pointer, frees it.
struct Tuning {
    char note[256];
    bool said;
    uint32_t count, step_count;
    struct Choice choices[MAX_CHOICES];
    struct StepChoice steps[MAX_STEP_CHOICES];
};

// The words of a file; no two switches share one.
static const char *const SWITCH_WORDS[STEP_SWITCHES][SWITCH_VALUES] = {
    [STEP_FORM] = {"", "dispatches", "persistent"},
    [STEP_PROLOGUE] = {"", "weights-first", "state-first"},
};
static const char *const KIND_WORDS[TILE_KINDS] = {[IN_FP32] = "fp32", [BY_MATRICES] = "matrices"};
static const char *const FOUND_WORDS[] = {[FOUND_QUICK] = "quick", [FOUND_THOROUGH] = "thorough"};

// ------------------------------------------------------------------------------------------- the table

static bool key_same(const struct ProductKey *a, const struct ProductKey *b)
{
    return a->product == b->product && a->software == b->software && a->format == b->format && a->width == b->width &&
           a->outputs == b->outputs && a->tokens == b->tokens && a->block == b->block && a->kind == b->kind;
}

static struct Choice *find(struct Tuning *tuning, const struct ProductKey *key)
{
    for (uint32_t i = 0; i < tuning->count; i++)
        if (key_same(&tuning->choices[i].key, key)) return &tuning->choices[i];
    return NULL;
}

static bool step_same(const struct StepKey *a, const struct StepKey *b)
{
    return a->software == b->software && a->format == b->format && a->layers == b->layers && a->width == b->width &&
           a->inner == b->inner && a->vocab == b->vocab;
}

static struct StepChoice *find_step(struct Tuning *tuning, const struct StepKey *key, enum StepSwitch which)
{
    for (uint32_t i = 0; i < tuning->step_count; i++)
        if (tuning->steps[i].which == which && step_same(&tuning->steps[i].key, key)) return &tuning->steps[i];
    return NULL;
}

// False: there is no room.
static bool put(struct Tuning *tuning, const struct Choice *choice)
{
    struct Choice *old = find(tuning, &choice->key);
    if (!old && tuning->count == MAX_CHOICES) return false;
    if (!old) tuning->choices[tuning->count++] = *choice;
    else if (choice->by >= old->by) *old = *choice;
    return true;
}

static bool put_step(struct Tuning *tuning, const struct StepChoice *choice)
{
    struct StepChoice *old = find_step(tuning, &choice->key, choice->which);
    if (!old && tuning->step_count == MAX_STEP_CHOICES) return false;
    if (!old) tuning->steps[tuning->step_count++] = *choice;
    else if (choice->by >= old->by) *old = *choice;
    return true;
}

const struct Variant *tuning_find(const vkgpt_device *device, const struct ProductKey *key)
{
    const struct Choice *choice = find(device->tuning, key);
    return choice ? &choice->variant : NULL;
}

bool tuning_is_thorough(const vkgpt_device *device, const struct ProductKey *key)
{
    const struct Choice *choice = find(device->tuning, key);
    return choice && choice->by == FOUND_THOROUGH;
}

int tuning_set(vkgpt_device *device, const struct ProductKey *key, struct Variant variant, enum FoundBy by,
               vkgpt_error *err)
{
    if (put(device->tuning, &(struct Choice){*key, variant, by})) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s: %u choices of kernels are kept at most", device->info.name, MAX_CHOICES);
}

uint32_t tuning_find_step(const vkgpt_device *device, const struct StepKey *key, enum StepSwitch which)
{
    const struct StepChoice *choice = find_step(device->tuning, key, which);
    return choice ? choice->value : 0;
}

int tuning_set_step(vkgpt_device *device, const struct StepKey *key, enum StepSwitch which, uint32_t value,
                    enum FoundBy by, vkgpt_error *err)
{
    if (!value || put_step(device->tuning, &(struct StepChoice){*key, which, value, by})) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s: %u choices of steps are kept at most", device->info.name,
                MAX_STEP_CHOICES);
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
    snprintf(line, size, MAGIC FORMAT_VERSION VKGPT_VERSION " %04x %04x %08x %s %s", properties.vendorID,
             properties.deviceID, properties.driverVersion, uuid, device->info.name);
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

// The index of a line's next word in a list; `count` if it is not in the list.
static uint32_t read_word(char **line, const char *const *words, uint32_t count)
{
    const char *word = next_word(line);
    uint32_t i = 0;
    while (word && i < count && strcmp(word, words[i])) i++;
    return word ? i : count;
}

static bool read_format(char **line, uint32_t *format)
{
    const char *name = next_word(line);
    for (*format = 0; name && *format < FORMATS && strcmp(name, format_name(*format));) ++*format;
    return name && *format < FORMATS;
}

// "gpu" or "software", then a format's name
static bool read_kernels(char **line, bool *software, uint32_t *format)
{
    static const char *const words[] = {"gpu", "software"};
    uint32_t word = read_word(line, words, 2);
    *software = word == 1;
    return word < 2 && read_format(line, format);
}

// What multiplies, then a format's name
static bool read_kind(char **line, enum TileKind *kind, uint32_t *format)
{
    uint32_t word = read_word(line, KIND_WORDS, TILE_KINDS);
    *kind = word;
    return word < TILE_KINDS && read_format(line, format);
}

// The last word of a line.
static bool read_found(char **line, enum FoundBy *by)
{
    const char *word = next_word(line);
    if (!word || next_word(line)) return false;
    *by = strcmp(word, FOUND_WORDS[FOUND_THOROUGH]) ? FOUND_QUICK : FOUND_THOROUGH;
    return !strcmp(word, FOUND_WORDS[*by]);
}

static bool read_variant(char **line, struct Variant *v)
{
    uint32_t staged;
    bool good = read_number(line, 8, &v->rows) && read_number(line, 1024, &v->size) &&
                read_number(line, 64, &v->loads) && read_number(line, 1, &staged);
    v->staged = good && staged;
    return good;
}

static bool read_product(char **line, enum ProductKernel *product)
{
    const char *word = next_word(line);
    uint32_t p = 0;
    while (word && p < PRODUCT_KERNELS && strcmp(word, product_kernel_name(p))) p++;
    *product = p;
    return word && p < PRODUCT_KERNELS;
}

// Reads the words after "tile"; false unless the product may have this tile.
static bool read_tile(const vkgpt_device *device, char *line, struct Choice *choice)
{
    struct ProductKey *key = &choice->key;
    struct Variant *v = &choice->variant;
    struct Tile tile = {0};
    *choice = (struct Choice){.key = {.tokens = PREFILL_TOKENS}};
    bool good = read_product(&line, &key->product) && read_kind(&line, &key->kind, &key->format) &&
                read_number(&line, MAX_SIDE, &key->width) && read_number(&line, MAX_SIDE, &key->outputs) &&
                read_number(&line, MAX_GROUPS * GROUP_ROWS, &key->block) && read_number(&line, MAX_SIDE, &tile.rows) &&
                read_number(&line, MAX_SIDE, &tile.outputs) && read_number(&line, MAX_SIDE, &tile.size);
    const char *form = good ? next_word(&line) : NULL;
    if (!form || (strcmp(form, "whole") && strcmp(form, "split")) || !read_found(&line, &choice->by)) return false;
    v->split = !strcmp(form, "split"), v->tile = tile_find(key->kind, &tile);
    if (!key->width || !key->outputs || key->block < GROUP_ROWS || (key->block & (key->block - 1))) return false;
    if (key->kind == BY_MATRICES && !device->matrix.m)
        return v->tile != 0; // COOPMAT is switched off: kept for when it is on
    return variant_exists(device, key, *v);
}

// Reads a choice; false unless the key may have its variant.
static bool read_choice(const vkgpt_device *device, char *line, struct Choice *choice)
{
    struct ProductKey *key = &choice->key;
    *choice = (struct Choice){0};
    if (!read_product(&line, &key->product)) return false;
    bool good = read_kernels(&line, &key->software, &key->format) && read_number(&line, MAX_SIDE, &key->width) &&
                read_number(&line, MAX_SIDE, &key->outputs) && read_number(&line, STEP_TILE, &key->tokens) &&
                read_variant(&line, &choice->variant) && read_found(&line, &choice->by);
    if (!good || !key->width || !key->outputs || !key->tokens || (key->tokens & (key->tokens - 1))) return false;
    return variant_exists(device, key, choice->variant);
}

static bool read_switch(const char *word, enum StepSwitch *which, uint32_t *value)
{
    for (uint32_t w = 0; w < STEP_SWITCHES; w++)
        for (uint32_t v = 1; v < SWITCH_VALUES; v++)
            if (SWITCH_WORDS[w][v] && !strcmp(word, SWITCH_WORDS[w][v])) {
                *which = w, *value = v;
                return true;
            }
    return false;
}

// Reads the words after "step".
static bool read_step(char *line, struct StepChoice *choice)
{
    struct StepKey *key = &choice->key;
    const char *word = next_word(&line);
    return word && read_switch(word, &choice->which, &choice->value) &&
           read_kernels(&line, &key->software, &key->format) && read_number(&line, MAX_SIDE, &key->layers) &&
           read_number(&line, MAX_SIDE, &key->width) && read_number(&line, MAX_SIDE, &key->inner) &&
           read_number(&line, MAX_SIDE, &key->vocab) && read_found(&line, &choice->by);
}

// False: the line is not a choice, or there is no room for it.
static bool read_line(const vkgpt_device *device, struct Tuning *tuning, const char *line)
{
    char copy[LINE_BYTES];
    struct Choice choice;
    struct StepChoice step;
    if ((size_t)snprintf(copy, sizeof copy, "%s", line) >= sizeof copy) return false;
    if (!strncmp(copy, "tile ", 5)) return read_tile(device, copy + 5, &choice) && put(tuning, &choice);
    if (!strncmp(copy, "step ", 5)) return read_step(copy + 5, &step) && put_step(tuning, &step);
    return read_choice(device, copy, &choice) && put(tuning, &choice);
}

// Fails with the reason why the file is not for this device.
static int check_first_line(const vkgpt_device *device, const char *path, const char *line, vkgpt_error *err)
{
    const char *rest = line + strlen(MAGIC FORMAT_VERSION), *here = VKGPT_VERSION " ";
    char wanted[FIRST_LINE_BYTES];
    first_line(device, wanted, sizeof wanted);
    if (!strcmp(line, wanted)) return VKGPT_OK;
    if (strncmp(line, MAGIC, strlen(MAGIC)))
        return fail(err, VKGPT_BAD_FILE, "%s: it does not begin with '" MAGIC "'", path);
    if (strncmp(line, MAGIC FORMAT_VERSION, strlen(MAGIC FORMAT_VERSION)))
        return fail(err, VKGPT_BAD_FILE, "%s: its version is %.20s, this program has " FORMAT_VERSION, path,
                    line + strlen(MAGIC));
    if (strncmp(rest, here, strlen(here)))
        return fail(err, VKGPT_BAD_FILE, "%s: it is of vkgpt %.*s, this is vkgpt " VKGPT_VERSION, path,
                    (int)strcspn(rest, " "), rest);
    return fail(err, VKGPT_BAD_FILE, "%s: it is of another device or driver than %s", path, device->info.name);
}

static int parse(const vkgpt_device *device, struct Tuning *tuning, const char *path, char *text, vkgpt_error *err)
{
    uint32_t number = 1;
    for (char *line = text, *next; *line; line = next, number++) {
        size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        line[length] = 0;
        int status = number == 1 ? check_first_line(device, path, line, err) : VKGPT_OK;
        if (status) return status;
        if (number > 1 && length && *line != '#' && !read_line(device, tuning, line))
            return fail(err, VKGPT_BAD_FILE, "%s: line %u is not a choice: '%.60s'", path, number, line);
    }
    return number > 1 ? VKGPT_OK : fail(err, VKGPT_BAD_FILE, "%s: it is empty", path);
}

// Empties the tuning if the file is bad.
static int read_file(const vkgpt_device *device, struct Tuning *tuning, const char *path, vkgpt_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    int status = os_read_file(path, MAX_FILE_BYTES, &text, &bytes, err);
    if (!status && strlen(text) != bytes)
        status = fail(err, VKGPT_BAD_FILE, "%s: byte %zu is a NUL", path, strlen(text));
    if (!status) status = parse(device, tuning, path, text, err);
    free(text);
    if (status) tuning->count = tuning->step_count = 0;
    return status;
}

// ----------------------------------------------------------------------------------------------- files

static const char *asked_file(void)
{
    const char *value = getenv("VKGPT_TUNING");
    return value && *value ? value : NULL;
}

bool tuning_is_asked(void) { return asked_file() != NULL; }

bool vkgpt_tuning_path(const vkgpt_device *device, char *path, size_t size)
{
    const char *asked = asked_file();
    if (asked && strcmp(asked, "off")) return snprintf(path, size, "%s", asked) < (int)size;
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    char dir[3072], uuid[2 * VK_UUID_SIZE + 1];
    if (!os_cache_dir(dir, sizeof dir)) return false;
    uuid_text(&properties, uuid);
    return snprintf(path, size, "%s/tuning-%08x-%s-" VKGPT_VERSION ".txt", dir, properties.deviceID, uuid) < (int)size;
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
    if (read_file(device, tuning, path, &why))
        snprintf(tuning->note, sizeof tuning->note, "the tuning file is ignored: %.220s", why.text);
    return VKGPT_OK;
}

const char *tuning_note(vkgpt_device *device)
{
    struct Tuning *tuning = device->tuning;
    bool says = tuning->note[0] && !tuning->said;
    tuning->said = true;
    return says ? tuning->note : NULL;
}

static size_t tile_line(const struct Choice *c, char *line, size_t size)
{
    const struct ProductKey *key = &c->key;
    const struct Tile tile = tile_listed(key->kind, c->variant.tile);
    return (size_t)snprintf(
        line, size, "tile %s %s %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %s %s\n",
        product_kernel_name(key->product), KIND_WORDS[key->kind], format_name(key->format), key->width, key->outputs,
        key->block, tile.rows, tile.outputs, tile.size, c->variant.split ? "split" : "whole", FOUND_WORDS[c->by]);
}

static size_t choice_line(const struct Choice *c, char *line, size_t size)
{
    const struct ProductKey *key = &c->key;
    const struct Variant *v = &c->variant;
    if (key->block) return tile_line(c, line, size);
    return (size_t)snprintf(
        line, size, "%s %s %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %d %s\n",
        product_kernel_name(key->product), key->software ? "software" : "gpu", format_name(key->format), key->width,
        key->outputs, key->tokens, v->rows, v->size, v->loads, v->staged, FOUND_WORDS[c->by]);
}

static size_t step_line(const struct StepChoice *c, char *line, size_t size)
{
    const struct StepKey *key = &c->key;
    return (size_t)snprintf(line, size, "step %s %s %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %s\n",
                            SWITCH_WORDS[c->which][c->value], key->software ? "software" : "gpu",
                            format_name(key->format), key->layers, key->width, key->inner, key->vocab,
                            FOUND_WORDS[c->by]);
}

static size_t file_text(const vkgpt_device *device, char *text, size_t size)
{
    const struct Tuning *tuning = device->tuning;
    first_line(device, text, FIRST_LINE_BYTES);
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, size - used,
                             "\n# product kernels weights width outputs tokens, rows size loads staged, by\n"
                             "# tile product kind weights width outputs block, rows outputs size whole|split, by\n");
    for (uint32_t i = 0; i < tuning->count && used + LINE_BYTES < size; i++)
        used += choice_line(&tuning->choices[i], text + used, LINE_BYTES);
    used +=
        (size_t)snprintf(text + used, size - used, "# step what kernels weights layers width inner vocabulary, by\n");
    for (uint32_t i = 0; i < tuning->step_count && used + LINE_BYTES < size; i++)
        used += step_line(&tuning->steps[i], text + used, LINE_BYTES);
    return used;
}

// Adds what another process has kept since: only what is new here, or was found more thoroughly.
static int merge(vkgpt_device *device, const char *path, vkgpt_error *err)
{
    struct Tuning *kept = calloc(1, sizeof *kept);
    if (!kept) return fail_memory(err, "the tuning", sizeof *kept);
    if (os_exists(path)) read_file(device, kept, path, NULL); // a bad one is replaced
    for (uint32_t i = 0; i < kept->count; i++) {
        const struct Choice *choice = &kept->choices[i], *ours = find(device->tuning, &choice->key);
        if (!ours || ours->by < choice->by) put(device->tuning, choice);
    }
    for (uint32_t i = 0; i < kept->step_count; i++) {
        const struct StepChoice *choice = &kept->steps[i];
        const struct StepChoice *ours = find_step(device->tuning, &choice->key, choice->which);
        if (!ours || ours->by < choice->by) put_step(device->tuning, choice);
    }
    free(kept);
    return VKGPT_OK;
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

static int write_file(const vkgpt_device *device, const char *path, vkgpt_error *err)
{
    char text[MAX_FILE_BYTES];
    size_t bytes = file_text(device, text, sizeof text);
    return os_write(path, text, bytes, err);
}

int vkgpt_tuning_save(vkgpt_device *device, const char *path, vkgpt_error *err)
{
    char usual[4096], lock_path[4096 + 8];
    int lock = -1, status = tuning_open(device, err);
    if (status || path) return status ? status : write_file(device, path, err);
    if (!vkgpt_tuning_path(device, usual, sizeof usual))
        return fail(err, VKGPT_BAD_FILE, "there is no place for the tuning: neither XDG_CACHE_HOME nor HOME is set");
    status = make_folder(usual, err);
    snprintf(lock_path, sizeof lock_path, "%s.lock", usual);
    // between reading and writing, another process must not write; without locks, its choices may be lost
    if (!status && !asked_file()) os_lock(lock_path, NULL, NULL, &lock, NULL);
    if (!status) status = merge(device, usual, err);
    if (!status) status = write_file(device, usual, err);
    os_unlock(lock);
    return status;
}
