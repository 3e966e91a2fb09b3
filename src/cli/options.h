// The flags of every command: one table, from which come parsing, --help, the man page and completions.
#ifndef VKGPT_CLI_OPTIONS_H
#define VKGPT_CLI_OPTIONS_H

#include "vkgpt.h"

// Every command, once; commands.c has a row for each.
// clang-format off
#define COMMAND_LIST(X) \
    X(GENERATE) X(TASK) X(EVAL) X(SCORE) X(FEW_SHOT) X(LOGITS) X(PERPLEXITY) X(QUALITY) X(CLASSIFY) X(ENTAIL) \
    X(SIMILAR) X(CHOOSE) X(TOKENIZE) X(DETOKENIZE) X(DEVICES) X(BENCH) X(TUNE) X(SELFTEST) X(CONVERT) X(PLAN) \
    X(MAKE_MODEL) X(PULL) X(MODELS)
// clang-format on

// clang-format off
#define COMMAND_PLACE(name) name##_PLACE,
#define COMMAND_BIT(name) name = 1 << name##_PLACE,
enum CommandPlace { COMMAND_LIST(COMMAND_PLACE) COMMAND_COUNT };
enum CommandBit { COMMAND_LIST(COMMAND_BIT) ALL_COMMANDS = (1 << COMMAND_COUNT) - 1 };
// clang-format on

#define MAX_STOPS 64
#define MAX_PARALLEL 64
#define USUAL_BATCH 8 // texts at once, where there are many
#define MAX_FIELDS 64
#define MAX_CONTINUATIONS 1024
#define MAX_ANSWERS 64
#define MAX_FLAGS 160

#define MAX_LIST 256
struct IntList { // count 0: not given
    int64_t values[MAX_LIST];
    size_t count;
};

// NULL or 0 where a flag was not given, unless the table has a default.
struct Options {
    // every command
    const char *model, *tokenizer, *lora, *device;
    bool verbose, help;
    // where the text comes from
    const char *prompt, *prompt_word, *file, *ids, *ids_file; // prompt_word: one without a flag; it becomes the prompt
    bool escape, no_special;
    // the session
    int64_t context, submit, parallel, lookup;
    const char *prompts;
    int weights, kv; // vkgpt_format
    // generate
    int64_t predict, seed, top_k, repeat_last_n;
    double temperature, top_p, min_p, repeat_penalty;
    bool ignore_eos, echo, no_echo, json, generation_config;
    int64_t logprobs;
    const char *stops[MAX_STOPS];
    size_t stop_count;
    // task
    const char *task, *fields[MAX_FIELDS]; // name=value
    size_t field_count;
    bool list, show;
    // score
    const char *continuations[MAX_CONTINUATIONS];
    size_t continuation_count;
    int normalize; // enum Normalize of tasks/pair.h, as the choices of --normalize
    // few-shot
    const char *task_file, *examples, *shots, *description, *separator, *answer_context, *plot;
    int measure; // enum Measure + 1; 0: by the task
    int64_t draw_seed, limit, answer_tokens;
    // eval
    const char *tasks, *resume;
    // logits, perplexity, selftest
    const char *output;
    bool last;
    int64_t stride; // 0: half the context
    const char *report;
    int convert_type; // enum ConvertType
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
    const char *pull_name, *pull_file; // pull
    int plan_weights, plan_kv;         // vkgpt_format
    int64_t batch, devices;
    double device_memory, bandwidth, train_tokens, flops, price; // bytes, bytes/s; 0: not given
    bool explain;
    int64_t layers, heads, dim, inner, positions, vocab; // 0: the preset's
    int64_t model_seed, shards;
    int dtype;             // the place in f16|f32|bf16
    bool given[MAX_FLAGS]; // by the command line; as the table FLAGS
};

enum FlagKind {
    FLAG_SWITCH,       // bool
    FLAG_TEXT,         // const char *
    FLAG_FILE,         // likewise; completes to files
    FLAG_DIR,          // likewise; completes to directories
    FLAG_INT,          // int64_t in [low, high]
    FLAG_LIST,         // struct IntList of such: values between commas, and of every time that it is given
    FLAG_REAL,         // double in [least, most]
    FLAG_BYTES,        // likewise, of bytes or bytes/s: 80GiB, 900GB/s
    FLAG_CHOICE,       // int: the place in `value`, "a|b|c"
    FLAG_WORD,         // const char *: a value that stands alone; names[0] is what --help calls it
    FLAG_STOP,         // one more of Options.stops
    FLAG_ANSWER,       // one more of Options.answers
    FLAG_FIELD,        // one more of Options.fields
    FLAG_CONTINUATION, // one more of Options.continuations
    FLAG_IGNORED, // of llama.cpp: it is taken and has no effect; `value` as of the others, or "on|off|auto", which may
                  // be left out
};

#define FLAG_MAX_NAMES 4

struct Flag {
    unsigned commands; // CommandBits that take it
    enum FlagKind kind;
    const char *names[FLAG_MAX_NAMES]; // ours, then llama.cpp's other spellings
    const char *value;                 // what --help calls the value; the choices of FLAG_CHOICE
    size_t offset;                     // of its member in struct Options
    int64_t low, high;
    double least, most;
    const char *help;
};

extern const struct Flag FLAGS[]; // ends with no names

// Options with every default of the table.
struct Options options_default(void);

// Reads the flags of one command from argv[0 .. argc). On false, `sentence` says what is wrong.
bool options_parse(enum CommandBit command, int argc, char **argv, struct Options *options, char *sentence,
                   size_t size);

// Sets a flag, named without its hyphens, where the command line did not: a task's own default.
bool options_preset(enum CommandBit command, struct Options *options, const char *name, const char *value,
                    char *sentence, size_t size);

#endif
