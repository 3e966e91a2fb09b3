// The quick tuning: a GPU that has no tuning for a model's products gets one when the first session of one sequence is
// opened, in QUICK_SECONDS at most, over and above what the session takes anyway: the decode step first, then, as far
// as the time goes, the tiles of prefill's products by matrices, from the largest blocks on. What `vkgpt tune` found
// stays. It is kept in the tuning file; where that cannot be written nothing is measured, since each start would do it
// anew. The built-in choices are written before the first measurement: a driver that does not survive a variant meets
// it once.
//
// Software drivers are left out, and so is everything where VKGPT_TUNING is set. VKGPT_QUICK_TUNING=force (for tests)
// takes software drivers too; a number of seconds in place of "force" is the budget then.
#ifndef VKGPT_ENGINE_QUICK_H
#define VKGPT_ENGINE_QUICK_H

#include "engine/model.h"

#define QUICK_SECONDS 1.5

// Writes into note what the user should hear, or "". A failure here is none of the session's.
void quick_tuning(vkgpt_model *model, vkgpt_format kv, char *note, size_t size);

#endif
