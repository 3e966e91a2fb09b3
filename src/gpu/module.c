#include "gpu/module.h"

#include <stdlib.h>
#include <string.h>

enum { CAPABILITY = 17, ENTRY_POINT = 15, EXTENSION = 10, EXECUTION_MODE = 16, HEADER = 5 }; // of SPIR-V
enum { MOST_WORDS = 20 };                                                                    // that an ask adds

static uint32_t *put(uint32_t *to, uint32_t operation, uint32_t count, const void *operands)
{
    *to = (count + 1) << 16 | operation;
    memcpy(to + 1, operands, 4 * (size_t)count);
    return to + 1 + count;
}

static uint32_t *put_modes(uint32_t *to, uint32_t entry_point, const struct ModuleAsk *asks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t operands[] = {entry_point, asks[i].mode, asks[i].operand};
        to = put(to, EXECUTION_MODE, asks[i].operand ? 3 : 2, operands);
    }
    return to;
}

static uint32_t *put_extensions(uint32_t *to, const struct ModuleAsk *asks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (*asks[i].extension) to = put(to, EXTENSION, sizeof asks[i].extension / 4, asks[i].extension);
    return to;
}

// Capabilities come first in a module, the extensions follow them, and the execution modes follow the entry point.
uint32_t *module_ask(const uint32_t *words, size_t *bytes, const struct ModuleAsk *asks, uint32_t count)
{
    uint32_t *copy = malloc(*bytes + 4 * (size_t)count * MOST_WORDS), *to = copy;
    size_t all = *bytes / 4;
    if (!copy) return NULL;
    memcpy(to, words, 4 * HEADER);
    to += HEADER;
    for (uint32_t i = 0; i < count; i++)
        if (asks[i].capability) to = put(to, CAPABILITY, 1, &asks[i].capability);
    bool capabilities = true;
    for (size_t i = HEADER, length; i < all; i += length) {
        uint32_t operation = words[i] & 0xffff;
        length = words[i] >> 16;
        if (capabilities && operation != CAPABILITY) {
            to = put_extensions(to, asks, count);
            capabilities = false;
        }
        memcpy(to, words + i, 4 * length);
        to += length;
        if (operation == ENTRY_POINT) to = put_modes(to, words[i + 2], asks, count);
    }
    *bytes = 4 * (size_t)(to - copy);
    return copy;
}
