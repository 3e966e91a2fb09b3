// The two caches on disk, the pipelines of a driver and the tuning, with each of their bytes damaged, cut at each
// length, and written by many at once: what is read is what was written, or nothing.
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "base/parallel.h"
#include "engine/formats.h"
#include "engine/tuning.h"
#include "gpu/pipeline_cache.h" // before cmocka, whose macro fail() hides a function
#include "short_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "homes.h"
#include "model_files.h"

// ------------------------------------------------------------------------------------------------ pipelines

#define DATA 200 // bytes of a driver's data

static VkPhysicalDeviceProperties some_device(void)
{
    VkPhysicalDeviceProperties device = {.vendorID = 0x10de, .deviceID = 0x2330};
    for (uint8_t i = 0; i < VK_UUID_SIZE; i++) device.pipelineCacheUUID[i] = i * 7u;
    return device;
}

// A whole file; returns its bytes.
static size_t cache_file(const VkPhysicalDeviceProperties *device, char file[PIPELINE_CACHE_HEADER + DATA])
{
    uint8_t *data = (uint8_t *)file + PIPELINE_CACHE_HEADER;
    VkPipelineCacheHeaderVersionOne one = {
        sizeof one, VK_PIPELINE_CACHE_HEADER_VERSION_ONE, device->vendorID, device->deviceID, {0}};
    memcpy(one.pipelineCacheUUID, device->pipelineCacheUUID, VK_UUID_SIZE);
    for (int i = 0; i < DATA; i++) data[i] = (uint8_t)(i * i);
    memcpy(data, &one, sizeof one);
    pipeline_cache_seal(data, DATA, file);
    return PIPELINE_CACHE_HEADER + DATA;
}

static void test_pipelines(void **state)
{
    (void)state;
    VkPhysicalDeviceProperties device = some_device(), other = device;
    char file[PIPELINE_CACHE_HEADER + DATA];
    size_t bytes = cache_file(&device, file), data_bytes = 0;
    assert_ptr_equal(pipeline_cache_data(&device, file, bytes, &data_bytes), file + PIPELINE_CACHE_HEADER);
    assert_int_equal(data_bytes, DATA);
    for (size_t at = 0; at < bytes; at++) {
        for (int change = 1; change < 256; change++) {
            file[at] = (char)(file[at] ^ change);
            if (pipeline_cache_data(&device, file, bytes, &data_bytes)) fail_msg("byte %zu ^ %d is taken", at, change);
            file[at] = (char)(file[at] ^ change);
        }
        char *cut = malloc(at + 1); // exactly, for the sanitizer
        memcpy(cut, file, at);
        assert_null(pipeline_cache_data(&device, cut, at, &data_bytes));
        free(cut);
    }
    other.vendorID++;
    assert_null(pipeline_cache_data(&other, file, bytes, &data_bytes));
    other = device, other.deviceID++;
    assert_null(pipeline_cache_data(&other, file, bytes, &data_bytes));
    other = device, other.pipelineCacheUUID[VK_UUID_SIZE - 1]++;
    assert_null(pipeline_cache_data(&other, file, bytes, &data_bytes));
}

// Sealed as it should be, and yet with a header that is not the device's, or none.
static void test_wrong_headers(void **state)
{
    (void)state;
    VkPhysicalDeviceProperties device = some_device();
    char file[PIPELINE_CACHE_HEADER + DATA];
    uint8_t *data = (uint8_t *)file + PIPELINE_CACHE_HEADER;
    size_t bytes = cache_file(&device, file), data_bytes;
    for (size_t at = 0; at < sizeof(VkPipelineCacheHeaderVersionOne); at++) {
        data[at] ^= 0x80;
        pipeline_cache_seal(data, DATA, file);
        if (pipeline_cache_data(&device, file, bytes, &data_bytes)) fail_msg("byte %zu of the header is taken", at);
        data[at] ^= 0x80;
    }
    for (size_t cut = 0; cut < sizeof(VkPipelineCacheHeaderVersionOne); cut++) {
        pipeline_cache_seal(data, cut, file);
        assert_null(pipeline_cache_data(&device, file, PIPELINE_CACHE_HEADER + cut, &data_bytes));
    }
}

// ------------------------------------------------------------------------------------------------ tuning

static void no_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *properties)
{
    (void)physical;
    memset(properties, 0, sizeof *properties);
}

static vkgpt_device *tuned_device(void)
{
    vkgpt_device *device = calloc(1, sizeof *device);
    assert_non_null(device);
    vkGetPhysicalDeviceProperties = no_properties;
    snprintf(device->info.name, sizeof device->info.name, "no device");
    device->info.subgroup_size = device->info.subgroup_min = device->info.subgroup_max = 32;
    device->info.max_workgroup = 1024;
    device->info.shared_bytes = 49152;
    device->processors = 132;
    return device;
}

static void forget(vkgpt_device *device)
{
    free(device->tuning);
    device->tuning = NULL;
}

// Reads a file as a newly opened device does. True: it is taken.
static bool taken(vkgpt_device *device, const char *path)
{
    vkgpt_error err;
    forget(device);
    setenv("VKGPT_TUNING", path, 1);
    assert_int_equal(tuning_open(device, &err), 0);
    const char *note = tuning_note(device);
    if (!note) return true;
    assert_int_equal(strncmp(note, "the tuning file is ignored: ", 28), 0);
    for (const char *c = note; *c; c++) assert_true((unsigned char)*c >= ' ' && *c != 127);
    return false;
}

static const struct ProductKey KEYS[] = {
    {.product = CONTRACT, .format = WEIGHTS_F16, .width = 64, .outputs = 256, .tokens = 1},
    {.product = EXPAND, .format = WEIGHTS_F16, .width = 256, .outputs = 64, .tokens = PREFILL_TOKENS, .block = 128}};
#define KEY_COUNT (sizeof KEYS / sizeof *KEYS)

// A file with choices of each kind, which is left open.
static int tuning_file(vkgpt_device *device, const char *path, struct Bytes *good)
{
    vkgpt_error err;
    struct Variant variants[MAX_VARIANTS];
    const struct StepKey step = {.format = WEIGHTS_F16, .layers = 2, .width = 64, .inner = 256, .vocab = 304};
    setenv("VKGPT_TUNING", "off", 1);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        assert_true(variants_of(device, &KEYS[i], variants) > 1);
        assert_int_equal(tuning_open(device, &err), 0);
        assert_int_equal(tuning_set(device, &KEYS[i], variants[1], FOUND_THOROUGH, &err), 0);
    }
    assert_int_equal(tuning_set_step(device, &step, STEP_FORM, STEP_DISPATCHES, FOUND_QUICK, &err), 0);
    assert_int_equal(vkgpt_tuning_save(device, path, &err), 0);
    *good = file_read(test_dir, "tuning");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && taken(device, path));
    return fd;
}

// Every choice that was taken is one that could have been made: then it changes no bit of a result.
static void expect_variants(const vkgpt_device *device)
{
    struct Variant variants[MAX_VARIANTS];
    for (size_t k = 0; k < KEY_COUNT; k++) {
        const struct Variant *found = tuning_find(device, &KEYS[k]);
        uint32_t count = variants_of(device, &KEYS[k], variants);
        bool known = !found;
        for (uint32_t i = 0; i < count && !known; i++) known = variant_same(*found, variants[i]);
        assert_true(known);
    }
}

// What was taken can be written and is taken again.
static void expect_choices(vkgpt_device *device)
{
    vkgpt_error err;
    char again[2 * DIR_BYTES];
    snprintf(again, sizeof again, "%s/again", test_dir);
    assert_int_equal(vkgpt_tuning_save(device, again, &err), 0);
    struct Bytes first = file_read(test_dir, "again");
    assert_true(taken(device, again));
    assert_int_equal(vkgpt_tuning_save(device, again, &err), 0);
    struct Bytes second = file_read(test_dir, "again");
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.data, second.data, first.count);
    bytes_free(&first);
    bytes_free(&second);
}

static void test_tuning(void **state)
{
    (void)state;
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/tuning", test_dir);
    vkgpt_device *device = tuned_device();
    struct Bytes good;
    int fd = tuning_file(device, path, &good), step = short_run() ? 5 : 1;
    size_t most = 0;
    for (size_t at = 0; at < good.count; at++) {
        for (int change = 1; change < 256; change += step) {
            uint8_t byte = good.data[at] ^ (uint8_t)change;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
            if (!taken(device, path)) continue;
            expect_variants(device);
            if (most++ % 37 == 0) expect_choices(device);
        }
        assert_int_equal(pwrite(fd, good.data + at, 1, (off_t)at), 1);
    }
    for (size_t cut = good.count; cut-- > 0;) {
        assert_int_equal(ftruncate(fd, (off_t)cut), 0);
        if (taken(device, path)) expect_choices(device);
    }
    assert_true(most > 0);
    close(fd);
    forget(device);
    free(device);
    bytes_free(&good);
    setenv("VKGPT_TUNING", "off", 1);
}

static struct ProductKey key_of(uint32_t width)
{
    return (struct ProductKey){
        .product = CONTRACT, .format = WEIGHTS_F16, .width = 64 * width, .outputs = 256, .tokens = 1};
}

// Adds a choice to what a device knows.
static void choose(vkgpt_device *device, uint32_t width)
{
    vkgpt_error err;
    struct Variant variants[MAX_VARIANTS];
    const struct ProductKey key = key_of(width);
    assert_true(variants_of(device, &key, variants) > 1);
    assert_int_equal(tuning_open(device, &err), 0);
    assert_int_equal(tuning_set(device, &key, variants[1], FOUND_THOROUGH, &err), 0);
}

static void cache_home(const char *name)
{
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    setenv("XDG_CACHE_HOME", path, 1);
    unsetenv("VKGPT_TUNING");
}

#define KEEPERS 4
#define KEPT 40 // choices of each

// Several processes keep their choices at the same time, one after the other of each: all of them are there at the end.
static void test_tuning_shared(void **state)
{
    (void)state;
    pid_t children[KEEPERS];
    int begin[2];
    cache_home("shared-home");
    assert_int_equal(pipe(begin), 0);
    fflush(NULL);
    for (uint32_t i = 0; i < KEEPERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i]) continue;
        vkgpt_error err;
        char none;
        close(begin[1]);
        if (read(begin[0], &none, 1)) _exit(2); // until all are there
        for (uint32_t k = 0; k < KEPT; k++) {
            vkgpt_device *device = tuned_device(); // knows only its own choice
            choose(device, 1 + i * KEPT + k);
            if (vkgpt_tuning_save(device, NULL, &err)) _exit(1);
            forget(device);
            free(device);
        }
        _exit(0);
    }
    close(begin[0]);
    close(begin[1]);
    for (uint32_t i = 0; i < KEEPERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    vkgpt_error err;
    vkgpt_device *device = tuned_device();
    assert_int_equal(tuning_open(device, &err), 0);
    for (uint32_t i = 0; i < KEEPERS * KEPT; i++) {
        const struct ProductKey key = key_of(1 + i);
        if (!tuning_find(device, &key)) fail_msg("choice %u is lost", i);
    }
    forget(device);
    free(device);
}

// In a process of its own with a limit on the size of files, as on a full disk.
static void save_limited(size_t bytes)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        vkgpt_error err = {0};
        vkgpt_device *device = tuned_device();
        choose(device, 1);
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes})) _exit(2);
        _exit(vkgpt_tuning_save(device, NULL, &err) != VKGPT_BAD_FILE || !strstr(err.text, "cannot write"));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

// Where it cannot be kept, a sentence says so, and nothing is left.
static void test_tuning_places(void **state)
{
    (void)state;
    char name[256], folder[2 * DIR_BYTES];
    vkgpt_error err;
    vkgpt_device *device = tuned_device();
    cache_home("full");
    choose(device, 1);
    snprintf(folder, sizeof folder, "%s/full/vkgpt", test_dir);
    for (size_t bytes = 1; bytes < 400; bytes *= 7) {
        save_limited(bytes);
        assert_int_equal(os_find(folder, ".txt", name, sizeof name) + os_find(folder, ".tmp", name, sizeof name), 0);
    }
    for (int i = 0; i < HOMES; i++) {
        home_set(i, test_dir);
        expect_sentence(vkgpt_tuning_save(device, NULL, &err), VKGPT_BAD_FILE, &err,
                        getenv("XDG_CACHE_HOME") || (getenv("HOME") && getenv("HOME")[0] == '/') ? "cannot be made"
                                                                                                 : "no place",
                        NULL);
        home_restore();
    }
    forget(device);
    free(device);
    setenv("VKGPT_TUNING", "off", 1);
}

// ------------------------------------------------------------------------------------------------ many writers

#define WRITERS 4
#define LENGTH 300000
#define ROUNDS 60

// Each writer has a letter of its own, and reads what stands there.
static void write_and_read(void *user, uint32_t worker, uint32_t first, uint32_t count)
{
    (void)worker;
    char *text = malloc(LENGTH), *back;
    size_t bytes;
    vkgpt_error err;
    if (!text) abort();
    for (uint32_t writer = first; writer < first + count; writer++) {
        memset(text, 'a' + (int)writer, LENGTH);
        for (int round = 0; round < ROUNDS; round++) {
            if (os_write(user, text, LENGTH - writer, &err) || os_read_file(user, LENGTH, &back, &bytes, &err)) abort();
            for (size_t i = 0; i < bytes; i++)
                if (back[i] != back[0]) abort();
            if (bytes != LENGTH - (size_t)(back[0] - 'a')) abort();
            free(back);
        }
    }
    free(text);
}

// In threads, whose process has one number, and in processes: a reader sees the whole file of one of them.
static void test_many_writers(void **state)
{
    (void)state;
    char path[2 * DIR_BYTES], name[256];
    snprintf(path, sizeof path, "%s/shared", test_dir);
    parallel_rows(WRITERS, 1, write_and_read, path);
    pid_t children[WRITERS];
    fflush(NULL);
    for (uint32_t i = 0; i < WRITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i]) continue;
        write_and_read(path, 0, i, 1);
        _exit(0);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(os_find(test_dir, ".tmp", name, sizeof name), 0);
}

int main(void)
{
    if (os_is_dir("/dev/shm")) setenv("TMPDIR", "/dev/shm", 1); // no disk to wait for
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelines),     cmocka_unit_test(test_wrong_headers), cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_tuning_shared), cmocka_unit_test(test_tuning_places), cmocka_unit_test(test_many_writers),
    };
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
