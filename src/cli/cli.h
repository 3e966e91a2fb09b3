// What the commands share: entry points, exit statuses, and how they end.
#ifndef VKGPT_CLI_CLI_H
#define VKGPT_CLI_CLI_H

#include <stdio.h>

#include "base/error.h"
#include "base/os.h"
#include "cli/options.h"
#include "vkgpt.h"

enum Exit { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CLOSED_PIPE = 141 /* 128 + SIGPIPE */ };
#define EXIT_INTERRUPTED (128 + os_signal()) // as shells report it

int generate_main(const struct Options *options);
int chat_main(const struct Options *options);
int task_main(const struct Options *options);
int eval_main(const struct Options *options);
int score_main(const struct Options *options);
int few_shot_main(const struct Options *options);
int embed_main(const struct Options *options);
int explain_main(const struct Options *options);
int logits_main(const struct Options *options);
int perplexity_main(const struct Options *options);
int quality_main(const struct Options *options);
int tokenize_main(const struct Options *options);
int detokenize_main(const struct Options *options);
int devices_main(const struct Options *options);
int bench_main(const struct Options *options);
int tune_main(const struct Options *options);
int selftest_main(const struct Options *options);
int convert_main(const struct Options *options);
int plan_main(const struct Options *options);
int make_model_main(const struct Options *options);
int classify_main(const struct Options *options);
int entail_main(const struct Options *options);
int similar_main(const struct Options *options);
int choose_main(const struct Options *options);
int pull_main(const struct Options *options);
int models_main(const struct Options *options);
int serve_main(const struct Options *options);

// Prints "vkgpt: SENTENCE" on stderr and returns EXIT_FAILED, or EXIT_USAGE for the second.
int failed(const vkgpt_error *err);
int wrong_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Flushes stdout, and reports if a part of the output could not be written: a full disk is a failure. Returns `status`,
// EXIT_FAILED, or EXIT_CLOSED_PIPE, of which nothing is said.
int finish_output(int status);

// From now on the program ends with one sentence and EXIT_FAILED where src/tasks or cJSON, which have no errors for it,
// find no host memory. Without this, src/tasks aborts, and cJSON leaves members out in silence.
void end_without_memory(void);

#endif
