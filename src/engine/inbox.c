// What the host changes on the device before a submission (shaders/admit.comp). It may be in write-combined memory, so
// it is only written, never read.
#include "engine/inbox.h"

#include <string.h>

void inbox_begin(struct vkgpt_session *s, uint32_t turn, const struct Group *groups)
{
    struct InboxHead head = {0};
    if (groups) memcpy(head.groups, groups, sizeof head.groups);
    memcpy(s->b.inbox[turn].host, &head, sizeof head);
    s->inbox[turn].admissions = s->inbox[turn].words = 0;
}

void inbox_admit(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end, const struct Sequence *state)
{
    struct Slot *slot = &s->slots[sequence];
    uint8_t *inbox = s->b.inbox[turn].host;
    struct Admission admission = {
        .sequence = sequence, .first = slot->uploaded, .at = s->inbox[turn].words, .state = *state};
    if (slot->uploaded < end) {
        admission.count = end - slot->uploaded;
        memcpy(s->b.given[turn].host + (size_t)admission.at * 4, slot->ids + slot->uploaded,
               (size_t)admission.count * 4);
        slot->uploaded = end;
    }
    s->inbox[turn].words += admission.count + 2 * state->biases;
    memcpy(s->b.given[turn].host + (size_t)(admission.at + admission.count) * 4, slot->bias,
           state->biases * sizeof *slot->bias);
    uint32_t at = s->inbox[turn].admissions++;
    memcpy(inbox + sizeof(struct InboxHead) + at * sizeof admission, &admission, sizeof admission);
    memcpy(inbox + offsetof(struct InboxHead, admissions), &s->inbox[turn].admissions, 4);
    slot->live = state->stop == STOP_NONE;
}

void inbox_stop(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end)
{
    const struct Slot *slot = &s->slots[sequence];
    const struct Sequence state = {.stop = STOP_FULL, .reports = slot->given ? slot->reports : 0};
    inbox_admit(s, turn, sequence, end, &state);
}

void inbox_take(struct vkgpt_session *s, struct Recording *rec, uint32_t turn)
{
    dispatch(rec, s->decode.admit, (struct Grid){s->sequences, 1, 1},
             BUFFERS(&s->b.state, &s->b.tokens, &s->b.ring, &s->b.inbox[turn], &s->b.given[turn], &s->b.changes),
             ARGS(AdmitArgs, .sequences = s->sequences, .token_stride = s->context + 1));
    recording_note(rec, (struct Note){.step = "admit"});
}
