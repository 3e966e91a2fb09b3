// The words for the devices of a chain of stages and for their layers, for the user.
#ifndef VKGPT_ENGINE_STAGES_TEXT_H
#define VKGPT_ENGINE_STAGES_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "model/limits.h"

// Both write a list into `text`, of `size` bytes; one that does not fit ends with "...". Four and more alike in a row
// are written once.

// "20,28", as --split takes it; "3,38 x 12,2".
void stages_list_layers(char *text, size_t size, const uint32_t *layers, uint32_t count);
// "A, B"; "4 x A". ranks: (count), of each device, or NULL: "rank 1: A, rank 1: B, rank 0: C"; "rank 0: 4 x A". Ranks
// with one device each, all alike: "ranks 7-0: A".
void stages_list_devices(char *text, size_t size, const char *const *names, const uint32_t *ranks, uint32_t count);

struct StagesNamed {
    uint32_t layers[MAX_STAGES];
    const char *names[MAX_STAGES];
    const uint32_t *ranks; // NULL: all are in one process
    uint32_t count;
};

// "split 20,28 over A, B", of both lists.
void stages_describe(char *text, size_t size, const struct StagesNamed *stages);

#endif
