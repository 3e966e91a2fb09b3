// classify, entail, similar and choose as a user runs them: the token sequences are those of Hugging Face's tokenizers,
// and the scores are those of its classes.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "head_fixture.h"
#include "program.h"

#define LABELS HEAD_FIXTURES "/gpt2-labels"
#define WIDE "--weights", "f32", "--kv", "f32"

static void assert_ids(const cJSON *got, const cJSON *want)
{
    if (!cJSON_Compare(got, want, true)) {
        char *a = cJSON_PrintUnformatted(got), *b = cJSON_PrintUnformatted(want);
        fail_msg("ids %s, should be %s", a, b);
    }
}

static void assert_near(double got, double want, const char *what)
{
    if (!(fabs(got - want) <= HEAD_BOUND)) fail_msg("%s is %.9g, should be %.9g", what, got, want);
}

// ------------------------------------------------------------------------------------------ the fixtures

static cJSON *run_text(const char *dir, const cJSON *text)
{
    const char *arguments[24] = {NULL};
    size_t count = 0;
    const cJSON *argument;
    cJSON_ArrayForEach(argument, json_member(text, "arguments")) arguments[count++] = cJSON_GetStringValue(argument);
    const char *const more[] = {"-m", dir, WIDE, "--json"};
    memcpy(arguments + count, more, sizeof more);
    return output_json(program_run(NULL, 0, arguments));
}

static void check_scores(const cJSON *rows, const cJSON *text)
{
    const cJSON *want = json_member(text, "scores");
    assert_int_equal(cJSON_GetArraySize(rows), cJSON_GetArraySize(want));
    for (int i = 0; i < cJSON_GetArraySize(want); i++)
        assert_near(json_member(cJSON_GetArrayItem(rows, i), "score")->valuedouble,
                    cJSON_GetArrayItem(want, i)->valuedouble, "a score");
}

static void check_labels(const cJSON *json, const cJSON *text, const cJSON *labels)
{
    const cJSON *rows = json_member(json, "labels"), *best = cJSON_GetArrayItem(rows, head_int(text, "best"));
    assert_ids(json_member(json, "sequences"), json_member(text, "ids"));
    check_scores(rows, text);
    for (int i = 0; i < cJSON_GetArraySize(rows); i++)
        assert_string_equal(json_member(cJSON_GetArrayItem(rows, i), "label")->valuestring,
                            cJSON_GetArrayItem(labels, i)->valuestring);
    assert_string_equal(json_member(json, "label")->valuestring, json_member(best, "label")->valuestring);
}

static void check_answers(const cJSON *json, const cJSON *text)
{
    const cJSON *rows = json_member(json, "answers"), *row;
    int i = 0;
    double sum = 0;
    check_scores(rows, text);
    assert_int_equal(head_int(json, "best"), head_int(text, "best"));
    cJSON_ArrayForEach(row, rows)
    {
        assert_ids(json_member(row, "ids"), cJSON_GetArrayItem(json_member(text, "ids"), i++));
        sum += json_member(row, "probability")->valuedouble;
    }
    assert_near(sum, 1, "the sum of the probabilities");
}

static void test_fixtures(void **state)
{
    (void)state;
    size_t runs = 0;
    for (size_t i = 0; head_fixture_name(i); i++) {
        char dir[512];
        head_fixture_dir(head_fixture_name(i), dir, sizeof dir);
        cJSON *expected = head_fixture_expected(head_fixture_name(i));
        const cJSON *text;
        cJSON_ArrayForEach(text, cJSON_GetObjectItem(expected, "text"))
        {
            cJSON *json = run_text(dir, text);
            if (cJSON_GetObjectItem(json, "answers")) check_answers(json, text);
            else check_labels(json, text, json_member(expected, "labels"));
            cJSON_Delete(json);
            runs++;
        }
        cJSON_Delete(expected);
    }
    assert_int_equal(runs, 10);
}

// ------------------------------------------------------------------------------------------ probabilities

static cJSON *classify(const char *dir, const char *ids)
{
    cJSON *json = output_json(RUN("classify", "-m", dir, "--ids", ids, WIDE, "--json"));
    cJSON *rows = cJSON_DetachItemFromObject(json, "labels");
    cJSON_Delete(json);
    return rows;
}

static double of(const cJSON *rows, int i, const char *name)
{
    return json_member(cJSON_GetArrayItem(rows, i), name)->valuedouble;
}

static void test_probabilities(void **state)
{
    (void)state;
    cJSON *one_of = classify(LABELS, "5,6,7"), *number = classify(HEAD_FIXTURES "/gpt2-number", "5,6,7");
    double a = exp(of(one_of, 0, "score")), b = exp(of(one_of, 1, "score"));
    assert_near(of(one_of, 0, "probability"), a / (a + b), "a softmax");
    assert_near(of(one_of, 1, "probability"), b / (a + b), "a softmax");
    assert_true(cJSON_IsNull(json_member(cJSON_GetArrayItem(number, 0), "probability")));
    cJSON_Delete(one_of);
    cJSON_Delete(number);
}

// The best is first; characters that would end a cell are escaped.
static void test_table(void **state)
{
    (void)state;
    struct Output o = RUN("classify", "-m", HEAD_FIXTURES "/opt-each", "--ids", "5,6,7", WIDE);
    assert_status(&o, 0);
    const char *line = o.out;
    assert_int_equal(strncmp(line, "| label | score | probability |\n| --- | ---: | ---: |\n", 54), 0);
    assert_non_null(strstr(o.out, "\n| a\\|b | "));
    double before = INFINITY;
    for (int i = 0; i < 4; i++) {
        double score, probability;
        line = strstr(line + 1, "\n| ") + 1;
        if (!i) line = strstr(line + 1, "\n| ") + 1; // past the rule
        const char *numbers = strstr(line + 2, " | ") + 3;
        assert_int_equal(sscanf(numbers, "%lf | %lf |", &score, &probability), 2);
        assert_true(score <= before);
        assert_near(probability, 1 / (1 + exp(-score)), "a sigmoid");
        before = score;
    }
    output_free(&o);
}

// ------------------------------------------------------------------------------------------ what is given

static void test_escapes(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("classify", "-m", LABELS, "-e", "-p", "a\\nb", "--json"));
    struct Output ids = RUN("tokenize", "-m", LABELS, "-p", "a\nb", "--json");
    cJSON *tokens = output_json(ids);
    assert_ids(cJSON_GetArrayItem(json_member(json, "sequences"), 0), json_member(tokens, "ids"));
    cJSON_Delete(json);
    cJSON_Delete(tokens);
}

static void test_refusals(void **state)
{
    (void)state;
    // clang-format off
    assert_sentence(RUN("classify", "-m", LABELS, "-p", "a", "--start", "no token"), 1, "--start: 'no token' is not a token of");
    assert_sentence(RUN("classify", "-m", HEAD_FIXTURES "/neo-labels", "--ids", "1", "--extract", "x"), 1, "there is no tokenizer in");
    assert_sentence(RUN("classify", "-m", HEAD_FIXTURES "/neo-labels", "-p", "a"), 1, "tokenizer");
    assert_sentence(RUN("classify", "-m", LABELS, "-p", ""), 1, "-p: the text is empty, and no token is added around it");
    assert_sentence(RUN("classify", "-m", LABELS, "--ids", "1,2,3", "-c", "2"), 1, "--ids: 3 tokens: the context has room for 2; -c 3 makes room");
    // clang-format on
    // the head decides which command it works with
    // clang-format off
    assert_sentence(RUN("classify", "-m", HEAD_FIXTURES "/gpt2-choice", "-p", "a"), 1, "its head is a multiple_choice_head, and classify needs one with labels");
    assert_sentence(RUN("choose", "-m", LABELS, "-p", "a", "--answer", "b", "--answer", "c"), 1, "its head gives 2 scores, and choose needs one that gives 1");
    assert_sentence(RUN("classify", "-m", VKGPT_SOURCE_DIR "/models/tales", "-p", "a"), 1, "the checkpoint has no head for tasks: neither score.weight");
    // clang-format on
}

// The other commands run these checkpoints too, unless the file has no language model head.
static void test_ordinary_commands(void **state)
{
    (void)state;
    struct Output o = RUN("generate", "-m", LABELS, "-p", "a", "-n", "3", "--temp", "0", "--ignore-eos", "--json");
    cJSON *json = output_json(o);
    assert_int_equal(cJSON_GetArraySize(json_member(json, "ids")), 3);
    cJSON_Delete(json);
    // clang-format off
    assert_sentence(RUN("generate", "-m", HEAD_FIXTURES "/neo-labels", "--ids", "1"), 1, "tensor lm_head.weight is absent, and tie_word_embeddings is false");
    // clang-format on
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures), cmocka_unit_test(test_probabilities), cmocka_unit_test(test_table),
        cmocka_unit_test(test_escapes),  cmocka_unit_test(test_refusals),      cmocka_unit_test(test_ordinary_commands),
    };
    return cmocka_run_group_tests_name("gpu_heads_cli", tests, NULL, NULL);
}
