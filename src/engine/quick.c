#include "engine/quick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ahead.h"
#include "engine/formats.h"
#include "engine/persistent.h"
#include "engine/session_open.h"
#include "engine/settings.h"
#include "engine/step_search.h"
#include "engine/tune_blocks.h"
#include "engine/tuning.h"

#define ROUNDS 5
#define RESERVE 0.05 // seconds for what follows the search: closing the sessions and writing the file

// 0: it is not forced.
static double forced_seconds(void)
{
    const char *value = getenv("VKGPT_QUICK_TUNING");
    if (!value || !*value) return 0.0;
    return strcmp(value, "force") ? strtod(value, NULL) : QUICK_SECONDS;
}

static bool wanted(const vkgpt_model *m)
{
    if (tuning_is_asked() || m->hidden_only || !model_is_whole(m)) return false;
    return (!m->device->software || forced_seconds() > 0.0) &&
           (settings_incomplete(m) || settings_form_unknown(m) || blocks_untuned(m));
}

static void write_note(const struct StepSearch *search, char *note, size_t size)
{
    const vkgpt_model *m = search->model;
    const char *device = m->device->info.name;
    if (search->taken[0])
        snprintf(note, size, "%s is tuned for %s, %s, in %.1f s: a step takes %.0f us, built in %.0f us (%s)", device,
                 m->name, m->info.weights, search->seconds, search->after * 1e6, search->before * 1e6, search->taken);
    else if (search->tried)
        snprintf(note, size,
                 "%s is tuned for %s, %s, in %.1f s: none of %u changes is quicker than the built-in choices", device,
                 m->name, m->info.weights, search->seconds, search->tried);
    else
        snprintf(note, size, "%s is too slow to be tuned in %.1f s: vkgpt tune takes more time", device,
                 search->budget + RESERVE);
}

void quick_tuning(vkgpt_model *m, vkgpt_format kv, char *note, size_t size)
{
    double budget = forced_seconds();
    struct StepSearch search = {.model = m,
                                .kv = kv,
                                .by = FOUND_QUICK,
                                .rounds = ROUNDS,
                                .budget = (budget > 0.0 ? budget : QUICK_SECONDS) - RESERVE};
    vkgpt_error err;
    *note = 0;
    if (tuning_open(m->device, NULL) || !wanted(m)) return;
    search.whole_only = !settings_incomplete(m);
    persistent_ahead(m, format_kv(kv));
    bool steps = settings_incomplete(m) || settings_form_unknown(m);
    settings_kept(m, &search.best);
    int status = settings_install(m, &search.best, FOUND_QUICK, &err);
    if (!status) status = tune_blocks(m, FOUND_QUICK, 0.0, NULL, NULL, &err); // the built-in tiles
    if (!status) status = vkgpt_tuning_save(m->device, NULL, &err);
    if (!status && steps) status = step_search(&search, &err);
    if (!status) status = tune_blocks(m, FOUND_QUICK, search.budget - search.seconds, NULL, NULL, &err);
    if (!status) status = vkgpt_tuning_save(m->device, NULL, &err);
    if (status) snprintf(note, size, "%s is not tuned: %.200s", m->device->info.name, err.text);
    else if (steps) write_note(&search, note, size);
}

int vkgpt_session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened,
                       vkgpt_error *err)
{
    vkgpt_session_options o = options ? *options : (vkgpt_session_options){0};
    char note[sizeof(*opened)->note] = "";
    *opened = NULL;
    int status = session_check_options(model, &o, err);
    if (status) return status;
    if (o.sequences <= 1 && !o.lookup && !o.deterministic) quick_tuning(model, o.kv, note, sizeof note);
    status = session_open(model, &o, opened, err);
    if (!status && note[0]) memcpy((*opened)->note, note, sizeof note);
    return status;
}
