// vkgpt serve: an HTTP server with OpenAI's API (src/serve). This file opens the model, and waits for signals.
#include "cli/cli.h"

#ifdef VKGPT_WITH_MICROHTTPD
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/chat_form.h"
#include "cli/run.h"
#include "serve/server.h"
#include "serve/warm_up.h"

#define TICK_SECONDS 0.05
#define SAID_SECONDS 1 // a warm-up that takes this long is said

struct Serving {
    struct Options options;
    struct Run run;
    struct Served served;
    // copies of what the model says of itself, which is gone while it is opened anew
    vkgpt_model_info model;
    char name[256], architecture[32], weights[32];
    struct ChatTemplate form;
    vkgpt_error no_form;
    struct Server *server;
};

static int reopen(void *user, vkgpt_session **session, vkgpt_error *err)
{
    struct Serving *s = user;
    int code = run_reopen(&s->run, &s->options, err);
    *session = s->run.session;
    return code;
}

static void describe(struct Serving *s)
{
    s->model = *run_model(&s->run);
    snprintf(s->name, sizeof s->name, "%s", s->model.name);
    snprintf(s->architecture, sizeof s->architecture, "%s", s->model.architecture);
    snprintf(s->weights, sizeof s->weights, "%s", s->model.weights);
    s->model.name = s->name;
    s->model.architecture = s->architecture;
    s->model.weights = s->weights;
    s->served = (struct Served){.tok = s->run.tokenizer,
                                .model = &s->model,
                                .name = s->options.alias ? s->options.alias : s->name,
                                .context = s->run.context,
                                .slots = (uint32_t)s->options.parallel};
}

// A tokenizer without a template serves completions; a --chat-template that cannot be read is an error.
static int open_form(struct Serving *s, vkgpt_error *err)
{
    if (!chat_form(&s->run, &s->options, NULL, &s->form, &s->no_form)) {
        s->served.chat = &s->form;
        return 0;
    }
    s->served.no_chat = s->no_form.text;
    if (!s->options.chat_template) return 0;
    *err = s->no_form;
    return err->code;
}

static int warm(struct Serving *s, vkgpt_error *err)
{
    double start = os_seconds();
    int code = s->options.no_warmup ? 0 : warm_up(s->run.session, s->served.slots, s->run.context, err);
    double seconds = os_seconds() - start;
    if (!code && seconds >= SAID_SECONDS)
        fprintf(stderr, "vkgpt: the first tokens, for which the driver compiles, took %.1f s\n", seconds);
    return code;
}

static int load(struct Serving *s, vkgpt_error *err)
{
    int code = run_open(&s->run, &s->options, true, err);
    if (code) return code;
    describe(s);
    code = open_form(s, err);
    if (!code) code = warm(s, err);
    if (!code) code = server_start(s->server, &s->served, s->run.session, reopen, s, err);
    if (code) return code;
    fprintf(stderr, "vkgpt: serves %s, %u sequences at once, each with a context of %u tokens\n", s->served.name,
            s->served.slots, s->served.context);
    run_tell_default(&s->run);
    return 0;
}

static int serve(struct Serving *s, vkgpt_error *err)
{
    int code = 0;
    os_catch_interrupt();
    while (!code && !os_interrupted()) {
        code = server_tick(s->server, err);
        os_wait(TICK_SECONDS);
    }
    if (code) return code;
    os_forget_interrupt(); // else nothing would run on; the next signal ends the process
    fprintf(stderr, "vkgpt: ends; the requests that run have %g seconds\n", s->options.drain);
    server_drain(s->server, s->options.drain);
    return 0;
}

int serve_main(const struct Options *options)
{
    struct Serving s = {.options = *options};
    vkgpt_error err;
    const struct ServerOptions server = {.host = options->host,
                                         .port = (uint16_t)options->port,
                                         .api_key = options->api_key,
                                         .api_key_file = options->api_key_file,
                                         .queue = (size_t)options->queue,
                                         .timeout = options->timeout,
                                         .verbose = options->verbose};
    if (!s.options.parallel) s.options.parallel = USUAL_BATCH;
    buffer_no_memory = NULL; // without memory a request is refused, and the server goes on
    os_ignore_closed_pipes();
    int code = server_open(&server, &s.server, &err);
    if (!code) code = load(&s, &err);
    if (!code) code = serve(&s, &err);
    server_close(s.server);
    if (!code && options->verbose) run_counters(&s.run);
    chat_template_free(&s.form);
    run_close(&s.run);
    return code ? failed(&err) : EXIT_OK;
}
#else
int serve_main(const struct Options *options)
{
    (void)options;
    vkgpt_error err;
    fail(&err, VKGPT_BAD_FILE, "this vkgpt was built without libmicrohttpd and serves nothing");
    return failed(&err);
}
#endif
