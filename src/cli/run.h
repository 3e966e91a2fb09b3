// A device with a model, its tokenizer and a session on it, opened as the flags say.
#ifndef VKGPT_CLI_RUN_H
#define VKGPT_CLI_RUN_H

#include "cli/options.h"
#include "vkgpt.h"

struct Run {
    char dir[4096];
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_tokenizer *tokenizer;                       // NULL: there is none, or none that can be read
    char no_tokenizer[sizeof((vkgpt_error){0}.text)]; // and why not
    double load_seconds;
    uint32_t context; // positions of the session
    bool hidden_only; // as it was opened
    bool again;       // a device was lost, and this is the second one
};

// The positions that a session of a model with so many gets: those of -c, or all, where it asks for none or for more,
// which is then said on stderr.
uint32_t context_of(const struct Options *options, uint32_t positions);

// Opens all of it. The lack of a tokenizer is an error only where `needs_text` or --tokenizer says so.
int run_open(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err);
// The same for vkgpt_hidden alone (vkgpt_model_options.hidden_only).
int run_open_hidden(struct Run *run, const struct Options *options, bool needs_text, vkgpt_error *err);
// Whether to do it again: where `code` says that the device was lost, for the first time, says so and opens a new
// device with the model and an empty session. Returns `code` where nothing was lost; 0: do it again; or why it cannot
// be.
int run_again(struct Run *run, const struct Options *options, int code, vkgpt_error *err);
void run_close(struct Run *run);

// Errors (VKGPT_BAD_ARGUMENT): so many tokens, of what `name` calls them, do not fit the context, and what helps.
int run_fits(const struct Run *run, const char *name, size_t tokens, vkgpt_error *err);

const vkgpt_device_info *run_device(const struct Run *run);
const vkgpt_model_info *run_model(const struct Run *run);
// Where the default model is asked for what it cannot do: one line on stderr that says what it is.
void run_tell_default(const struct Run *run);
// How often --lookup was right, on stderr.
void run_lookup(const struct Run *run, const struct Options *options);
// What -v says at the end: the session's counters, on stderr.
void run_counters(const struct Run *run);

#endif
