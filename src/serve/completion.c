#include "serve/completion.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "serve/answer.h"
#include "serve/fields.h"

#define EVENTS "text/event-stream"
#define MOST_SEQUENCES 4096 // of a request

// ---------------------------------------------------------------------------------------------- making

static vkgpt_batch_options options_of(const struct Request *r, size_t candidate)
{
    return (vkgpt_batch_options){
        .sampling = {.temperature = (float)r->temperature,
                     .top_k = (uint32_t)r->top_k,
                     .top_p = (float)r->top_p,
                     .min_p = (float)r->min_p,
                     .repeat_penalty = (float)r->repeat_penalty,
                     .repeat_last_n = r->repeat_last_n < 0 ? UINT32_MAX : (uint32_t)r->repeat_last_n,
                     .seed = r->seed + candidate,
                     .ignore_eos = r->ignore_eos},
        .max_tokens = r->max_tokens < 0 ? SIZE_MAX : (size_t)r->max_tokens,
        .presence_penalty = (float)r->presence_penalty,
        .frequency_penalty = (float)r->frequency_penalty,
        .bias = r->bias,
        .bias_count = r->bias_count,
        .logprobs = r->logprobs || r->best_of > r->n,
        .top = r->logprobs ? (uint32_t)r->top : 0,
        .given = r->logprobs && r->echo,
        .keep = true,
    };
}

// What an answer with echo begins with. With log probabilities the prompt's tokens come from the engine, one by one.
static void echo_prompt(struct Choice *choice)
{
    const struct Prompt *prompt = choice->prompt;
    if (prompt->empty) return;
    if (prompt->text.data) {
        assembly_echo(&choice->assembly, prompt->text.data, prompt->text.bytes);
        return;
    }
    for (size_t i = 0; i < prompt->count; i++) {
        size_t bytes;
        const char *text = vkgpt_token_bytes(choice->completion->served->tok, prompt->ids[i], &bytes);
        assembly_echo(&choice->assembly, text, bytes);
    }
}

static void make_choice(struct Completion *c, size_t i)
{
    const struct Request *r = &c->request;
    struct Choice *choice = &c->choices[i];
    size_t each = (size_t)r->best_of;
    *choice = (struct Choice){.completion = c, .prompt = &c->prompts.list[i / each], .index = i};
    choice->options = options_of(r, i % each);
    assembly_begin(&choice->assembly, c->served->tok, r->stops, r->stop_count, r->logprobs);
    if (r->echo && !r->logprobs) echo_prompt(choice);
}

static int make_choices(struct Completion *c, struct Refusal *refusal)
{
    c->count = c->prompts.count * (size_t)c->request.best_of;
    if (c->count > MOST_SEQUENCES)
        return refuse(refusal, 400, "prompt", NULL,
                      "%zu prompts, and %" PRId64 " texts of each: %d texts at most are taken", c->prompts.count,
                      c->request.best_of, MOST_SEQUENCES);
    c->choices = calloc(c->count, sizeof *c->choices);
    bool failed = !c->choices;
    for (size_t i = 0; c->choices && i < c->count; i++) {
        make_choice(c, i);
        failed |= c->choices[i].assembly.failed;
    }
    return failed ? refuse_memory(refusal, "the request") : 0;
}

static int read_all(struct Completion *c, bool chat, struct Refusal *refusal)
{
    struct Json *body;
    int status = fields_parse(exchange_body(c->exchange), &body, refusal);
    if (status) return status;
    status = request_read(&c->request, chat, c->served->model->vocab, body, refusal);
    if (!status && chat) status = prompts_read_messages(c->served, c->request.messages, &c->prompts, refusal);
    else if (!status) status = prompts_read(c->served, c->request.prompt, &c->prompts, refusal);
    for (size_t i = 0; !status && chat && i < c->served->chat->stop_count; i++)
        if (!request_add_stop(&c->request, c->served->chat->stops[i].data, c->served->chat->stops[i].bytes))
            status = refuse_memory(refusal, "the stop strings");
    json_free(body);
    c->request.prompt = c->request.messages = NULL;
    return status ? status : make_choices(c, refusal);
}

struct Completion *completion_make(struct Exchange *exchange, const struct Served *served, struct Metrics *metrics,
                                   bool chat, struct Refusal *refusal)
{
    struct Completion *c = calloc(1, sizeof *c);
    uint64_t random[2];
    if (!c) {
        refuse_memory(refusal, "the request");
        return NULL;
    }
    *c = (struct Completion){.exchange = exchange, .served = served, .metrics = metrics, .received = os_seconds()};
    os_random(random, sizeof random);
    c->created = (int64_t)time(NULL);
    snprintf(c->id, sizeof c->id, "%s-%016" PRIx64 "%016" PRIx64, chat ? "chatcmpl" : "cmpl", random[0], random[1]);
    exchange_hold(exchange);
    if (!read_all(c, chat, refusal)) return c;
    completion_free(c);
    return NULL;
}

void completion_free(struct Completion *c)
{
    for (size_t i = 0; c->choices && i < c->count; i++) assembly_free(&c->choices[i].assembly);
    free(c->choices);
    prompts_free(&c->prompts);
    request_free(&c->request);
    exchange_release(c->exchange);
    free(c);
}

// --------------------------------------------------------------------------------------------- the answer

static void fail_memory_of(struct Completion *c) { completion_fail(c, 500, "no host memory for the answer"); }

static void send(struct Completion *c, struct Buffer *event)
{
    if (event->failed) fail_memory_of(c);
    else exchange_write(c->exchange, EVENTS, event->data, event->bytes);
    buffer_free(event);
}

// Sends what a choice has, if it is anything.
static void send_piece(struct Choice *choice, const char *finish)
{
    struct Assembly *a = &choice->assembly;
    struct Buffer event = {0};
    size_t entries = assembly_ready(a);
    if (!a->text.bytes && !finish) return;
    if (choice->completion->request.chat && !choice->begun) answer_role(choice, &event);
    if (choice->completion->request.chat && finish && a->text.bytes) { // the last piece of a chat has no text
        answer_piece(choice, entries, NULL, &event);
        assembly_taken(a, entries);
        entries = 0;
    }
    answer_piece(choice, entries, finish, &event);
    assembly_taken(a, entries);
    bool whole = !event.failed;
    send(choice->completion, &event);
    choice->begun = choice->begun || whole;
}

static void send_end(struct Completion *c)
{
    struct Buffer event = {0};
    if (c->request.include_usage) answer_usage(c, &event);
    buffer_text(&event, "data: [DONE]\n\n");
    send(c, &event);
    exchange_end(c->exchange);
}

static double mean_logprob(const struct Choice *choice)
{
    return choice->tokens ? choice->sum / (double)choice->tokens : 0;
}

// The n likeliest of each prompt's candidates, the likeliest first.
static void choose_best(const struct Completion *c, const struct Choice **chosen)
{
    size_t n = (size_t)c->request.n, each = (size_t)c->request.best_of;
    for (size_t p = 0; p < c->prompts.count; p++) {
        const struct Choice **best = chosen + p * n;
        size_t found = 0;
        for (size_t i = 0; i < each; i++) {
            const struct Choice *choice = &c->choices[p * each + i];
            size_t at = found;
            while (each > n && at && mean_logprob(best[at - 1]) < mean_logprob(choice)) at--;
            if (at == n) continue;
            if (found < n) found++;
            memmove(best + at + 1, best + at, (found - at - 1) * sizeof *best);
            best[at] = choice;
        }
    }
}

static void send_whole(struct Completion *c)
{
    struct Buffer body = {0};
    size_t count = c->prompts.count * (size_t)c->request.n;
    const struct Choice **chosen = calloc(count, sizeof *chosen);
    if (!chosen) {
        fail_memory_of(c);
        return;
    }
    choose_best(c, chosen);
    answer_whole(c, chosen, count, &body);
    free(chosen);
    exchange_answer(c->exchange, 200, "application/json", &body);
}

// ------------------------------------------------------------------------------------------------ events

static void time_token(struct Choice *choice)
{
    struct Completion *c = choice->completion;
    double now = os_seconds();
    if (choice->last > 0) metrics_time(c->metrics, TIMING_NEXT_TOKEN, now - choice->last);
    else metrics_time(c->metrics, TIMING_FIRST_TOKEN, now - c->received);
    metrics_add(c->metrics, METRIC_TOKENS, 1);
    choice->last = now;
}

bool completion_token(struct Choice *choice, uint32_t id, bool given, const vkgpt_token *token)
{
    bool echoed = choice->completion->request.echo;
    if (given && !echoed) return true;
    if (!given) {
        time_token(choice);
        choice->tokens++;
        if (token) choice->sum += (double)token->logprob;
    }
    bool goes_on = given && choice->prompt->empty ? assembly_add_silent(&choice->assembly, id, token)
                                                  : assembly_add(&choice->assembly, id, given, token);
    if (choice->assembly.failed) fail_memory_of(choice->completion);
    else if (choice->completion->request.stream) send_piece(choice, NULL);
    return goes_on && !completion_over(choice->completion);
}

void completion_end(struct Choice *choice, vkgpt_stop stop, const vkgpt_token *last)
{
    struct Completion *c = choice->completion;
    bool stopped = choice->assembly.stopped || stop == VKGPT_STOP_EOS;
    if (completion_over(c)) return; // it has failed, or nobody waits for it
    assembly_end(&choice->assembly, stop == VKGPT_STOP_EOS ? last : NULL);
    choice->finish = stopped ? "stop" : "length";
    if (choice->assembly.failed) fail_memory_of(c);
    else if (c->request.stream) send_piece(choice, choice->finish);
    if (completion_over(c) || ++c->ended < c->count) return;
    metrics_add(c->metrics, METRIC_COMPLETIONS, 1);
    if (c->request.stream) send_end(c);
    else send_whole(c);
}

void completion_fail(struct Completion *c, int status, const char *sentence)
{
    struct Refusal refusal;
    struct Buffer body = {0}, event = {0};
    refuse(&refusal, status, NULL, NULL, "%s", sentence);
    refusal_json(&refusal, &body);
    bool begun = false;
    for (size_t i = 0; i < c->count; i++) begun |= c->choices[i].begun;
    c->ended = c->count; // over
    if (!begun) {
        exchange_answer(c->exchange, status, "application/json", &body);
        return;
    }
    buffer_text(&event, "data: ");
    buffer_add(&event, body.data, body.bytes);
    buffer_text(&event, "\n\n");
    if (body.failed || event.failed) exchange_break(c->exchange);
    else exchange_write(c->exchange, EVENTS, event.data, event.bytes);
    buffer_free(&body);
    buffer_free(&event);
    exchange_end(c->exchange);
}

bool completion_over(const struct Completion *c) { return c->ended == c->count || exchange_gone(c->exchange); }
