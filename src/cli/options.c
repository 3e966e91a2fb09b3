// The table of flags, and the parser. Values are checked here, once, against the ranges in the table.
#include "cli/options.h"
#include "cli/nearest.h"
#include "model/formats.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITES (GENERATE | TASK)
#define PAIRS (ENTAIL | SIMILAR)
#define HEADS (CLASSIFY | PAIRS | CHOOSE)
#define PROMPTED (WRITES | SCORE | LOGITS | EMBED | EXPLAIN | TOKENIZE | CLASSIFY | CHOOSE)
#define TEXT_INPUT (WRITES | SCORE | LOGITS | EMBED | EXPLAIN | PERPLEXITY | QUALITY | TOKENIZE | CLASSIFY | CHOOSE)
#define ID_INPUT (GENERATE | LOGITS | EMBED | EXPLAIN | PERPLEXITY | QUALITY | DETOKENIZE | CLASSIFY)
#define BATCHES (SCORE | FEW_SHOT | EVAL | EMBED)
#define SAMPLES (WRITES | CHAT)
#define RUNS (SAMPLES | BATCHES | LOGITS | PERPLEXITY | BENCH | HEADS | SERVE)
#define TEXTS                                                                                                          \
    (SAMPLES | BATCHES | LOGITS | EXPLAIN | PERPLEXITY | QUALITY | TOKENIZE | DETOKENIZE | HEADS | CONVERT | SERVE)
#define ON_DEVICE (RUNS | QUALITY | TUNE | EXPLAIN)
#define AT(member) offsetof(struct Options, member)
#define UP_TO(low_, high_) .low = (low_), .high = (high_)
#define WITHIN(least_, most_) .least = (least_), .most = (most_)

// clang-format off
const struct Flag FLAGS[] = {
    {TASK, FLAG_WORD, {"TASK"}, NULL, AT(task), .help = "the name of one that comes with vkgpt, or a file of your own: my.task, ./mine"},
    {TASK, FLAG_SWITCH, {"--list"}, NULL, AT(list), .help = "the tasks that come with vkgpt, and their fields; needs no device"},
    {TASK, FLAG_SWITCH, {"--show"}, NULL, AT(show), .help = "print the prompt exactly as the model would get it; needs no device"},
    {TASK, FLAG_FIELD, {"--field"}, "NAME=TEXT", 0,
     .help = "one of the task's fields; NAME=@FILE reads it from a file; -p, -f or stdin are the first field's"},
    {PROMPTED, FLAG_WORD, {"TEXT"}, NULL, AT(prompt_word), .help = "the text, in quotes where it has several words"},
    {PROMPTED, FLAG_TEXT, {"-p", "--prompt"}, "TEXT", AT(prompt),
     .help = "the text, taken literally unless -e is given; also where it begins with a dash"},
    {TEXT_INPUT, FLAG_FILE, {"-f", "--file"}, "FILE", AT(file),
     .help = "the text from a file: its bytes as they are, the last newline included; -: from stdin"},
    {ID_INPUT, FLAG_TEXT, {"--ids"}, "1,2,3", AT(ids), .help = "token ids in place of text"},
    {ID_INPUT, FLAG_FILE, {"--ids-file"}, "FILE", AT(ids_file),
     .help = "token ids from a file, separated by white space or commas; -: from stdin"},
    {ENTAIL, FLAG_TEXT, {"--premise"}, "TEXT", AT(premise), .help = "the text that is given"},
    {ENTAIL, FLAG_TEXT, {"--hypothesis"}, "TEXT", AT(hypothesis), .help = "the text that may follow from it"},
    {SIMILAR, FLAG_WORD, {"FIRST"}, NULL, AT(first), .help = "one text"},
    {SIMILAR, FLAG_WORD, {"SECOND"}, NULL, AT(second), .help = "the other"},
    {SIMILAR, FLAG_TEXT, {"--first"}, "TEXT", AT(first), .help = "one text, also if it begins with a dash"},
    {SIMILAR, FLAG_TEXT, {"--second"}, "TEXT", AT(second), .help = "the other text, also if it begins with a dash"},
    {CHOOSE, FLAG_ANSWER, {"--answer"}, "TEXT", 0, .help = "an answer to choose from; given once for each"},
    {WRITES | SCORE | FEW_SHOT | LOGITS | EMBED | EXPLAIN | TOKENIZE | HEADS, FLAG_SWITCH, {"-e", "--escape"}, NULL, AT(escape),
     .help = "\\n, \\r, \\t, \\', \\\", \\\\ and \\xHH in a text that a flag gives are escapes"},
    {TEXT_INPUT | FEW_SHOT | PAIRS, FLAG_SWITCH, {"--no-special", "--no-parse-special"}, NULL, AT(no_special),
     .help = "special tokens such as <|endoftext|> in the text are plain text"},

    {SAMPLES, FLAG_INT, {"-n", "--predict", "--n-predict"}, "N", AT(predict), UP_TO(-1, INT32_MAX),
     .help = "new tokens at most; -1: until the context is full (256)"},
    {SAMPLES, FLAG_STOP, {"-r", "--reverse-prompt"}, "STOP", 0,
     .help = "stop where this text appears, and do not print it; may be given several times"},
    {SAMPLES, FLAG_SWITCH, {"--ignore-eos"}, NULL, AT(ignore_eos), .help = "go on past the model's end token"},
    {WRITES, FLAG_SWITCH, {"--echo", "--display-prompt"}, NULL, AT(echo),
     .help = "print the prompt before the new text; generate does so on a terminal"},
    {GENERATE, FLAG_SWITCH, {"--no-echo", "--no-display-prompt"}, NULL, AT(no_echo), .help = "print the new text alone, on a terminal too"},
    {SAMPLES, FLAG_SWITCH, {"--generation-config"}, NULL, AT(generation_config),
     .help = "take the sampling of the model's generation_config.json, unless a flag says otherwise"},
    {GENERATE, FLAG_INT, {"--logprobs"}, "N", AT(logprobs), UP_TO(0, 100),
     .help = "with --json: the log probability of each new token, and the N likeliest in its place; 0: none (0)"},
    {SAMPLES, FLAG_REAL, {"--temp", "--temperature"}, "T", AT(temperature), WITHIN(0, 1000),
     .help = "temperature; 0 takes the likeliest token (0.8)"},
    {SAMPLES, FLAG_INT, {"--top-k"}, "K", AT(top_k), UP_TO(0, INT32_MAX),
     .help = "sample from the K likeliest tokens; 0: from all (40)"},
    {SAMPLES, FLAG_REAL, {"--top-p"}, "P", AT(top_p), WITHIN(0, 1),
     .help = "sample from the fewest tokens whose probabilities reach P; 1: off (0.95)"},
    {SAMPLES, FLAG_REAL, {"--min-p"}, "P", AT(min_p), WITHIN(0, 1),
     .help = "drop tokens less likely than P times the likeliest; 0: off (0.05)"},
    {SAMPLES, FLAG_REAL, {"--repeat-penalty"}, "X", AT(repeat_penalty), WITHIN(0.001, 1000),
     .help = "make recent tokens less likely; 1: off (1)"},
    {SAMPLES, FLAG_INT, {"--repeat-last-n"}, "N", AT(repeat_last_n), UP_TO(-1, INT32_MAX),
     .help = "tokens that the penalty looks back on; -1: the context (64)"},
    {SAMPLES, FLAG_INT, {"-s", "--seed"}, "N", AT(seed), UP_TO(-1, INT64_MAX),
     .help = "of the random numbers; -1: a new one each time (-1)"},

    {SERVE, FLAG_TEXT, {"--host"}, "ADDRESS", AT(host), .help = "the address to listen on; other machines reach 0.0.0.0 and :: (127.0.0.1)"},
    {SERVE, FLAG_INT, {"--port"}, "N", AT(port), UP_TO(0, 65535), .help = "the port; 0: any free one, which stderr says (8080)"},
    {SERVE, FLAG_TEXT, {"--api-key"}, "KEY", AT(api_key), .help = "requests need this key, as Authorization: Bearer KEY"},
    {SERVE, FLAG_FILE, {"--api-key-file"}, "FILE", AT(api_key_file), .help = "keys from a file, one on each line, which ps does not show"},
    {SERVE, FLAG_TEXT, {"-a", "--alias"}, "NAME", AT(alias), .help = "what the model is called in answers (its own name)"},
    {SERVE, FLAG_INT, {"--queue"}, "N", AT(queue), UP_TO(0, 65536), .help = "requests that wait at most; more are answered with 429 (64)"},
    {SERVE, FLAG_REAL, {"--timeout", "-to"}, "SECONDS", AT(timeout), WITHIN(0.1, 1e6),
     .help = "for a request to arrive, its headers and its body; then its connection is closed (60)"},
    {SERVE, FLAG_REAL, {"--drain"}, "SECONDS", AT(drain), WITHIN(0, 1e6),
     .help = "for the requests that run, after SIGTERM or Ctrl-C; a second signal ends at once (30)"},
    {SERVE, FLAG_SWITCH, {"--no-warmup"}, NULL, AT(no_warmup), .help = "serve at once: the first requests then wait for the driver's compiler"},
    {CHAT | SERVE, FLAG_FILE, {"--chat-template"}, "plain|eos|chatml|FILE", AT(chat_template),
     .help = "how turns are written: as a text that goes on, each with the end token, as ChatML, or as a file says (the tokenizer's own, else plain)"},
    {CHAT, FLAG_TEXT, {"--system"}, "TEXT", AT(system), .help = "what the conversation begins with"},

    {SCORE, FLAG_CONTINUATION, {"--continuation"}, "TEXT", 0,
     .help = "a continuation of the context; given several times, the likeliest is marked"},
    {SCORE | TASK, FLAG_CHOICE, {"--normalize"}, "none|tokens|bytes", AT(normalize),
     .help = "compare the log likelihoods as they are, or divided by the continuation's tokens or bytes (none)"},

    {FEW_SHOT, FLAG_FILE, {"--task"}, "FILE", AT(task_file),
     .help = "the items, one JSON object per line, also as gzip; or the name of a task that comes with vkgpt"},
    {FEW_SHOT, FLAG_SWITCH, {"--list"}, NULL, AT(list), .help = "the tasks that come with vkgpt; needs no device"},
    {FEW_SHOT, FLAG_TEXT, {"-k", "--shots"}, "0,1,2,...", AT(shots), .help = "examples in the prompt; several numbers make a curve (0)"},
    {FEW_SHOT, FLAG_FILE, {"--examples"}, "FILE", AT(examples), .help = "draw the examples from this file, and not from the other items of the task"},
    {FEW_SHOT, FLAG_INT, {"-s", "--seed"}, "N", AT(draw_seed), UP_TO(0, INT64_MAX), .help = "of the examples drawn (0)"},
    {FEW_SHOT | EVAL, FLAG_INT, {"--limit"}, "N", AT(limit), UP_TO(0, INT64_MAX), .help = "run the first N items of a task only; 0: all (0)"},
    {FEW_SHOT, FLAG_CHOICE, {"--measure"}, "auto|exact|f1|choice|per-token|unconditional", AT(measure),
     .help = "what the curve shows: exact and f1 of written answers, or choice, ... of chosen ones; auto: choice, if there are choices (auto)"},
    {FEW_SHOT, FLAG_TEXT, {"--description"}, "TEXT", AT(description), .help = "what the prompt begins with (the task's own)"},
    {FEW_SHOT, FLAG_TEXT, {"--separator"}, "TEXT", AT(separator),
     .help = "between examples (an empty line, unless they begin with a line break)"},
    {FEW_SHOT, FLAG_TEXT, {"--answer-context"}, "TEXT", AT(answer_context),
     .help = "the text before an answer for its unconditional likelihood (A: if the contexts end so, else Answer:)"},
    {FEW_SHOT, FLAG_INT, {"-n", "--predict"}, "N", AT(answer_tokens), UP_TO(0, INT32_MAX),
     .help = "tokens of a written answer at most; 0: twice the longest right one, and 8 (0)"},
    {FEW_SHOT, FLAG_SWITCH, {"--show"}, NULL, AT(show), .help = "print the prompts exactly as the model would get them; needs no device"},
    {FEW_SHOT, FLAG_FILE, {"--plot"}, "FILE.svg", AT(plot), .help = "draw the curve"},

    {EVAL, FLAG_TEXT, {"--tasks"}, "NAME:FILE,...", AT(tasks),
     .help = "lambada, hellaswag, piqa, arc_easy, arc_challenge, winogrande, wikitext, each with the file of its items"},
    {EVAL, FLAG_FILE, {"--resume"}, "FILE", AT(resume),
     .help = "keep the result of every item in FILE, and continue from the results that it has"},

    {LOGITS, FLAG_FILE, {"-o", "--output"}, "OUT.npy", AT(output),
     .help = "the file to write, exactly this name: float32, (tokens, vocab)"},
    {LOGITS, FLAG_SWITCH, {"--last"}, NULL, AT(last), .help = "only the last token's row"},
    {EMBED, FLAG_CHOICE, {"--pooling"}, "mean|last", AT(pooling),
     .help = "the mean of the hidden states of all tokens, or that of the last token (mean)"},
    {EMBED, FLAG_SWITCH, {"--normalize"}, NULL, AT(unit_length), .help = "divide each vector by its L2 norm"},
    {EMBED, FLAG_FILE, {"-o", "--output"}, "OUT.npy", AT(output),
     .help = "write a NumPy file of exactly this name, in place of JSON on stdout: float32, (texts, width)"},
    {EXPLAIN, FLAG_FILE, {"-o", "--output"}, "PAGE.html", AT(output), .help = "the file to write: a page that needs nothing else"},
    {PERPLEXITY, FLAG_INT, {"--stride", "--ppl-stride"}, "N", AT(stride), UP_TO(1, INT32_MAX),
     .help = "tokens from one window to the next, at most the context (half the context)"},

    {HEADS, FLAG_TEXT, {"--start"}, "TOKEN", AT(start),
     .help = "the token before the text; '' is none (_start_, where the tokenizer has it)"},
    {PAIRS | CHOOSE, FLAG_TEXT, {"--delimiter"}, "TOKEN", AT(delimiter), .help = "the token between two texts; '' is none (_delimiter_)"},
    {HEADS, FLAG_TEXT, {"--extract"}, "TOKEN", AT(extract), .help = "the token after the text; '' is none (_classify_)"},

    {BENCH, FLAG_LIST, {"-p", "--n-prompt"}, "N,...", AT(bench_prompt), UP_TO(0, INT32_MAX),
     .help = "tokens of each prompt test; 0: none (512)"},
    {BENCH, FLAG_LIST, {"-n", "--n-gen"}, "N,...", AT(bench_predict), UP_TO(0, INT32_MAX),
     .help = "tokens of each generation test; 0: none (128)"},
    {BENCH, FLAG_LIST, {"-d", "--n-depth"}, "N,...", AT(bench_depth), UP_TO(0, INT32_MAX),
     .help = "tokens in the cache before the tests, all of which run at each depth (0)"},
    {BENCH, FLAG_INT, {"-r", "--repetitions"}, "N", AT(repetitions), UP_TO(1, 10000),
     .help = "times each test runs, after a warm-up (5)"},
    {BENCH, FLAG_CHOICE, {"-o", "--output"}, "md|csv|json", AT(bench_format), .help = "form of the table (md)"},
    {BENCH, FLAG_SWITCH, {"--profile"}, NULL, AT(profile),
     .help = "time, bytes/s and share of the limit of each kernel, for a token and a block of the prompt"},

    {CONVERT, FLAG_FILE, {"-o", "--output"}, "FILE.gguf|DIR", AT(output),
     .help = "the file or directory to write; a name that ends in .gguf is a file"},
    {CONVERT, FLAG_CHOICE, {"--type"}, FORMAT_CHOICES, AT(convert_type),
     .help = "of the matrices; auto: f16; rows that are not a multiple of the block size take a wider type, with a note (auto)"},
    {CONVERT, FLAG_SWITCH, {"--force"}, NULL, AT(force),
     .help = "replace the file, or the model in the directory, that is there already"},

    {TUNE, FLAG_FILE, {"-o", "--output"}, "FILE", AT(output),
     .help = "the file to write (one in the user's cache folder, by device and driver)"},
    {TUNE, FLAG_SWITCH, {"--dry-run"}, NULL, AT(dry_run), .help = "measure, and write no file"},

    {SELFTEST, FLAG_FILE, {"--report"}, "FILE", AT(report),
     .help = "write device, limits, results and a short bench as one JSON to send in"},
    {PULL, FLAG_WORD, {"NAME"}, NULL, AT(pull_name), .help = "openai-community/gpt2, or a short name: gpt2, distilgpt2, openai-gpt, gpt-neo-125m, opt-125m, ..."},
    {PULL, FLAG_WORD, {"FILE.gguf"}, NULL, AT(pull_file), .help = "which GGUF file, if the model has several"},
    {PULL, FLAG_TEXT, {"--revision"}, "REV", AT(revision), .help = "a branch, a tag or a commit of the model (main)"},
    {MAKE_MODEL, FLAG_WORD, {"PRESET"}, NULL, AT(preset),
     .help = "gpt2, gpt2-medium, gpt2-large, gpt2-xl, gpt3-125m, ... gpt3-175b"},
    {MAKE_MODEL, FLAG_DIR, {"-o", "--output"}, "DIR", AT(output), .help = "the directory to write"},
    {MAKE_MODEL, FLAG_SWITCH, {"--force"}, NULL, AT(force), .help = "replace the model that is in the directory already"},
    {MAKE_MODEL, FLAG_CHOICE, {"--dtype"}, "f16|f32|bf16", AT(dtype), .help = "of the weights in the file (f16)"},
    {MAKE_MODEL, FLAG_INT, {"-s", "--seed"}, "N", AT(model_seed), UP_TO(0, INT64_MAX), .help = "of the random numbers (0)"},
    {MAKE_MODEL, FLAG_INT, {"--shards"}, "N", AT(shards), UP_TO(1, 99999), .help = "files to spread the weights over (1)"},
    {MAKE_MODEL, FLAG_INT, {"--layers"}, "N", AT(layers), UP_TO(1, 4096), .help = "layers, other than the preset's"},
    {MAKE_MODEL, FLAG_INT, {"--heads"}, "N", AT(heads), UP_TO(1, 1 << 20), .help = "heads of a layer, other than the preset's"},
    {MAKE_MODEL, FLAG_INT, {"--dim"}, "N", AT(dim), UP_TO(1, 1 << 20), .help = "width, other than the preset's"},
    {MAKE_MODEL, FLAG_INT, {"--inner"}, "N", AT(inner), UP_TO(1, 1 << 24), .help = "width of the feed-forward layer (4 times the width)"},
    {MAKE_MODEL, FLAG_INT, {"--context"}, "N", AT(positions), UP_TO(1, 1 << 24), .help = "positions, other than the preset's"},
    {MAKE_MODEL, FLAG_INT, {"--vocab"}, "N", AT(vocab), UP_TO(1, 1 << 24), .help = "rows of the token table, other than the preset's"},

    {PLAN, FLAG_WORD, {"PRESET"}, NULL, AT(preset), .help = "a model of the papers, in place of -m: gpt2, ... gpt3-175b"},
    {PLAN, FLAG_CHOICE, {"--weights"}, FORMAT_CHOICES, AT(plan_weights),
     .help = "format of the matrices on the device; auto: f16 (auto)"},
    {PLAN, FLAG_CHOICE, {"--kv"}, KV_CHOICES, AT(plan_kv), .help = "format of the KV cache; auto: f16 (auto)"},
    {PLAN, FLAG_INT, {"-c", "--ctx-size", "--ctx"}, "N", AT(context), UP_TO(0, INT32_MAX),
     .help = "positions of the cache, up to the model's; 0: the model's (0)"},
    {PLAN, FLAG_INT, {"-np", "--parallel", "-b", "--batch"}, "N", AT(batch), UP_TO(1, 1 << 16), .help = "sequences at once (1)"},
    {PLAN | GENERATE | BENCH | BATCHES | SERVE, FLAG_INT, {"--micro-batches"}, "N", AT(micro_batches), UP_TO(0, 1 << 16),
     .help = "parts of the sequences, on which several devices work at the same time; 0: one for each device (0)"},
    {PLAN, FLAG_BYTES, {"--device-memory"}, "SIZE", AT(device_memory), WITHIN(1, 1e18),
     .help = "what it has to fit into, such as 80GiB or 24GB"},
    {PLAN, FLAG_INT, {"--machines"}, "N", AT(machines), UP_TO(1, 4096), .help = "machines to cut the layers over (1)"},
    {PLAN, FLAG_INT, {"--devices-per-machine"}, "N", AT(devices_per_machine), UP_TO(1, 4096), .help = "devices in each of them (1)"},
    {PLAN, FLAG_REPLACED, {"--devices"}, "N", 0, .help = "--machines N and --devices-per-machine N say how many there are"},
    {PLAN, FLAG_RATE, {"--link"}, "RATE", AT(link), WITHIN(1, 1e18),
     .help = "bytes per second from a device to the next one (50GB/s)"},
    {PLAN, FLAG_TIME, {"--latency"}, "TIME", AT(latency), WITHIN(0, 3600),
     .help = "of a transfer to the next device: 5us, 0.2ms (5us)"},
    {PLAN, FLAG_TIME, {"--dispatch"}, "TIME", AT(dispatch), WITHIN(0, 3600),
     .help = "that a kernel takes besides its bytes (6us, an H200)"},
    {PLAN, FLAG_REAL, {"--tokens"}, "N", AT(train_tokens), WITHIN(1, 1e30), .help = "to train on (300e9, as GPT-3)"},
    {PLAN, FLAG_REAL, {"--flops"}, "N", AT(flops), WITHIN(1, 1e30), .help = "FLOP/s of one device while it trains (28e12, a V100)"},
    {PLAN, FLAG_REAL, {"--price"}, "X", AT(price), WITHIN(0, 1e12), .help = "of an hour of one device, to estimate the cost of training"},
    {PLAN, FLAG_RATE, {"--bandwidth"}, "RATE", AT(bandwidth), WITHIN(1, 1e18),
     .help = "of one device's memory, such as 900GB/s, for the least time per token (900GB/s, a V100)"},
    {PLAN, FLAG_SWITCH, {"--explain"}, NULL, AT(explain), .help = "name the formula of each number"},

    {WRITES | BATCHES | PERPLEXITY | QUALITY | TOKENIZE | DEVICES | PLAN | HEADS | TUNE | MODELS, FLAG_SWITCH, {"--json"}, NULL, AT(json),
     .help = "print one JSON object"},

    {RUNS | QUALITY, FLAG_INT, {"-c", "--ctx-size"}, "N", AT(context), UP_TO(0, INT32_MAX),
     .help = "positions of the cache, up to the model's; 0: the model's (0)"},
    {RUNS | TUNE | EXPLAIN, FLAG_CHOICE, {"--weights"}, FORMAT_CHOICES, AT(weights),
     .help = "format of the matrices on the device, quantised at load; auto: f16 (auto)"},
    {RUNS, FLAG_CHOICE, {"--kv"}, KV_CHOICES, AT(kv), .help = "format of the KV cache; auto: f16 (auto)"},
    {RUNS, FLAG_SWITCH, {"--deterministic"}, NULL, AT(deterministic),
     .help = "logits and tokens with the same bits on every device, by slower kernels"},
    {SAMPLES | BENCH | SERVE, FLAG_INT, {"--submit"}, "N", AT(submit), UP_TO(0, 32),
     .help = "tokens per submission to the device; 0: about 100 ms of work (0)"},

    {GENERATE | EMBED, FLAG_FILE, {"--prompts"}, "FILE", AT(prompts), .help = "a text from each line of a file, --parallel at once"},
    {GENERATE | BENCH | BATCHES | SERVE, FLAG_INT, {"-np", "--parallel"}, "N", AT(parallel), UP_TO(1, MAX_PARALLEL),
     .help = "sequences at once; generate without --prompts: as many texts, each with the next seed (1; 8 for many texts, and for serve)"},
    {SAMPLES | BENCH | SERVE, FLAG_INT, {"--lookup"}, "N", AT(lookup), UP_TO(0, 31),
     .help = "draft up to N tokens a step from the text so far; the same tokens, faster if the text repeats itself (0)"},

    {ALL_COMMANDS, FLAG_FILE, {"-m", "--model"}, "DIR|FILE|NAME", AT(model),
     .help = "the model: its directory, a GGUF file, or a name: tales and shots come with vkgpt, others of the hub after vkgpt pull (tales)"},
    {TEXTS, FLAG_FILE, {"--tokenizer"}, "DIR|FILE", AT(tokenizer),
     .help = "take the tokenizer from another directory, its tokenizer.json, or a GGUF file (the model's)"},
    {RUNS | QUALITY | EXPLAIN | CONVERT, FLAG_DIR, {"--lora"}, "DIR", AT(lora),
     .help = "merge LoRA weights of PEFT into the model: the folder with adapter_config.json"},
    {ALL_COMMANDS, FLAG_TEXT, {"--device", "-dev"}, "N|NAME", AT(device),
     .help = "a device by its number or a part of its name, as vkgpt devices lists them"},
    {RUNS, FLAG_TEXT, {"--devices"}, "N,N,...", AT(devices),
     .help = "cut the model by layers over these devices, in this order, each given as for --device"},
    {RUNS, FLAG_LIST, {"--split"}, "N,N,...", AT(split), UP_TO(1, INT32_MAX),
     .help = "with --devices: how many layers each gets (as makes the slowest device fastest)"},
    {QUALITY | TUNE | EXPLAIN | SELFTEST, FLAG_REPLACED, {"--devices", "--split"}, "N,N,...", 0,
     .help = "it works on one device, which --device names"},
    {ALL_COMMANDS, FLAG_SWITCH, {"-v", "--verbose"}, NULL, AT(verbose), .help = "say more on stderr: device, model, counters"},
    {ALL_COMMANDS, FLAG_SWITCH, {"-h", "--help"}, NULL, AT(help), .help = "this text"},

    {ON_DEVICE, FLAG_IGNORED, {"-ngl", "--gpu-layers", "--n-gpu-layers"}, "N", 0, .help = "all layers run on the device that --device names"},
    {ON_DEVICE, FLAG_IGNORED, {"-t", "--threads"}, "N", 0, .help = "the device works, not threads of the processor"},
    {ON_DEVICE, FLAG_IGNORED, {"-tb", "--threads-batch"}, "N", 0, .help = "the device works, not threads of the processor"},
    {ON_DEVICE, FLAG_IGNORED, {"-fa", "--flash-attn"}, "on|off|auto", 0, .help = "attention never stores its scores"},
    {ON_DEVICE, FLAG_IGNORED, {"-b", "--batch-size"}, "N", 0, .help = "a prompt's blocks are as large as the device takes"},
    {ON_DEVICE, FLAG_IGNORED, {"-ub", "--ubatch-size"}, "N", 0, .help = "a prompt's blocks are as large as the device takes"},
    {ON_DEVICE, FLAG_IGNORED, {"--mlock"}, NULL, 0, .help = "the weights are in the device's memory"},
    {ON_DEVICE, FLAG_IGNORED, {"--no-mmap"}, NULL, 0, .help = "files are mapped only while they are read"},
    {ON_DEVICE & ~CHAT, FLAG_IGNORED, {"-no-cnv", "--no-conversation"}, NULL, 0, .help = "a prompt is always continued"},
    {0},
};
// clang-format on
_Static_assert(sizeof FLAGS / sizeof FLAGS[0] <= MAX_FLAGS, "Options.given has a place for each flag");

struct Options options_default(void)
{
    const vkgpt_sampling sampling = VKGPT_SAMPLING_DEFAULT;
    return (struct Options){
        .predict = 256,
        .seed = -1,
        .top_k = sampling.top_k,
        .repeat_last_n = sampling.repeat_last_n,
        // decimal literals, because (double)0.8f would not show as 0.8
        .temperature = 0.8,
        .top_p = 0.95,
        .min_p = 0.05,
        .repeat_penalty = 1,
        .repetitions = 5,
        .batch = 1,
        .machines = 1,
        .devices_per_machine = 1,
        .link = 50e9,
        .latency = 5e-6,
        .dispatch = 6e-6,
        .train_tokens = 300e9,
        .flops = 28e12,
        .bandwidth = 900e9,
        .shards = 1,
        .host = "127.0.0.1",
        .port = 8080,
        .queue = 64,
        .timeout = 60,
        .drain = 30,
    };
}

// -------------------------------------------------------------------------------------------- one value

struct Parse {
    char *sentence;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct Parse *parse, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(parse->sentence, parse->size, format, args);
    va_end(args);
    return false;
}

static bool starts_number(const char *text) { return *text && !isspace((unsigned char)*text); }

static bool read_integer(struct Parse *parse, const struct Flag *flag, const char *name, const char *text,
                         int64_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!starts_number(text) || *end) return wrong(parse, "%s takes a whole number, not '%s'", name, text);
    if (errno == ERANGE || number < flag->low || number > flag->high)
        return wrong(parse, "%s is %s, it has to lie between %lld and %lld", name, text, (long long)flag->low,
                     (long long)flag->high);
    *value = number;
    return true;
}

// Reads 0,128,512 number by number.
static bool read_list(struct Parse *parse, const struct Flag *flag, const char *name, const char *text,
                      struct IntList *list)
{
    for (;;) {
        char number[32];
        size_t length = strcspn(text, ",");
        if (length >= sizeof number)
            return wrong(parse, "%s takes whole numbers with commas between them, not '%.64s'", name, text);
        snprintf(number, sizeof number, "%.*s", (int)length, text);
        if (list->count == MAX_LIST) return wrong(parse, "%s takes %d values at most", name, MAX_LIST);
        if (!read_integer(parse, flag, name, number, &list->values[list->count])) return false;
        list->count++;
        if (!text[length]) return true;
        text += length + 1;
    }
}

static bool read_real(struct Parse *parse, const struct Flag *flag, const char *name, const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (!starts_number(text) || *end || isnan(number)) return wrong(parse, "%s takes a number, not '%s'", name, text);
    if (!(number >= flag->least && number <= flag->most))
        return wrong(parse, "%s is %s, it has to lie between %g and %g", name, text, flag->least, flag->most);
    *value = number;
    return true;
}

struct Unit {
    const char *name;
    double value;
};

struct Measure { // what a number with a unit may be
    const char *takes, *base;
    const struct Unit *units; // up to the one without a name
    bool plain;               // a number without a unit is one in `base`
};

static const struct Unit byte_units[] = {
    {"B", 1},         {"KB", 1e3},      {"MB", 1e6},      {"GB", 1e9},     {"TB", 1e12},    {"PB", 1e15},
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 0x1p40}, {"PiB", 0x1p50}, {NULL, 0},
};
static const struct Unit rate_units[] = {
    {"B/s", 1},         {"KB/s", 1e3},      {"MB/s", 1e6},      {"GB/s", 1e9},     {"TB/s", 1e12},    {"PB/s", 1e15},
    {"KiB/s", 1 << 10}, {"MiB/s", 1 << 20}, {"GiB/s", 1 << 30}, {"TiB/s", 0x1p40}, {"PiB/s", 0x1p50}, {NULL, 0},
};
static const struct Unit time_units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};

static const struct Measure size_measure = {"bytes with a unit of KB, MB, GB, TB, KiB, MiB, GiB or TiB", "bytes",
                                            byte_units, true};
static const struct Measure rate_measure = {"bytes with a unit of KB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, GiB/s or TiB/s",
                                            "bytes/s", rate_units, true};
static const struct Measure time_measure = {"a time with a unit of ns, us, ms or s", "s", time_units, false};

// Reads 80GiB, 24GB, 900GB/s, 5us, and where a unit may be left out 1000000.
static bool read_measure(struct Parse *parse, const struct Measure *measure, const struct Flag *flag, const char *name,
                         const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    const struct Unit *unit = measure->units;
    while (unit->name && strcmp(unit->name, end) != 0) unit++;
    if (!starts_number(text) || end == text || isnan(number) || !(unit->name || (measure->plain && !*end)))
        return wrong(parse, "%s takes %s, not '%s'", name, measure->takes, text);
    if (unit->name) number *= unit->value;
    if (!(number >= flag->least && number <= flag->most))
        return wrong(parse, "%s is %s, it has to lie between %g and %g %s", name, text, flag->least, flag->most,
                     measure->base);
    *value = number;
    return true;
}

static bool read_choice(struct Parse *parse, const struct Flag *flag, const char *name, const char *text, int *value)
{
    int place = 0;
    for (const char *choice = flag->value; *choice; place++) {
        size_t length = strcspn(choice, "|");
        if (strlen(text) == length && strncmp(choice, text, length) == 0) {
            *value = place;
            return true;
        }
        choice += length + (choice[length] == '|');
    }
    char hint[96];
    struct Nearest nearest = nearest_to(text, strlen(text));
    nearest_add_list(&nearest, flag->value);
    return wrong(parse, "%s is '%s', it has to be one of %s%s", name, text, flag->value, nearest_hint(&nearest, hint));
}

static bool add_text(struct Parse *parse, const char **texts, size_t *count, size_t most, const char *name,
                     const char *text)
{
    if (!*text) return wrong(parse, "%s needs a text that is not empty", name);
    if (*count == most) return wrong(parse, "%s can be given %zu times at most", name, most);
    texts[(*count)++] = text;
    return true;
}

static bool add_field(struct Parse *parse, struct Options *options, const char *name, const char *text)
{
    if (!strchr(text, '=')) return wrong(parse, "%s takes NAME=TEXT, not '%s'", name, text);
    return add_text(parse, options->fields, &options->field_count, MAX_FIELDS, name, text);
}

static bool set_value(struct Parse *parse, struct Options *options, const struct Flag *flag, const char *name,
                      const char *text)
{
    void *member = (char *)options + flag->offset;
    switch (flag->kind) {
    case FLAG_INT: return read_integer(parse, flag, name, text, member);
    case FLAG_LIST: return read_list(parse, flag, name, text, member);
    case FLAG_REAL: return read_real(parse, flag, name, text, member);
    case FLAG_BYTES: return read_measure(parse, &size_measure, flag, name, text, member);
    case FLAG_RATE: return read_measure(parse, &rate_measure, flag, name, text, member);
    case FLAG_TIME: return read_measure(parse, &time_measure, flag, name, text, member);
    case FLAG_REPLACED: return wrong(parse, "there is no flag %s here: %s", name, flag->help);
    case FLAG_CHOICE: return read_choice(parse, flag, name, text, member);
    case FLAG_STOP: return add_text(parse, options->stops, &options->stop_count, MAX_STOPS, name, text);
    case FLAG_ANSWER: return add_text(parse, options->answers, &options->answer_count, MAX_ANSWERS, name, text);
    case FLAG_FIELD: return add_field(parse, options, name, text);
    case FLAG_CONTINUATION:
        return add_text(parse, options->continuations, &options->continuation_count, MAX_CONTINUATIONS, name, text);
    default: *(const char **)member = text; return true;
    }
}

// ---------------------------------------------------------------------------------------------- parsing

// The flag of this command that is spelled like the first `length` bytes of text.
static const struct Flag *find_flag(unsigned commands, const char *text, size_t length)
{
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        if (!(flag->commands & commands) || flag->kind == FLAG_WORD) continue;
        for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++)
            if (strlen(flag->names[i]) == length && strncmp(flag->names[i], text, length) == 0) return flag;
    }
    return NULL;
}

// Takes a value without a flag, if the command has one that is not set yet.
static bool take_word(enum CommandBit command, struct Options *options, const char *argument)
{
    if (argument[0] == '-') return false;
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        const char **word = (const char **)((char *)options + flag->offset);
        if (!(flag->commands & command) || flag->kind != FLAG_WORD || *word) continue;
        *word = argument;
        return true;
    }
    return false;
}

// The hint with the nearest long flag. All short flags are near each other.
static const char *nearest_flag(unsigned commands, const char *text, size_t length, char hint[96])
{
    struct Nearest nearest = nearest_to(text, length);
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        if (!(flag->commands & commands) || flag->kind == FLAG_WORD) continue;
        for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++)
            if (strlen(flag->names[i]) > 2) nearest_add(&nearest, flag->names[i], strlen(flag->names[i]));
    }
    return nearest_hint(&nearest, hint);
}

static bool unknown(struct Parse *parse, unsigned command, const char *argument, size_t length)
{
    if (argument[0] != '-' || !argument[1])
        return wrong(parse, "'%s' belongs to no flag: every value follows its flag%s", argument,
                     command & PROMPTED ? ", and a text of several words goes in quotes" : "");
    if (find_flag(ALL_COMMANDS, argument, length))
        return wrong(parse, "%.*s is a flag of other commands, not of this one", (int)length, argument);
    char hint[96];
    return wrong(parse, "there is no flag %.*s%s", (int)length, argument,
                 nearest_flag(command, argument, length, hint));
}

// Whether the next argument is the value of a flag without effect. If the value may be left out, it is one only if it
// is among the choices.
static bool ignored_has_value(const struct Flag *flag, const char *next)
{
    if (!flag->value || !next) return false;
    int place;
    char sentence[256];
    struct Parse parse = {sentence, sizeof sentence};
    return !strchr(flag->value, '|') || read_choice(&parse, flag, "", next, &place);
}

bool options_parse(enum CommandBit command, int argc, char **argv, struct Options *options, char *sentence, size_t size)
{
    struct Parse parse = {sentence, size};
    *options = options_default();
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if (take_word(command, options, argument)) continue;
        size_t length = strcspn(argument, "="); // -p=x as well as --prompt=x
        const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
        const struct Flag *flag = find_flag(command, argument, length);
        if (!flag) return unknown(&parse, command, argument, length);

        options->given[flag - FLAGS] = true;
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)length, argument);
        if (flag->kind == FLAG_IGNORED) {
            i += !value && ignored_has_value(flag, i + 1 < argc ? argv[i + 1] : NULL);
            continue;
        }
        if (flag->kind == FLAG_SWITCH) {
            if (value) return wrong(&parse, "%s takes no value", name);
            *(bool *)((char *)options + flag->offset) = true;
            continue;
        }
        if (!value && i + 1 == argc) return wrong(&parse, "%s needs a value: %s", name, flag->value);
        if (!value) value = argv[++i];
        if (!set_value(&parse, options, flag, name, value)) return false;
    }
    if (!options->parallel && command & BATCHES) options->parallel = USUAL_BATCH;
    if (options->prompt && options->prompt_word)
        return wrong(&parse, "the text is given twice: '%.40s', and with -p", options->prompt_word);
    if (options->prompt_word) options->prompt = options->prompt_word;
    return true;
}

static const struct Flag *named_flag(struct Parse *parse, enum CommandBit command, const char *name)
{
    char spelled[32];
    snprintf(spelled, sizeof spelled, "%s%s", name[1] ? "--" : "-", name);
    const struct Flag *flag = find_flag(command, spelled, strlen(spelled));
    if (!flag) wrong(parse, "there is no flag %s", spelled);
    return flag;
}

bool options_set(enum CommandBit command, struct Options *options, const char *name, const char *shown,
                 const char *value, char *sentence, size_t size)
{
    struct Parse parse = {sentence, size};
    const struct Flag *flag = named_flag(&parse, command, name);
    return flag && set_value(&parse, options, flag, shown, value);
}

bool options_preset(enum CommandBit command, struct Options *options, const char *name, const char *value,
                    char *sentence, size_t size)
{
    struct Parse parse = {sentence, size};
    const struct Flag *flag = named_flag(&parse, command, name);
    if (!flag) return false;
    struct Options unused = *options;
    return set_value(&parse, options->given[flag - FLAGS] ? &unused : options, flag, name, value);
}
