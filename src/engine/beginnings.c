#include "engine/beginnings.h"

#include <string.h>

#include "base/minimum.h"
#include "engine/copies.h"
#include "engine/decoding.h"
#include "engine/sequences.h"

#define WORTH_A_COPY GROUP_ROWS // tokens: a block reads fewer as fast

// ------------------------------------------------------------------------------------------ what there is

// How many tokens of a slot, from the first on, prefill has left in its cache, or blocks that are submitted will have
// left there before anything that is submitted from now on runs.
static uint32_t tokens_read(const struct Slot *slot)
{
    uint32_t ended = min_u32(slot->prefilled, slot->cached);
    return slot->goal && ended == slot->cached ? max_u32(ended, slot->sent) : ended;
}

// And how many it will have when its prompt is read.
static uint32_t tokens_to_come(const struct Slot *slot)
{
    uint32_t ended = min_u32(slot->prefilled, slot->cached);
    return slot->goal && ended == slot->cached ? max_u32(ended, slot->goal) : ended;
}

// How many of the first `most` tokens of a slot a prompt begins with. Its last one runs in the first step.
static uint32_t common_beginning(const struct Slot *slot, uint32_t most, const uint32_t *ids, size_t count)
{
    uint32_t same = 0;
    most = min_u32(most, slot->position);
    while (same < most && same + 1 < count && slot->ids[same] == ids[same]) same++;
    return same;
}

// Whether a slot has something that prefill would take longer to read than a copy takes.
static bool has_something(const struct Slot *slot) { return tokens_read(slot) >= WORTH_A_COPY; }

// ------------------------------------------------------------------------------------------ waiting for it

// Whether a slot waits for what another one reads.
static bool waits_for(const struct Slot *slot, uint32_t sequence) { return slot->leader == sequence + 1; }

// Copies what a slot waits for, as much of it as there is. It reads the rest itself.
static void take_now(struct vkgpt_session *s, uint32_t sequence)
{
    struct Slot *slot = &s->slots[sequence];
    uint32_t leader = slot->leader - 1, end = min_u32(tokens_read(&s->slots[leader]), slot->shared), own = slot->cached;
    slot->leader = 0;
    if (!copies_have_room(s) || end < own + WORTH_A_COPY) return;
    copies_add(s, &(struct CacheCopy){leader, sequence, own, end});
    slot->prefilled = slot->sent = end;
    s->counters.tokens_reused += end - own;
}

// Lets a slot wait for another one that waited for the same sequence, and so begins alike.
static void wait_for(struct vkgpt_session *s, uint32_t sequence, uint32_t leader)
{
    struct Slot *slot = &s->slots[sequence], *reader = &s->slots[leader];
    slot->leader = leader + 1;
    slot->shared = common_beginning(reader, tokens_to_come(reader), slot->ids, slot->position);
    reader->wanted = max_u32(reader->wanted, slot->shared);
}

// A sequence reads no more of what others wait for. Of those, the one that waits for most takes what there is and reads
// on; the others wait for it. Those that wait for no more than there is take that.
static void pass_on(struct vkgpt_session *s, uint32_t sequence)
{
    uint32_t read = tokens_read(&s->slots[sequence]), next = s->sequences;
    for (uint32_t i = 0; i < s->sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (!waits_for(slot, sequence)) continue;
        if (slot->shared <= read) take_now(s, i);
        else if (next == s->sequences || slot->shared > s->slots[next].shared) next = i;
    }
    if (next == s->sequences) return;
    take_now(s, next);
    for (uint32_t i = 0; i < s->sequences; i++)
        if (waits_for(&s->slots[i], sequence)) wait_for(s, i, next);
}

void beginnings_share(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (!slot->leader || !copies_have_room(s)) continue;
        const struct Slot *leader = &s->slots[slot->leader - 1];
        if (tokens_read(leader) >= slot->shared) take_now(s, i);
        else if (!leader->runs) pass_on(s, slot->leader - 1);
    }
}

void beginnings_let_go(struct vkgpt_session *s, uint32_t sequence) { pass_on(s, sequence); }

// ------------------------------------------------------------------------------------------ taking it

// Moves what an idle slot has read to another idle one, unless another has it too, or all others ran later. `taken`:
// the slot that is copied from next.
static void keep_elsewhere(struct vkgpt_session *s, uint32_t sequence, uint32_t own, uint32_t taken)
{
    struct Slot *slot = &s->slots[sequence], *place = NULL;
    uint32_t end = tokens_read(slot);
    if (end < own + WORTH_A_COPY) return;
    for (uint32_t i = 0; i < s->sequences; i++) {
        struct Slot *other = &s->slots[i];
        if (other == slot) continue;
        if (common_beginning(other, tokens_to_come(other), slot->ids, end + 1) + WORTH_A_COPY > end) return;
        if (other->started || i == taken) continue;
        if (!place || (has_something(place) && (!has_something(other) || other->since < place->since))) place = other;
    }
    if (!place || (has_something(place) && place->since >= slot->since)) return;
    uint32_t to = (uint32_t)(place - s->slots), first = common_beginning(place, tokens_read(place), slot->ids, end + 1);
    beginnings_let_go(s, to);
    if (!copies_have_room(s)) return;
    slot_rewind(place, first);
    memcpy(place->ids, slot->ids, end * sizeof *place->ids);
    place->position = end;
    copies_add(s, &(struct CacheCopy){sequence, to, first, end});
    place->prefilled = end;
    if (place->since < slot->since) place->since = slot->since;
}

// The sequence whose cache has the longest beginning of a prompt, and how much that is: or will have, if it is worth
// to wait for. Its own: none has more.
struct Source {
    uint32_t sequence, same;
};

static struct Source find_source(const struct vkgpt_session *s, uint32_t sequence, uint32_t own, const uint32_t *ids,
                                 uint32_t count)
{
    struct Source best = {sequence, own + WORTH_A_COPY - 1}, later = best;
    for (uint32_t i = 0; i < s->sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (i == sequence) continue;
        uint32_t coming = common_beginning(slot, tokens_to_come(slot), ids, count);
        uint32_t same = min_u32(coming, tokens_read(slot));
        if (same > best.same) best = (struct Source){i, same};
        if (coming > later.same) later = (struct Source){i, coming};
    }
    // a long prompt may have to wait for shorter ones: this one waits for it only if that saves most of its own rows
    bool waits = later.same >= best.same + WORTH_A_COPY && 2 * (later.same - own) >= count - own;
    if (waits) best = later;
    if (best.sequence == sequence) best.same = own;
    return best;
}

void beginnings_take(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, uint32_t count, bool given,
                     bool keep)
{
    struct Slot *slot = &s->slots[sequence];
    uint32_t own = given ? 0 : common_beginning(slot, tokens_read(slot), ids, count);
    struct Source source = given ? (struct Source){sequence, 0} : find_source(s, sequence, own, ids, count);
    beginnings_let_go(s, sequence);
    if (keep) keep_elsewhere(s, sequence, own, source.sequence);
    slot_rewind(slot, own);
    memcpy(slot->ids + own, ids + own, (count - own) * sizeof *ids);
    slot->position = count;
    s->counters.tokens_reused += own;
    if (source.sequence == sequence) return;
    slot->leader = source.sequence + 1;
    slot->shared = source.same;
    s->slots[source.sequence].wanted = source.same;
}

// ------------------------------------------------------------------------------------------ where

struct Place {      // a slot for a prompt
    uint32_t size;  // of the range of steps then (range_size); or how many run in its micro-batch
    uint32_t same;  // tokens of the prompt in its cache; 0: not worth to be kept
    uint64_t since; // when it ran; 0: it has nothing
};

static bool better_place(struct Place a, struct Place b)
{
    if (a.size != b.size) return a.size < b.size;
    if (a.same != b.same) return a.same > b.same;
    return a.since < b.since;
}

bool vkgpt_batch_choose(const vkgpt_session *s, const uint32_t *ids, size_t count, uint32_t *sequence)
{
    struct Place best = {.size = UINT32_MAX};
    uint32_t running = 0; // slots up to the last one that runs
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].started) running = i + 1;
    for (uint32_t i = 0; i < s->sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        uint32_t same = common_beginning(slot, tokens_read(slot), ids, count), end = i < running ? running : i + 1;
        uint32_t size = s->micro_batches > 1 ? decoding_company(s, i) : range_size(end);
        struct Place place = {size, same < WORTH_A_COPY ? 0 : same, has_something(slot) ? slot->since : 0};
        if (slot->started || !better_place(place, best)) continue;
        best = place;
        *sequence = i;
    }
    return best.size != UINT32_MAX;
}
