#include "engine/stages_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FEW 4 // as many alike are written once
#define LONGEST 320

// Adds an item, or "..." where it does not fit. False: nothing more fits.
static bool add(char *text, size_t size, const char *separator, const char *item)
{
    static const char more[] = "...";
    const size_t used = strlen(text);
    if (used + strlen(separator) + strlen(item) + sizeof more <= size) {
        snprintf(text + used, size - used, "%s%s", used ? separator : "", item);
        return true;
    }
    if (used + sizeof more <= size) memcpy(text + used, more, sizeof more);
    return false;
}

void stages_list_layers(char *text, size_t size, const uint32_t *layers, uint32_t count)
{
    bool fits = true;
    text[0] = '\0';
    for (uint32_t i = 0, run; fits && i < count; i += run) {
        char item[LONGEST];
        for (run = 1; i + run < count && layers[i + run] == layers[i];) run++;
        if (run < FEW) run = 1;
        if (run > 1) snprintf(item, sizeof item, "%u x %u", run, layers[i]);
        else snprintf(item, sizeof item, "%u", layers[i]);
        fits = add(text, size, ",", item);
    }
}

struct Devices {
    const char *const *names;
    const uint32_t *ranks;
    uint32_t count;
};

// How many from i on have the name of i, in its rank, or one in each rank.
static uint32_t run_of(const struct Devices *d, uint32_t i, bool in_one_rank)
{
    uint32_t run = 1;
    while (i + run < d->count && !strcmp(d->names[i + run], d->names[i]) &&
           (!d->ranks || (d->ranks[i + run] == d->ranks[i + run - 1]) == in_one_rank))
        run++;
    // the last one has more devices in its rank
    if (!in_one_rank && i + run < d->count && d->ranks[i + run] == d->ranks[i + run - 1]) run--;
    return run;
}

void stages_list_devices(char *text, size_t size, const char *const *names, const uint32_t *ranks, uint32_t count)
{
    const struct Devices d = {names, ranks, count};
    bool fits = true;
    text[0] = '\0';
    for (uint32_t i = 0, run; fits && i < count; i += run) {
        char item[LONGEST], where[32] = "", times[16] = "";
        const uint32_t alike = run_of(&d, i, true), across = ranks ? run_of(&d, i, false) : 1;
        run = alike >= FEW ? alike : across >= FEW ? across : 1;
        if (ranks && run == across && run > 1)
            snprintf(where, sizeof where, "ranks %u-%u: ", ranks[i], ranks[i + run - 1]);
        else if (ranks) snprintf(where, sizeof where, "rank %u: ", ranks[i]);
        if (run > 1 && run == alike) snprintf(times, sizeof times, "%u x ", run);
        snprintf(item, sizeof item, "%s%s%s", where, times, names[i]);
        fits = add(text, size, ", ", item);
    }
}

void stages_describe(char *text, size_t size, const struct StagesNamed *stages)
{
    char numbers[3 * MAX_STAGES]; // of two digits, with a comma or the end after each
    stages_list_layers(numbers, sizeof numbers, stages->layers, stages->count);
    snprintf(text, size, "split %s over ", numbers);
    const size_t used = strlen(text);
    stages_list_devices(text + used, size - used, stages->names, stages->ranks, stages->count);
}
