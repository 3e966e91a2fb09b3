// What the host changes on the device before a submission (shaders/admit.comp). It may be in write-combined memory, so
// it is only written, never read.
#include "engine/inbox.h"

#include <string.h>

#define SHARE_GROUPS 8 // of the rows of a head

static void begin(struct Inbox *inbox, const struct Group *groups)
{
    struct InboxHead head = {0};
    if (groups) memcpy(head.groups, groups, sizeof head.groups);
    memcpy(inbox->head, &head, sizeof head);
    inbox->admissions = inbox->words = 0;
}

void inbox_begin(struct vkgpt_session *s, uint32_t turn, const struct Group *groups)
{
    begin(&s->inbox[turn], groups);
    if (s->upstream) begin(&s->outbox, groups);
}

static void admit(struct Inbox *inbox, uint32_t sequence, const struct Slot *slot, uint32_t end,
                  const struct Sequence *state)
{
    struct Admission admission = {.sequence = sequence, .first = slot->uploaded, .at = inbox->words, .state = *state};
    if (slot->uploaded < end) {
        admission.count = end - slot->uploaded;
        memcpy(inbox->given + (size_t)admission.at * 4, slot->ids + slot->uploaded, (size_t)admission.count * 4);
    }
    inbox->words += admission.count + 2 * state->biases;
    memcpy(inbox->given + (size_t)(admission.at + admission.count) * 4, slot->bias, state->biases * sizeof *slot->bias);
    uint32_t at = inbox->admissions++;
    memcpy(inbox->head + sizeof(struct InboxHead) + at * sizeof admission, &admission, sizeof admission);
    memcpy(inbox->head + offsetof(struct InboxHead, admissions), &inbox->admissions, 4);
}

void inbox_follow(struct vkgpt_session *s, uint32_t sequence, uint32_t end, const struct Sequence *state)
{
    struct Slot *slot = &s->slots[sequence];
    struct Sequence followed = *state;
    followed.biases = 0; // logits alone have them
    admit(&s->outbox, sequence, slot, end, &followed);
    slot->followed = state->stop == STOP_NONE;
    if (slot->uploaded < end) slot->uploaded = end;
}

void inbox_admit(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end, const struct Sequence *state)
{
    struct Slot *slot = &s->slots[sequence];
    admit(&s->inbox[turn], sequence, slot, end, state);
    if (s->upstream) inbox_follow(s, sequence, end, state);
    if (slot->uploaded < end) slot->uploaded = end;
    slot->live = state->stop == STOP_NONE;
}

void inbox_stop(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end)
{
    const struct Slot *slot = &s->slots[sequence];
    const struct Sequence state = {.stop = STOP_FULL, .reports = slot->given ? slot->reports : 0};
    inbox_admit(s, turn, sequence, end, &state);
}

static void copy(struct Inbox *inbox, const struct CacheCopy *copies, uint32_t count)
{
    memcpy(inbox->given, copies, count * sizeof *copies);
    memcpy(inbox->head + offsetof(struct InboxHead, copies), &count, 4);
    inbox->words = count * (uint32_t)(sizeof *copies / 4);
}

void inbox_copy(struct vkgpt_session *s, uint32_t turn, const struct CacheCopy *copies, uint32_t count)
{
    copy(&s->inbox[turn], copies, count);
    if (s->upstream) copy(&s->outbox, copies, count);
}

void inbox_share(struct vkgpt_session *s, struct Recording *rec, uint32_t turn)
{
    const struct Cache cache = session_cache(s);
    const struct ShareArgs args = cache_share_args(&cache);
    for (uint32_t l = s->model->first; l < s->model->end; l++) {
        dispatch(rec, s->decode->share, (struct Grid){cache.heads, SHARE_GROUPS, 2},
                 BUFFERS(&s->b.k[l], &s->b.v[l], &s->b.inbox[turn], &s->b.given[turn]), &args, sizeof args);
        recording_note(rec, (struct Note){.step = "share", .layer = l});
    }
}

void inbox_take(struct vkgpt_session *s, struct Recording *rec, uint32_t turn)
{
    dispatch(rec, s->decode->admit, (struct Grid){s->sequences, 1, 1},
             BUFFERS(&s->b.state, &s->b.tokens, &s->b.ring, &s->b.inbox[turn], &s->b.given[turn], &s->b.changes),
             ARGS(AdmitArgs, .sequences = s->sequences, .token_stride = s->context + 1));
    recording_note(rec, (struct Note){.step = "admit"});
}
