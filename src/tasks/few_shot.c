#include "tasks/few_shot.h"

#include <stdlib.h>
#include <string.h>

#include "tasks/answer.h"
#include "tasks/blanks.h"

struct Scoring {
    const struct FewShot *f;
    struct Curve *curve;
    const struct Items *items;
    struct Query *queries;     // (sequences): the items that run now
    struct Writing *writings;  // (sequences)
    vkgpt_sampling *likeliest; // (sequences): how answers are written
    double **unconditional;    // (items): log likelihoods of the choices after a neutral context
    vkgpt_error *err;
};

static bool goes_on(const struct Scoring *s) { return !s->f->goes_on || s->f->goes_on(s->f->user); }

static void tell(const struct Scoring *s, struct Point *point, const struct Query *query, const char *answer,
                 size_t bytes, bool right)
{
    const struct FewShotResult result = {query, &s->items->items[query->item], answer, bytes, right};
    point->items++;
    point->cut += query->dropped > 0;
    point->dropped += query->dropped;
    if (s->f->on_result) s->f->on_result(s->f->user, &result);
}

// ----------------------------------------------------------------------------------------- what is asked for

const char *few_shot_stop(const struct Items *items, const char *separator)
{
    for (size_t i = 0; i < items->count; i++) {
        const char *text = items->items[i].completion;
        size_t start = blanks_at_start(text, strlen(text)), end = strlen(text) - blanks_at_end(text, strlen(text));
        if (memchr(text + start, '\n', end - start)) return separator && *separator ? separator : "\n\n";
    }
    return "\n";
}

int few_shot_answer_tokens(const struct Items *items, const struct PairRules *tokens, size_t *count, vkgpt_error *err)
{
    size_t longest = 0;
    for (size_t i = 0; i < items->count; i++) {
        uint32_t *ids;
        size_t own;
        const char *text = items->items[i].completion;
        int code = vkgpt_encode(tokens->tokenizer, text, strlen(text), tokens->special, &ids, &own, err);
        if (code) return code;
        free(ids);
        if (own > longest) longest = own;
    }
    *count = 2 * longest + 8;
    return 0;
}

// ------------------------------------------------------------------------------------ written answers

struct Writing {
    const struct Scoring *s;
    bool late; // the right answer begins with a line break, which does not end the answer
    struct Buffer text;
};

// Cuts the text at the stop string. Searches from the start every time: an answer is short.
static bool reached(struct Writing *w)
{
    size_t from = w->late ? blanks_at_start(w->text.data, w->text.bytes) : 0, length = strlen(w->s->f->stop);
    for (size_t at = from; at + length <= w->text.bytes; at++) {
        if (memcmp(w->text.data + at, w->s->f->stop, length) != 0) continue;
        buffer_cut(&w->text, at);
        return true;
    }
    return false;
}

static bool on_token(void *user, uint32_t sequence, uint32_t id)
{
    struct Writing *w = (struct Writing *)user + sequence;
    size_t bytes;
    const char *piece = vkgpt_token_bytes(w->s->f->rules->tokens.tokenizer, id, &bytes);
    buffer_add(&w->text, piece, bytes);
    return !reached(w) && goes_on(w->s);
}

// Reads each prompt into its own sequence; the remaining sequences stay empty.
static int prompts(struct Scoring *s, size_t count)
{
    int code = 0;
    for (size_t i = 0; !code && i < s->f->sequences; i++) {
        code = vkgpt_batch_rewind(s->f->session, (uint32_t)i, 0, s->err);
        if (!code && i < count)
            code = vkgpt_batch_prompt(s->f->session, (uint32_t)i, s->queries[i].ids, s->queries[i].count, s->err);
    }
    return code;
}

static int judge_written(struct Scoring *s, struct Point *point, const struct Query *query, const struct Buffer *text)
{
    const struct Item *item = &s->items->items[query->item];
    struct Buffer answer = {0}, right = {0};
    int code = answer_normalize(text->data, text->bytes, &answer, s->err);
    if (!code) code = answer_normalize(item->completion, strlen(item->completion), &right, s->err);
    if (!code) {
        bool exact = answer_exact(&answer, &right);
        point_add(point, MEASURE_EXACT, exact);
        point_add(point, MEASURE_F1, answer_f1(&answer, &right));
        tell(s, point, query, text->data, text->bytes, exact);
    }
    buffer_free(&answer);
    buffer_free(&right);
    return code;
}

static struct Writing writing_of(const struct Scoring *s, size_t item)
{
    const char *completion = s->items->items[item].completion;
    bool late = memchr(completion, '\n', blanks_at_start(completion, strlen(completion))) != NULL;
    struct Writing w = {s, late, {0}};
    buffer_add(&w.text, "", 0);
    return w;
}

// Runs the items from `first` on, as many as there are sequences.
static int run_written(struct Scoring *s, struct Point *point, size_t first)
{
    const struct FewShot *f = s->f;
    size_t count = 0;
    int code = 0;
    for (; !code && count < f->sequences && first + count < f->limit; count++) {
        code = query_make(f->rules, first + count, point->shots, &s->queries[count], s->err);
        s->writings[count] = writing_of(s, first + count);
    }
    if (!code) code = prompts(s, count);
    if (!code)
        code = vkgpt_batch_generate(f->session, s->likeliest, f->rules->answer_tokens, on_token, s->writings, NULL,
                                    s->err);
    for (size_t i = 0; !code && goes_on(s) && i < count; i++)
        code = judge_written(s, point, &s->queries[i], &s->writings[i].text);
    while (count--) {
        query_free(&s->queries[count]);
        buffer_free(&s->writings[count].text);
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

static void judge_chosen(struct Scoring *s, struct Point *point, const struct Query *query, const vkgpt_scored *scored)
{
    const struct Item *item = &s->items->items[query->item];
    size_t count = item->choice_count;
    double *values = allocate(3 * count * sizeof *values), *per_token = values + count,
           *unconditional = per_token + count;
    for (size_t i = 0; i < count; i++) {
        values[i] = scored[i].logprob;
        per_token[i] = pair_normalized(&query->pairs[i], NORMALIZE_TOKENS, scored[i].logprob, 0);
        unconditional[i] = scored[i].logprob - s->unconditional[query->item][i];
    }
    size_t best = argmax(values, count);
    point_add(point, MEASURE_CHOICE, best == item->gold);
    point_add(point, MEASURE_PER_TOKEN, argmax(per_token, count) == item->gold);
    point_add(point, MEASURE_UNCONDITIONAL, argmax(unconditional, count) == item->gold);
    tell(s, point, query, item->choices[best].text, strlen(item->choices[best].text), best == item->gold);
    free(values);
}

static void add_pairs(const struct Pair *pairs, size_t count, vkgpt_continuation **list, size_t *size)
{
    *list = reallocate(*list, (*size + count) * sizeof **list);
    for (size_t i = 0; i < count; i++)
        (*list)[(*size)++] = (vkgpt_continuation){pairs[i].ids, pairs[i].count, pairs[i].context};
}

static int score_queries(struct Scoring *s, struct Point *point, size_t count)
{
    vkgpt_continuation *list = NULL;
    size_t size = 0, at = 0;
    for (size_t i = 0; i < count; i++) add_pairs(s->queries[i].pairs, s->queries[i].pair_count, &list, &size);
    vkgpt_scored *scored = allocate(size * sizeof *scored);
    int code = vkgpt_score(s->f->session, list, size, scored, s->err);
    for (size_t i = 0; !code && i < count; at += s->queries[i++].pair_count)
        judge_chosen(s, point, &s->queries[i], scored + at);
    free(list);
    free(scored);
    return code;
}

// Runs the items from `first` on, as many as there are sequences.
static int run_chosen(struct Scoring *s, struct Point *point, size_t first)
{
    const struct FewShot *f = s->f;
    size_t count = 0;
    int code = 0;
    for (; !code && count < f->sequences && first + count < f->limit; count++)
        code = query_make(f->rules, first + count, point->shots, &s->queries[count], s->err);
    if (!code) code = score_queries(s, point, count);
    while (count--) query_free(&s->queries[count]);
    return code;
}

// answer_context if it is given; else "A:" if the item's context ends with it, else "Answer:" (section 2.4).
static const char *answer_context(const struct FewShot *f, const struct Item *item)
{
    size_t length = strlen(item->context);
    if (f->answer_context) return f->answer_context;
    return length >= 3 && strcmp(item->context + length - 3, "\nA:") == 0 ? "A:" : "Answer:";
}

static int score_unconditional(struct Scoring *s, size_t at)
{
    const struct Item *item = &s->items->items[at];
    struct Pair *pairs = allocate(item->choice_count * sizeof *pairs);
    vkgpt_scored *scored = allocate(item->choice_count * sizeof *scored);
    vkgpt_continuation *list = NULL;
    size_t count = 0, size = 0;
    const char *context = answer_context(s->f, item);
    const struct Buffer before = {.data = (char *)context, .bytes = strlen(context)};
    int code = 0;
    for (; !code && count < item->choice_count; count++) {
        struct Buffer text = {.data = item->choices[count].text, .bytes = strlen(item->choices[count].text)};
        code = pair_encode(&s->f->rules->tokens, &before, &text, "an answer after the answer's context", &pairs[count],
                           s->err);
    }
    add_pairs(pairs, count, &list, &size);
    if (!code) code = vkgpt_score(s->f->session, list, size, scored, s->err);
    s->unconditional[at] = allocate(item->choice_count * sizeof **s->unconditional);
    for (size_t i = 0; !code && i < size; i++) s->unconditional[at][i] = scored[i].logprob;
    while (count--) pair_free(&pairs[count]);
    free(pairs);
    free(scored);
    free(list);
    return code;
}

// ----------------------------------------------------------------------------------------------- the curve

static int run_point(struct Scoring *s, struct Point *point)
{
    int code = 0;
    for (size_t i = 0; !code && goes_on(s) && i < s->f->limit; i += s->f->sequences)
        code = s->f->rules->chosen ? run_chosen(s, point, i) : run_written(s, point, i);
    return code == VKGPT_INTERRUPTED ? 0 : code;
}

static int run_curve(struct Scoring *s, bool *interrupted)
{
    int code = 0;
    for (size_t i = 0; s->f->rules->chosen && !code && goes_on(s) && i < s->f->limit; i++)
        code = score_unconditional(s, i);
    if (code == VKGPT_INTERRUPTED) code = 0;
    size_t done = 0;
    for (; !code && done < s->curve->count; done++) {
        code = run_point(s, &s->curve->points[done]);
        if (!goes_on(s)) break;
        if (!code && s->f->on_point) s->f->on_point(s->f->user, &s->curve->points[done]);
    }
    *interrupted = !goes_on(s);
    if (*interrupted) s->curve->count = done;
    return code;
}

int few_shot_run(const struct FewShot *f, struct Curve *curve, bool *interrupted, vkgpt_error *err)
{
    struct Scoring s = {.f = f, .curve = curve, .items = f->rules->shots->items, .err = err};
    s.queries = allocate(f->sequences * sizeof *s.queries);
    s.writings = allocate(f->sequences * sizeof *s.writings);
    s.likeliest = allocate(f->sequences * sizeof *s.likeliest);
    s.unconditional = allocate(s.items->count * sizeof *s.unconditional);
    for (size_t i = 0; i < f->sequences; i++) s.likeliest[i] = (vkgpt_sampling){.top_p = 1, .repeat_penalty = 1};
    for (size_t i = 0; i < s.items->count; i++) s.unconditional[i] = NULL;
    int code = run_curve(&s, interrupted);
    for (size_t i = 0; i < s.items->count; i++) free(s.unconditional[i]);
    free(s.unconditional);
    free(s.likeliest);
    free(s.writings);
    free(s.queries);
    return code;
}
