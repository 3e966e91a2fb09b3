#include "engine/reports.h"

#include <math.h>

#include "engine/sequences.h"

struct Room { // for what an event points to
    vkgpt_token token;
    vkgpt_logprob top[VKGPT_MAX_TOP];
};

// A report in the form of the public API; NULL, if the slot asks for none.
static const vkgpt_token *token_of(const struct Slot *slot, const struct TokenReport *report, struct Room *room)
{
    if (!slot->reports) return NULL;
    room->token = (vkgpt_token){report->token.id, report->token.logprob, slot->reports - 1, room->top};
    for (uint32_t i = 0; i + 1 < slot->reports; i++)
        room->top[i] = (vkgpt_logprob){report->top[i].id, report->top[i].logprob};
    return &room->token;
}

// Where sample leaves the report of the token at a position.
static const struct TokenReport *report_at(const struct vkgpt_session *s, uint32_t sequence, uint32_t position)
{
    uint32_t kept = REPORTS_KEPT * s->step_rows;
    return (const struct TokenReport *)s->b.reports.host + (size_t)sequence * kept + position % kept;
}

static void tell(struct vkgpt_session *s, const vkgpt_batch_event *event)
{
    struct Slot *slot = &s->slots[event->sequence];
    bool goes_on = !s->on_event || s->on_event(s->event_user, event);
    if (!goes_on && !event->ended) slot_leave(s, slot, VKGPT_STOP_CALLBACK);
}

void report_token(struct vkgpt_session *s, uint32_t sequence, uint32_t id)
{
    const struct Slot *slot = &s->slots[sequence];
    struct Room room;
    tell(s, &(vkgpt_batch_event){.sequence = sequence,
                                 .id = id,
                                 .token = token_of(slot, report_at(s, sequence, slot->position - 1), &room)});
}

void report_end(struct vkgpt_session *s, uint32_t sequence)
{
    const struct Slot *slot = &s->slots[sequence];
    struct Room room;
    vkgpt_batch_event event = {.sequence = sequence, .ended = true, .stop = slot->stop};
    if (slot->stop == VKGPT_STOP_EOS) event.token = token_of(slot, report_at(s, sequence, slot->position), &room);
    tell(s, &event);
}

// Tells of a token of a prompt. If it is the last one, and none is to be generated, the sequence ends.
static void tell_given(struct vkgpt_session *s, uint32_t sequence, const vkgpt_token *token)
{
    struct Slot *slot = &s->slots[sequence];
    slot->told++;
    tell(s, &(vkgpt_batch_event){.sequence = sequence, .id = token->id, .given = true, .token = token});
    if (slot->runs && slot->told == slot->position && slot->end == slot->position) slot_leave(s, slot, slot->stop);
}

void report_beginnings(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++) {
        struct Slot *slot = &s->slots[i];
        if (!slot->runs || !slot->given || slot->told) continue;
        tell_given(s, i, &(vkgpt_token){.id = slot->ids[0], .logprob = NAN});
    }
}

int report_group(struct vkgpt_session *s, const struct Group *group, const struct TokenReport *reports,
                 vkgpt_error *err)
{
    struct Slot *slot = &s->slots[group->sequence];
    struct Room room;
    for (uint32_t r = 0; slot->runs && r < group->rows; r++) {
        if (reports[r].token.id == REPORT_BAD) {
            slot_leave(s, slot, VKGPT_STOP_BAD_LOGITS);
            return fail(err, VKGPT_BAD_LOGITS, "%s: the logits after token %u hold a NaN or an infinity",
                        s->model->name, group->position + r);
        }
        tell_given(s, group->sequence, token_of(slot, &reports[r], &room));
    }
    return VKGPT_OK;
}
