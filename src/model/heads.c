// The heads of Hugging Face's classes: found by their tensors, checked against config.json, and kept in fp32, since
// they are small.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "base/suffix.h"
#include "model/path.h"
#include "model/checkpoint.h"

#define CONFIG_BYTES (16u << 20)
#define MAX_LABELS (1 << 20)
#define SCORE "score.weight"
#define CHOICE_WEIGHT "multiple_choice_head.summary.weight"
#define CHOICE_BIAS "multiple_choice_head.summary.bias"
#define CLASS_KEY "the first of architectures"
#define VALUE_BYTES 96

struct vkgpt_head {
    vkgpt_head_info info;
    char name[256]; // name of the model, for sentences
    char **labels;
    float *weight; // (scores, hidden)
    float *bias;   // (scores), or NULL
    bool tanh;     // summary_activation
    int64_t pad;   // -1: none
};

// The inputs while a head is read.
struct Source {
    const char *path; // of config.json
    const struct Json *json;
    const struct Checkpoint *checkpoint;
    const struct Json *class_item; // the first of architectures, or NULL
    const char *class;             // its text, or ""
    vkgpt_error *err;
};

// --------------------------------------------------------------------------------------------- config.json

static int fail_value(const struct Source *s, const char *key, const struct Json *item, const char *wanted)
{
    char text[JSON_SHOWN];
    return fail(s->err, VKGPT_BAD_MODEL, "%s: %s is %s, %s", s->path, key, json_shown(item, text), wanted);
}

static bool is_text(const struct Json *item, const char *text)
{
    return json_text(item) && strcmp(json_text(item), text) == 0;
}

static int labels_room(struct vkgpt_head *head, uint32_t count, vkgpt_error *err)
{
    head->info.scores = count;
    head->labels = calloc(count, sizeof *head->labels);
    return head->labels ? VKGPT_OK : fail_memory(err, "the labels", count * sizeof *head->labels);
}

static int label_set(struct vkgpt_head *head, uint32_t i, const char *label, vkgpt_error *err)
{
    size_t bytes = strlen(label) + 1;
    head->labels[i] = malloc(bytes);
    if (!head->labels[i]) return fail_memory(err, "a label", bytes);
    memcpy(head->labels[i], label, bytes);
    return VKGPT_OK;
}

static int fail_key(const struct Source *s, const char *key, uint32_t count)
{
    char text[JSON_SHOWN];
    return fail(s->err, VKGPT_BAD_MODEL, "%s: a key of id2label is %s, not one of 0 to %u", s->path,
                json_shown_text(key, text), count - 1);
}

// One member of id2label, {"0": "negative", ...}.
static int label_read(struct vkgpt_head *head, const struct Source *s, const struct Json *item)
{
    char *end, expected[24];
    unsigned long long i = strtoull(json_key(item), &end, 10);
    snprintf(expected, sizeof expected, "%llu", i);
    if (strcmp(json_key(item), expected) != 0 || i >= head->info.scores)
        return fail_key(s, json_key(item), head->info.scores);
    if (!json_text(item)) return fail_value(s, "a label of id2label", item, "not a text");
    return label_set(head, (uint32_t)i, json_text(item), s->err);
}

// The labels of id2label; without it, num_labels labels, or two, with Hugging Face's names LABEL_0, LABEL_1, ...
static int labels_read(struct vkgpt_head *head, const struct Source *s)
{
    const struct Json *map = json_get(s->json, "id2label"), *number = json_get(s->json, "num_labels");
    int64_t count = 2;
    if (map && (!json_is_object(map) || !json_first(map)))
        return fail_value(s, "id2label", map, "not an object of labels");
    if (map) count = (int64_t)json_count(map);
    else if (number && !json_integer(number, 1, MAX_LABELS, &count))
        return fail_value(s, "num_labels", number, "not a whole number from 1 to 1048576");
    int code = labels_room(head, (uint32_t)count, s->err);
    for (const struct Json *item = map ? json_first(map) : NULL; !code && item; item = json_next(item))
        code = label_read(head, s, item);
    for (uint32_t i = 0; !code && !map && i < count; i++) {
        char label[24];
        snprintf(label, sizeof label, "LABEL_%u", i);
        code = label_set(head, i, label, s->err);
    }
    return code;
}

static int problem_read(struct vkgpt_head *head, const struct Source *s)
{
    const struct Json *type = json_get(s->json, "problem_type");
    head->info.problem = head->info.scores == 1 ? VKGPT_HEAD_EACH : VKGPT_HEAD_ONE_OF;
    if (!type) return VKGPT_OK;
    if (is_text(type, "regression")) head->info.problem = VKGPT_HEAD_NUMBERS;
    else if (is_text(type, "multi_label_classification")) head->info.problem = VKGPT_HEAD_EACH;
    else if (!is_text(type, "single_label_classification"))
        return fail_value(s, "problem_type", type,
                          "not one of regression, single_label_classification, multi_label_classification");
    else if (head->info.scores == 1) return fail_value(s, "problem_type", type, "and there is one label only");
    return VKGPT_OK;
}

// The padding token; the default is 1 for OPT and none for others; null: none.
static int pad_read(struct vkgpt_head *head, const struct Source *s)
{
    const struct Json *pad = json_find(s->json, "pad_token_id");
    head->pad = strcmp(s->checkpoint->config.architecture, "opt") == 0 ? 1 : -1;
    if (!pad) return VKGPT_OK;
    head->pad = -1;
    if (json_is_null(pad) || json_integer(pad, INT32_MIN, INT32_MAX, &head->pad)) return VKGPT_OK;
    return fail_value(s, "pad_token_id", pad, "not a token id");
}

// Checks a key; if it is absent, Hugging Face's default is a good value.
static int summary_key(const struct Source *s, const char *key, bool good, const char *wanted)
{
    const struct Json *item = json_find(s->json, key);
    return !item || good ? VKGPT_OK : fail_value(s, key, item, wanted);
}

static int summary_read(struct vkgpt_head *head, const struct Source *s)
{
    const struct Json *activation = json_get(s->json, "summary_activation");
    bool none = !activation || is_text(activation, "") || is_text(activation, "linear");
    head->tanh = is_text(activation, "tanh");
    int code = summary_key(s, "summary_type", is_text(json_get(s->json, "summary_type"), "cls_index"),
                           "only \"cls_index\" is supported");
    if (!code)
        code = summary_key(s, "summary_use_proj", json_is_true(json_get(s->json, "summary_use_proj")),
                           "which leaves a hidden state and no score");
    if (!code)
        code = summary_key(s, "summary_proj_to_labels", json_is_true(json_get(s->json, "summary_proj_to_labels")),
                           "which leaves a vector and no score");
    if (!code) code = summary_key(s, "summary_activation", none || head->tanh, "only \"tanh\" and null are supported");
    return code;
}

// ------------------------------------------------------------------------------------------------- tensors

// Reads a tensor of shape (rows, columns), or (rows) if columns is 0.
static int tensor_read(const struct Source *s, const struct Tensor *tensor, uint32_t rows, uint32_t columns,
                       float **out)
{
    const int64_t wanted[] = {rows, columns};
    int rank = columns ? 2 : 1;
    char is[SHAPE_BYTES], should[SHAPE_BYTES];
    if (tensor->rank != rank || memcmp(tensor->shape, wanted, (size_t)rank * sizeof *wanted) != 0)
        return fail(s->err, VKGPT_BAD_MODEL, "%s: tensor %s is %s, the config says %s", tensor->file, tensor->name,
                    shape_text(tensor->rank, tensor->shape, is), shape_text(rank, wanted, should));
    if (tensor->dtype == DTYPE_OTHER)
        return fail(s->err, VKGPT_BAD_MODEL,
                    "%s: tensor %s is of type %s, which is not read; F64, F32, F16 and BF16 are", tensor->file,
                    tensor->name, tensor->dtype_name);
    size_t count = (size_t)rows * (columns ? columns : 1); // not more than the file holds
    *out = malloc(count * sizeof **out);
    if (!*out) return fail_memory(s->err, tensor->name, count * sizeof **out);
    if (columns) weight_rows(&(struct Weight){.tensor = tensor}, 0, rows, columns, *out);
    else weight_row(&(struct Weight){.tensor = tensor}, 0, 0, rows, *out);
    return VKGPT_OK;
}

static int labels_open(struct vkgpt_head *head, const struct Source *s, const struct Tensor *score)
{
    head->info.kind = VKGPT_HEAD_LABELS;
    int code = labels_read(head, s);
    if (!code) code = problem_read(head, s);
    if (!code) code = pad_read(head, s);
    if (!code) code = tensor_read(s, score, head->info.scores, head->info.hidden, &head->weight);
    head->info.labels = (const char *const *)head->labels;
    return code;
}

static int choice_open(struct vkgpt_head *head, const struct Source *s, const struct Tensor *weight)
{
    const struct Tensor *bias = table_find(&s->checkpoint->table, CHOICE_BIAS);
    head->info.kind = VKGPT_HEAD_CHOICE;
    head->info.problem = VKGPT_HEAD_NUMBERS;
    head->info.scores = 1; // the class sets num_labels to 1, whatever the config says
    head->pad = -1;
    int code = summary_read(head, s);
    if (!code && !bias)
        code = fail(s->err, VKGPT_BAD_MODEL, "%s: tensor %s is absent, and %s is there", weight->file, CHOICE_BIAS,
                    CHOICE_WEIGHT);
    if (!code) code = tensor_read(s, weight, 1, head->info.hidden, &head->weight);
    if (!code) code = tensor_read(s, bias, 1, 0, &head->bias);
    return code;
}

// ---------------------------------------------------------------------------------------------- open, close

static int fail_no_head(struct vkgpt_head *head, const struct Source *s)
{
    bool labels = ends_with(s->class, "ForSequenceClassification"), choice = ends_with(s->class, "DoubleHeadsModel");
    int code = choice ? summary_read(head, s) : VKGPT_OK; // no tensor if there is no projection
    if (code) return code;
    if (labels) return fail_value(s, CLASS_KEY, s->class_item, "and the checkpoint has no tensor " SCORE);
    if (choice) return fail_value(s, CLASS_KEY, s->class_item, "and the checkpoint has no tensor " CHOICE_WEIGHT);
    return fail(
        s->err, VKGPT_BAD_MODEL,
        "%s: the checkpoint has no head for tasks: neither %s (of GPT2ForSequenceClassification and its like) nor %s (of "
        "GPT2DoubleHeadsModel, OpenAIGPTDoubleHeadsModel)",
        s->path, SCORE, CHOICE_WEIGHT);
}

// Finds the head by its tensors; if the checkpoint has both, by the class.
static int head_find(struct vkgpt_head *head, const struct Source *s)
{
    const struct Tensor *score = table_find(&s->checkpoint->table, SCORE),
                        *choice = table_find(&s->checkpoint->table, CHOICE_WEIGHT);
    const char *task = strstr(s->class, "For");
    if (task && strcmp(task, "ForSequenceClassification") != 0 && strcmp(task, "ForCausalLM") != 0)
        return fail_value(s, CLASS_KEY, s->class_item, "whose head is not supported");
    if (choice && (!score || ends_with(s->class, "DoubleHeadsModel"))) return choice_open(head, s, choice);
    return score ? labels_open(head, s, score) : fail_no_head(head, s);
}

static int head_read(const char *dir, struct vkgpt_head *head, const struct Checkpoint *checkpoint, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Json *json = NULL;
    if (checkpoint->gguf)
        return fail(err, VKGPT_BAD_MODEL, "%s: a GGUF file has no head for tasks: the checkpoint's directory is needed",
                    dir);
    int code = path_join(path, dir, "config.json", err);
    if (!code && !os_exists(path))
        code = fail(err, VKGPT_BAD_MODEL, "%s: no config.json there, so no head for tasks either", dir);
    if (!code) code = json_read_python(path, CONFIG_BYTES, &json, err);
    if (code) return code;
    head->info.hidden = checkpoint->config.embed_dim;
    snprintf(head->name, sizeof head->name, "%.255s", checkpoint->name);
    const struct Json *class = json_first(json_get(json, "architectures"));
    const struct Source source = {path, json, checkpoint, class, json_text(class) ? json_text(class) : "", err};
    code = head_find(head, &source);
    json_free(json);
    return code;
}

int vkgpt_head_open(const char *dir, vkgpt_head **opened, vkgpt_error *err)
{
    struct Checkpoint checkpoint;
    *opened = NULL;
    if (!dir) return fail(err, VKGPT_BAD_ARGUMENT, "no directory is given for the head");
    int code = checkpoint_open_headless(dir, &checkpoint, err);
    if (code) return code;
    struct vkgpt_head *head = calloc(1, sizeof *head);
    code = head ? head_read(dir, head, &checkpoint, err) : fail_memory(err, "the head", sizeof *head);
    code = table_end(&checkpoint.table, code, err);
    checkpoint_close(&checkpoint);
    if (code) vkgpt_head_close(head);
    else *opened = head;
    return code;
}

void vkgpt_head_close(vkgpt_head *head)
{
    if (!head) return;
    for (uint32_t i = 0; head->labels && i < head->info.scores; i++) free(head->labels[i]);
    free(head->labels);
    free(head->weight);
    free(head->bias);
    free(head);
}

const vkgpt_head_info *vkgpt_head_describe(const vkgpt_head *head) { return &head->info; }

// ------------------------------------------------------------------------------------------------ running it

size_t vkgpt_head_position(const vkgpt_head *head, const uint32_t *ids, size_t count)
{
    size_t last = count - 1;
    while (head->pad >= 0 && last > 0 && ids[last] == head->pad) last--;
    return last;
}

int vkgpt_head_scores(const vkgpt_head *head, const float *hidden, double *scores, vkgpt_error *err)
{
    const vkgpt_head_info *info = &head->info;
    for (uint32_t o = 0; o < info->scores; o++) {
        const float *row = head->weight + (size_t)o * info->hidden;
        double sum = head->bias ? (double)head->bias[o] : 0.0;
        for (uint32_t i = 0; i < info->hidden; i++) sum += (double)row[i] * (double)hidden[i];
        scores[o] = head->tanh ? tanh(sum) : sum;
        if (!isfinite(scores[o]))
            return fail(err, VKGPT_BAD_LOGITS, "%s: score %u of the head is %g", head->name, o, scores[o]);
    }
    return VKGPT_OK;
}
