// Heads without a device: what config.json may say about a head, what is refused and with which sentence, and which
// token of a sequence a head reads.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"

#include "compare.h"
#include "head_fixture.h"

static char *config;         // of the fixture that a test starts from
static struct Bytes weights; // its model.safetensors

// Copies a fixture into the test's directory.
static void take(const char *name)
{
    char from[512];
    head_fixture_dir(name, from, sizeof from);
    struct Bytes text = file_read(from, "config.json");
    bytes_free(&weights);
    weights = file_read(from, "model.safetensors");
    bytes_add(&text, "", 1);
    free(config);
    config = (char *)text.data;
    file_write(test_dir, "config.json", config, strlen(config));
    file_write(test_dir, "model.safetensors", weights.data, weights.count);
}

// config.json with its first `from` replaced.
static void change(const char *from, const char *to)
{
    char *text = text_replace(config, from, to);
    file_write(test_dir, "config.json", text, strlen(text));
    free(text);
}

// The same in the header of the tensors, with names of the same length.
static void change_weights(const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    struct Bytes copy = {0};
    bytes_add(&copy, weights.data, weights.count);
    size_t at = 0;
    while (at + strlen(from) < copy.count && memcmp(copy.data + at, from, strlen(from)) != 0) at++;
    assert_true(at + strlen(from) < copy.count);
    memcpy(copy.data + at, to, strlen(to));
    file_write(test_dir, "model.safetensors", copy.data, copy.count);
    bytes_free(&copy);
}

static vkgpt_head *open_good(void)
{
    vkgpt_error err;
    vkgpt_head *head;
    if (vkgpt_head_open(test_dir, &head, &err)) fail_msg("%s", err.text);
    return head;
}

static void refuse(const char *words)
{
    vkgpt_error err;
    vkgpt_head *head;
    int code = vkgpt_head_open(test_dir, &head, &err);
    assert_null(head);
    expect_sentence(code, VKGPT_BAD_MODEL, &err, words, NULL);
}

static void refuse_change(const char *from, const char *to, const char *words)
{
    change(from, to);
    refuse(words);
}

// ------------------------------------------------------------------------------------------------- labels

#define MAP "\"id2label\": {\n    \"0\": \"negative\",\n    \"1\": \"positive\"\n  },"
#define NO_PROBLEM "\"problem_type\": null"

static void expect_labels(vkgpt_head_problem problem, const char *first, const char *last)
{
    vkgpt_head *head = open_good();
    const vkgpt_head_info *info = vkgpt_head_describe(head);
    assert_int_equal(info->kind, VKGPT_HEAD_LABELS);
    assert_int_equal(info->problem, problem);
    assert_int_equal(info->scores, 2);
    assert_string_equal(info->labels[0], first);
    assert_string_equal(info->labels[1], last);
    vkgpt_head_close(head);
}

static void test_labels(void **state)
{
    (void)state;
    take("gpt2-labels");
    expect_labels(VKGPT_HEAD_ONE_OF, "negative", "positive");
    change(MAP, "\"id2label\": {\"1\": \"b\", \"0\": \"a\"},");
    expect_labels(VKGPT_HEAD_ONE_OF, "a", "b");
    change(MAP, "");
    expect_labels(VKGPT_HEAD_ONE_OF, "LABEL_0", "LABEL_1"); // two is the default
    change(MAP, "\"num_labels\": 2, \"id2label\": null,");
    expect_labels(VKGPT_HEAD_ONE_OF, "LABEL_0", "LABEL_1");
    change(MAP, MAP "\"num_labels\": 7,");
    expect_labels(VKGPT_HEAD_ONE_OF, "negative", "positive"); // id2label has priority over num_labels
    change(NO_PROBLEM, "\"problem_type\": \"multi_label_classification\"");
    expect_labels(VKGPT_HEAD_EACH, "negative", "positive");
    change(NO_PROBLEM, "\"problem_type\": \"regression\"");
    expect_labels(VKGPT_HEAD_NUMBERS, "negative", "positive");
    change(NO_PROBLEM, "\"problem_type\": \"single_label_classification\"");
    expect_labels(VKGPT_HEAD_ONE_OF, "negative", "positive");
    change("\"GPT2ForSequenceClassification\"", "");
    expect_labels(VKGPT_HEAD_ONE_OF, "negative", "positive"); // without a class, the tensor decides
}

static void test_labels_refused(void **state)
{
    (void)state;
    take("gpt2-labels");
    refuse_change(MAP, "\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"},",
                  "tensor score.weight is (2, 24), the config says (3, 24)");
    refuse_change(MAP, "\"num_labels\": 5,", "tensor score.weight is (2, 24), the config says (5, 24)");
    refuse_change(MAP, "\"id2label\": {\"0\": \"a\", \"2\": \"b\"},", "a key of id2label is \"2\", not one of 0 to 1");
    refuse_change(MAP, "\"id2label\": {\"0\": \"a\", \"01\": \"b\"},", "a key of id2label is \"01\", not one of");
    refuse_change(MAP, "\"id2label\": {\"0\": \"a\", \"\\n\": \"b\"},", "a key of id2label is \"\\n\", not one of");
    refuse_change(MAP, "\"id2label\": {\"0\": \"a\", \"1\": 7},", "a label of id2label is 7, not a text");
    refuse_change(MAP, "\"id2label\": [],", "id2label is [], not an object of labels");
    refuse_change(MAP, "\"id2label\": {},", "id2label is {}, not an object of labels");
    refuse_change(MAP, "\"num_labels\": 0,", "num_labels is 0, not a whole number from 1");
    refuse_change(MAP, "\"num_labels\": 1e30,", "num_labels is 1e+30, not a whole number");
    refuse_change(NO_PROBLEM, "\"problem_type\": \"poetry\"", "problem_type is \"poetry\", not one of");
    char *two = config;
    config = text_replace(two, MAP, "\"num_labels\": 1,");
    refuse_change(NO_PROBLEM, "\"problem_type\": \"single_label_classification\"",
                  "problem_type is \"single_label_classification\", and there is one label only");
    free(config);
    config = two;
    refuse_change("\"pad_token_id\": 0", "\"pad_token_id\": \"<pad>\"", "pad_token_id is \"<pad>\", not a token id");
    refuse_change("GPT2ForSequenceClassification", "GPT2ForTokenClassification",
                  "the first of architectures is \"GPT2ForTokenClassification\", whose head is not supported");
    change_weights("\"score.weight\"", "\"store.weight\"");
    refuse_change(
        "x", "x",
        "the first of architectures is \"GPT2ForSequenceClassification\", and the checkpoint has no tensor score.weight");
    refuse_change("GPT2ForSequenceClassification", "GPT2LMHeadModel",
                  "the checkpoint has no head for tasks: neither score.weight");
}

// ---------------------------------------------------------------------------------------- multiple choice

static void test_choice(void **state)
{
    (void)state;
    take("gpt1-choice");
    vkgpt_head *head = open_good();
    assert_int_equal(vkgpt_head_describe(head)->kind, VKGPT_HEAD_CHOICE);
    assert_int_equal(vkgpt_head_describe(head)->scores, 1);
    assert_null(vkgpt_head_describe(head)->labels);
    vkgpt_head_close(head);
    refuse_change("\"cls_index\"", "\"mean\"", "summary_type is \"mean\", only \"cls_index\" is supported");
    refuse_change("\"summary_use_proj\": true", "\"summary_use_proj\": false",
                  "summary_use_proj is false, which leaves a hidden state and no score");
    refuse_change("\"summary_proj_to_labels\": true", "\"summary_proj_to_labels\": false",
                  "summary_proj_to_labels is false, which leaves a vector");
    refuse_change("\"tanh\"", "\"gelu\"", "summary_activation is \"gelu\", only \"tanh\" and null are supported");
    change_weights("multiple_choice_head.summary.bias", "multiple_choice_head.summary.bios");
    refuse_change("x", "x", "tensor multiple_choice_head.summary.bias is absent");
    change_weights("multiple_choice_head.summary.weight", "multiple_choice_head.summary.height");
    refuse_change(
        "x", "x",
        "the first of architectures is \"OpenAIGPTDoubleHeadsModel\", and the checkpoint has no tensor multiple_choice_head.summary.weight");
    refuse_change("\"summary_use_proj\": true", "\"summary_use_proj\": false", "summary_use_proj is false");
}

// The scores with tanh, and without it the values before tanh.
static void test_activation(void **state)
{
    (void)state;
    static const char *const none[] = {"null", "\"\"", "\"linear\""};
    vkgpt_error err;
    float hidden[21];
    double with, without;
    take("gpt1-choice");
    for (int i = 0; i < 21; i++) hidden[i] = 0.1f * (float)(i % 5);
    vkgpt_head *head = open_good();
    assert_int_equal(vkgpt_head_scores(head, hidden, &with, &err), 0);
    vkgpt_head_close(head);
    for (int i = 0; i < 3; i++) {
        change("\"tanh\"", none[i]);
        head = open_good();
        assert_int_equal(vkgpt_head_scores(head, hidden, &without, &err), 0);
        assert_true(fabs(without) > 1e-3 && fabs(tanh(without) - with) < 1e-12);
        vkgpt_head_close(head);
    }
}

// ------------------------------------------------------------------------------------- positions and scores

static size_t position(const vkgpt_head *head, uint32_t a, uint32_t b, uint32_t c)
{
    return vkgpt_head_position(head, (const uint32_t[]){a, b, c}, 3);
}

static void test_position(void **state)
{
    (void)state;
    take("gpt2-labels"); // pad_token_id is 0
    vkgpt_head *head = open_good();
    assert_int_equal(position(head, 5, 6, 7), 2);
    assert_int_equal(position(head, 5, 0, 7), 2);
    assert_int_equal(position(head, 5, 6, 0), 1);
    assert_int_equal(position(head, 5, 0, 0), 0);
    assert_int_equal(position(head, 0, 0, 0), 0);
    vkgpt_head_close(head);
    static const char *const none[] = {"null", "-1"};
    for (int i = 0; i < 2; i++) {
        change("\"pad_token_id\": 0", i ? "\"pad_token_id\": -1" : "\"pad_token_id\": null");
        head = open_good();
        if (position(head, 5, 6, 0) != 2) fail_msg("pad_token_id %s: not the last token", none[i]);
        vkgpt_head_close(head);
    }
    take("gpt1-choice"); // any last token
    head = open_good();
    assert_int_equal(position(head, 5, 6, 0), 2);
    vkgpt_head_close(head);
}

static void test_scores_not_finite(void **state)
{
    (void)state;
    vkgpt_error err;
    float hidden[24] = {0};
    double scores[2];
    take("gpt2-labels");
    vkgpt_head *head = open_good();
    assert_int_equal(vkgpt_head_scores(head, hidden, scores, &err), 0);
    assert_true(scores[0] == 0 && scores[1] == 0); // no bias
    hidden[3] = NAN;
    expect_sentence(vkgpt_head_scores(head, hidden, scores, &err), VKGPT_BAD_LOGITS, &err, "score 0 of the head is",
                    NULL);
    vkgpt_head_close(head);
}

// ---------------------------------------------------------------------------------------- other checkpoints

static void test_no_head(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_head *head;
    expect_sentence(vkgpt_head_open(VKGPT_SOURCE_DIR "/tests/fixtures/gpt1/openai-release", &head, &err),
                    VKGPT_BAD_MODEL, &err, "no config.json there, so no head for tasks either", NULL);
    expect_sentence(vkgpt_head_open(VKGPT_SOURCE_DIR "/no/such", &head, &err), VKGPT_BAD_FILE, &err,
                    "no such model directory", NULL);
    expect_sentence(vkgpt_head_open(NULL, &head, &err), VKGPT_BAD_ARGUMENT, &err, "no directory", NULL);
    vkgpt_head_close(NULL);
}

// A checkpoint whose class has no language model head: it opens for its hidden states only.
static void test_headless(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Checkpoint checkpoint;
    take("neo-labels");
    expect_sentence(checkpoint_open(test_dir, &checkpoint, &err), VKGPT_BAD_MODEL, &err,
                    "lm_head.weight is absent, and tie_word_embeddings is false", NULL);
    if (checkpoint_open_headless(test_dir, &checkpoint, &err)) fail_msg("%s", err.text);
    assert_true(checkpoint.config.tied_head);
    assert_ptr_equal(checkpoint.head.tensor, checkpoint.wte.tensor);
    checkpoint_close(&checkpoint);
    take("gpt1-choice"); // this one has a head, which is not the token table
    if (checkpoint_open(test_dir, &checkpoint, &err)) fail_msg("%s", err.text);
    assert_false(checkpoint.config.tied_head);
    checkpoint_close(&checkpoint);
    // without tying, a head cannot replace the token table
    change_weights("transformer.tokens_embed.weight", "transformer.tokens_embod.weight");
    expect_sentence(checkpoint_open_headless(test_dir, &checkpoint, &err), VKGPT_BAD_MODEL, &err,
                    "tokens_embed.weight is absent", NULL);
}

static void test_damaged_config(void **state)
{
    (void)state;
    uint64_t random = 9;
    size_t opened = 0, refused = 0;
    take("gpt2-labels");
    for (int i = 0; i < 400; i++) {
        struct Bytes bytes = {0};
        vkgpt_error err;
        vkgpt_head *head;
        bytes_text(&bytes, config);
        bytes_mutate(&bytes, &random);
        file_write(test_dir, "config.json", bytes.data, bytes.count);
        bytes_free(&bytes);
        int code = vkgpt_head_open(test_dir, &head, &err);
        if (code && (!err.text[0] || strchr(err.text, '\n'))) fail_msg("round %d: '%s' is not a sentence", i, err.text);
        if (!code) opened++;
        else refused++;
        vkgpt_head_close(head);
    }
    assert_true(opened > 20 && refused > 20);
}

static int drop_all(void **state)
{
    free(config);
    bytes_free(&weights);
    return test_dir_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),         cmocka_unit_test(test_labels_refused),
        cmocka_unit_test(test_choice),         cmocka_unit_test(test_activation),
        cmocka_unit_test(test_position),       cmocka_unit_test(test_scores_not_finite),
        cmocka_unit_test(test_no_head),        cmocka_unit_test(test_headless),
        cmocka_unit_test(test_damaged_config),
    };
    return cmocka_run_group_tests_name("heads", tests, test_dir_setup, drop_all);
}
