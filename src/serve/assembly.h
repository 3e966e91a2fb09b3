// The text of a sequence, put together from its tokens: whole characters of UTF-8 only, nothing that is a part of a
// stop string or may become one, and, where log probabilities are asked for, an entry for each token.
#ifndef VKGPT_SERVE_ASSEMBLY_H
#define VKGPT_SERVE_ASSEMBLY_H

#include <stdbool.h>

#include "tasks/stops.h"
#include "tasks/utf8_stream.h"
#include "vkgpt.h"

struct TokenEntry {
    uint32_t id;
    bool silent;   // an end token, or the first one of an empty prompt: its text is ""
    float logprob; // NaN: there is no token before it
    uint32_t top_count;
    vkgpt_logprob *top;
    size_t begin, end; // its bytes in the text
    size_t offset;     // characters of the text before it
};

struct Assembly {
    const vkgpt_tokenizer *tok;
    struct Stops stops;
    struct Utf8 utf8;
    size_t bytes, free_bytes; // of all tokens; of those, that are in the text
    struct Buffer text;       // what is certain and was not taken yet
    bool stopped;             // by a stop string
    bool failed;              // something is missing: there was no memory for it
    bool entries_wanted;
    struct TokenEntry *entries; // those that were not taken yet
    size_t entry_count, capacity;
    struct Utf8 counter;
    size_t characters; // of all tokens
};

void assembly_begin(struct Assembly *a, const vkgpt_tokenizer *tok, const struct StopString *stops, size_t stop_count,
                    bool entries_wanted);
void assembly_free(struct Assembly *a);

// Adds a text that the answer begins with: the prompt's own.
void assembly_echo(struct Assembly *a, const char *text, size_t bytes);
// Adds a token; `given`: it is the prompt's, in which no stop string counts. `token`: what the engine says of it, or
// NULL. Returns false once a stop string has appeared.
bool assembly_add(struct Assembly *a, uint32_t id, bool given, const vkgpt_token *token);
// The same for a token that is no part of the text.
bool assembly_add_silent(struct Assembly *a, uint32_t id, const vkgpt_token *token);
// No more tokens come. `last`: what the engine says of the end token, or NULL.
void assembly_end(struct Assembly *a, const vkgpt_token *last);
// How many of the entries belong to the text so far.
size_t assembly_ready(const struct Assembly *a);
// Forgets the text, and the first `entries`.
void assembly_taken(struct Assembly *a, size_t entries);

#endif
