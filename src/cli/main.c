// The program: finds the subcommand, reads its flags, and runs it.
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "tasks/buffer.h"

const struct Command COMMANDS[] = {
    {"generate", GENERATE, "write on from a prompt",
     "[-p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE] [-n N] [flags]; with none of them the prompt comes from stdin",
     "vkgpt generate -p \"Once upon a time\" -n 100 --seed 7", generate_main},
    {"task", TASK, "a task stated in the text, as the GPT-2 paper does: summarize, translate, answer, ...",
     "TASK [-f FILE | -p TEXT] [--field NAME=TEXT ...] [flags]; --list shows the tasks; the first field may come from stdin",
     "vkgpt task question -p \"Who wrote Hamlet?\"", task_main},
    {"eval", EVAL, "standard tasks, by lm-evaluation-harness's definitions",
     "--tasks lambada:FILE,hellaswag:FILE,wikitext:FILE [--limit N] [--resume FILE] [--json]",
     "vkgpt eval --tasks lambada:lambada_test.jsonl --limit 100 --resume lambada.results", eval_main},
    {"score", SCORE, "the log likelihood of continuations of a context",
     "[-p TEXT | -f FILE] --continuation TEXT [--continuation TEXT ...] [--normalize tokens|bytes] [--json]; with neither the context comes from stdin",
     "vkgpt score -p \"Once upon a\" --continuation \" time\" --continuation \" table\"", score_main},
    {"few-shot", FEW_SHOT, "learning in context: accuracy on a task with K examples in the prompt",
     "--task TASK|FILE.jsonl [--shots 0,1,2,4] [--limit N] [--json] [--plot FILE.svg] [--show] [flags]; --list shows the tasks that come with vkgpt",
     "vkgpt few-shot --task two_digit_addition --shots 0,1,4 --limit 50", few_shot_main},
    {"logits", LOGITS, "the scores of every next token, as a NumPy file",
     "(-p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE) [--last] -o OUT.npy",
     "vkgpt logits -p \"Once upon a time\" --last -o logits.npy", logits_main},
    {"perplexity", PERPLEXITY, "how well the model foretells a text",
     "(-f FILE | --ids 1,2,3 | --ids-file FILE) [--stride N] [--json]",
     "vkgpt perplexity -f story.txt --json", perplexity_main},
    {"quality", QUALITY, "what each format of the weights leaves of a model: perplexity, divergence, agreement",
     "(-f FILE | --ids 1,2,3 | --ids-file FILE) [--json]", "vkgpt quality -f story.txt", quality_main},
    {"classify", CLASSIFY, "the label of a text, by a head that was fine-tuned",
     "(-p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE) [--start TOKEN] [--extract TOKEN] [--json]",
     "vkgpt classify -m path/to/checkpoint -p \"A fine film.\"", classify_main},
    {"entail", ENTAIL, "whether one text follows from another, likewise",
     "--premise TEXT --hypothesis TEXT [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt entail -m path/to/checkpoint --premise \"It rains.\" --hypothesis \"It is wet.\"", entail_main},
    {"similar", SIMILAR, "whether two texts mean the same, read in both orders, likewise",
     "(FIRST SECOND | --first TEXT --second TEXT) [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt similar -m path/to/checkpoint \"It rains.\" \"Rain falls.\"", similar_main},
    {"choose", CHOOSE, "the best of several answers, likewise",
     "(-p CONTEXT | -f FILE) --answer TEXT --answer TEXT ... [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt choose -m path/to/checkpoint -p \"It rains, so\" --answer \" I stay.\" --answer \" I melt.\"", choose_main},
    {"tokenize", TOKENIZE, "text to token ids; needs no device", "[-p TEXT | -f FILE] [--json]; with neither the text comes from stdin",
     "vkgpt tokenize -p \"Once upon a time\"", tokenize_main},
    {"detokenize", DETOKENIZE, "token ids to exactly their bytes; needs no device", "(--ids 1,2,3 | --ids-file FILE)",
     "vkgpt detokenize --ids \"$(vkgpt tokenize -p hello)\"", detokenize_main},
    {"devices", DEVICES, "every Vulkan device, and whether vkgpt can use it", "[--json]", "vkgpt devices", devices_main},
    {"bench", BENCH, "tokens/s of a prompt and of generation, beside what the device can reach", "[-p 512,...] [-n 128,...] [-d 0,...] [-r 5] [--profile] [-o md|csv|json]; several sizes: each at each depth",
     "vkgpt bench -p 128 -n 64 -d 0,128 --profile", bench_main},
    {"tune", TUNE, "measure the variants of each kernel on this device, and keep the quickest",
     "[--weights T] [-o FILE] [--dry-run] [--json]", "vkgpt tune -m path/to/gpt2 --weights q8_0", tune_main},
    {"selftest", SELFTEST, "every kernel against a plain C reference, on this device", "[--report FILE]",
     "vkgpt selftest --report selftest.json", selftest_main},
    {"convert", CONVERT, "a Hugging Face directory to a GGUF file, or back, or to another directory; needs no device",
     "-o FILE.gguf [--type f32|f16|q8_0|q4_0|q4_k]; -o DIR [--type f32|f16]; [--force]",
     "vkgpt convert -o tales.gguf --type q8_0", convert_main},
    {"plan", PLAN, "what a model needs: memory, disk, FLOPs, time, money; opens no device but the one of --device",
     "[PRESET | -m DIR] [--weights T] [--kv T] [--ctx N] [--batch N] [--device-memory SIZE] [--devices N] [--explain] [--json]",
     "vkgpt plan gpt3-175b --device-memory 80GiB --explain", plan_main},
    {"make-model", MAKE_MODEL, "a model of the papers' sizes with random weights, for benchmarks and tests",
     "PRESET -o DIR [--dtype f16|f32|bf16] [--seed N] [--shards N] [--layers N ...]; its tokens are those of -m",
     "vkgpt make-model gpt2 -o gpt2-random", make_model_main},
    {0},
};

static int print_version(void)
{
#ifdef __clang__
    const char *compiler = "";
#else
    const char *compiler = "gcc ";
#endif
    printf("vkgpt %s, Vulkan headers %d.%d.%d, %s%s\n", VKGPT_VERSION, VK_VERSION_MAJOR(VK_HEADER_VERSION_COMPLETE),
           VK_VERSION_MINOR(VK_HEADER_VERSION_COMPLETE), VK_HEADER_VERSION, compiler, __VERSION__);
    return finish_output(EXIT_OK);
}

static const struct Command *find_command(const char *name)
{
    for (const struct Command *command = COMMANDS; command->name; command++)
        if (strcmp(command->name, name) == 0) return command;
    return NULL;
}

// `vkgpt help`, `vkgpt help COMMAND`, `vkgpt help --man`, `vkgpt help --completions bash|zsh|fish`
static int help_main(int argc, char **argv)
{
    if (argc == 0) {
        help_program(stdout);
    } else if (strcmp(argv[0], "--man") == 0 && argc == 1) {
        help_man(stdout);
    } else if (strcmp(argv[0], "--completions") == 0 && argc == 2) {
        if (!completion_print(stdout, argv[1])) return wrong_usage("--completions is '%s', it has to be one of bash|zsh|fish", argv[1]);
    } else if (argc == 1 && find_command(argv[0])) {
        help_command(stdout, find_command(argv[0]));
    } else {
        return wrong_usage("help takes a command, --man, or --completions bash|zsh|fish");
    }
    return finish_output(EXIT_OK);
}

static int run_command(const struct Command *command, int argc, char **argv)
{
    struct Options options;
    char sentence[512];
    bool good = options_parse(command->bit, argc, argv, &options, sentence, sizeof sentence);
    if (options.help) {
        help_command(stdout, command);
        return finish_output(EXIT_OK);
    }
    if (!good) return wrong_usage("%s (vkgpt %s --help shows the flags)", sentence, command->name);
    return command->run(&options);
}

static void no_memory(size_t bytes)
{
    fprintf(stderr, "vkgpt: no host memory for %zu bytes\n", bytes);
    exit(EXIT_FAILED);
}

int main(int argc, char **argv)
{
    buffer_no_memory = no_memory;
    if (argc < 2) {
        help_program(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) return print_version();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "help") == 0) return help_main(argc - 2, argv + 2);
    const struct Command *command = find_command(name);
    if (!command) return wrong_usage("there is no command '%s' (vkgpt --help shows them)", name);
    return run_command(command, argc - 2, argv + 2);
}
