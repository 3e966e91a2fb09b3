// A model with the head that was trained on top of it, and the token sequences that it reads: figure 1 of Radford et
// al. 2018. A special token that the tokenizer has, or that a flag names, stands where the figure has it; where there
// is none, the texts stand alone, two of them as Hugging Face's tokenizers encode a pair.
#ifndef VKGPT_CLI_HEAD_RUN_H
#define VKGPT_CLI_HEAD_RUN_H

#include "cli/run.h"
#include "tasks/buffer.h"

struct Text {
    const char *data;
    size_t bytes;
    const char *name; // the flag or file, for sentences
};

struct Tokens {
    uint32_t *ids;
    size_t count;
};

struct HeadRun {
    struct Run run;
    vkgpt_head *head;
    const vkgpt_head_info *info;
    int64_t start, delimiter, extract; // ids; -1: none
    struct Tokens lead;                // what the tokenizer puts before every text
    size_t tail_count;                 // what it puts behind; these ids lie behind the lead's
    bool special;                      // special tokens in the texts are taken as such
    struct Tokens ran;                 // what the session holds
};

// Opens the head that this command runs, the model, and the special tokens. needs_text as for run_open. Errors:
// `command` needs another head than the checkpoint's; a flag names what is no token.
int head_run_open(struct HeadRun *h, const struct Options *options, const char *command, vkgpt_head_kind kind,
                  bool needs_text, vkgpt_error *err);
void head_run_close(struct HeadRun *h);

// start, first, delimiter, second, extract; second may be NULL. The caller frees tokens->ids.
int head_run_sequence(struct HeadRun *h, const struct Text *first, const struct Text *second, struct Tokens *tokens,
                      vkgpt_error *err);
// start, the ids, extract.
int head_run_ids(struct HeadRun *h, const uint32_t *ids, size_t count, const char *name, struct Tokens *tokens,
                 vkgpt_error *err);

// The hidden state (info->hidden) that the head reads of a sequence. Runs what the sequence before did not begin with.
int head_run_hidden(struct HeadRun *h, const struct Tokens *tokens, float *hidden, vkgpt_error *err);

// A text from a flag; with -e its escapes are replaced, in memory that `kept` holds.
struct Text head_text(const struct Options *options, const char *text, const char *name, struct Buffer *kept);

#endif
