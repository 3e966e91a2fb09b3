#include "tasks/items_forms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"
#include "base/json.h"
#include "tasks/blanks.h"
#include "tasks/buffer.h"

#define MAX_CHOICES 1024

// ----------------------------------------------------------------------------------------------- fields

static int missing(struct Line *line, const char *key)
{
    return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"%s\" is missing", line->where, key);
}

static int text_field(struct Line *line, const struct Json *object, const char *key, const char **text)
{
    const struct Json *item = json_get(object, key);
    *text = "";
    if (!item) return missing(line, key);
    if (!json_text(item))
        return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"%s\" is not a text", line->where, key);
    *text = json_text(item);
    return 0;
}

static int list_field(struct Line *line, const struct Json *object, const char *key, const struct Json **list)
{
    *list = json_get(object, key);
    if (!*list) return missing(line, key);
    if (!json_is_array(*list))
        return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"%s\" is not a list", line->where, key);
    size_t count = json_count(*list);
    if (count < 2 || count > MAX_CHOICES)
        return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"%s\" has %zu entries, 2 to %d can be chosen from",
                    line->where, key, count, MAX_CHOICES);
    return 0;
}

// The right answer: an integer in [first, first + count), as a JSON number or as text.
static int gold_field(struct Line *line, const char *key, size_t first, size_t count, size_t *gold)
{
    const struct Json *item = json_get(line->object, key);
    if (!item) return missing(line, key);
    for (size_t i = 0; i < count; i++) {
        char digits[24];
        int64_t number;
        snprintf(digits, sizeof digits, "%zu", first + i);
        bool same = json_text(item) ? strcmp(json_text(item), digits) == 0
                                    : json_integer(item, 0, INT32_MAX, &number) && (size_t)number == first + i;
        if (!same) continue;
        *gold = i;
        return 0;
    }
    return fail(line->err, VKGPT_BAD_FILE,
                "%s: the field \"%s\" names no answer: it has to be a number from %zu to %zu", line->where, key, first,
                first + count - 1);
}

// Joins the texts; a NULL ends the list.
static char *joined(const char *const *texts)
{
    struct Buffer text = {0};
    for (; *texts; texts++) buffer_text(&text, *texts);
    buffer_add(&text, "", 0);
    return text.data;
}

#define JOINED(...) joined((const char *const[]){__VA_ARGS__, NULL})

static void make_choices(struct Item *item, size_t count)
{
    item->choices = allocate(count * sizeof *item->choices);
    memset(item->choices, 0, count * sizeof *item->choices);
    item->choice_count = count;
}

static int finish_choices(struct Item *item)
{
    item->completion = JOINED(item->choices[item->gold].text);
    return 0;
}

// A list of texts as choices, each with `blank` before it.
static int text_choices(struct Line *line, struct Item *item, const struct Json *list, const char *blank)
{
    make_choices(item, json_count(list));
    size_t i = 0;
    const struct Json *entry;
    for (entry = json_first(list); entry; entry = json_next(entry)) {
        if (!json_text(entry))
            return fail(line->err, VKGPT_BAD_FILE, "%s: answer %zu is not a text", line->where, i + 1);
        item->choices[i++].text = JOINED(blank, json_text(entry));
    }
    return 0;
}

// -------------------------------------------------------------------------------------- the GPT-3 paper's

int form_paper(struct Line *line, struct Item *item)
{
    const char *context, *completion, *description = "";
    int code = text_field(line, line->object, "context", &context);
    if (!code) code = text_field(line, line->object, "completion", &completion);
    if (!code && json_get(line->object, "description"))
        code = text_field(line, line->object, "description", &description);
    if (code) return code;
    item->description = JOINED(description);
    item->context = JOINED(context);
    item->completion = JOINED(completion);
    if (!json_get(line->object, "choices")) return 0;
    const struct Json *list;
    code = list_field(line, line->object, "choices", &list);
    if (!code) code = text_choices(line, item, list, "");
    for (size_t i = 0; !code && i < item->choice_count; i++) {
        item->gold = i;
        if (strcmp(item->choices[i].text, completion) == 0) return 0;
    }
    return code ? code
                : fail(line->err, VKGPT_BAD_FILE, "%s: the field \"completion\" is none of the %zu choices",
                       line->where, item->choice_count);
}

// --------------------------------------------------------------------------------------------- LAMBADA

int form_lambada(struct Line *line, struct Item *item)
{
    const char *text;
    int code = text_field(line, line->object, "text", &text);
    if (code) return code;
    const char *last = strrchr(text, ' '); // only at spaces, as in the harness
    if (!last || last == text)
        return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"text\" has no words before its last one", line->where);
    item->description = JOINED("");
    item->context = JOINED(text);
    item->context[last - text] = '\0';
    item->completion = JOINED(last);
    return 0;
}

// ------------------------------------------------------------------------------------------- HellaSwag

static void replace(struct Buffer *text, const char *what, const char *by)
{
    struct Buffer out = {0};
    size_t length = strlen(what);
    for (const char *at = text->data; *at;) {
        bool hit = strncmp(at, what, length) == 0;
        if (hit) buffer_text(&out, by);
        else buffer_add(&out, at, 1);
        at += hit ? length : 1;
    }
    buffer_add(&out, "", 0);
    buffer_free(text);
    *text = out;
}

// Removes brackets with the text in them, on one line: artefacts of WikiHow's part of the data set.
static void drop_brackets(struct Buffer *text)
{
    struct Buffer out = {0};
    for (const char *at = text->data; *at;) {
        size_t inside = *at == '[' ? strcspn(at, "]\n") : 0;
        if (inside && at[inside] == ']') at += inside + 1;
        else buffer_add(&out, at++, 1);
    }
    buffer_add(&out, "", 0);
    buffer_free(text);
    *text = out;
}

// As the harness's preprocess().
static char *hellaswag_text(const char *raw)
{
    struct Buffer text = {0};
    size_t bytes = strlen(raw), start = blanks_at_start(raw, bytes);
    buffer_add(&text, raw + start, bytes - start - blanks_at_end(raw + start, bytes - start));
    replace(&text, " [title]", ". ");
    drop_brackets(&text);
    replace(&text, "  ", " ");
    return text.data;
}

// Python's str.capitalize(): the first character in title case, the others in lower case.
static void add_capitalized(struct Buffer *out, const char *text)
{
    utf8proc_int32_t c;
    bool first = true;
    for (utf8proc_ssize_t n; *text; text += n, first = false) {
        char character[4];
        n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c);
        if (n < 1) n = 1; // not UTF-8; json_parse refuses it
        else c = first ? utf8proc_totitle(c) : utf8proc_tolower(c);
        buffer_add(out, character, (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)character));
    }
}

static int hellaswag_context(struct Line *line, struct Buffer *context)
{
    const char *label = NULL, *ctx = NULL, *ctx_a = NULL, *ctx_b = "";
    int code = json_get(line->object, "activity_label") ? text_field(line, line->object, "activity_label", &label) : 0;
    bool in_parts = json_get(line->object, "ctx_a") != NULL;
    if (!code && in_parts) code = text_field(line, line->object, "ctx_a", &ctx_a);
    if (!code && in_parts && json_get(line->object, "ctx_b")) code = text_field(line, line->object, "ctx_b", &ctx_b);
    if (!code && !in_parts) code = text_field(line, line->object, "ctx", &ctx);
    if (code) return code;
    if (label) buffer_text(context, label), buffer_text(context, ": ");
    buffer_text(context, in_parts ? ctx_a : ctx);
    if (in_parts) buffer_text(context, " "), add_capitalized(context, ctx_b);
    buffer_add(context, "", 0);
    return 0;
}

int form_hellaswag(struct Line *line, struct Item *item)
{
    struct Buffer context = {0};
    const struct Json *endings;
    int code = hellaswag_context(line, &context);
    if (!code) {
        item->description = JOINED("");
        item->context = hellaswag_text(context.data);
        code = list_field(line, line->object, "endings", &endings);
    }
    buffer_free(&context);
    if (!code) code = text_choices(line, item, endings, "");
    for (size_t i = 0; !code && i < item->choice_count; i++) {
        char *raw = item->choices[i].text, *text = hellaswag_text(raw);
        item->choices[i].text = JOINED(" ", text);
        free(raw);
        free(text);
    }
    if (!code) code = gold_field(line, "label", 0, item->choice_count, &item->gold);
    return code ? code : finish_choices(item);
}

// ------------------------------------------------------------------------------------------ PIQA and ARC

int form_piqa(struct Line *line, struct Item *item)
{
    const char *goal, *solutions[2];
    int code = text_field(line, line->object, "goal", &goal);
    if (!code) code = text_field(line, line->object, "sol1", &solutions[0]);
    if (!code) code = text_field(line, line->object, "sol2", &solutions[1]);
    if (!code) code = gold_field(line, "label", 0, 2, &item->gold);
    if (code) return code;
    item->description = JOINED("");
    item->context = JOINED("Question: ", goal, "\nAnswer:");
    make_choices(item, 2);
    for (size_t i = 0; i < 2; i++) item->choices[i].text = JOINED(" ", solutions[i]);
    return finish_choices(item);
}

// {"text": [...], "label": [...]}, as in Hugging Face's data set
static int arc_columns(struct Line *line, struct Item *item, const struct Json *choices, const char *key, bool *found)
{
    const struct Json *texts, *labels, *entry;
    int code = list_field(line, choices, "text", &texts);
    if (!code) code = list_field(line, choices, "label", &labels);
    if (code) return code;
    if (json_count(texts) != json_count(labels))
        return fail(line->err, VKGPT_BAD_FILE, "%s: \"choices\" has %zu texts and %zu labels", line->where,
                    json_count(texts), json_count(labels));
    size_t i = 0;
    for (entry = json_first(labels); entry; entry = json_next(entry)) {
        if (!*found && json_text(entry) && strcmp(json_text(entry), key) == 0) *found = true, item->gold = i;
        i++;
    }
    return text_choices(line, item, texts, " ");
}

// [{"text": ..., "label": ...}, ...], as ARC was published
static int arc_rows(struct Line *line, struct Item *item, const struct Json *choices, const char *key, bool *found)
{
    const struct Json *entry;
    size_t i = 0;
    make_choices(item, json_count(choices));
    for (entry = json_first(choices); entry; entry = json_next(entry)) {
        const char *text, *label;
        int code = text_field(line, entry, "text", &text);
        if (!code) code = text_field(line, entry, "label", &label);
        if (code) return code;
        if (!*found && strcmp(label, key) == 0) *found = true, item->gold = i;
        item->choices[i++].text = JOINED(" ", text);
    }
    return 0;
}

int form_arc(struct Line *line, struct Item *item)
{
    const struct Json *question = json_get(line->object, "question"), *choices;
    bool in_rows = json_is_object(question), found = false;
    const char *stem, *key;
    int code = in_rows ? text_field(line, question, "stem", &stem) : text_field(line, line->object, "question", &stem);
    if (!code) code = text_field(line, line->object, "answerKey", &key);
    if (!code && in_rows) code = list_field(line, question, "choices", &choices);
    if (code) return code;
    if (!in_rows) choices = json_get(line->object, "choices");
    if (!choices) return missing(line, "choices");
    item->description = JOINED("");
    item->context = JOINED("Question: ", stem, "\nAnswer:");
    code = in_rows ? arc_rows(line, item, choices, key, &found) : arc_columns(line, item, choices, key, &found);
    if (!code && !found)
        code = fail(line->err, VKGPT_BAD_FILE, "%s: the field \"answerKey\" is '%.40s', which labels no choice",
                    line->where, key);
    return code ? code : finish_choices(item);
}

// ------------------------------------------------------------------------------------------ Winogrande

// Each choice has its own context, the sentence with the option in place of the gap; the same text follows each (Trinh
// and Le 2018).
int form_winogrande(struct Line *line, struct Item *item)
{
    const char *sentence, *options[2];
    int code = text_field(line, line->object, "sentence", &sentence);
    if (!code) code = text_field(line, line->object, "option1", &options[0]);
    if (!code) code = text_field(line, line->object, "option2", &options[1]);
    if (!code) code = gold_field(line, "answer", 1, 2, &item->gold);
    if (code) return code;
    const char *gap = strchr(sentence, '_');
    if (!gap) return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"sentence\" has no _ in it", line->where);
    for (size_t i = 0; i < 2; i++)
        if (!options[i][0])
            return fail(line->err, VKGPT_BAD_FILE, "%s: the field \"option%zu\" is empty", line->where, i + 1);
    struct Buffer before = {0}, after = {0};
    buffer_add(&before, sentence, (size_t)(gap - sentence));
    size_t bytes = strlen(gap + 1), start = blanks_at_start(gap + 1, bytes);
    buffer_add(&after, gap + 1 + start, bytes - start - blanks_at_end(gap + 1 + start, bytes - start));
    item->description = JOINED("");
    make_choices(item, 2);
    for (size_t i = 0; i < 2; i++) {
        item->choices[i].context = JOINED(before.data, options[i]);
        item->choices[i].text = JOINED(" ", after.data);
    }
    item->context = JOINED(item->choices[item->gold].context);
    buffer_free(&before);
    buffer_free(&after);
    return finish_choices(item);
}
