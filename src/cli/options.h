// The flags of every command in one table. The parser, --help, the man page and completions use it.
#ifndef VKGPT_CLI_OPTIONS_H
#define VKGPT_CLI_OPTIONS_H

#include "vkgpt.h"

// Every command; commands.c has a row for each.
// clang-format off
#define COMMAND_LIST(X) \
    X(GENERATE) X(CHAT) X(TASK) X(EVAL) X(SCORE) X(FEW_SHOT) X(LOGITS) X(EMBED) X(EXPLAIN) X(PERPLEXITY) X(QUALITY) \
    X(CLASSIFY) X(ENTAIL) X(SIMILAR) X(CHOOSE) X(TOKENIZE) X(DETOKENIZE) X(DEVICES) X(BENCH) X(TUNE) X(SELFTEST) X(CONVERT) \
    X(PLAN) X(MAKE_MODEL) X(PULL) X(MODELS) X(SERVE)
// clang-format on

// clang-format off
#define COMMAND_PLACE(name) name##_PLACE,
#define COMMAND_BIT(name) name = 1 << name##_PLACE,
enum CommandPlace { COMMAND_LIST(COMMAND_PLACE) COMMAND_COUNT };
enum CommandBit { COMMAND_LIST(COMMAND_BIT) ALL_COMMANDS = (1 << COMMAND_COUNT) - 1 };
// clang-format on

#define MAX_STOPS 64
#define MAX_PARALLEL 64
#define USUAL_BATCH 8 // texts at once, if there are many
#define MAX_FIELDS 64
#define MAX_CONTINUATIONS 1024
#define MAX_ANSWERS 64
#define MAX_FLAGS 160

#define MAX_LIST 256
struct IntList { // count 0: not given
    int64_t values[MAX_LIST];
    size_t count;
};

// A member is NULL or 0 if its flag was not given, unless the table has a default.
struct Options {
    // every command
    const char *model, *tokenizer, *lora, *device;
    bool verbose, help;
    const char *devices; // several, separated by commas
    struct IntList split;
    // sources of the text
    const char *prompt, *prompt_word, *file, *ids, *ids_file; // prompt_word: a prompt without a flag
    bool escape, no_special;
    // the session
    int64_t context, submit, parallel, lookup;
    const char *prompts;
    int weights, kv; // vkgpt_format
    bool deterministic;
    // generate
    int64_t predict, seed, top_k, repeat_last_n;
    double temperature, top_p, min_p, repeat_penalty;
    bool ignore_eos, echo, no_echo, json, generation_config;
    int64_t logprobs;
    const char *stops[MAX_STOPS];
    size_t stop_count;
    // chat
    const char *chat_template, *system;
    // serve
    const char *host, *api_key, *api_key_file, *alias;
    int64_t port, queue;
    double timeout, drain; // seconds
    bool no_warmup;
    // task
    const char *task, *fields[MAX_FIELDS]; // name=value
    size_t field_count;
    bool list, show;
    // score
    const char *continuations[MAX_CONTINUATIONS];
    size_t continuation_count;
    int normalize; // enum Normalize of tasks/pair.h, in the order of --normalize's choices
    // embed
    int pooling; // vkgpt_pooling
    bool unit_length;
    // few-shot
    const char *task_file, *examples, *shots, *description, *separator, *answer_context, *plot;
    int measure; // enum Measure + 1; 0: the task decides
    int64_t draw_seed, limit, answer_tokens;
    // eval
    const char *tasks, *resume;
    // logits, embed, explain, perplexity, selftest
    const char *output;
    bool last;
    int64_t stride; // 0: half the context
    const char *report;
    int convert_type; // vkgpt_format
    bool force;       // convert, make-model
    bool dry_run;     // tune
    // classify, entail, similar, choose
    const char *premise, *hypothesis, *first, *second;
    const char *start, *delimiter, *extract; // special tokens; "": none
    const char *answers[MAX_ANSWERS];
    size_t answer_count;
    // bench
    struct IntList bench_prompt, bench_predict, bench_depth;
    int64_t repetitions;
    int bench_format; // enum BenchFormat
    bool profile;
    // plan and make-model
    const char *preset;
    const char *pull_name, *pull_file, *revision; // pull
    int plan_weights, plan_kv;                    // vkgpt_format
    int64_t batch, micro_batches, machines, devices_per_machine;
    double device_memory, bandwidth, train_tokens, flops, price; // bytes, bytes/s; 0: not given
    double link, latency, dispatch;                              // bytes/s, seconds
    bool explain;
    int64_t layers, heads, dim, inner, positions, vocab; // 0: the preset's
    int64_t model_seed, shards;
    int dtype;             // the index in f16|f32|bf16
    struct Ranks *ranks;   // the ranks of an MPI run (mpi/ranks.h); NULL: one process
    bool given[MAX_FLAGS]; // on the command line; in the order of the table FLAGS
};

enum FlagKind {
    FLAG_SWITCH,       // bool
    FLAG_TEXT,         // const char *
    FLAG_FILE,         // const char *; completes to files
    FLAG_DIR,          // const char *; completes to directories
    FLAG_INT,          // int64_t in [low, high]
    FLAG_LIST,         // struct IntList of values in [low, high], separated by commas; a repeated flag adds values
    FLAG_REAL,         // double in [least, most]
    FLAG_BYTES,        // double in [least, most], bytes: 80GiB
    FLAG_RATE,         // double in [least, most], bytes/s: 900GB/s
    FLAG_TIME,         // double in [least, most], seconds: 5us
    FLAG_CHOICE,       // int: the index in `value`, "a|b|c"
    FLAG_WORD,         // const char *: a value without a flag; names[0] is its name in --help
    FLAG_STOP,         // one more of Options.stops
    FLAG_ANSWER,       // one more of Options.answers
    FLAG_FIELD,        // one more of Options.fields
    FLAG_CONTINUATION, // one more of Options.continuations
    FLAG_IGNORED,  // a flag of llama.cpp that has no effect here; `value` as for other flags, or "on|off|auto", which
                   // may be left out
    FLAG_REPLACED, // no flag here, or no more: `help` names the flags in its place
};

#define FLAG_MAX_NAMES 4

struct Flag {
    unsigned commands; // CommandBits that take it
    enum FlagKind kind;
    const char *names[FLAG_MAX_NAMES]; // ours, then llama.cpp's other spellings
    const char *value;                 // the name of the value in --help; the choices of FLAG_CHOICE
    size_t offset;                     // of its member in struct Options
    int64_t low, high;
    double least, most;
    const char *help;
};

extern const struct Flag FLAGS[]; // ends with a row without names

// Whether help, the man page and completions have it among the flags.
static inline bool flag_is_shown(const struct Flag *flag)
{
    return flag->kind != FLAG_IGNORED && flag->kind != FLAG_REPLACED;
}

// Options with all defaults of the table.
struct Options options_default(void);

// Reads the flags of one command from argv[0 .. argc). On false, `sentence` says what is wrong.
bool options_parse(enum CommandBit command, int argc, char **argv, struct Options *options, char *sentence,
                   size_t size);

// Sets a flag, named without its hyphens. Sentences call it `shown`.
bool options_set(enum CommandBit command, struct Options *options, const char *name, const char *shown,
                 const char *value, char *sentence, size_t size);
// Sets a flag, named without its hyphens, unless the command line did: for the defaults of a task.
bool options_preset(enum CommandBit command, struct Options *options, const char *name, const char *value,
                    char *sentence, size_t size);

#endif
