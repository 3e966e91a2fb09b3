#include "cli/commands.h"

#include <string.h>

#include "cli/nearest.h"

// clang-format off
const struct Command COMMANDS[] = {
    {"generate", GENERATE, GROUP_WRITE, "write on from a prompt",
     "write on from a prompt",
     "[TEXT | -p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE] [-n N] [flags]; with none of them the prompt comes from stdin",
     "vkgpt generate \"Once upon a time\" -n 100 --seed 7", generate_main},
    {"chat", CHAT, GROUP_WRITE, "a conversation, or a text, turn by turn",
     "a conversation, or a text, turn by turn: each line is a turn, /help shows what else a line can say, Ctrl-C stops an answer",
     "[--chat-template FORM|FILE] [--system TEXT] [flags]; the turns come from the terminal, or from stdin", "vkgpt chat -n 64 --temp 0.7",
     chat_main},
    {"serve", SERVE, GROUP_WRITE, "an HTTP server with OpenAI's API",
     "an HTTP server with OpenAI's API: completions, chat, log probabilities, and a page to play with at /",
     "[--host ADDRESS] [--port N] [-np N] [--api-key-file FILE] [flags]", "vkgpt serve -m path/to/gpt2 --port 8080", serve_main},
    {"tokenize", TOKENIZE, GROUP_WRITE, "text to token ids, and back",
     "text to token ids; needs no device", "[TEXT | -p TEXT | -f FILE] [--json]; with none of them the text comes from stdin",
     "vkgpt tokenize \"Once upon a time\"", tokenize_main},
    {"detokenize", DETOKENIZE, GROUP_WRITE, NULL,
     "token ids to exactly their bytes; needs no device", "(--ids 1,2,3 | --ids-file FILE)",
     "vkgpt detokenize --ids \"$(vkgpt tokenize -p hello)\"", detokenize_main},
    {"score", SCORE, GROUP_MEASURE, "the log likelihood of continuations",
     "the log likelihood of continuations of a context",
     "[TEXT | -p TEXT | -f FILE] --continuation TEXT [--continuation TEXT ...] [--normalize tokens|bytes] [--json]; with neither the context comes from stdin",
     "vkgpt score -p \"Once upon a\" --continuation \" time\" --continuation \" table\"", score_main},
    {"perplexity", PERPLEXITY, GROUP_MEASURE, "how well the model predicts a text",
     "how well the model predicts a text",
     "(-f FILE | --ids 1,2,3 | --ids-file FILE) [--stride N] [--json]",
     "vkgpt perplexity -f story.txt --json", perplexity_main},
    {"logits", LOGITS, GROUP_MEASURE, "scores of next tokens; texts as vectors",
     "the scores of every next token, as a NumPy file",
     "(TEXT | -p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE) [--last] -o OUT.npy",
     "vkgpt logits -p \"Once upon a time\" --last -o logits.npy", logits_main},
    {"embed", EMBED, GROUP_MEASURE, NULL,
     "texts as vectors: their hidden states after the final norm, the mean or the last token's, as JSON or a NumPy file",
     "[TEXT | -p TEXT | -f FILE | --prompts FILE | --ids 1,2,3 | --ids-file FILE] [--pooling mean|last] [--normalize] [-o OUT.npy]; with none of them the text comes from stdin",
     "vkgpt embed \"Once upon a time\" --normalize", embed_main},
    {"explain", EXPLAIN, GROUP_MEASURE, "a page that shows a model at work",
     "a page for the browser that shows what the model does with a text: tokens, predictions, attention, layer by layer",
     "[TEXT | -p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE] -o PAGE.html [flags]; with none of them the text comes from stdin",
     "vkgpt explain \"Once upon a time\" -o page.html", explain_main},
    {"quality", QUALITY, GROUP_MEASURE, "what each format of the weights costs",
     "how each format of the weights changes a model: perplexity, divergence, agreement",
     "(-f FILE | --ids 1,2,3 | --ids-file FILE) [--json]", "vkgpt quality -f story.txt", quality_main},
    {"task", TASK, GROUP_TASKS, "a task stated in the text: summarize, ...",
     "a task stated in the text, as the GPT-2 paper does: summarize, translate, answer, ...",
     "TASK [TEXT | -p TEXT | -f FILE] [--field NAME=TEXT ...] [flags]; --list shows the tasks; the first field may come from stdin",
     "vkgpt task cloze \"Once upon a ___ there lived a king.\"", task_main},
    {"few-shot", FEW_SHOT, GROUP_TASKS, "learning from examples in the prompt",
     "learning in context: accuracy on a task with K examples in the prompt",
     "--task TASK|FILE.jsonl [--shots 0,1,2,4] [--limit N] [--json] [--plot FILE.svg] [--show] [flags]; --list shows the tasks that come with vkgpt",
     "vkgpt few-shot -m shots --task context/mapping --shots 0,4,16 --limit 20", few_shot_main},
    {"eval", EVAL, GROUP_TASKS, "LAMBADA, HellaSwag, PIQA, ARC, ...",
     "standard tasks, by lm-evaluation-harness's definitions",
     "--tasks lambada:FILE,hellaswag:FILE,wikitext:FILE [--limit N] [--resume FILE] [--json]",
     "vkgpt eval --tasks lambada:lambada_test.jsonl --limit 100 --resume lambada.results", eval_main},
    {"classify", CLASSIFY, GROUP_TASKS, "by a fine-tuned head",
     "the label of a text, by a head that was fine-tuned",
     "(TEXT | -p TEXT | -f FILE | --ids 1,2,3 | --ids-file FILE) [--start TOKEN] [--extract TOKEN] [--json]",
     "vkgpt classify -m path/to/checkpoint -p \"A fine film.\"", classify_main},
    {"entail", ENTAIL, GROUP_TASKS, NULL,
     "whether one text follows from another, by a trained head",
     "--premise TEXT --hypothesis TEXT [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt entail -m path/to/checkpoint --premise \"It rains.\" --hypothesis \"It is wet.\"", entail_main},
    {"similar", SIMILAR, GROUP_TASKS, NULL,
     "whether two texts mean the same, by a trained head",
     "(FIRST SECOND | --first TEXT --second TEXT) [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt similar -m path/to/checkpoint \"It rains.\" \"Rain falls.\"", similar_main},
    {"choose", CHOOSE, GROUP_TASKS, NULL,
     "the best of several answers, by a trained head",
     "(TEXT | -p TEXT | -f FILE) --answer TEXT --answer TEXT ... [--start TOKEN] [--delimiter TOKEN] [--extract TOKEN] [--json]",
     "vkgpt choose -m path/to/checkpoint -p \"It rains, so\" --answer \" I stay.\" --answer \" I melt.\"", choose_main},
    {"pull", PULL, GROUP_CONVERT, "fetch a model of the hub; list those here",
     "a model of the Hugging Face hub, into the hub's own cache", "NAME [FILE.gguf]; prints the model's folder",
     "vkgpt pull gpt2", pull_main},
    {"models", MODELS, GROUP_CONVERT, NULL,
     "the models that -m finds by name: those that come with vkgpt, and those of the hub's cache", "[--json]",
     "vkgpt models", models_main},
    {"convert", CONVERT, GROUP_CONVERT, "to GGUF and back, or to another directory",
     "a Hugging Face directory to a GGUF file, or back, or to another directory; needs no device",
     "-o FILE.gguf [--type f32|f16|q8_0|q4_0|q4_k]; -o DIR [--type f32|f16]; [--force]",
     "vkgpt convert -o tales.gguf --type q8_0", convert_main},
    {"make-model", MAKE_MODEL, GROUP_CONVERT, "a model with random weights",
     "a model of the papers' sizes with random weights, for benchmarks and tests",
     "PRESET -o DIR [--dtype f16|f32|bf16] [--seed N] [--shards N] [--layers N ...]; its tokens are those of -m",
     "vkgpt make-model gpt2 -o gpt2-random", make_model_main},
    {"plan", PLAN, GROUP_CONVERT, "the memory and time that a model needs",
     "what a model needs: memory, disk, FLOPs, time, money; opens no device but the one of --device",
     "[PRESET | -m DIR] [--weights T] [--kv T] [--ctx N] [--parallel N] [--device-memory SIZE] [--machines N] [--devices-per-machine N] [--explain] [--json]",
     "vkgpt plan gpt3-175b --device-memory 80GiB --explain", plan_main},
    {"devices", DEVICES, GROUP_DEVICE, "every Vulkan device",
     "every Vulkan device, and whether vkgpt can use it", "[--json]", "vkgpt devices", devices_main},
    {"bench", BENCH, GROUP_DEVICE, "tokens/s; measure which kernels are quickest",
     "tokens/s of a prompt and of generation, beside what the device can reach", "[-p 512,...] [-n 128,...] [-d 0,...] [-r 5] [--profile] [-o md|csv|json]; several sizes: each at each depth",
     "vkgpt bench -p 128 -n 64 -d 0,128 --profile", bench_main},
    {"tune", TUNE, GROUP_DEVICE, NULL,
     "measure the variants of each kernel on this device, and keep the quickest",
     "[--weights T] [-o FILE] [--dry-run] [--json]", "vkgpt tune -m path/to/gpt2 --weights q8_0", tune_main},
    {"selftest", SELFTEST, GROUP_DEVICE, "every kernel against a plain C reference",
     "every kernel against a plain C reference, on this device", "[--report FILE]",
     "vkgpt selftest --report selftest.json", selftest_main},
    {0},
};
// clang-format on
_Static_assert(sizeof COMMANDS / sizeof COMMANDS[0] == COMMAND_COUNT + 1, "each command has a row");

const char *const GROUP_NAMES[] = {
    [GROUP_WRITE] = "write",     [GROUP_MEASURE] = "measure", [GROUP_TASKS] = "tasks",
    [GROUP_CONVERT] = "convert", [GROUP_DEVICE] = "device",
};

const struct Command *commands_find(const char *name)
{
    for (const struct Command *command = COMMANDS; command->name; command++)
        if (strcmp(command->name, name) == 0) return command;
    return NULL;
}

const char *commands_nearest(const char *name, char hint[96])
{
    struct Nearest nearest = nearest_to(name, strlen(name));
    for (const struct Command *command = COMMANDS; command->name; command++)
        nearest_add(&nearest, command->name, strlen(command->name));
    nearest_add(&nearest, "help", strlen("help"));
    return nearest_hint(&nearest, hint);
}
