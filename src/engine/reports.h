// The events of a call that runs sequences, and the log probabilities that the device leaves for them.
#ifndef VKGPT_ENGINE_REPORTS_H
#define VKGPT_ENGINE_REPORTS_H

#include "engine/session.h"

// Tells of the next token of a sequence. The callback may end it (VKGPT_STOP_CALLBACK).
void report_token(struct vkgpt_session *s, uint32_t sequence, uint32_t id);
// Tells that a sequence has ended.
void report_end(struct vkgpt_session *s, uint32_t sequence);
// Tells of the first token of each prompt whose tokens are reported: there is nothing that predicts it.
void report_beginnings(struct vkgpt_session *s);
// Tells of the tokens after the rows of a group, whose reports begin at `reports`.
int report_group(struct vkgpt_session *s, const struct Group *group, const struct TokenReport *reports,
                 vkgpt_error *err);

#endif
