// explain: the numbers in the page against Hugging Face transformers for every class, texts of tokens that could break
// a page, and what is refused. tests/explain.py looks at the page in a browser.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include "compare.h"
#include "layer_fixture.h"
#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define BOUND 1e-4
#define BEGIN "<script type=\"application/json\" id=\"data\">"

// The data of the page that a run wrote.
static cJSON *page_data(struct Output run, const char *name)
{
    assert_status(&run, 0);
    output_free(&run);
    struct Bytes page = file_read(test_dir, name);
    bytes_add(&page, "", 1);
    const char *begin = strstr((const char *)page.data, BEGIN);
    assert_non_null(begin);
    begin += strlen(BEGIN);
    cJSON *json = cJSON_ParseWithLength(begin, (size_t)(strstr(begin, "</script>") - begin));
    assert_non_null(json);
    bytes_free(&page);
    return json;
}

static double number_at(const cJSON *table, size_t row, size_t column)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetArrayItem(table, (int)row), (int)column);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

// ------------------------------------------------------------------------------------------ attention

static unsigned digit(char c)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(DIGITS, c) : NULL;
    assert_non_null(found);
    return (unsigned)(found - DIGITS);
}

// Number `index` of the base64 text of numbers of 16 bits.
static double weight_at(const char *text, size_t index)
{
    unsigned value = 0;
    for (size_t byte = 2 * index + 2; byte-- > 2 * index;) { // the high byte first
        size_t bit = 8 * byte, at = bit / 6, shift = bit % 6;
        unsigned two = digit(text[at]) << 6 | digit(text[at + 1]);
        value = value << 8 | (two >> (4 - shift) & 255);
    }
    return value / 65535.0;
}

static void attention_agrees(const struct LayerFixture *f, const char *name, const char *text)
{
    size_t pairs = f->tokens * (f->tokens + 1) / 2, bytes = 2 * pairs * f->layers * f->heads;
    assert_int_equal(strlen(text), (bytes + 2) / 3 * 4);
    for (size_t l = 0; l < f->layers; l++)
        for (size_t h = 0; h < f->heads; h++)
            for (size_t t = 0; t < f->tokens; t++) {
                double want[64], got[64];
                layer_fixture_attention(f, l, h, t, want);
                for (size_t p = 0; p <= t; p++)
                    got[p] = weight_at(text, (l * f->heads + h) * pairs + t * (t + 1) / 2 + p);
                assert_within(difference_f64(got, want, t + 1), BOUND, "%s: layer %zu, head %zu, token %zu", name, l, h,
                              t);
            }
}

// The norms of the stream before each layer. transformers' last hidden state is after the final norm, so that of
// the stream after the last layer is not among them.
static void norms_agree(const struct LayerFixture *f, const char *name, const cJSON *norms)
{
    assert_int_equal(cJSON_GetArraySize(norms), f->layers + 1);
    for (size_t l = 0; l < f->layers; l++)
        for (size_t t = 0; t < f->tokens; t++) {
            double hidden[512], sum = 0;
            size_t width = layer_fixture_hidden(f, l, t, hidden);
            for (size_t i = 0; i < width; i++) sum += hidden[i] * hidden[i];
            double got = number_at(norms, l, t), want = sqrt(sum);
            assert_within(difference_f64(&got, &want, 1), 1e-4 * (1 + want), "%s: norm %zu of token %zu", name, l, t);
        }
}

// The likeliest token in each place of the lens, where it is not nearly a tie.
static void lens_agrees(const struct LayerFixture *f, const char *name, const cJSON *lens)
{
    size_t compared = 0;
    for (size_t l = 0; l <= f->layers; l++)
        for (size_t t = 0; t < f->tokens; t++) {
            const cJSON *got = cJSON_GetArrayItem(cJSON_GetArrayItem(lens, (int)l), (int)t),
                        *want = cJSON_GetArrayItem(cJSON_GetArrayItem(json_member(f->json, "lens"), (int)l), (int)t);
            double p = cJSON_GetArrayItem(got, 1)->valuedouble, q = cJSON_GetArrayItem(want, 1)->valuedouble;
            assert_within(difference_f64(&p, &q, 1), BOUND + 1e-3 * q, "%s: lens %zu of token %zu", name, l, t);
            if (p - cJSON_GetArrayItem(got, 3)->valuedouble < 1e-3) continue;
            assert_int_equal(cJSON_GetArrayItem(got, 0)->valueint, cJSON_GetArrayItem(want, 0)->valueint);
            compared++;
        }
    assert_true(compared > f->layers * f->tokens / 2);
}

static void test_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; layer_fixture_name(i); i++) {
        const char *name = layer_fixture_name(i);
        struct LayerFixture f = layer_fixture_open(name);
        cJSON *json = page_data(
            RUN("explain", "-m", f.dir, "--ids", f.ids, "--weights", "f32", "-o", test_path("p.html")), "p.html");
        assert_int_equal(json_member(json_member(json, "facts"), "layers")->valueint, f.layers);
        attention_agrees(&f, name, json_member(json, "attention")->valuestring);
        norms_agree(&f, name, json_member(json, "norms"));
        lens_agrees(&f, name, json_member(json, "lens"));
        cJSON_Delete(json);
        layer_fixture_close(&f);
    }
}

// ---------------------------------------------------------------------------------------- predictions

// The ids, the surprise and the likeliest tokens are those that other commands give.
static void test_predictions(void **state)
{
    (void)state;
    static const char text[] = "Once upon a time there was a king";
    cJSON *json = page_data(RUN("explain", "-m", TALES, text, "-o", test_path("p.html")), "p.html");
    cJSON *tokens = output_json(RUN("tokenize", "-m", TALES, text, "--json"));
    assert_true(cJSON_Compare(json_member(json, "ids"), json_member(tokens, "ids"), true));
    int count = cJSON_GetArraySize(json_member(json, "ids"));
    const cJSON *bits = json_member(json, "bits"), *given = json_member(json, "given"),
                *next = json_member(json, "next"), *lens = json_member(json, "lens");
    int layers = cJSON_GetArraySize(given) - 1;
    assert_int_equal(layers, 6);
    assert_true(cJSON_IsNull(bits->child));
    for (int t = 1; t < count; t++) {
        double p = number_at(given, (size_t)layers, (size_t)t - 1), got = cJSON_GetArrayItem(bits, t)->valuedouble,
               want = -log2(p);
        assert_within(difference_f64(&got, &want, 1), 1e-3 * (1 + want), "the surprise of token %d", t);
    }
    for (int t = 0; t < count; t++) {
        const cJSON *list = cJSON_GetArrayItem(next, t),
                    *last = cJSON_GetArrayItem(cJSON_GetArrayItem(lens, layers), t);
        assert_int_equal(cJSON_GetArraySize(list), 20);
        for (int i = 0; i < 10; i++)
            assert_true(cJSON_GetArrayItem(list, i)->valuedouble == cJSON_GetArrayItem(last, i)->valuedouble);
        for (int i = 3; i < 20; i += 2)
            assert_true(cJSON_GetArrayItem(list, i)->valuedouble <= cJSON_GetArrayItem(list, i - 2)->valuedouble);
    }
    cJSON *one = output_json(
        RUN("generate", "-m", TALES, text, "-n", "1", "--temp", "0", "--json", "--logprobs", "1", "--kv", "f32"));
    const cJSON *best = cJSON_GetArrayItem(next, count - 1);
    double got = log(cJSON_GetArrayItem(best, 1)->valuedouble),
           want = json_member(json_member(one, "logprobs")->child, "logprob")->valuedouble;
    assert_int_equal(cJSON_GetArrayItem(best, 0)->valueint, json_member(one, "ids")->child->valueint);
    assert_within(difference_f64(&got, &want, 1), 1e-3, "the log probability of the likeliest token");
    cJSON_Delete(one);
    cJSON_Delete(tokens);
    cJSON_Delete(json);
}

// --------------------------------------------------------------------------------------- hostile tokens

// Tokens that end a script, begin a comment, are no UTF-8 or control characters stay data.
static void test_hostile_tokens(void **state)
{
    (void)state;
    static const char text[] = "</script><!--<script>\x01\x7F\xE2\x82 \xFF&amp;\"'\\\n{{data}}";
    struct Output tokens = RUN("tokenize", "-m", TALES, text);
    assert_status(&tokens, 0);
    cJSON *json = page_data(RUN("explain", "-m", TALES, text, "-o", test_path("p.html")), "p.html");
    struct Bytes page = file_read(test_dir, "p.html");
    bytes_add(&page, "", 1);
    const char *end = strstr(strstr((const char *)page.data, BEGIN), "</script>");
    assert_int_equal(strncmp(end - 1, "}</script>\n<script>\n// The page", 30), 0); // the data end where they should
    for (const char *at = strstr((const char *)page.data, BEGIN) + strlen(BEGIN); at < end; at++)
        assert_true(*at != '<' && (unsigned char)*at >= 0x20 && *at != 0x7F);
    size_t with_byte = 0;
    const cJSON *piece;
    cJSON_ArrayForEach(piece, json_member(json, "texts")) with_byte += strstr(piece->valuestring, "\\xFF") != NULL;
    assert_true(with_byte > 0);
    output_free(&tokens);
    bytes_free(&page);
    cJSON_Delete(json);
}

// One token; ids without a tokenizer; the smallest model, with fewer tokens than the lists have places.
static void test_small(void **state)
{
    (void)state;
    static const char SMALLEST[] = VKGPT_SOURCE_DIR "/tests/fixtures/gpt2/smallest";
    cJSON *json = page_data(RUN("explain", "-m", SMALLEST, "--ids", "1", "-o", test_path("p.html")), "p.html");
    assert_int_equal(cJSON_GetArraySize(json_member(json, "next")->child), 4);
    assert_null(json_member(json, "texts")->child);
    cJSON_Delete(json);
}

// A model with so many heads that the page of a long text would be too large for a browser.
static void test_too_large(void **state)
{
    (void)state;
    char ids[3 * 148] = "1";
    for (size_t i = 1; i < 148; i++) memcpy(ids + 2 * i - 1, ",1", 3);
    struct Output made = RUN("make-model", "gpt2", "-m", TALES, "-o", test_path("heads"), "--layers", "48", "--heads",
                             "16", "--dim", "16", "--context", "256");
    assert_status(&made, 0);
    output_free(&made);
    assert_sentence(RUN("explain", "-m", test_path("heads"), "--ids", ids, "-o", test_path("p.html")), 1,
                    "--ids: 148 tokens: a page has room for 147 of a model with 768 heads; a shorter text is needed");
}

static void test_refusals(void **state)
{
    (void)state;
    char ids[3 * 257] = "1";
    for (size_t i = 1; i < 257; i++) memcpy(ids + 2 * i - 1, ",1", 3);
    // clang-format off
    assert_sentence(RUN("explain", "a"), 2, "explain needs the name of the page to write: -o PAGE.html");
    assert_sentence(RUN("explain", "-m", TALES, "--ids", ids, "-o", test_path("p.html")), 1, "--ids: 257 tokens: the context has room for 256");
    assert_sentence(RUN("explain", "-m", TALES, "a", "-o", "/no/such/folder/p.html"), 1, "/no/such/folder/p.html");
    assert_sentence(RUN("explain", "-m", TALES, "--ids", "4096", "-o", test_path("p.html")), 1, "--ids: id 4096 is outside the vocabulary");
    assert_sentence(RUN("explain", "a", "--kv", "f16"), 2, "--kv is a flag of other commands");
    // clang-format on
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers), cmocka_unit_test(test_predictions), cmocka_unit_test(test_hostile_tokens),
        cmocka_unit_test(test_small),        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests_name("gpu_cli_explain", tests, test_dir_setup, test_dir_teardown);
}
