// A model with the head that was trained on top of it, and the token sequences that it reads: figure 1 of Radford et
// al. 2018. A special token that the tokenizer has, or that a flag names, is at its place in the figure. Without
// special tokens a text is alone, and two texts are encoded as a pair, as Hugging Face's tokenizers do it.
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
    struct Tokens lead;                // the ids that the tokenizer puts before every text
    size_t tail_count;                 // how many it puts after it; in lead.ids they follow the first lead.count
    bool special;                      // the text of a special token becomes its one id
    struct Tokens ran;                 // the tokens that are in the session
};

// Opens the head, the model, and the special tokens. needs_text as for run_open. Errors: `command` needs another kind
// of head than the checkpoint has; a flag names a text that is not a token.
int head_run_open(struct HeadRun *h, const struct Options *options, const char *command, vkgpt_head_kind kind,
                  bool needs_text, vkgpt_error *err);
void head_run_close(struct HeadRun *h);

// Makes the sequence start, first, delimiter, second, extract; second may be NULL. The caller frees tokens->ids.
int head_run_sequence(struct HeadRun *h, const struct Text *first, const struct Text *second, struct Tokens *tokens,
                      vkgpt_error *err);
// The same with start, the ids, extract.
int head_run_ids(struct HeadRun *h, const uint32_t *ids, size_t count, const char *name, struct Tokens *tokens,
                 vkgpt_error *err);

// Computes the hidden state (info->hidden) that the head reads of a sequence. A beginning that the sequence has in
// common with the one before is not run again.
int head_run_hidden(struct HeadRun *h, const struct Tokens *tokens, float *hidden, vkgpt_error *err);

// A text from a flag; with -e its escapes are replaced, in memory that `kept` holds.
struct Text head_text(const struct Options *options, const char *text, const char *name, struct Buffer *kept);

#endif
