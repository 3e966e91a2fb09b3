// The model of a pipeline, which encodes one piece of text to ids. WordPiece and Unigram have a file each; BPE uses
// bpe.c.
#ifndef VKGPT_TEXT_MODEL_H
#define VKGPT_TEXT_MODEL_H

#include "text/pipeline.h"
#include "text/reader_parts.h"

struct UnigramNode;

struct ModelRun { // scratch memory that is reused for the next piece, and the output
    const struct Vocab *vocab;
    struct Bpe bpe;
    struct TextBuffer word;
    struct UnigramNode *nodes;
    size_t node_capacity;
    struct Ids *out;
    vkgpt_error *err;
};

struct ModelKind {
    const char *type;
    int (*read)(struct Reader *r, const struct Json *model);
    int (*encode)(struct ModelRun *run, const char *piece, size_t bytes); // bytes >= 1
};

int word_piece_encode(struct ModelRun *run, const char *piece, size_t bytes); // model_wordpiece.c
int unigram_encode(struct ModelRun *run, const char *piece, size_t bytes);    // model_unigram.c

extern const struct ModelKind model_bpe, model_word_piece, model_word_level, model_unigram;

// Reads "model" of a tokenizer.json: its type, settings and tokens.
int model_read(struct Reader *r, const struct Json *model);
void model_run_free(struct ModelRun *run);

// Appends the id of unk_token. Errors (VKGPT_BAD_MODEL): there is none; the sentence names the piece.
int model_unk(struct ModelRun *run, const char *piece, size_t bytes);
int model_append(struct ModelRun *run, uint32_t id);
// Appends the byte tokens of a text. If one of them is missing, *all is false and nothing is appended.
int model_bytes(struct ModelRun *run, const char *text, size_t bytes, bool *all);

// Sorts the tokens of a Unigram model, after all are added. False: no memory.
bool unigram_seal(struct Vocab *vocab);
// Allocates the scores of the ids below `count`, all 0.
int unigram_scores(struct Reader *r, size_t count);

#endif
