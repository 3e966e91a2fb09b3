#include "cli/head_print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print_json.h"
#include "tasks/utf8_stream.h"

void rows_softmax(struct Row *rows, size_t count)
{
    double most = rows[rows_best(rows, count)].score, sum = 0;
    for (size_t i = 0; i < count; i++) sum += rows[i].probability = exp(rows[i].score - most);
    for (size_t i = 0; i < count; i++) rows[i].probability /= sum;
}

size_t rows_best(const struct Row *rows, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (rows[i].score > rows[best].score) best = i;
    return best;
}

// ----------------------------------------------------------------------------------------------- table

static int by_score(const void *a, const void *b)
{
    const struct Row *x = *(const struct Row *const *)a, *y = *(const struct Row *const *)b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x < y ? -1 : x > y; // equal scores stay in their own order
}

// Prints a text as a cell of a table. Bars, which would end the cell, are escaped; control characters, which would
// break the line, become blanks.
static void print_cell(const struct Text *text)
{
    struct Buffer shown = {0};
    struct Utf8 utf8 = {0};
    utf8_add(&utf8, text->data, text->bytes, &shown);
    utf8_end(&utf8, &shown);
    for (size_t i = 0; i < shown.bytes; i++) {
        unsigned char c = (unsigned char)shown.data[i];
        if (c == '|') putchar('\\');
        putchar(c < 32 || c == 127 ? ' ' : c);
    }
    buffer_free(&shown);
}

static int print_table(const struct Row *rows, size_t count, const char *what)
{
    const struct Row **order = allocate(count * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = &rows[i];
    qsort(order, count, sizeof *order, by_score);
    printf("| %s | score | probability |\n| --- | ---: | ---: |\n", what);
    for (size_t i = 0; i < count; i++) {
        printf("| ");
        print_cell(&order[i]->text);
        if (isnan(order[i]->probability)) printf(" | %.4f | |\n", order[i]->score);
        else printf(" | %.4f | %.4f |\n", order[i]->score, order[i]->probability);
    }
    free(order);
    return EXIT_OK;
}

// ------------------------------------------------------------------------------------------------ JSON

static cJSON *row_json(const struct Row *row, const char *what)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, what, json_bytes(row->text.data, row->text.bytes));
    if (row->ids.count) cJSON_AddItemToObject(json, "ids", json_ids(row->ids.ids, row->ids.count));
    cJSON_AddNumberToObject(json, "score", row->score);
    if (isnan(row->probability)) cJSON_AddNullToObject(json, "probability");
    else cJSON_AddNumberToObject(json, "probability", row->probability);
    return json;
}

static cJSON *rows_json(const struct Row *rows, size_t count, const char *what)
{
    cJSON *json = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) cJSON_AddItemToArray(json, row_json(&rows[i], what));
    return json;
}

static int print_labels_json(const struct Row *rows, size_t count, const struct Tokens *sequences,
                             size_t sequence_count)
{
    cJSON *json = cJSON_CreateObject(), *ids = cJSON_CreateArray();
    const struct Text *best = &rows[rows_best(rows, count)].text;
    cJSON_AddItemToObject(json, "label", json_bytes(best->data, best->bytes));
    cJSON_AddItemToObject(json, "labels", rows_json(rows, count, "label"));
    for (size_t i = 0; i < sequence_count; i++)
        cJSON_AddItemToArray(ids, json_ids(sequences[i].ids, sequences[i].count));
    cJSON_AddItemToObject(json, "sequences", ids);
    return json_print(json);
}

// ---------------------------------------------------------------------------------------- what is printed

int print_labels(const struct HeadRun *h, const double *scores, const struct Tokens *sequences, size_t count,
                 bool as_json)
{
    const vkgpt_head_info *info = h->info;
    struct Row *rows = allocate(info->scores * sizeof *rows);
    for (uint32_t i = 0; i < info->scores; i++) {
        double each = info->problem == VKGPT_HEAD_EACH ? 1 / (1 + exp(-scores[i])) : (double)NAN;
        rows[i] = (struct Row){{info->labels[i], strlen(info->labels[i]), NULL}, scores[i], each, {0}};
    }
    if (info->problem == VKGPT_HEAD_ONE_OF) rows_softmax(rows, info->scores);
    int status =
        as_json ? print_labels_json(rows, info->scores, sequences, count) : print_table(rows, info->scores, "label");
    free(rows);
    return status;
}

int print_answers(const struct Row *rows, size_t count, bool as_json)
{
    if (!as_json) return print_table(rows, count, "answer");
    cJSON *json = cJSON_CreateObject();
    json_add_unsigned(json, "best", rows_best(rows, count));
    cJSON_AddItemToObject(json, "answers", rows_json(rows, count, "text"));
    return json_print(json);
}
