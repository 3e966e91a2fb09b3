#include "tasks/task_answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/blanks.h"

int task_cut_gap(const struct Task *task, struct Buffer *prompt, struct Buffer *behind, vkgpt_error *err)
{
    if (!task->gap.bytes) return 0;
    char *gap = strstr(prompt->data, task->gap.data);
    if (!gap)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: the prompt has no gap: '%.40s' is not in it", task->path,
                    task->gap.data);
    char *rest = gap + task->gap.bytes;
    if (strstr(rest, task->gap.data))
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: the prompt has more than one gap '%.40s'", task->path,
                    task->gap.data);
    buffer_add(behind, rest, prompt->bytes - (size_t)(rest - prompt->data));
    buffer_cut(prompt, (size_t)(gap - prompt->data));
    return 0;
}

// ---------------------------------------------------------------------------------------------- the list

static void add_answer(struct Answers *answers, const char *text, size_t bytes, const struct Buffer *behind)
{
    answers->list = reallocate(answers->list, (answers->count + 1) * sizeof *answers->list);
    struct Answer *answer = &answers->list[answers->count++];
    *answer = (struct Answer){.text = allocate(bytes + 1)};
    memcpy(answer->text, text, bytes);
    answer->text[bytes] = '\0';
    // GPT's tokens of words begin with the space before the word
    bool spaced = answers->context.bytes && !blanks_at_end(answers->context.data, answers->context.bytes);
    if (spaced && !behind) buffer_text(&answer->continuation, " ");
    buffer_add(&answer->continuation, text, bytes);
    if (behind) buffer_add(&answer->continuation, behind->data, behind->bytes);
}

int answers_read(struct Answers *answers, const struct Task *task, const struct Buffer *list,
                 const struct Buffer *context, const struct Buffer *behind, vkgpt_error *err)
{
    *answers = (struct Answers){0};
    if (blanks_at_start(list->data, list->bytes) == list->bytes) return 0;
    buffer_add(&answers->context, context->data, context->bytes);
    char separator = memchr(list->data, '|', list->bytes) ? '|' : ',';
    const char *at = list->data, *end = at + list->bytes;
    while (at <= end) {
        const char *stop = memchr(at, separator, (size_t)(end - at));
        if (!stop) stop = end;
        const char *first = at + blanks_at_start(at, (size_t)(stop - at));
        size_t bytes = (size_t)(stop - first) - blanks_at_end(first, (size_t)(stop - first));
        if (!bytes)
            return fail(err, VKGPT_BAD_ARGUMENT, "%s: answer %zu of '%.100s' is empty", task->path, answers->count + 1,
                        list->data);
        add_answer(answers, first, bytes, task->gap.bytes ? behind : NULL);
        at = stop + 1;
    }
    return 0;
}

// --------------------------------------------------------------------------------------------- the scores

static int encode(struct Answer *answer, const struct Answers *answers, const struct Task *task, size_t room,
                  const struct PairRules *rules, vkgpt_error *err)
{
    int code = pair_encode(rules, &answers->context, &answer->continuation, answer->text, &answer->pair, err);
    if (!code && answer->pair.count > room)
        code = fail(err, VKGPT_BAD_ARGUMENT,
                    "%s: the prompt with answer '%.40s' is %zu tokens, %zu at most fit into the context", task->path,
                    answer->text, answer->pair.count, room);
    return code;
}

int answers_score(struct Answers *answers, const struct Task *task, vkgpt_session *session, size_t positions,
                  const struct PairRules *rules, enum Normalize normalize, vkgpt_error *err)
{
    int code = 0;
    vkgpt_continuation *rows = allocate(answers->count * sizeof *rows);
    vkgpt_scored *scored = allocate(answers->count * sizeof *scored);
    for (size_t i = 0; !code && i < answers->count; i++) {
        struct Answer *answer = &answers->list[i];
        code = encode(answer, answers, task, positions + 1, rules, err); // the last token needs no position
        rows[i] = (vkgpt_continuation){answer->pair.ids, answer->pair.count, answer->pair.context};
    }
    if (!code) code = vkgpt_score(session, rows, answers->count, scored, err);
    for (size_t i = 0; !code && i < answers->count; i++) {
        struct Answer *answer = &answers->list[i];
        answer->logprob = scored[i].logprob;
        answer->score = pair_normalized(&answer->pair, normalize, answer->logprob, answer->continuation.bytes);
        if (answer->score > answers->list[answers->best].score) answers->best = i;
    }
    free(rows);
    free(scored);
    return code;
}

void answers_free(struct Answers *answers)
{
    for (size_t i = 0; i < answers->count; i++) {
        free(answers->list[i].text);
        buffer_free(&answers->list[i].continuation);
        pair_free(&answers->list[i].pair);
    }
    free(answers->list);
    buffer_free(&answers->context);
    *answers = (struct Answers){0};
}
