// tokenize and detokenize with tokenizers that put tokens around a text, that decode a token by its neighbours, that
// ask for dropout, or that have no unknown token.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program.h"
#include "tokenizer_files.h"

static int setup(void **state)
{
    test_dir_setup(state);
    write_text("config.json", "{\"model_type\": \"gpt2\", \"vocab_size\": 20}");
    return 0;
}

static void expect_output(struct Output o, const char *out, const char *err)
{
    assert_status(&o, 0);
    assert_string_equal(o.out, out);
    assert_string_equal(o.err, err);
    output_free(&o);
}

static void test_words(void **state)
{
    (void)state;
    write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nwell\n##ness\n.\nis\n");
    expect_output(RUN("tokenize", "-m", test_dir, "-p", "Wellness is."), "2 4 5 7 6 3\n", "");
    expect_output(RUN("detokenize", "-m", test_dir, "--ids", "4,5,7,6"), "wellness is.", "");
    expect_output(RUN("detokenize", "-m", test_dir, "--ids", "5"), "##ness", "");
}

static void test_dropout(void **state)
{
    (void)state;
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
    write_text(
        "tokenizer.json",
        "{\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\"}, \"decoder\": {\"type\": \"Metaspace\", "
        "\"replacement\": \"_\"}, \"model\": {\"type\": \"BPE\", \"dropout\": 0.5, \"unk_token\": null, "
        "\"vocab\": {\"a\": 0, \"_\": 1, \"_a\": 2}, \"merges\": [\"_ a\"]}}");
    expect_output(RUN("tokenize", "-m", test_dir, "-p", "a a"), "2 2\n",
                  "vkgpt: the tokenizer's dropout is for training and is not applied\n");
    expect_output(RUN("detokenize", "-m", test_dir, "--ids", "2,2"), "a a", "");
}

// A text needs an id that does not exist: the error comes with the text, not before.
static void test_no_unk(void **state)
{
    (void)state;
    write_text("tokenizer.json", "{\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"a\": 0}}}");
    expect_output(RUN("tokenize", "-m", test_dir, "-p", "a"), "0\n", "");
    assert_sentence(RUN("tokenize", "-m", test_dir, "-p", "b"), 1,
                    "\"b\" is not a token, and unk_token ? is not in the vocabulary");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_dropout, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_no_unk, setup, test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
