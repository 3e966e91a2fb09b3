// A device, a model, its tokenizer and a session, opened as the flags say.
#ifndef VKGPT_CLI_RUN_H
#define VKGPT_CLI_RUN_H

#include "cli/options.h"
#include "model/limits.h"
#include "vkgpt.h"

struct Run {
    char dir[4096];
    vkgpt_device *devices[MAX_STAGES]; // one, or those of --devices
    size_t device_count;
    vkgpt_device *device;   // the last one, which has the head
    char device_names[320]; // of all of them, also those of other ranks
    bool cut;               // over several devices
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_tokenizer *tokenizer;                       // NULL: there is none, or it cannot be read
    char no_tokenizer[sizeof((vkgpt_error){0}.text)]; // the reason
    double load_seconds;
    uint32_t context; // positions of the session
    bool hidden_only; // opened by run_open_hidden
    bool again;       // a device was lost, and this is the second one
};

// The positions of a session, for a model with `positions`: those of -c, or all without -c. If -c asks for more than
// the model has, they are all, and stderr says so.
uint32_t context_of(const struct Options *options, uint32_t positions);

// Opens all of them. A missing tokenizer is an error only with `needs_text` or --tokenizer.
int run_open(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err);
// The same for vkgpt_hidden only (vkgpt_model_options.hidden_only).
int run_open_hidden(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err);
// Decides whether to repeat the work. If `code` says that the device was lost, for the first time, it reports it and
// opens a new device with the model and an empty session. Returns 0: repeat the work; `code` if no device was lost; or
// the error that prevents the repetition.
int run_again(struct Run *run, const struct Options *options, int code, vkgpt_error *err);
// Opens device, model and session anew.
int run_reopen(struct Run *run, const struct Options *options, vkgpt_error *err);
void run_close(struct Run *run);

// Errors (VKGPT_BAD_ARGUMENT): the `tokens` of the text `name` do not fit into the context; the sentence says what
// helps.
int run_fits(const struct Run *run, const char *name, size_t tokens, vkgpt_error *err);

const vkgpt_device_info *run_device(const struct Run *run);
const char *run_device_names(const struct Run *run); // of the device, or of all, separated by ", "
const vkgpt_model_info *run_model(const struct Run *run);
// For the default model, prints one line on stderr that says what it is: called when it is asked for what it cannot do.
void run_tell_default(const struct Run *run);
// Prints on stderr how often --lookup was right.
void run_lookup(const struct Run *run, const struct Options *options);
// Prints the session's counters on stderr, for -v at the end.
void run_counters(const struct Run *run);

#endif
