// What the parts of the command `few-shot` share: the values of its flags, its prompts, and what it prints.
#ifndef VKGPT_CLI_FEW_SHOT_H
#define VKGPT_CLI_FEW_SHOT_H

#include "cli/options.h"
#include "tasks/few_shot.h"

struct FewShotCommand {
    const struct Options *options;
    char path[4096 + 256]; // of a task that comes with the program
    struct Items items, examples;
    struct Shots shots;
    struct Buffer description, separator, answer_context; // from the flags
    size_t limit;                                         // items to run
    struct Curve curve;                                   // at first only its shots are set
    bool interrupted;
    double start;     // seconds, when the run began
    size_t done;      // items, over all shots
    size_t positions; // of the session
};

// `model` has to outlive the rules.
int few_shot_rules(struct FewShotCommand *f, const vkgpt_tokenizer *tok, const vkgpt_model_info *model,
                   uint32_t positions, struct QueryRules *rules, vkgpt_error *err);
// Prints on stderr how many prompts of a point were cut, if any.
void few_shot_say_cut(const struct FewShotCommand *f, const struct Point *point, size_t positions);

// Prints each prompt instead of running it, without a device. Returns the exit status.
int few_shot_show(struct FewShotCommand *f);
// Prints the curve as a table.
void few_shot_print(const struct Curve *curve);

#endif
