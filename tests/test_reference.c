// The reference itself against Hugging Face transformers (tests/fixtures), Random123's known answers for Philox, and
// values of single operations from other sources.
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "fixture.h"
#include "reference_model.h"
#include "selftest/reference.h"
#include "synthetic_model.h"

static void philox_known_answers(void **state)
{
    (void)state;
    // Random123, tests/kat_vectors, "philox4x32 10"
    // clang-format off
    static const struct { uint32_t counter[4], key[2], out[4]; } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        reference_philox(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void norm_of_known_rows(void **state)
{
    (void)state;
    const double row[4] = {1000, 1001, 1002, 1003}; // mean 1001.5, variance 1.25
    const float gain[4] = {1, 2, 1, 1}, bias[4] = {0, 0, 0.5f, 0};
    const double r = 1 / sqrt(1.25 + 0.1);
    const double want[4] = {-1.5 * r, -0.5 * r * 2, 0.5 * r + 0.5, 1.5 * r};
    double x[8], out[8];
    for (int i = 0; i < 8; i++) x[i] = row[i % 4] - (i < 4 ? 0 : 1000); // the mean has no influence
    reference_norm(2, 4, x, gain, bias, 0.1, out);
    assert_within(difference_f64(out, want, 4), 1e-12, "norm of row 0");
    assert_within(difference_f64(out + 4, want, 4), 1e-12, "norm of row 1");
    const double plain[4] = {-1.5 * r, -0.5 * r, 0.5 * r, 1.5 * r};
    reference_norm(1, 4, x, NULL, NULL, 0.1, x);
    assert_within(difference_f64(x, plain, 4), 1e-12, "norm in place, without gain and bias");
}

static void matmul_of_odd_sizes(void **state)
{
    (void)state;
    const float w[2 * 5] = {1, 2, 3, 4, 5, -1, 0, 0, 0, 2}, bias[2] = {0.5f, -0.5f};
    const double x[3 * 5] = {1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0};
    const double want[3 * 2] = {15.5, 0.5, 5.5, 1.5, 1.5, -1.5};
    double y[3 * 2];
    reference_matmul(3, 5, 2, x, w, bias, y);
    assert_within(difference_f64(y, want, 6), 0, "matmul with bias");
    reference_matmul(1, 5, 2, x, w, NULL, y);
    assert_true(y[0] == 15 && y[1] == 1);
}

static void activations(void **state)
{
    (void)state;
    // torch 2.15 in float64
    // clang-format off
    static const struct { enum Activation kind; double x, y; } known[] = {
        {ACTIVATION_GELU_TANH, 1, 0.8411919906082768},   {ACTIVATION_GELU_TANH, -2, -0.04540230591222494},
        {ACTIVATION_GELU_ERF, 1, 0.841344746068543},    {ACTIVATION_GELU_ERF, -2, -0.04550026389635842},
        {ACTIVATION_RELU, 1.5, 1.5},                     {ACTIVATION_RELU, -1.5, 0},
        {ACTIVATION_SILU, 1, 0.7310585786300049},        {ACTIVATION_SILU, -2, -0.2384058440442351},
        {ACTIVATION_QUICK_GELU, 1, 0.8457957659328212},  {ACTIVATION_QUICK_GELU, -2, -0.06434137685579186},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double y = reference_activation(known[i].kind, known[i].x);
        assert_within(difference_f64(&y, &known[i].y, 1), 1e-12, "activation %d of %g", known[i].kind, known[i].x);
        assert_true(isnan(reference_activation(known[i].kind, NAN)));
        assert_true(reference_activation(known[i].kind, 1000) == 1000); // the exponentials overflow nowhere
        assert_true(fabs(reference_activation(known[i].kind, -1000)) < 1e-300);
    }
}

// A query on a cache gives the same result as that row among all rows; scores are scaled, and softmax does not
// overflow.
static void attend_rows_and_steps(void **state)
{
    (void)state;
    enum { T = 7, HEADS = 3, SIZE = 5, DIM = HEADS * SIZE };
    double q[T * DIM], k[T * DIM], v[T * DIM], all[T * DIM], step[DIM];
    for (uint32_t i = 0; i < T * DIM; i++) {
        uint32_t word[4];
        reference_philox((uint32_t[2]){1, 2}, (uint32_t[4]){i, 0, 0, 0}, word);
        q[i] = word[0] * 0x1p-31 - 1, k[i] = word[1] * 0x1p-31 - 1, v[i] = word[2] * 0x1p-31 - 1;
    }
    reference_attend(T, 0, HEADS, SIZE, q, k, v, 0.7, 0, all);
    assert_within(difference_f64(all, v, DIM), 1e-15, "the first row sees itself only");
    for (size_t t = 0; t < T; t++) {
        reference_attend(1, t, HEADS, SIZE, q + t * DIM, k, v, 0.7, 0, step);
        assert_within(difference_f64(step, all + t * DIM, DIM), 0, "row %zu alone", t);
    }

    // a window of 3 gives the result of the last 3 positions alone; a window of 7 has no effect
    reference_attend(T, 0, HEADS, SIZE, q, k, v, 0.7, 3, all);
    for (size_t t = 0; t < T; t++) {
        size_t start = t < 3 ? 0 : t - 2;
        const double *K = k + start * DIM, *V = v + start * DIM;
        reference_attend(1, t - start, HEADS, SIZE, q + t * DIM, K, V, 0.7, 0, step);
        assert_within(difference_f64(step, all + t * DIM, DIM), 0, "row %zu in a window", t);
        reference_attend(1, t, HEADS, SIZE, q + t * DIM, k, v, 0.7, 3, step);
        assert_within(difference_f64(step, all + t * DIM, DIM), 0, "row %zu in a window, alone", t);
    }
    reference_attend(T, 0, HEADS, SIZE, q, k, v, 0.7, 0, all);
    reference_attend(1, T - 1, HEADS, SIZE, q + (T - 1) * DIM, k, v, 0.7, T, step);
    assert_within(difference_f64(step, all + (T - 1) * DIM, DIM), 0, "a window as wide as the rows");

    // two positions by hand: scores 3 and 1 (times 200: the exponentials must not overflow)
    const double two_q[1] = {1}, two_k[2] = {3, 1}, two_v[2] = {10, 20};
    double got;
    reference_attend(1, 1, 1, 1, two_q, two_k, two_v, 0.5, 0, &got);
    const double e = exp(-1), want = (10 + 20 * e) / (1 + e);
    assert_within(difference_f64(&got, &want, 1), 1e-14, "softmax of two");
    reference_attend(1, 1, 1, 1, two_q, two_k, two_v, 1000, 0, &got);
    assert_true(got == 10);
}

// The data of a test on a fixture. It is opened and closed around the test, so that a failed test leaves nothing
// behind.
struct Case {
    const char *name;
    struct Fixture fixture;
    struct Checkpoint checkpoint;
};

static int case_open(void **state)
{ // *state: a name, then a struct Case
    struct Case *c = calloc(1, sizeof *c);
    if (!c) return -1;
    vkgpt_error err = {0};
    c->name = *state;
    *state = c;
    int code = fixture_open(c->name, &c->fixture, &err);
    if (!code) code = checkpoint_open(c->fixture.dir, &c->checkpoint, &err);
    if (code) print_error("%s\n", err.text);
    return code;
}

static int case_close(void **state)
{
    struct Case *c = *state;
    checkpoint_close(&c->checkpoint);
    fixture_close(&c->fixture);
    free(c);
    return 0;
}

static double *run(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count)
{
    vkgpt_error err = {0};
    double *logits = calloc(count * checkpoint->config.vocab, sizeof *logits);
    assert_non_null(logits);
    if (reference_forward(checkpoint, ids, count, logits, &err)) fail_msg("%s", err.text);
    return logits;
}

static size_t argmax(const double *x, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void check_logits(const char *name, const struct Fixture *f, const struct Checkpoint *checkpoint)
{
    const size_t V = f->vocab;
    double *logits = run(checkpoint, f->ids, f->id_count);
    assert_true(f->row_count > 0 && f->greedy_count > 0);
    for (size_t r = 0; r < f->row_count; r++) {
        const float *row = f->logits + r * V;
        struct Difference d = {0};
        for (size_t i = 0; i < V; i++) difference_take(&d, i, logits[f->rows[r] * V + i], (double)row[i]);
        assert_within(d, 1e-6 * scale_f32(row, V), "%s: logits of row %u", name, f->rows[r]);
    }
    for (size_t i = 0; i < f->greedy_count; i++)
        assert_int_equal(argmax(logits + (f->prompt_count - 1 + i) * V, V), f->greedy[i]);
    free(logits);
}

// Perplexity in strided windows, as transformers' documentation defines it: each window scores only tokens that no
// earlier window scored.
static void check_windows(const char *name, const struct Fixture *f, const struct Checkpoint *checkpoint,
                          struct FixtureWindow window)
{
    double total = 0;
    size_t scored = 0, previous = 0;
    for (size_t begin = 0; previous < f->text_count; begin += window.stride) {
        size_t end = begin + f->context < f->text_count ? begin + f->context : f->text_count;
        double *logits = run(checkpoint, f->text + begin, end - begin);
        for (size_t t = previous > begin + 1 ? previous : begin + 1; t < end; t++, scored++)
            total += reference_nll(logits + (t - 1 - begin) * f->vocab, f->vocab, f->text[t]);
        previous = end;
        free(logits);
    }
    double mean = total / (double)scored;
    assert_int_equal(scored, window.scored);
    assert_within(difference_f64(&mean, &window.nll, 1), 1e-9 * window.nll, "%s: nll, stride %u", name, window.stride);
}

static void check_nll(const char *name, const struct Fixture *f, const struct Checkpoint *checkpoint)
{
    if (f->nll_count == 0) return;
    double *logits = run(checkpoint, f->text, f->nll_count + 1);
    for (size_t t = 0; t < f->nll_count; t++) {
        double nll = reference_nll(logits + t * f->vocab, f->vocab, f->text[t + 1]);
        assert_within(difference_f64(&nll, &f->nll[t], 1), 1e-8, "%s: nll of token %zu", name, t + 1);
    }
    free(logits);
    for (size_t i = 0; i < f->window_count; i++) check_windows(name, f, checkpoint, f->windows[i]);
}

static void forward_is_transformers(void **state)
{
    const struct Case *c = *state;
    assert_int_equal(c->checkpoint.config.vocab, c->fixture.vocab);
    assert_int_equal(c->checkpoint.config.context, c->fixture.context);
    check_logits(c->name, &c->fixture, &c->checkpoint);
    check_nll(c->name, &c->fixture, &c->checkpoint);
}

static void forward_refuses_what_does_not_fit(void **state)
{
    const struct Case *c = *state;
    vkgpt_error err = {0};
    uint32_t ids[38] = {0};
    double none; // nothing is written to it
    assert_int_equal(reference_forward(&c->checkpoint, ids, 0, &none, &err), VKGPT_BAD_ARGUMENT);
    assert_int_equal(reference_forward(&c->checkpoint, ids, 38, &none, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "38 tokens, the model takes 1 to 37");
    ids[2] = 307;
    assert_int_equal(reference_forward(&c->checkpoint, ids, 3, &none, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "token 2 is 307, the vocabulary has 307");
}

// The writer of synthetic models, with shapes and formats that no fixture has.
static void synthetic_models_open(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct SyntheticModel m = {.layers = 2, .heads = 3, .dim = 45, .inner = 77, .context = 37, .vocab = 307};
        m.seed = 5, m.dtype = (enum Dtype)kind, m.activation = ACTIVATION_RELU, m.separate_head = kind == 1;
        struct Checkpoint checkpoint = {0};
        vkgpt_error err = {0};
        char dir[1024];
        if (synthetic_model_temporary(&m, dir, sizeof dir, &err)) fail_msg("%s", err.text);
        int code = checkpoint_open(dir, &checkpoint, &err);
        synthetic_model_remove(dir); // the mapping outlives the file
        if (code) fail_msg("%s", err.text);
        assert_int_equal(checkpoint.config.inner, 77);
        assert_int_equal(checkpoint.config.activation, ACTIVATION_RELU);
        assert_int_equal(checkpoint.config.tied_head, !m.separate_head);
        const uint32_t ids[3] = {1, 2, 306};
        double *logits = run(&checkpoint, ids, 3);
        double scale = scale_f64(logits, 3 * 307);
        assert_true(scale > 3 && scale < 50);
        free(logits);
        checkpoint_close(&checkpoint);
    }
}

int main(void)
{
    enum { MOST = 64 };
    struct CMUnitTest tests[MOST] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(norm_of_known_rows),
        cmocka_unit_test(matmul_of_odd_sizes),
        cmocka_unit_test(activations),
        cmocka_unit_test(attend_rows_and_steps),
        cmocka_unit_test(synthetic_models_open),
        {"forward_refuses_what_does_not_fit", forward_refuses_what_does_not_fit, case_open, case_close,
         (void *)(uintptr_t)fixture_name(0)},
    };
    size_t count = 7;
    const char *(*const lists[])(size_t) = {fixture_name, fixture_family_name};
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; lists[list](i) && count < MOST; i++) {
            const char *name = lists[list](i);
            tests[count++] =
                (struct CMUnitTest){name, forward_is_transformers, case_open, case_close, (void *)(uintptr_t)name};
        }
    return _cmocka_run_group_tests("reference", tests, count, NULL, NULL);
}
