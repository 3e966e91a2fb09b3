// New text from a prompt: sampling as the flags say, streaming, stop strings, timings. `generate` and `task` share it.
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
    struct Buffer *stop_texts;
    struct Stops stops;
    struct Keep keep;
    bool echo;          // print the prompt in front
    bool trim;          // leave out the white space that the text begins with
    struct Buffer text; // the new bytes, before anything is made of those that are no UTF-8
    struct Utf8 utf8;
    struct Buffer screen; // whole characters that wait to be written
    uint32_t *ids;
    size_t count, capacity;
    size_t repeats; // of them are to come again, after a device was lost: nothing of theirs is shown
    size_t repeated;
    size_t silent;    // of them have no text in the tokenizer
    cJSON *logprobs;  // or NULL
    size_t prefilled; // tokens of the prompt without its last, which the first step takes
    bool begun;       // the prompt was read
    bool stopped, interrupted;
    bool differs; // what came again is not what had come
    vkgpt_stop stop;
    double prefill, first, decode; // seconds: of the prompt, to the first token, of all tokens
    double begin;                  // when decoding began
};

// Sampling and stop strings of the flags; a seed is drawn where none is given.
void generation_begin(struct Generation *generation, const struct Options *options);
// What generation_config.json says of the sampling, for a model that was opened: generation_config.h. `own` is what
// generation_begin got.
int generation_configure(struct Generation *generation, struct Options *own, enum CommandBit command,
                         const struct Run *run, vkgpt_error *err);
// Whether the prompt is printed: with --echo, and on a terminal, where the text would begin in the middle of a
// sentence.
bool generation_echoes(const struct Options *options);
// Says on stderr how many of the new tokens have no text in the tokenizer, if any.
void generation_tell_silent(const struct Run *run, size_t silent, size_t count);
void generation_add_stop(struct Generation *generation, const char *text, size_t bytes);
// Runs the prompt and prints what comes, with --json at the end only. A prompt that does not fit leaves nothing on
// stdout; what there is at another error is printed.
int generation_run(struct Generation *generation, struct Run *run, const struct Input *input, vkgpt_error *err);
// The last of the output: with --json the object, to which the members of `more` (which it frees; may be NULL) are
// added in front. Timings go to stderr. Returns the exit status.
int generation_report(const struct Generation *generation, const struct Run *run, const struct Input *input,
                      cJSON *more);
void generation_end(struct Generation *generation);

#endif
