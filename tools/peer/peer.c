// peer: llama.cpp on one GGUF file, through libllama's C API: its logits, and its tokens/s.
//
//     peer logits -m FILE.gguf -f PROMPTS -n 32 -o OUT.f32 [--step]   PROMPTS: a line of token ids per prompt
//     peer bench  -m FILE.gguf -p 512,... -n 128 [-d DEPTH] -r 3
//     peer device
//     flags: --flash 0|1 (1)  --kv f16|f32 (f16)  --cpu  -c CONTEXT  -v
//
// Each prints a line of JSON. The backends are loaded from lib/ beside the program, as `tools/peer/build` puts them;
// the model goes onto llama.cpp's first Vulkan device as a whole, or it is a failure. GGML_VK_VISIBLE_DEVICES chooses
// the device by Vulkan's number; without it llama.cpp passes over software drivers.
//
// `logits` writes the rows of each prompt, then of the greedy tokens that it goes on with, each read alone: float32,
// (sum of prompt tokens and n, vocab). --step reads the prompt token by token too. `bench` runs each test once to warm
// up, then -r times. As in llama.cpp's own llama-bench the new tokens are given ones: the choice, which vkgpt makes on
// the device within its time, is not in the time here.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ggml-backend.h"
#include "llama.h"

enum { MAX_TOKENS = 8192, MAX_PROMPTS = 8 };

struct Options {
    const char *model, *prompts, *output;
    int lengths[MAX_PROMPTS], length_count, generate, depth, repetitions, context; // lengths: of the prompts of bench
    bool flash, f32_cache, cpu, step, verbose;
};

static struct Options options = {.lengths = {512}, .length_count = 1, .generate = 128, .repetitions = 3, .flash = true};
static char offloaded[128]; // what llama.cpp's log says of the layers

static void stop(const char *what, const char *which)
{
    fprintf(stderr, "peer: %s%s\n", what, which);
    exit(1);
}

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void on_log(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    const char *layers = strstr(text, "offloaded ");
    if (layers) snprintf(offloaded, sizeof offloaded, "%.*s", (int)strcspn(layers, "\n"), layers);
    if (options.verbose || level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void load_backends(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 8);
    if (length < 0) stop("cannot tell where this program is", "");
    path[length] = 0;
    strcpy(strrchr(path, '/') + 1, "lib/");
    ggml_backend_load_all_from_path(path);
    llama_backend_init();
}

// The first Vulkan device, or the processor.
static ggml_backend_dev_t choose_device(void)
{
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        bool vulkan = strncmp(ggml_backend_dev_name(device), "Vulkan", 6) == 0;
        if (options.cpu ? ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU : vulkan) return device;
    }
    stop("llama.cpp sees no such device", options.cpu ? "" : " (GGML_VK_VISIBLE_DEVICES=0 shows it a software driver)");
    return NULL;
}

static struct llama_model *load_model(ggml_backend_dev_t device)
{
    ggml_backend_dev_t devices[] = {options.cpu ? NULL : device,
                                    NULL}; // with none, nothing is sent to a device later either
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = options.cpu ? 0 : 999;
    params.devices = devices;
    struct llama_model *model = llama_model_load_from_file(options.model, params);
    if (!model) stop("cannot load ", options.model);
    int done = 0, all = 1;
    if (!options.cpu && (sscanf(offloaded, "offloaded %d/%d", &done, &all) != 2 || done != all))
        stop("not every layer is on the device: ", offloaded);
    return model;
}

static struct llama_context *open_context(struct llama_model *model)
{
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = options.context ? (uint32_t)options.context : (uint32_t)llama_model_n_ctx_train(model);
    params.n_batch = params.n_ctx;
    params.n_threads = params.n_threads_batch = (int)sysconf(_SC_NPROCESSORS_ONLN);
    params.flash_attn_type = options.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    if (options.f32_cache) params.type_k = params.type_v = GGML_TYPE_F32;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) stop("cannot make a context for ", options.model);
    return context;
}

// Reads tokens at a position; the rows of all of them, or of the last one only.
static void read_tokens(struct llama_context *context, const llama_token *ids, int count, int position, bool every_row)
{
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = position + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = every_row || i == count - 1;
    }
    if (llama_decode(context, batch)) stop("llama_decode failed on ", options.model);
    llama_synchronize(context);
    llama_batch_free(batch);
}

static llama_token likeliest(const float *row, int vocab)
{
    int best = 0;
    for (int i = 1; i < vocab; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

static void print_start(struct llama_model *model, ggml_backend_dev_t device)
{
    printf("{\"engine\": \"llama.cpp %s\", \"device\": \"%s\", \"backend\": \"%s\", \"layers\": \"%s\", \"flash\": %s, "
           "\"params\": %llu, \"bytes\": %llu",
           llama_version(), ggml_backend_dev_description(device), ggml_backend_dev_name(device), offloaded,
           options.flash ? "true" : "false", (unsigned long long)llama_model_n_params(model),
           (unsigned long long)llama_model_size(model));
    fflush(stdout);
}

// ---------------------------------------------------------------------------------------------- logits

static int parse_ids(char *line, llama_token *ids)
{
    int count = 0;
    for (char *word = strtok(line, " ,\n"); word && count < MAX_TOKENS; word = strtok(NULL, " ,\n"))
        ids[count++] = atoi(word);
    return count;
}

static void write_rows(FILE *file, struct llama_context *context, int rows, int vocab)
{
    for (int i = 0; i < rows; i++)
        if (fwrite(llama_get_logits_ith(context, i), sizeof(float), (size_t)vocab, file) != (size_t)vocab)
            stop("cannot write ", options.output);
}

static void run_prompt(struct llama_context *context, FILE *file, const llama_token *ids, int count, int vocab)
{
    llama_memory_clear(llama_get_memory(context), true);
    int block = options.step ? 1 : count;
    for (int i = 0; i < count; i += block) {
        read_tokens(context, ids + i, block, i, true);
        write_rows(file, context, block, vocab);
    }
    printf("[");
    for (int i = 0; i < options.generate; i++) {
        llama_token next = likeliest(llama_get_logits_ith(context, -1), vocab);
        printf("%s%d", i ? ", " : "", next);
        read_tokens(context, &next, 1, count + i, true);
        write_rows(file, context, 1, vocab);
    }
    printf("]");
}

static void logits(struct llama_context *context, int vocab)
{
    FILE *prompts = fopen(options.prompts, "r"), *file = fopen(options.output, "wb");
    if (!prompts || !file) stop("cannot open ", prompts ? options.output : options.prompts);
    static llama_token ids[MAX_TOKENS];
    char *line = NULL;
    size_t bytes = 0;
    printf(", \"greedy\": [");
    for (int i = 0; getline(&line, &bytes, prompts) > 0; i++) {
        if (i) printf(", ");
        run_prompt(context, file, ids, parse_ids(line, ids), vocab);
    }
    printf("]}\n");
    free(line);
    fclose(prompts);
    if (fclose(file)) stop("cannot write ", options.output);
}

// ----------------------------------------------------------------------------------------------- bench

// Seconds of a prompt of so many tokens, or of so many tokens one after the other, behind `depth` tokens.
static double time_test(struct llama_context *context, int prompt, int generate, int vocab)
{
    static llama_token ids[2 * MAX_TOKENS];
    uint32_t random = 1;
    for (int i = 0; i < 2 * MAX_TOKENS; i++) {
        random = random * 1664525 + 1013904223;
        ids[i] = (llama_token)((random >> 8) % (uint32_t)vocab);
    }
    llama_memory_clear(llama_get_memory(context), true);
    if (options.depth) read_tokens(context, ids + MAX_TOKENS, options.depth, 0, false);
    double start = seconds();
    if (prompt) read_tokens(context, ids, prompt, options.depth, false);
    for (int i = 0; i < generate; i++) read_tokens(context, ids + i, 1, options.depth + i, true);
    return seconds() - start;
}

static void run_test(struct llama_context *context, int prompt, int generate, int vocab, const char *comma)
{
    int tokens = prompt + generate;
    time_test(context, prompt, generate, vocab);
    printf("%s{\"test\": \"%s%d\", \"tokens_per_s\": [", comma, generate ? "tg" : "pp", tokens);
    for (int r = 0; r < options.repetitions; r++)
        printf("%s%.6g", r ? ", " : "", tokens / time_test(context, prompt, generate, vocab));
    printf("]}");
}

static void bench(struct llama_context *context, int vocab)
{
    printf(", \"depth\": %d, \"tests\": [", options.depth);
    int done = 0;
    for (int i = 0; i < options.length_count; i++)
        if (options.lengths[i]) run_test(context, options.lengths[i], 0, vocab, done++ ? ", " : "");
    if (options.generate) run_test(context, 0, options.generate, vocab, done ? ", " : "");
    printf("]}\n");
}

// ------------------------------------------------------------------------------------------------ main

static bool set_flag(const char *flag)
{
    if (strcmp(flag, "--cpu") == 0) return options.cpu = true;
    if (strcmp(flag, "--step") == 0) return options.step = true;
    if (strcmp(flag, "-v") == 0) return options.verbose = true;
    return false;
}

// 128,512,1024
static bool set_lengths(const char *text)
{
    char *end;
    options.length_count = 0;
    do {
        long length = strtol(text, &end, 10);
        if (end == text || length < 0 || length > MAX_TOKENS || options.length_count == MAX_PROMPTS) return false;
        options.lengths[options.length_count++] = (int)length;
        text = end + 1;
    } while (*end == ',');
    return !*end;
}

static bool set_value(const char *flag, const char *value)
{
    struct {
        const char *flag;
        int *number;
        const char **text;
    } flags[] = {
        {"-m", NULL, &options.model},    {"-f", NULL, &options.prompts}, {"-o", NULL, &options.output},
        {"-n", &options.generate, NULL}, {"-d", &options.depth, NULL},   {"-r", &options.repetitions, NULL},
        {"-c", &options.context, NULL},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(flag, flags[i].flag) != 0) continue;
        if (flags[i].text) *flags[i].text = value;
        else *flags[i].number = atoi(value);
        return true;
    }
    if (strcmp(flag, "-p") == 0) return set_lengths(value);
    if (strcmp(flag, "--flash") == 0) options.flash = atoi(value) != 0;
    else if (strcmp(flag, "--kv") == 0) options.f32_cache = strcmp(value, "f32") == 0;
    else return false;
    return true;
}

static bool read_options(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (set_flag(argv[i])) continue;
        if (i + 1 == argc || !set_value(argv[i], argv[i + 1])) return false;
        i++;
    }
    return options.generate >= 0 && options.depth >= 0 && options.generate <= MAX_TOKENS &&
           options.depth <= MAX_TOKENS && options.repetitions >= 1;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    bool is_bench = strcmp(command, "bench") == 0, is_logits = strcmp(command, "logits") == 0;
    bool is_device = strcmp(command, "device") == 0,
         right = (is_bench || is_logits || is_device) && read_options(argc, argv);
    if (!right || (!is_device && !options.model) || (is_logits && (!options.prompts || !options.output))) {
        fprintf(
            stderr,
            "usage: peer logits -m FILE.gguf -f PROMPTS -n N -o OUT.f32 | peer bench -m FILE.gguf -p N -n N | peer device\n");
        return 2;
    }
    llama_log_set(on_log, NULL);
    load_backends();
    ggml_backend_dev_t device = choose_device();
    if (is_device) {
        printf("{\"engine\": \"llama.cpp %s\", \"device\": \"%s\"}\n", llama_version(),
               ggml_backend_dev_description(device));
        return 0;
    }
    struct llama_model *model = load_model(device);
    struct llama_context *context = open_context(model);
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    print_start(model, device);
    if (is_bench) bench(context, vocab);
    else logits(context, vocab);
    llama_free(context);
    llama_model_free(model);
    return 0;
}
