// vkgpt make-model: writes a checkpoint of one of the papers' sizes with seeded random weights.
#include <inttypes.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/model_path.h"
#include "cli/nearest.h"
#include "model/presets.h"

#define STDERR 2

struct Bar {
    double start, drawn; // seconds; drawn 0: nothing is on the screen
    bool terminal;
};

static bool show(void *user, uint64_t done, uint64_t total)
{
    struct Bar *bar = user;
    double now = os_seconds();
    if (bar->terminal && now - bar->start > 1 && now - bar->drawn > 0.1) {
        bar->drawn = now;
        fprintf(stderr, "\rwriting %.2f of %.2f GB", (double)done * 1e-9, (double)total * 1e-9);
        fflush(stderr);
    }
    return !os_interrupted();
}

static struct PresetSizes sizes_of(const struct Options *o)
{
    return (struct PresetSizes){
        .layers = (uint32_t)o->layers,
        .heads = (uint32_t)o->heads,
        .dim = (uint32_t)o->dim,
        .inner = (uint32_t)o->inner,
        .context = (uint32_t)o->positions,
        .vocab = (uint32_t)o->vocab,
    };
}

static int write_model(const struct Options *options, const struct Config *config, vkgpt_error *err)
{
    static const enum Dtype dtypes[] = {DTYPE_F16, DTYPE_F32, DTYPE_BF16}; // in the order of --dtype's choices
    char tokenizer[4096];
    int code = model_path_for(NEED_TOKENIZER, options->model, tokenizer, sizeof tokenizer, err);
    if (code) return code;
    struct Bar bar = {.start = os_seconds(), .terminal = os_is_terminal(STDERR)};
    const struct PresetOutput output = {
        .dir = options->output,
        .tokenizer = tokenizer,
        .preset = options->preset,
        .dtype = dtypes[options->dtype],
        .seed = (uint64_t)options->model_seed,
        .shards = (uint32_t)options->shards,
        .force = options->force,
        .progress = show,
        .user = &bar,
    };
    os_hold_interrupt();
    os_ignore_closed_pipes();
    code = preset_write(config, &output, err);
    if (bar.drawn > 0) fprintf(stderr, "\r\033[K");
    return code;
}

// "124,439,808"
static void print_grouped(uint64_t number)
{
    if (number >= 1000) {
        print_grouped(number / 1000);
        printf(",%03" PRIu64, number % 1000);
    } else {
        printf("%" PRIu64, number);
    }
}

int make_model_main(const struct Options *options)
{
    static const char *const names[] = {"f16", "f32", "bf16"};
    char known[256];
    preset_names(known, sizeof known);
    if (!options->preset) return wrong_usage("make-model needs a preset: %s", known);
    if (!options->output) return wrong_usage("make-model needs -o DIR, the directory to write");
    const struct Preset *preset = preset_find(options->preset);
    char hint[96];
    struct Nearest nearest = nearest_to(options->preset, strlen(options->preset));
    nearest_add_list(&nearest, known);
    if (!preset)
        return wrong_usage("there is no preset '%s'; there are %s%s", options->preset, known,
                           nearest_hint(&nearest, hint));

    vkgpt_error err;
    struct Config config;
    const struct PresetSizes sizes = sizes_of(options);
    preset_config(preset, &config);
    if (preset_resize(&config, &sizes, &err)) return wrong_usage("%s", err.text);
    int code = write_model(options, &config, &err);
    if (code) return failed(&err);
    uint64_t params = config_params(&config);
    printf("%s: ", options->output);
    print_grouped(params);
    printf(" parameters, %.2f GB in %s\n", (double)params * (options->dtype == 1 ? 4 : 2) * 1e-9,
           names[options->dtype]);
    return finish_output(EXIT_OK);
}
