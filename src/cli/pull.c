// vkgpt pull: downloads a model of the Hugging Face hub into the hub's own cache, where -m finds it by its name.
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "model/hub.h"

#ifdef VKGPT_WITH_CURL
#include "hub/pull.h"

static void on_note(const char *sentence) { fprintf(stderr, "vkgpt: %s\n", sentence); }

static int pull(const char *full, const struct Options *options, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    struct Progress progress;
    const struct Pull pull = {
        .name = full,
        .revision = options->revision ? options->revision : "main",
        .gguf = options->pull_file,
        .note = on_note,
        .progress = progress_download,
        .user = &progress,
    };
    progress_start(&progress);
    os_catch_interrupt();     // what has been downloaded stays, for the next pull
    os_ignore_closed_pipes(); // a server may close a connection at any time
    int code = hub_pull(&pull, snapshot, err);
    progress_end(&progress);
    return code;
}
#else
static int pull(const char *full, const struct Options *options, char snapshot[PATH_BYTES], vkgpt_error *err)
{
    (void)options, (void)snapshot;
    return fail(err, VKGPT_BAD_FILE,
                "this vkgpt was built without libcurl and downloads nothing; `hf download %s` does, "
                "and -m %s finds it then",
                full, full);
}
#endif

int pull_main(const struct Options *options)
{
    char full[HUB_NAME_BYTES], snapshot[PATH_BYTES];
    vkgpt_error err;
    if (!options->pull_name) return wrong_usage("pull needs the name of a model on the Hugging Face hub, such as gpt2");
    if (!hub_full_name(options->pull_name, full))
        return wrong_usage("'%s' is not a name of a model on the Hugging Face hub, such as openai-community/gpt2",
                           options->pull_name);
    if (options->revision && !hub_is_revision(options->revision))
        return wrong_usage("'%s' is not a branch, a tag or a commit, such as main", options->revision);
    if (pull(full, options, snapshot, &err)) return failed(&err);
    // by its name -m finds the revision main
    fprintf(stderr, "vkgpt: %s is there: -m %s runs it\n", full, options->revision ? snapshot : options->pull_name);
    printf("%s\n", snapshot);
    return finish_output(EXIT_OK);
}
