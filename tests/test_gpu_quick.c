// The quick tuning: what is chosen and what is not, that no bit changes, what is saved, and that no bad file in place
// of its file does harm. The tests of the search use made-up times of steps.
#define _POSIX_C_SOURCE 200809L // setenv
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "engine/quick.h"
#include "engine/session.h"
#include "engine/settings.h"
#include "engine/step_search.h" // before cmocka, whose macro fail() hides a function
#include "engine/tuning.h"
#include "decode_bits.h"
#include "model_files.h"
#include "short_run.h"
#include "synthetic_model.h"

#include "check.h"

static char model_dir[256];

// A device and the model on it. `tuning` and `quick` NULL: the variable is not set.
static vkgpt_model *open_model(const char *disable, const char *tuning, const char *quick, vkgpt_format weights)
{
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_model *model;
    const vkgpt_model_options options = {.weights = weights};
    setenv("VKGPT_DISABLE", disable, 1);
    if (tuning) setenv("VKGPT_TUNING", tuning, 1);
    else unsetenv("VKGPT_TUNING");
    if (quick) setenv("VKGPT_QUICK_TUNING", quick, 1);
    else unsetenv("VKGPT_QUICK_TUNING");
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(vkgpt_model_open(device, model_dir, &options, &model, &err));
    return model;
}

static void close_model(vkgpt_model *model)
{
    vkgpt_device *device = model->device;
    vkgpt_model_close(model);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_DISABLE");
}

static void decode(vkgpt_model *model, struct Decoded *d)
{
    vkgpt_error err;
    vkgpt_session *s;
    CHECK(vkgpt_session_open(model, NULL, &s, &err));
    assert_string_equal(vkgpt_session_note(s), "");
    decode_bits(s, 1, d);
    vkgpt_session_close(s);
}

// ------------------------------------------------------------------------------------------ the search

// Larger values of every setting are faster.
static double more_is_quicker(const struct Settings *s)
{
    double seconds = 1e-3;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct Variant *v = &s->variants[i];
        for (uint32_t n = v->rows * v->size * v->loads; n > 1; n /= 2) seconds *= 0.95;
    }
    return seconds;
}

static struct Settings usual; // for the next function

// Any change makes the step 1 % faster; more changes do not add to it.
static double hardly_quicker(const struct Settings *s) { return settings_differ(s, &usual) ? 0.99e-3 : 1e-3; }

static double slower(const struct Settings *s) { return 1.0 / more_is_quicker(s); }

static double persistent_is_quicker(const struct Settings *s)
{
    return s->switches[STEP_FORM] == STEP_PERSISTENT ? 0.9e-3 : 1e-3;
}

static double persistent_is_slower(const struct Settings *s)
{
    return s->switches[STEP_FORM] == STEP_PERSISTENT ? 1.1e-3 : 1e-3;
}

static struct StepSearch search_of(vkgpt_model *model, double (*pretend)(const struct Settings *), double budget)
{
    struct StepSearch search = {.model = model, .by = FOUND_QUICK, .rounds = 1, .budget = budget, .pretend = pretend};
    settings_kept(model, &search.best);
    return search;
}

// The choices are those of the settings; `thorough` of them were found by `tune`, the others by the quick tuning.
static void assert_installed(vkgpt_model *model, const struct Settings *settings, uint32_t thorough)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < settings->count; i++) {
        assert_true(variant_same(*tuning_find(model->device, &settings->keys[i]), settings->variants[i]));
        seen += tuning_is_thorough(model->device, &settings->keys[i]);
    }
    assert_int_equal(seen, thorough);
}

// Takes every setting that is faster, and no bit changes.
static void takes_all(vkgpt_model *model)
{
    vkgpt_error err;
    struct Decoded before, after;
    decode(model, &before);
    struct StepSearch search = search_of(model, more_is_quicker, 600);
    CHECK(step_search(&search, &err));
    assert_string_equal(search.taken, "256 lanes, 4 rows, 24 loads, 8 rows");
    assert_int_equal(search.tried, 8);
    assert_true(search.before > search.after && search.after > 0);
    for (uint32_t i = 0; i < search.best.count; i++) {
        const struct Variant *v = &search.best.variants[i];
        assert_true(v->rows == 8 && v->loads == 24 && v->size == 256);
    }
    assert_installed(model, &search.best, 0);
    decode(model, &after);
    assert_int_equal(after.counts[0], DECODED_TOKENS);
    assert_memory_equal(&before, &after, sizeof after);
}

static void takes_less(vkgpt_model *model)
{
    vkgpt_error err;
    struct Settings built_in;
    settings_built_in(model, &built_in);
    struct StepSearch search = search_of(model, slower, 600); // starts from the settings found before
    CHECK(step_search(&search, &err));
    assert_string_equal(search.taken, "4 rows, 2 rows, 6 loads, 128 lanes");
    CHECK(settings_install(model, &built_in, FOUND_QUICK, &err));
    usual = built_in;
    search = search_of(model, hardly_quicker, 600);
    CHECK(step_search(&search, &err));
    assert_string_equal(search.taken, "");
    assert_true(search.tried > 0 && search.before == search.after);
    assert_installed(model, &built_in, 0);
    search = search_of(model, more_is_quicker, 0); // no time at all
    CHECK(step_search(&search, &err));
    assert_int_equal(search.tried, 0);
    assert_installed(model, &built_in, 0);
}

// Choices that `tune` found stay; and `tune` decides between each product's best and the built-in choices.
static void thorough_stays(vkgpt_model *model)
{
    vkgpt_error err;
    struct Settings measured;
    settings_built_in(model, &measured);
    const struct Settings built_in = measured;
    struct Variant found = measured.variants[CONTRACT];
    found.rows = 4;
    CHECK(tuning_set(model->device, &measured.keys[CONTRACT], found, FOUND_THOROUGH, &err));
    struct StepSearch search = search_of(model, more_is_quicker, 600);
    CHECK(step_search(&search, &err));
    assert_true(variant_same(search.best.variants[CONTRACT], found));
    assert_installed(model, &search.best, 1);

    measured.variants[CONTRACT] = found;
    search = search_of(model, more_is_quicker, 600);
    search.best = built_in, search.by = FOUND_THOROUGH, search.measured = &measured;
    CHECK(step_search(&search, &err));
    assert_string_equal(search.taken, "each product's best");
    assert_installed(model, &measured, built_in.count);
    search.best = built_in, search.pretend = slower, search.taken[0] = 0;
    CHECK(step_search(&search, &err));
    assert_string_equal(search.taken, "");
    assert_installed(model, &built_in, built_in.count);
}

// A switch of the step is saved too, even if it is slower.
static void keeps_switches(vkgpt_model *model)
{
    vkgpt_error err;
    struct Settings measured;
    settings_built_in(model, &measured);
    const struct Settings built_in = measured;
    measured.switches[STEP_FORM] = STEP_PERSISTENT;
    for (int quicker = 0; quicker <= 1; quicker++) {
        struct StepSearch search = search_of(model, quicker ? persistent_is_quicker : persistent_is_slower, 600);
        search.best = built_in, search.by = FOUND_THOROUGH, search.measured = &measured;
        uint32_t known = tuning_find_step(model->device, &measured.step, STEP_FORM);
        assert_int_equal(known, quicker ? STEP_DISPATCHES : STEP_UNKNOWN);
        CHECK(step_search(&search, &err));
    }
    assert_int_equal(tuning_find_step(model->device, &measured.step, STEP_FORM), STEP_PERSISTENT);
}

static void state_first_keeps_bits(vkgpt_model *model)
{
    vkgpt_error err;
    struct Decoded before, after;
    const struct StepKey key = step_key(model);
    decode(model, &before);
    CHECK(tuning_set_step(model->device, &key, STEP_PROLOGUE, STEP_STATE_FIRST, FOUND_THOROUGH, &err));
    decode(model, &after);
    assert_int_equal(after.counts[0], DECODED_TOKENS);
    assert_memory_equal(&before, &after, sizeof after);
}

static void test_search(void **state)
{
    (void)state;
    vkgpt_model *model = open_model("software_kernels", "off", NULL, VKGPT_F16);
    takes_all(model);
    takes_less(model);
    thorough_stays(model);
    keeps_switches(model);
    state_first_keeps_bits(model);
    close_model(model);
    if (short_run()) return; // the same in another format
    model = open_model("software_kernels", "off", NULL, VKGPT_Q4_0);
    takes_all(model);
    state_first_keeps_bits(model);
    close_model(model);
}

// -------------------------------------------------------------------------------------------- switches

static void test_switches(void **state)
{
    (void)state;
    vkgpt_error err;
    char path[2 * DIR_BYTES];
    vkgpt_model *model = open_model("", "off", NULL, VKGPT_F16);
    vkgpt_device *device = model->device;
    const struct StepKey key = step_key(model);
    struct StepKey other = key;
    other.layers++;
    assert_int_equal(tuning_find_step(device, &key, STEP_FORM), STEP_UNKNOWN);
    CHECK(tuning_set_step(device, &key, STEP_FORM, STEP_UNKNOWN, FOUND_THOROUGH, &err)); // has no effect
    CHECK(tuning_set_step(device, &key, STEP_FORM, STEP_PERSISTENT, FOUND_QUICK, &err));
    CHECK(tuning_set_step(device, &other, STEP_FORM, STEP_DISPATCHES, FOUND_THOROUGH, &err));
    CHECK(tuning_set_step(device, &other, STEP_FORM, STEP_PERSISTENT, FOUND_QUICK, &err)); // comes too late
    snprintf(path, sizeof path, "%s/steps.txt", test_dir);
    CHECK(vkgpt_tuning_save(device, path, &err));
    free(device->tuning);
    device->tuning = NULL;
    setenv("VKGPT_TUNING", path, 1);
    CHECK(tuning_open(device, &err));
    assert_null(tuning_note(device));
    assert_int_equal(tuning_find_step(device, &key, STEP_FORM), STEP_PERSISTENT);
    assert_int_equal(tuning_find_step(device, &other, STEP_FORM), STEP_DISPATCHES);
    CHECK(tuning_set_step(device, &other, STEP_FORM, STEP_PERSISTENT, FOUND_QUICK, &err)); // and still does
    assert_int_equal(tuning_find_step(device, &other, STEP_FORM), STEP_DISPATCHES);
    struct Settings kept;
    settings_kept(model, &kept);
    assert_int_equal(kept.switches[STEP_FORM], STEP_PERSISTENT);
    other.vocab++;
    assert_int_equal(tuning_find_step(device, &other, STEP_FORM), STEP_UNKNOWN);
    close_model(model);
}

// ------------------------------------------------------------------------------------------ what is kept

#define SHORT "0.001" // seconds, if only the file matters

static void cache_home(const char *name)
{
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    setenv("XDG_CACHE_HOME", path, 1);
}

// Opens a session and copies its note.
static void open_once(vkgpt_model *model, char note[384])
{
    vkgpt_error err;
    vkgpt_session *s;
    CHECK(vkgpt_session_open(model, NULL, &s, &err));
    snprintf(note, 384, "%s", vkgpt_session_note(s));
    vkgpt_session_close(s);
}

static void remove_tuning(const vkgpt_model *model)
{
    char path[4096];
    assert_true(vkgpt_tuning_path(model->device, path, sizeof path));
    remove(path);
}

// Seconds until the first token: some drivers compile only then. Removes the tuning at the end.
static double first_token(const char *quick, char note[384])
{
    vkgpt_error err;
    vkgpt_session *s;
    const uint32_t id = 1;
    vkgpt_model *model = open_model("", NULL, quick, VKGPT_F16);
    double start = os_seconds();
    CHECK(vkgpt_session_open(model, NULL, &s, &err));
    CHECK(vkgpt_prompt(s, &id, 1, &err));
    CHECK(vkgpt_generate(s, NULL, 1, NULL, NULL, NULL, &err));
    double seconds = os_seconds() - start;
    snprintf(note, 384, "%s", vkgpt_session_note(s));
    vkgpt_session_close(s);
    remove_tuning(model);
    close_model(model);
    return seconds;
}

static struct Bytes tuning_bytes(const vkgpt_model *model)
{
    char path[4096];
    assert_true(vkgpt_tuning_path(model->device, path, sizeof path));
    char *slash = strrchr(path, '/');
    *slash = 0;
    return file_read(path, slash + 1);
}

// The first session is tuned, within the time; the next one, in this and in another process, finds the result.
static void test_once(void **state)
{
    (void)state;
    char note[384];
    cache_home("once");
    double added = 1e9;
    first_token(NULL, note);                                                 // compiles
    for (int attempt = 0; attempt < 3 && added > QUICK_SECONDS; attempt++) { // other programs may slow it down
        double plain = first_token(NULL, note);
        assert_string_equal(note, ""); // software drivers are left out
        added = first_token("force", note) - plain;
        if (!strstr(note, " tuned for ") && !strstr(note, " too slow to be tuned")) fail_msg("'%s'", note);
        assert_null(strchr(note, '\n'));
    }
    print_message("%s: %.2f s more\n", note, added);
    assert_true(added <= QUICK_SECONDS);

    vkgpt_model *model = open_model("", NULL, SHORT, VKGPT_F16);
    open_once(model, note);
    assert_string_not_equal(note, "");
    open_once(model, note);
    assert_string_equal(note, "");
    close_model(model);
    model = open_model("", NULL, "force", VKGPT_F16);
    struct Bytes file = tuning_bytes(model);
    open_once(model, note);
    assert_string_equal(note, "");
    struct Bytes again = tuning_bytes(model);
    assert_int_equal(file.count, again.count);
    assert_memory_equal(file.data, again.data, file.count);
    bytes_free(&file), bytes_free(&again);
    close_model(model);
}

static void test_left_out(void **state)
{
    (void)state;
    vkgpt_error err;
    char note[384];
    vkgpt_session *s;
    cache_home("left-out");
    const vkgpt_session_options several = {.sequences = 2}, drafts = {.lookup = 2};
    vkgpt_model *model = open_model("", "off", "force", VKGPT_F16);
    open_once(model, note);
    assert_string_equal(note, "");
    unsetenv("VKGPT_TUNING");
    CHECK(vkgpt_session_open(model, &several, &s, &err));
    assert_string_equal(vkgpt_session_note(s), "");
    vkgpt_session_close(s);
    CHECK(vkgpt_session_open(model, &drafts, &s, &err));
    assert_string_equal(vkgpt_session_note(s), "");
    vkgpt_session_close(s);
    char path[4096];
    assert_true(vkgpt_tuning_path(model->device, path, sizeof path));
    assert_false(os_exists(path));
    close_model(model);
}

// --------------------------------------------------------------------------- what stands in the file's place

// Opens the model with these bytes in place of the file; it is tuned again, and the file is good then.
static void survives(const char *path, const void *data, size_t bytes, const char *why)
{
    char note[384], *slash = strrchr(path, '/');
    *slash = 0;
    file_write(path, slash + 1, data, bytes);
    *slash = '/';
    vkgpt_model *model = open_model("", NULL, SHORT, VKGPT_F16);
    const char *said = vkgpt_model_describe(model)->note;
    if (!strstr(said, "the tuning file is ignored") || !strstr(said, why)) fail_msg("'%s' lacks '%s'", said, why);
    open_once(model, note);
    if (!strstr(note, "tuned")) fail_msg("'%s'", note);
    close_model(model);
    model = open_model("", NULL, NULL, VKGPT_F16);
    assert_string_equal(vkgpt_model_describe(model)->note, "");
    assert_false(settings_incomplete(model));
    close_model(model);
}

static void survives_text(const char *path, char *text, const char *why)
{
    survives(path, text, strlen(text), why);
    free(text);
}

static void test_foreign_files(void **state)
{
    (void)state;
    char path[4096], note[384];
    cache_home("foreign");
    vkgpt_model *model = open_model("", NULL, SHORT, VKGPT_F16);
    open_once(model, note);
    assert_non_null(strstr(note, "too slow to be tuned in 0.0 s"));
    assert_true(vkgpt_tuning_path(model->device, path, sizeof path));
    struct Bytes good = tuning_bytes(model);
    bytes_add(&good, "", 1);
    const char *text = (const char *)good.data;
    survives(path, text, 0, "empty");
    survives(path, text, (size_t)(strstr(text, "\n# step") - text) - 4, "is not a choice"); // the last word of a line
    survives_text(path, text_replace(text, model->device->info.name, "Another"), "another device or driver");
    survives_text(path, text_replace(text, VKGPT_VERSION, "0.0.9"), "it is of vkgpt 0.0.9");
    bytes_free(&good);
    close_model(model);
}

// With any byte changed, or the file cut anywhere, every choice that is found is a valid variant. The bytes are those
// of a good file.
static void test_every_byte(void **state)
{
    (void)state;
    vkgpt_error err;
    char path[2 * DIR_BYTES], note[384];
    cache_home("bytes");
    vkgpt_model *model = open_model("", NULL, SHORT, VKGPT_F16);
    open_once(model, note);
    struct Bytes good = tuning_bytes(model);
    struct Settings settings;
    settings_built_in(model, &settings);
    snprintf(path, sizeof path, "%s/damaged.txt", test_dir);
    setenv("VKGPT_TUNING", path, 1);
    uint32_t ignored = 0;
    for (size_t at = 0; at < 2 * good.count; at++) {
        struct Bytes bad = {0};
        bytes_add(&bad, good.data, at < good.count ? good.count : at - good.count);
        if (at < good.count) bad.data[at] ^= 1u << at % 8;
        file_write(test_dir, "damaged.txt", bad.data, bad.count);
        bytes_free(&bad);
        free(model->device->tuning);
        model->device->tuning = NULL;
        CHECK(tuning_open(model->device, &err));
        ignored += tuning_note(model->device) != NULL;
        for (uint32_t i = 0; i < settings.count; i++) {
            const struct Variant *v = tuning_find(model->device, &settings.keys[i]);
            assert_true(!v || variant_exists(model->device, &settings.keys[i], *v));
        }
    }
    assert_true(ignored > good.count);
    bytes_free(&good);
    close_model(model);
}

// If the result cannot be saved, nothing is measured: each start would measure again.
static void test_no_place(void **state)
{
    (void)state;
    char note[384], path[4096];
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    cache_home("no-place");
    vkgpt_model *model = open_model("", NULL, "force", VKGPT_F16);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    open_once(model, note);
    assert_non_null(strstr(note, "is not tuned: there is no place for the tuning"));
    if (home) setenv("HOME", home, 1);
    free(home);
    close_model(model);

    file_write(test_dir, "file", "", 0); // a file in place of a folder, because root may write into any folder
    cache_home("file");
    model = open_model("", NULL, "force", VKGPT_F16);
    open_once(model, note);
    assert_non_null(strstr(note, "is not tuned: "));
    assert_non_null(strstr(note, "cannot be made"));
    close_model(model);

    cache_home("folder");
    model = open_model("", "off", NULL, VKGPT_F16);
    unsetenv("VKGPT_TUNING");
    assert_true(vkgpt_tuning_path(model->device, path, sizeof path));
    assert_int_equal(os_make_dirs(path), 0);
    close_model(model);
    model = open_model("", NULL, "force", VKGPT_F16);
    assert_non_null(strstr(vkgpt_model_describe(model)->note, "the tuning file is ignored"));
    open_once(model, note);
    assert_non_null(strstr(note, "is not tuned: "));
    assert_non_null(strstr(note, "is a directory"));
    close_model(model);
}

// ---------------------------------------------------------------------------------------- two processes

#define SAVES 40

// Saves choices for other widths again and again, as another program would.
static void save_often(uint32_t first)
{
    vkgpt_error err;
    vkgpt_device *device;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(tuning_open(device, &err));
    for (uint32_t i = 0; i < SAVES; i++) {
        const struct ProductKey key = product_key(device, CONTRACT, WEIGHTS_F16, 8 * (first + i), 256, 1);
        CHECK(tuning_set(device, &key, variant_built_in(device, &key), FOUND_QUICK, &err));
        CHECK(vkgpt_tuning_save(device, NULL, &err));
        free(device->tuning); // the file is complete whenever it is read
        device->tuning = NULL;
        CHECK(tuning_open(device, &err));
        assert_null(tuning_note(device));
    }
    vkgpt_device_close(device);
}

static void test_two_processes(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    cache_home("two");
    unsetenv("VKGPT_TUNING");
    CHECK(vkgpt_device_open(NULL, &device, &err)); // before the others write
    CHECK(tuning_open(device, &err));
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        execl("/proc/self/exe", "test", "save", (char *)NULL);
        _exit(1);
    }
    save_often(1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(vkgpt_tuning_save(device, NULL, &err)); // keeps what the others have found
    const struct ProductKey mine = product_key(device, CONTRACT, WEIGHTS_F16, 8 * SAVES, 256, 1);
    const struct ProductKey childs = product_key(device, CONTRACT, WEIGHTS_F16, 8 * (1000 + SAVES - 1), 256, 1);
    assert_true(tuning_find(device, &mine) || tuning_find(device, &childs));
    vkgpt_device_close(device);
}

static int setup(void **state)
{
    vkgpt_error err;
    CHECK(synthetic_model_temporary(&DECODED_MODEL, model_dir, sizeof model_dir, &err));
    return test_dir_setup(state);
}

static int teardown(void **state)
{
    synthetic_model_remove(model_dir);
    return test_dir_teardown(state);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "save")) {
        save_often(1000);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),        cmocka_unit_test(test_switches),      cmocka_unit_test(test_once),
        cmocka_unit_test(test_left_out),      cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_foreign_files), cmocka_unit_test(test_two_processes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
