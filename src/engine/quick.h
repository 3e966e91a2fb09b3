// The quick tuning: a GPU that has no tuning for a model's products gets one when the first session of one sequence is
// opened. It takes QUICK_SECONDS at most, in addition to what the session takes anyway. The decode step comes first,
// then, as far as the time goes, the tiles of prefill's products on a GPU, from the largest blocks on.
// What `vkgpt tune` found stays. The result is kept in the tuning file; where that cannot be written nothing is
// measured, since every start would measure again. The built-in choices are written before the first measurement, so
// that a driver that crashes on a variant does so only once.
//
// There is none on software drivers, or where VKGPT_TUNING is set. VKGPT_QUICK_TUNING=force (for tests) includes
// software drivers; a number of seconds in place of "force" is the budget then.
#ifndef VKGPT_ENGINE_QUICK_H
#define VKGPT_ENGINE_QUICK_H

#include "engine/model.h"

#define QUICK_SECONDS 1.5

// Writes into note a sentence for the user, or "". A failure here does not make the session fail.
void quick_tuning(vkgpt_model *model, vkgpt_format kv, char *note, size_t size);

#endif
