// What the parts of `few-shot` share: its flags read (few_shot.c), its items run (few_shot_run.c), its prompts shown
// (few_shot_show.c).
#ifndef VKGPT_CLI_FEW_SHOT_H
#define VKGPT_CLI_FEW_SHOT_H

#include "cli/curve.h"
#include "cli/options.h"
#include "cli/query.h"
#include "cli/run.h"

struct FewShot {
    char path[4096 + 256];      // of a task that comes with the program
    struct Items items, examples;
    struct Shots shots;
    struct Buffer description, separator, answer_context; // that flags gave
    const char *stop;           // where a written answer ends
    size_t limit;               // items that are run
    struct Curve curve;         // its shots are set at first
    bool interrupted;
};

// `model` has to outlive the rules. options->answer_tokens 0: by the longest answer.
int few_shot_rules(struct FewShot *f, const struct Options *options, const vkgpt_tokenizer *tok, const vkgpt_model_info *model, struct QueryRules *rules,
                   vkgpt_error *err);
// Says on stderr how many prompts of a point were cut, if any.
void few_shot_say_cut(const struct FewShot *f, const struct Point *point, size_t positions);

// Fills the curve. Ctrl-C ends it after the points that are complete.
int few_shot_run(struct FewShot *f, const struct Options *options, struct Run *run, const struct QueryRules *rules, vkgpt_error *err);
// Prints each prompt instead of running it; needs no device. Returns the exit status.
int few_shot_show(struct FewShot *f, const struct Options *options);

#endif
