// `score` and `few-shot` on a device, with the default model: their output is compared with `logits`, `generate` and
// each other.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define EXACT "--weights", "f32", "--kv", "f32"
#define SCORE(...) RUN("score", "-m", TALES, EXACT, "--json", __VA_ARGS__)

static char path[DIR_BYTES + 16];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    return path;
}

static double number_of(const cJSON *json, const char *name) { return cJSON_GetNumberValue(json_member(json, name)); }
static const cJSON *continuation(const cJSON *json, int i)
{
    return cJSON_GetArrayItem(json_member(json, "continuations"), i);
}

// ------------------------------------------------------------------------------------------------------ score

// The sum of the log softmax of ids that begin `back` rows before the end, from the output of `logits` for a whole
// text.
static double by_logits(const struct Bytes *npy, const cJSON *ids, int back)
{
    int rows, columns;
    const char *shape = strstr((const char *)npy->data + 10, "'shape': (");
    assert_non_null(shape);
    assert_int_equal(sscanf(shape, "'shape': (%d, %d)", &rows, &columns), 2);
    const float *all =
        (const float *)(const void *)(npy->data + npy->count - (size_t)rows * (size_t)columns * sizeof(float));
    double sum = 0;
    for (int i = 0; i < cJSON_GetArraySize(ids); i++) {
        const float *row = all + (size_t)(rows - 1 - back + i) * (size_t)columns;
        double total = 0;
        for (int c = 0; c < columns; c++) total += exp((double)row[c]);
        sum += (double)row[cJSON_GetArrayItem(ids, i)->valueint] - log(total);
    }
    return sum;
}

static void check_by_logits(const cJSON *json)
{
    struct Output o =
        RUN("logits", "-m", TALES, EXACT, "-p", "Once upon a stone table in the wood", "-o", in_dir("logits.npy"));
    assert_status(&o, 0);
    output_free(&o);
    struct Bytes npy = file_read(test_dir, "logits.npy");
    int back = cJSON_GetArraySize(json_member(continuation(json, 0), "ids")); // tokens of " stone table in the wood"
    for (int i = 0; i < 2; i++)
        assert_float_equal(number_of(continuation(json, i), "logprob"),
                           by_logits(&npy, json_member(continuation(json, i), "ids"), back), 1e-4);
    bytes_free(&npy);
}

static void test_score(void **state)
{
    (void)state;
    cJSON *json = output_json(
        SCORE("-p", "Once upon a", "--continuation", " stone table in the wood", "--continuation", " time"));
    assert_int_equal((int)number_of(json, "best"), 1);
    assert_true(cJSON_IsTrue(json_member(continuation(json, 1), "greedy")));
    assert_true(cJSON_IsFalse(json_member(continuation(json, 0), "greedy")));
    check_by_logits(json);

    // the other order, the blank in the context, the context from a file
    file_write(test_dir, "context.txt", "Once upon a ", 12);
    cJSON *other = output_json(
        SCORE("-f", in_dir("context.txt"), "--continuation", "time", "--continuation", "stone table in the wood"));
    for (int i = 0; i < 2; i++) {
        assert_true(cJSON_Compare(json_member(continuation(json, i), "ids"),
                                  json_member(continuation(other, 1 - i), "ids"), true));
        assert_float_equal(number_of(continuation(json, i), "logprob"),
                           number_of(continuation(other, 1 - i), "logprob"), 1e-4);
    }
    assert_int_equal((int)number_of(other, "best"), 0);
    cJSON_Delete(json);
    cJSON_Delete(other);
}

// The longer one is likelier per token, the shorter one as a whole.
static void test_normalize(void **state)
{
    (void)state;
    cJSON *json = output_json(SCORE("-p", "Once upon a", "--continuation", " time there was a king", "--continuation",
                                    " day", "--normalize", "tokens"));
    for (int i = 0; i < 2; i++) {
        const cJSON *c = continuation(json, i);
        assert_float_equal(number_of(c, "score"), number_of(c, "logprob") / cJSON_GetArraySize(json_member(c, "ids")),
                           1e-9);
    }
    assert_true(number_of(continuation(json, 1), "logprob") > number_of(continuation(json, 0), "logprob"));
    assert_int_equal((int)number_of(json, "best"), 0);
    cJSON_Delete(json);

    struct Output table = RUN("score", "-m", TALES, "-p", "", "--continuation", "a\nb\xea\xb0\x80", "--continuation",
                              "z", "--normalize", "bytes");
    assert_status(&table, 0);
    double logprob, score;
    const char *line = strchr(table.out, '\n');
    assert_non_null(line);
    assert_int_equal(sscanf(line + 2, "%lf %lf", &logprob, &score), 2);
    assert_float_equal(score, logprob / 6, 1e-4);
    assert_non_null(strstr(line, "\"a\\nb\xea\xb0\x80\"\n")); // on one line
    output_free(&table);
}

static void test_score_refusals(void **state)
{
    (void)state;
    assert_sentence(RUN("score", "-m", TALES, "-p", "x"), 2, "--continuation TEXT");
    assert_sentence(RUN("score", "-m", TALES, "-p", "x", "--continuation", ""), 2, "is not empty");
    assert_sentence(RUN("score", "-m", TALES, "-c", "1", "-p", "one", "--continuation", " two three"), 1,
                    "--continuation 1: is 2 tokens, a context of 1 has no room");
}

// A context that does not fit loses its beginning, and the rest scores the same as alone.
static void test_score_cut(void **state)
{
    (void)state;
    struct Output o =
        SCORE("-c", "3", "-p", "one two three four", "--continuation", " five", "--continuation", " six seven");
    assert_status(&o, 0);
    assert_non_null(
        strstr(o.err, "--continuation 1: the context is longer than fits; it lost its first 1 of 4 tokens"));
    assert_non_null(
        strstr(o.err, "--continuation 2: the context is longer than fits; it lost its first 2 of 4 tokens"));
    cJSON *json = output_json(o);
    assert_int_equal((int)number_of(continuation(json, 0), "cut"), 1);
    assert_int_equal((int)number_of(continuation(json, 1), "cut"), 2);
    cJSON *first = output_json(SCORE("-p", " two three four", "--continuation", " five"));
    cJSON *second = output_json(SCORE("-p", " three four", "--continuation", " six seven"));
    assert_float_equal(number_of(continuation(json, 0), "logprob"), number_of(continuation(first, 0), "logprob"), 1e-4);
    assert_float_equal(number_of(continuation(json, 1), "logprob"), number_of(continuation(second, 0), "logprob"),
                       1e-4);
    cJSON_Delete(json);
    cJSON_Delete(first);
    cJSON_Delete(second);
}

// --------------------------------------------------------------------------------------------------- few-shot

static cJSON *few_shot(const char *shots, const char *measure)
{
    char plot[DIR_BYTES + 16], task[DIR_BYTES + 16];
    snprintf(plot, sizeof plot, "%s", in_dir("plot.svg"));
    snprintf(task, sizeof task, "%s", in_dir("task.jsonl"));
    return output_json(RUN("few-shot", "-m", TALES, EXACT, "--task", task, "--shots", shots, "--measure", measure, "-n",
                           "8", "--plot", plot, "--json"));
}

static const cJSON *point(const cJSON *json, int i) { return cJSON_GetArrayItem(json_member(json, "curve"), i); }
static double measured(const cJSON *json, int i, const char *measure)
{
    return number_of(json_member(json_member(point(json, i), "measures"), measure), "value");
}

static void add_item(struct Bytes *text, const char *context, const char *completion)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "context", context);
    cJSON_AddStringToObject(json, "completion", completion);
    char *line = cJSON_PrintUnformatted(json);
    bytes_text(text, line);
    bytes_text(text, "\n");
    cJSON_free(line);
    cJSON_Delete(json);
}

// Two of the right answers are the model's own text: its first line, of at most 8 tokens.
static void test_written(void **state)
{
    (void)state;
    static const char *const contexts[] = {"Once upon a time", "The king said to"};
    struct Bytes text = {0};
    for (size_t i = 0; i < 2; i++) {
        struct Output o = RUN("generate", "-m", TALES, EXACT, "--temp", "0", "-n", "8", "-p", contexts[i]);
        assert_status(&o, 0);
        o.out[strcspn(o.out, "\n")] = '\0';
        assert_true(strlen(o.out) > 2);
        add_item(&text, contexts[i], o.out);
        output_free(&o);
    }
    add_item(&text, "In the forest", " nonsense");
    file_write(test_dir, "task.jsonl", text.data, text.count);
    bytes_free(&text);
    cJSON *json = few_shot("0,1", "exact");
    assert_int_equal(cJSON_GetArraySize(json_member(json, "curve")), 2);
    assert_float_equal(number_of(point(json, 0), "accuracy"), 2.0 / 3, 1e-9);
    assert_float_equal(measured(json, 0, "f1"), 2.0 / 3, 1e-9);
    assert_true(number_of(point(json, 0), "low") > 0.2 && number_of(point(json, 0), "high") < 1);
    assert_int_equal((int)number_of(point(json, 1), "shots"), 1);
    assert_int_equal((int)number_of(point(json, 1), "items"), 3);
    cJSON_Delete(json);
    struct Bytes svg = file_read(test_dir, "plot.svg");
    bytes_add(&svg, "", 1);
    assert_int_equal(strncmp((const char *)svg.data, "<svg ", 5), 0);
    assert_non_null(strstr((const char *)svg.data, "K = 0: 66.7 %"));
    bytes_free(&svg);
}

// Three items on which the three measures disagree: the right answer of the second is likelier only per token, and the
// wrong answer of the third gains more from the context.
static void test_chosen(void **state)
{
    (void)state;
    static const char task[] =
        "{\"context\": \"Once upon a\", \"completion\": \" time\", \"choices\": [\" day\", \" time\"]}\n"
        "{\"context\": \"Once upon a\", \"completion\": \" time there was a king\", \"choices\": [\" time there was a king\", \" day\"]}\n"
        "{\"context\": \"Once upon a\", \"completion\": \" time\", \"choices\": [\" time\", \" time there was a king\"]}\n";
    file_write(test_dir, "task.jsonl", task, strlen(task));
    cJSON *json = few_shot("0", "auto");
    cJSON *behind = output_json(SCORE("-p", "Once upon a", "--continuation", " time there was a king", "--continuation",
                                      " time", "--continuation", " day"));
    cJSON *bare = output_json(SCORE("-p", "Answer:", "--continuation", " time there was a king", "--continuation",
                                    " time", "--continuation", " day"));
    enum { KING, TIME, DAY };
    double all[3], each[3], gain[3];
    for (int i = 0; i < 3; i++) {
        all[i] = number_of(continuation(behind, i), "logprob");
        each[i] = all[i] / cJSON_GetArraySize(json_member(continuation(behind, i), "ids"));
        gain[i] = all[i] - number_of(continuation(bare, i), "logprob");
    }
    assert_true(all[TIME] > all[DAY] && all[DAY] > all[KING]);
    assert_true(each[KING] > each[DAY] && each[TIME] > each[KING]);
    assert_true(gain[TIME] > gain[DAY] && gain[KING] > gain[TIME]);
    assert_string_equal(cJSON_GetStringValue(json_member(json, "measure")), "choice");
    assert_float_equal(number_of(point(json, 0), "accuracy"), 2.0 / 3, 1e-9);
    assert_float_equal(measured(json, 0, "per-token"), 1, 1e-9);
    assert_float_equal(measured(json, 0, "unconditional"), 2.0 / 3, 1e-9);
    cJSON_Delete(json);
    cJSON_Delete(behind);
    cJSON_Delete(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score),     cmocka_unit_test(test_normalize), cmocka_unit_test(test_score_refusals),
        cmocka_unit_test(test_score_cut), cmocka_unit_test(test_written),   cmocka_unit_test(test_chosen),
    };
    return cmocka_run_group_tests_name("gpu_cli_score", tests, test_dir_setup, test_dir_teardown);
}
