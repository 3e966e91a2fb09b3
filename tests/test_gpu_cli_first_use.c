// What a user does who tries the program for the first time, with a device.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static void test_prompt_on_a_terminal(void **state)
{
    (void)state;
    struct Output piped = RUN("generate", "Once upon a tim", "-n", "3", "--temp", "0");
    assert_status(&piped, 0);
    assert_null(strstr(piped.out, "Once"));
    char whole[256];
    snprintf(whole, sizeof whole, "Once upon a tim%s", piped.out);
    struct Output o =
        program_terminal("", (const char *const[]){"generate", "Once upon a tim", "-n", "3", "--temp", "0", NULL});
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, whole));
    output_free(&o);
    o = program_terminal(
        "", (const char *const[]){"generate", "Once upon a tim", "-n", "3", "--temp", "0", "--no-echo", NULL});
    assert_null(strstr(o.out, "Once upon a tim"));
    assert_non_null(strstr(o.out, piped.out));
    output_free(&o);
    output_free(&piped);
}

static void test_logprobs(void **state)
{
    (void)state;
    cJSON *json = output_json(RUN("generate", "Once upon a", "-n", "5", "--seed", "1", "--json", "--logprobs", "3"));
    const cJSON *ids = json_member(json, "ids"), *list = json_member(json, "logprobs");
    assert_int_equal(cJSON_GetArraySize(list), 5);
    for (int i = 0; i < 5; i++) {
        const cJSON *one = cJSON_GetArrayItem(list, i), *top = json_member(one, "top");
        assert_int_equal(json_member(one, "id")->valueint, cJSON_GetArrayItem(ids, i)->valueint);
        assert_int_equal(cJSON_GetArraySize(top), 3);
        double before = 0;
        for (const cJSON *t = top->child; t; t = t->next) {
            double logprob = json_member(t, "logprob")->valuedouble;
            assert_true(logprob <= before);
            before = logprob;
            if (json_member(t, "id")->valueint == json_member(one, "id")->valueint)
                assert_true(logprob == json_member(one, "logprob")->valuedouble);
        }
    }
    // score says the same of the first of them
    char continuation[64];
    snprintf(continuation, sizeof continuation, "%s", json_member(cJSON_GetArrayItem(list, 0), "token")->valuestring);
    cJSON *scored = output_json(RUN("score", "Once upon a", "--continuation", continuation, "--json"));
    double wanted = json_member(json_member(scored, "continuations")->child, "logprob")->valuedouble;
    assert_true(fabs(json_member(list->child, "logprob")->valuedouble - wanted) < 0.01);
    cJSON_Delete(scored);

    cJSON *batch = output_json(
        RUN("generate", "Once upon a", "-n", "5", "--seed", "1", "--json", "--logprobs", "3", "--parallel", "2"));
    const cJSON *same = json_member(json_member(batch, "completions")->child, "logprobs");
    assert_int_equal(cJSON_GetArraySize(same), 5);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(json_member(cJSON_GetArrayItem(same, i), "logprob")->valuedouble -
                         json_member(cJSON_GetArrayItem(list, i), "logprob")->valuedouble) < 0.01);
    cJSON_Delete(batch);
    cJSON_Delete(json);
    assert_sentence(RUN("generate", "a", "--logprobs", "1"), 2, "--logprobs needs --json");
}

static void test_default_model_says_what_it_is(void **state)
{
    (void)state;
    static const char says[] = "writes children's stories";
    struct Output asked = RUN("generate", "Who wrote Hamlet?", "-n", "1"),
                  told = RUN("generate", "Once upon a time", "-n", "1");
    struct Output task = RUN("task", "question", "Who wrote Hamlet?", "-n", "1");
    struct Output other = RUN("generate", "-m", "shots", "Who?", "-n", "1");
    assert_non_null(strstr(asked.err, says));
    assert_non_null(strstr(task.err, says));
    assert_null(strstr(told.err, says));
    assert_null(strstr(other.err, says));
    output_free(&asked);
    output_free(&told);
    output_free(&task);
    output_free(&other);
}

static void test_random_model_has_text(void **state)
{
    (void)state;
    const char *model = test_path("random");
    struct Output o = RUN("make-model", "gpt2", "--layers", "1", "--dim", "8", "--heads", "1", "-o", model);
    assert_status(&o, 0);
    output_free(&o);
    cJSON *json = output_json(RUN("generate", "-m", model, "Once", "-n", "8", "--seed", "1", "--json"));
    assert_true(strlen(json_member(json, "text")->valuestring) > 8);
    cJSON_Delete(json);
    o = RUN("generate", "-m", model, "--tokenizer", TALES, "Once", "-n", "8", "--seed", "1"); // one that is too small
    assert_non_null(strstr(o.err, " of 8 new tokens have no text: the tokenizer has 4096 tokens, the model 50257\n"));
    output_free(&o);

    static const char config[] =
        "{\"temperature\": 0.5, \"top_k\": 7, \"top_p\": null, \"max_new_tokens\": 2, \"bos_token_id\": 0}";
    file_write(model, "generation_config.json", config, sizeof config - 1);
    o = RUN("generate", "-m", model, "Once", "-n", "1", "-v");
    assert_non_null(
        strstr(o.err, "names temperature 0.5, top_k 7, max_new_tokens 2, which --generation-config takes\n"));
    output_free(&o);
    json = output_json(RUN("generate", "-m", model, "Once", "--generation-config", "--seed", "1", "--json"));
    cJSON *wanted = output_json(
        RUN("generate", "-m", model, "Once", "--temp", "0.5", "--top-k", "7", "-n", "2", "--seed", "1", "--json"));
    assert_int_equal(cJSON_GetArraySize(json_member(json, "ids")), 2);
    assert_true(cJSON_Compare(json_member(json, "ids"), json_member(wanted, "ids"), true));
    cJSON_Delete(json);
    cJSON_Delete(wanted);
    json = output_json(RUN("generate", "-m", model, "Once", "--generation-config", "-n", "3", "--json"));
    assert_int_equal(cJSON_GetArraySize(json_member(json, "ids")), 3); // a flag goes before
    cJSON_Delete(json);
    static const char greedy[] = "{\"do_sample\": false, \"max_new_tokens\": 4}", wrong[] = "{\"top_p\": 2}";
    file_write(model, "generation_config.json", greedy, sizeof greedy - 1);
    json = output_json(RUN("generate", "-m", model, "Once", "--generation-config", "--json", "--parallel", "2"));
    const cJSON *two = json_member(json, "completions");
    assert_true(cJSON_Compare(json_member(two->child, "ids"), json_member(two->child->next, "ids"), true));
    assert_int_equal(cJSON_GetArraySize(json_member(two->child, "ids")), 4);
    cJSON_Delete(json);
    file_write(model, "generation_config.json", wrong, sizeof wrong - 1);
    assert_sentence(RUN("generate", "-m", model, "Once", "--generation-config"), 1, "top_p is 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_prompt_on_a_terminal),
        TEST(test_logprobs),
        TEST(test_default_model_says_what_it_is),
        TEST(test_random_model_has_text),
    };
    return cmocka_run_group_tests_name("gpu_cli_first_use", tests, NULL, NULL);
}
