// Runs the items of a task: writes answers and compares them, or scores the choices.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/answer.h"
#include "cli/blanks.h"
#include "cli/few_shot.h"
#include "cli/utf8.h"

struct Job {
    struct FewShot *f;
    const struct Options *options;
    struct Run *run;
    const struct QueryRules *rules;
    size_t group;            // items that are run at once: the session's sequences
    double **unconditional;  // (items): log likelihoods of the choices behind a context that says nothing
    double start;
    size_t done, total;      // items, over all shots
    vkgpt_error *err;
};

static void show_progress(const struct Job *job, size_t shots)
{
    double seconds = os_seconds() - job->start;
    if (os_is_terminal(2) && seconds > 1 && job->done)
        fprintf(stderr, "\r%zu shots: %zu of %zu prompts, %.0f s left \033[K", shots, job->done, job->total,
                seconds * (double)(job->total - job->done) / (double)job->done);
}

static void note_query(struct Job *job, struct Point *point, const struct Query *query)
{
    point->items++;
    point->cut += query->dropped > 0;
    point->dropped += query->dropped;
    job->done++;
    show_progress(job, point->shots);
}

// With -v: what became of an item.
static void say_answer(const struct Job *job, const struct Query *query, const struct Buffer *answer, const struct Item *item, bool right)
{
    if (!job->options->verbose) return;
    char *given = utf8_json(answer->data, answer->bytes), *wanted = utf8_json(item->completion, strlen(item->completion));
    fprintf(stderr, "%s:%zu, %zu shots: %s %s, %s\n", job->f->items.path, item->line, query->shots, right ? "right" : "wrong", given, wanted);
    free(given);
    free(wanted);
}

// ------------------------------------------------------------------------------------ written answers

struct Writing {
    const vkgpt_tokenizer *tokenizer;
    const char *stop;
    bool late;           // the answer begins with a line break, which ends nothing
    struct Buffer text;
};

// Cuts the text at the stop string. Sought from the start: an answer is short.
static bool reached(struct Writing *w)
{
    size_t from = w->late ? blanks_at_start(w->text.data, w->text.bytes) : 0, length = strlen(w->stop);
    for (size_t at = from; at + length <= w->text.bytes; at++) {
        if (memcmp(w->text.data + at, w->stop, length) != 0) continue;
        buffer_cut(&w->text, at);
        return true;
    }
    return false;
}

static bool on_token(void *user, uint32_t sequence, uint32_t id)
{
    struct Writing *w = (struct Writing *)user + sequence;
    size_t bytes;
    const char *piece = vkgpt_token_bytes(w->tokenizer, id, &bytes);
    buffer_add(&w->text, piece, bytes);
    return !reached(w) && !os_interrupted();
}

// The prompts, each in a sequence of its own; those that are left over stay empty.
static int prompts(struct Job *job, const struct Query *queries, size_t count)
{
    int code = 0;
    for (size_t i = 0; !code && i < job->group; i++) {
        code = vkgpt_batch_rewind(job->run->session, (uint32_t)i, 0, job->err);
        if (!code && i < count) code = vkgpt_batch_prompt(job->run->session, (uint32_t)i, queries[i].ids, queries[i].count, job->err);
    }
    return code;
}

static int judge_written(struct Job *job, struct Point *point, const struct Query *query, const struct Buffer *text)
{
    const struct Item *item = &job->f->items.items[query->item];
    struct Buffer answer = {0}, right = {0};
    int code = answer_normalize(text->data, text->bytes, &answer, job->err);
    if (!code) code = answer_normalize(item->completion, strlen(item->completion), &right, job->err);
    if (!code) {
        bool exact = answer_exact(&answer, &right);
        point_add(point, MEASURE_EXACT, exact);
        point_add(point, MEASURE_F1, answer_f1(&answer, &right));
        note_query(job, point, query);
        say_answer(job, query, text, item, exact);
    }
    buffer_free(&answer);
    buffer_free(&right);
    return code;
}

static struct Writing writing_of(const struct Job *job, size_t item)
{
    const char *completion = job->f->items.items[item].completion;
    bool late = memchr(completion, '\n', blanks_at_start(completion, strlen(completion))) != NULL;
    struct Writing w = {job->run->tokenizer, job->f->stop, late, {0}};
    buffer_add(&w.text, "", 0);
    return w;
}

// The items [first, first + group) that there are.
static int run_written(struct Job *job, struct Point *point, size_t first)
{
    vkgpt_sampling likeliest[MAX_PARALLEL];
    struct Query queries[MAX_PARALLEL];
    struct Writing writings[MAX_PARALLEL];
    size_t count = 0;
    int code = 0;
    for (size_t i = 0; i < job->group; i++) likeliest[i] = (vkgpt_sampling){.top_p = 1, .repeat_penalty = 1};
    for (; !code && count < job->group && first + count < job->f->limit; count++) {
        code = query_make(job->rules, first + count, point->shots, &queries[count], job->err);
        writings[count] = writing_of(job, first + count);
    }
    if (!code) code = prompts(job, queries, count);
    if (!code) code = vkgpt_batch_generate(job->run->session, likeliest, job->rules->answer_tokens, on_token, writings, NULL, job->err);
    for (size_t i = 0; !code && !os_interrupted() && i < count; i++) code = judge_written(job, point, &queries[i], &writings[i].text);
    while (count--) {
        query_free(&queries[count]);
        buffer_free(&writings[count].text);
    }
    return code;
}

// ------------------------------------------------------------------------------------- chosen answers

static size_t argmax(const double *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

static void judge_chosen(struct Job *job, struct Point *point, const struct Query *query, const vkgpt_scored *scored)
{
    const struct Item *item = &job->f->items.items[query->item];
    size_t count = item->choice_count;
    double *values = allocate(3 * count * sizeof *values), *per_token = values + count, *unconditional = per_token + count;
    for (size_t i = 0; i < count; i++) {
        values[i] = scored[i].logprob;
        per_token[i] = scored[i].logprob / (double)(query->pairs[i].count - query->pairs[i].context);
        unconditional[i] = scored[i].logprob - job->unconditional[query->item][i];
    }
    size_t best = argmax(values, count);
    point_add(point, MEASURE_CHOICE, best == item->gold);
    point_add(point, MEASURE_PER_TOKEN, argmax(per_token, count) == item->gold);
    point_add(point, MEASURE_UNCONDITIONAL, argmax(unconditional, count) == item->gold);
    note_query(job, point, query);
    struct Buffer answer = {.data = item->choices[best].text, .bytes = strlen(item->choices[best].text)};
    say_answer(job, query, &answer, item, best == item->gold);
    free(values);
}

static void add_pairs(const struct Pair *pairs, size_t count, vkgpt_continuation **list, size_t *size)
{
    *list = reallocate(*list, (*size + count) * sizeof **list);
    for (size_t i = 0; i < count; i++) (*list)[(*size)++] = (vkgpt_continuation){pairs[i].ids, pairs[i].count, pairs[i].context};
}

static int score_queries(struct Job *job, struct Point *point, const struct Query *queries, size_t count)
{
    vkgpt_continuation *list = NULL;
    size_t size = 0, at = 0;
    for (size_t i = 0; i < count; i++) add_pairs(queries[i].pairs, queries[i].pair_count, &list, &size);
    vkgpt_scored *scored = allocate(size * sizeof *scored);
    int code = vkgpt_score(job->run->session, list, size, scored, job->err);
    for (size_t i = 0; !code && i < count; at += queries[i++].pair_count) judge_chosen(job, point, &queries[i], scored + at);
    free(list);
    free(scored);
    return code;
}

// Likewise.
static int run_chosen(struct Job *job, struct Point *point, size_t first)
{
    struct Query queries[MAX_PARALLEL];
    size_t count = 0;
    int code = 0;
    for (; !code && count < job->group && first + count < job->f->limit; count++) code = query_make(job->rules, first + count, point->shots, &queries[count], job->err);
    if (!code) code = score_queries(job, point, queries, count);
    while (count--) query_free(&queries[count]);
    return code;
}

// "A:" where the contexts end so, else "Answer:" (section 2.4), unless --answer-context says otherwise.
static const char *answer_context(const struct Job *job, const struct Item *item)
{
    size_t length = strlen(item->context);
    if (job->options->answer_context) return job->f->answer_context.data;
    return length >= 3 && strcmp(item->context + length - 3, "\nA:") == 0 ? "A:" : "Answer:";
}

static int score_unconditional(struct Job *job, size_t at)
{
    const struct Item *item = &job->f->items.items[at];
    struct Pair *pairs = allocate(item->choice_count * sizeof *pairs);
    vkgpt_scored *scored = allocate(item->choice_count * sizeof *scored);
    vkgpt_continuation *list = NULL;
    size_t count = 0, size = 0;
    const char *context = answer_context(job, item);
    const struct Buffer before = {.data = (char *)context, .bytes = strlen(context)};
    int code = 0;
    for (; !code && count < item->choice_count; count++) {
        struct Buffer text = {.data = item->choices[count].text, .bytes = strlen(item->choices[count].text)};
        code = pair_encode(&job->rules->tokens, &before, &text, "an answer behind the answer's context", &pairs[count], job->err);
    }
    add_pairs(pairs, count, &list, &size);
    if (!code) code = vkgpt_score(job->run->session, list, size, scored, job->err);
    job->unconditional[at] = allocate(item->choice_count * sizeof **job->unconditional);
    for (size_t i = 0; !code && i < size; i++) job->unconditional[at][i] = scored[i].logprob;
    while (count--) pair_free(&pairs[count]);
    free(pairs);
    free(scored);
    free(list);
    return code;
}

// ----------------------------------------------------------------------------------------------- the curve

static int run_point(struct Job *job, struct Point *point)
{
    int code = 0;
    for (size_t i = 0; !code && !os_interrupted() && i < job->f->limit; i += job->group)
        code = job->f->curve.chosen ? run_chosen(job, point, i) : run_written(job, point, i);
    return code == VKGPT_INTERRUPTED ? 0 : code;
}

static int run_curve(struct Job *job)
{
    struct FewShot *f = job->f;
    int code = 0;
    for (size_t i = 0; f->curve.chosen && !code && !os_interrupted() && i < f->limit; i++) code = score_unconditional(job, i);
    if (code == VKGPT_INTERRUPTED) code = 0;
    size_t done = 0;
    for (; !code && done < f->curve.count; done++) {
        code = run_point(job, &f->curve.points[done]);
        if (os_interrupted()) break;
        if (!code && os_is_terminal(2)) fprintf(stderr, "\r\033[K");
        if (!code) few_shot_say_cut(f, &f->curve.points[done], job->rules->positions);
    }
    f->interrupted = os_interrupted();
    if (f->interrupted) f->curve.count = done;
    if (os_is_terminal(2)) fprintf(stderr, "\r\033[K");
    return code;
}

int few_shot_run(struct FewShot *f, const struct Options *options, struct Run *run, const struct QueryRules *rules, vkgpt_error *err)
{
    struct Job job = {.f = f, .options = options, .run = run, .rules = rules, .group = (size_t)options->parallel, .start = os_seconds(), .total = f->limit * f->curve.count, .err = err};
    job.unconditional = allocate(f->items.count * sizeof *job.unconditional);
    for (size_t i = 0; i < f->items.count; i++) job.unconditional[i] = NULL;
    os_catch_interrupt();
    int code = run_curve(&job);
    for (size_t i = 0; i < f->items.count; i++) free(job.unconditional[i]);
    free(job.unconditional);
    return code;
}
