// New text from a prompt: sampling as the flags say, streaming, stop strings, timings. For `generate` and `task`.
#ifndef VKGPT_CLI_GENERATION_H
#define VKGPT_CLI_GENERATION_H

#include <cjson/cJSON.h>

#include "cli/input.h"
#include "cli/run.h"
#include "tasks/keep.h"
#include "tasks/stops.h"
#include "tasks/utf8_stream.h"

struct Generation {
    const struct Options *options;
    const vkgpt_tokenizer *tokenizer; // NULL: ids are printed, not text
    vkgpt_sampling sampling;
    struct StopString *stop_texts;
    struct Stops stops;
    struct Keep keep;
    bool echo;          // print the prompt before the text
    bool trim;          // leave out the white space at the beginning of the text
    struct Buffer text; // the new bytes, including those that are not UTF-8
    struct Utf8 utf8;
    struct Buffer screen; // whole characters that wait to be written
    uint32_t *ids;
    size_t count, capacity;
    size_t repeats; // how many of them are generated again after a device was lost; they are not shown again
    size_t repeated;
    size_t silent;    // how many of them have no text in the tokenizer
    cJSON *logprobs;  // or NULL
    size_t prefilled; // tokens of the prompt without its last one, which the first decode step takes
    bool begun;       // the prompt has been read
    bool stopped, interrupted;
    bool differs; // a repeated token is not the same as before
    vkgpt_stop stop;
    double prefill, first, decode; // seconds: for the prompt, until the first token, for all tokens
    double begin;                  // when decoding began
};

// The sampling that the flags say; draws a seed if none is given.
vkgpt_sampling generation_sampling(const struct Options *options);
// Sets sampling and stop strings from the flags; draws a seed if none is given.
void generation_begin(struct Generation *generation, const struct Options *options);
// Applies generation_config.json of the opened model to the sampling: generation_config.h. `own` is the options that
// generation_begin got.
int generation_configure(struct Generation *generation, struct Options *own, enum CommandBit command,
                         const struct Run *run, vkgpt_error *err);
// Whether the prompt is printed: with --echo; and on a terminal without --no-echo, where the text would otherwise begin
// in the middle of a sentence.
bool generation_echoes(const struct Options *options);
// Prints on stderr how many of the new tokens have no text in the tokenizer, if any.
void generation_tell_silent(const struct Run *run, size_t silent, size_t count);
void generation_add_stop(struct Generation *generation, const char *text, size_t bytes);
// Runs the prompt and prints the text as it comes, with --json only at the end. If the prompt does not fit, nothing is
// printed on stdout; after another error, the text so far is printed.
int generation_run(struct Generation *generation, struct Run *run, const struct Input *input, vkgpt_error *err);
// Prints the end of the output: with --json the object, which begins with the members of `more` (which may be NULL, and
// is freed). Timings go to stderr. Returns the exit status.
int generation_report(const struct Generation *generation, const struct Run *run, const struct Input *input,
                      cJSON *more);
void generation_end(struct Generation *generation);

#endif
