// pytorch_model.bin: files that PyTorch wrote (tools/fixtures_torch.py), pickles and archives made by hand with one
// error each, and some thousand files with random damage.

// The pickles stand as one text each, however many literals they are of.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/pickle.h"
#include "model/table.h"
#include "model/torch_zip.h"
#include "model_files.h"

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/torch/"

// --------------------------------------------------------------------------------------------- PyTorch's own

static void open_fixture(const char *name, struct Checkpoint *c)
{
    char path[DIR_BYTES];
    vkgpt_error err;
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    if (checkpoint_open(path, c, &err)) fail_msg("%s", err.text);
    tiny_check(c);
}

// An OrderedDict with _metadata, as Module.state_dict() gives it; the head shares wte's storage.
static void test_metadata(void **state)
{
    (void)state;
    struct Checkpoint c;
    open_fixture("metadata", &c);
    const struct Tensor *head = table_find(&c.table, "lm_head.weight");
    assert_non_null(head);
    assert_ptr_equal(head->data, c.wte.tensor->data);
    assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
    assert_string_equal(c.wte.tensor->name, "transformer.wte.weight");
    checkpoint_close(&c);
}

static void test_strided(void **state)
{
    (void)state;
    struct Checkpoint c;
    open_fixture("strided", &c);
    const struct Tensor *t = c.layers[0].c_attn.tensor;
    assert_int_equal(t->dtype, DTYPE_F16);
    assert_true(t->stride[0] == 1 && t->stride[1] == 8);
    assert_int_equal(t->bytes, 8 * 24 * 2);
    checkpoint_close(&c);
}

static void test_parameters(void **state)
{
    (void)state;
    struct Checkpoint c;
    open_fixture("parameters", &c);
    assert_int_equal(c.wte.tensor->dtype, DTYPE_BF16);
    assert_int_equal(c.ln_f_gain.tensor->dtype, DTYPE_F32);
    assert_int_equal(table_find(&c.table, "h.0.attn.masked_bias")->rank, 0);
    assert_null(table_find(&c.table, "step"));
    checkpoint_close(&c);
}

static void test_sharded(void **state)
{
    (void)state;
    struct Checkpoint c;
    open_fixture("sharded", &c);
    assert_int_equal(c.table.file_count, 2);
    checkpoint_close(&c);
}

// The form before PyTorch 1.6, and the protocols of pickles that PyTorch can write.
static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum Dtype dtype;
    } forms[] = {{"legacy", DTYPE_F32}, {"legacy-4", DTYPE_F16}, {"protocol-4", DTYPE_F64}, {"protocol-5", DTYPE_BF16}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct Checkpoint c;
        open_fixture(forms[i].name, &c);
        assert_int_equal(c.wte.tensor->dtype, forms[i].dtype);
        assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
        assert_ptr_equal(table_find(&c.table, "lm_head.weight")->data, c.wte.tensor->data);
        checkpoint_close(&c);
    }
}

// ------------------------------------------------------------------------------------------- pickles by hand

static void add_string(struct Bytes *p, const char *text)
{
    bytes_text(p, "X");
    bytes_number(p, strlen(text), 4);
    bytes_text(p, text);
}

static void add_pair(struct Bytes *p, int64_t a, int64_t b) // two LONG1 and TUPLE2
{
    bytes_text(p, "\x8a\x08");
    bytes_number(p, (uint64_t)a, 8);
    bytes_text(p, "\x8a\x08");
    bytes_number(p, (uint64_t)b, 8);
    bytes_text(p, "\x86");
}

struct View {
    const char *name, *key, *storage;
    int64_t elements, offset, shape[2], stride[2];
};

static const struct View good_view = {"x", "0", "FloatStorage", 6, 0, {2, 3}, {3, 1}};

// {name: _rebuild_tensor_v2(storage, offset, shape, stride, False, OrderedDict())}
static struct Bytes pickle_of(const struct View *v)
{
    struct Bytes p = {0};
    bytes_text(&p, "\x80\x02}q");
    bytes_number(&p, 0, 1);
    add_string(&p, v->name);
    bytes_text(&p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_string(&p, "storage");
    bytes_text(&p, "ctorch\n");
    bytes_text(&p, v->storage);
    bytes_text(&p, "\n");
    add_string(&p, v->key);
    add_string(&p, "cpu");
    bytes_text(&p, "\x8a\x08");
    bytes_number(&p, (uint64_t)v->elements, 8);
    bytes_text(&p, "tQ\x8a\x08");
    bytes_number(&p, (uint64_t)v->offset, 8);
    add_pair(&p, v->shape[0], v->shape[1]);
    add_pair(&p, v->stride[0], v->stride[1]);
    bytes_text(&p, "\x89" "ccollections\nOrderedDict\n)RtRs.");
    return p;
}

static int read_bytes(const struct Bytes *p, vkgpt_error *err)
{
    struct PickleTensor *list;
    size_t count;
    // a copy of the exact size, so that a read past the end is found
    uint8_t *exact = malloc(p->count ? p->count : 1);
    if (p->count) memcpy(exact, p->data, p->count);
    int code = pickle_read("file.bin", exact, p->count, &list, &count, err);
    free(exact);
    for (size_t i = 0; !code && i < count; i++) assert_true(list[i].rank <= TENSOR_MAX_RANK && list[i].key[0]);
    pickle_free(list, count);
    return code;
}

static void test_views(void **state)
{
    (void)state;
    const int64_t big = INT64_MAX;
    static const int64_t four = INT64_C(1) << 62;
    struct View bad[] = {
        {"x", "0", "FloatStorage", 6, 1, {2, 3}, {3, 1}},        // one element past the end
        {"x", "0", "FloatStorage", 5, 0, {2, 3}, {3, 1}},
        {"x", "0", "FloatStorage", 6, -1, {2, 3}, {3, 1}},
        {"x", "0", "FloatStorage", 6, 0, {2, -3}, {3, 1}},
        {"x", "0", "FloatStorage", 6, 0, {2, 3}, {-3, 1}},
        {"x", "0", "FloatStorage", 6, 0, {big, big}, {big, big}},
        {"x", "0", "FloatStorage", 6, 0, {3, 3}, {four, four}},  // wraps to 0
        {"x", "0", "FloatStorage", 6, big, {2, 3}, {3, 1}},
        {"x", "0", "FloatStorage", 6, 7, {0, 3}, {3, 1}},        // no elements, past the end
        {"x", "0", "FloatStorage", big, 0, {2, 3}, {3, 1}},      // bytes overflow
        {"x", "0", "FloatStorage", -6, 0, {2, 3}, {3, 1}},
        {"x", "0", "FloatStorage", 6, 0, {four, 4}, {0, 0}},     // the product of the sizes overflows
        {"x", "0", "FloatStorage", 6, 0, {0, four}, {four, four}}, // no elements; the other sizes are too large
        {"x", "0/../1", "FloatStorage", 6, 0, {2, 3}, {3, 1}},
        {"x", "", "FloatStorage", 6, 0, {2, 3}, {3, 1}},
        {"x", "0", "QInt8Storage", 6, 0, {2, 3}, {3, 1}},
    };
    vkgpt_error err;
    struct Bytes p = pickle_of(&good_view);
    for (p.data[1] = 2; p.data[1] <= 5; p.data[1]++) // any protocol
        if (read_bytes(&p, &err)) fail_msg("%s", err.text);
    bytes_free(&p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p = pickle_of(&bad[i]);
        int code = read_bytes(&p, &err);
        if (!code) fail_msg("accepted view %zu", i);
        expect_sentence(code, VKGPT_BAD_FILE, &err, "file.bin", "byte", NULL);
        bytes_free(&p);
    }
    p = pickle_of(&bad[0]);
    expect_sentence(read_bytes(&p, &err), VKGPT_BAD_FILE, &err, "(2, 3)", "(3, 1)", "offset 1", "storage 0 of 6", NULL);
    bytes_free(&p);
}

// Each row: a pickle, and a word of its sentence.
#define P(text) text, sizeof(text) - 1
static const struct {
    const char *text;
    size_t count;
    const char *word;
} BAD_PICKLES[] = {
    {P(""), "ends at byte 0"},
    {P("\x80"), "ends"},
    {P("\x80\x06}."), "protocol 6, not 2 to 5"},
    {P("\x80\x01}."), "protocol 1, not 2 to 5"},
    {P("\x80\x04\x8c\x05x."), "ends"},         // SHORT_BINUNICODE
    {P("\x80\x04\x8d\x01\0\0\0\0\0\0\x80x."), "ends"},
    {P("\x80\x04\x94."), "remember"},
    {P("\x80\x04\x95\x04\0\0\0\0\0\0\0}."), "frame"},
    {P("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff}."), "frame"},
    {P("\x80\x04\x95\x02\0}."), "ends"},
    {P("\x80\x04\x93."), "two texts"},
    {P("\x80\x04\x8c\x01xN\x93."), "two texts"},
    {P("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R."), "os.system"},
    {P("\x80\x04\x8c\x05torch\x8c\x0c" "FloatStorage\x93)R."), "only names a type"},
    {P("\x80\x04\x8f."), "0x8f, which no saved state dict of protocol 4"}, // EMPTY_SET
    {P("\x80\x05\x97."), "0x97"},             // NEXT_BUFFER
    {P("\x80\x03\x94."), "0x94"},             // MEMOIZE, in a pickle of an older protocol
    {P("\x80\x02U\x05x."), "ends"},
    {P("\x80\x02T\xff\xff\xff\xffx."), "ends"},
    {P("\x80\x02" "ccollections\nOrderedDict\n](K\x01K\x02K\x03ta\x85R."), "not made of pairs"},
    {P("\x80\x02" "ccollections\nOrderedDict\n]K\x01" "a\x85R."), "not made of pairs"},
    {P("\x80\x02"), "without a STOP"},
    {P("\x80\x02."), "no state dict"},
    {P("\x80\x02]."), "no state dict"},
    {P("\x80\x02("), "without a STOP"},
    {P("\x80\x02(."), "no state dict"},
    {P("\x80\x02}(."), "no state dict"},
    {P("\x80\x02" "cos\nsystem\n(X\x02\0\0\0lstR."), "os.system"},
    {P("\x80\x02" "cbuiltins\neval\n)R."), "builtins.eval"},
    {P("\x80\x02" "c__builtin__\nget\x1b[1mattr\n)R."), "__builtin__.get?[1mattr"},
    {P("\x80\x02" "ctorch\n_load\n)R."), "torch._load"},
    {P("\x80\x02" "ctorch.storage\nFloatStorage\n)R."), "torch.storage.FloatStorage"},
    {P("\x80\x02" "ctorch._utils\n_rebuild_qtensor\n)R."), "_rebuild_qtensor"},
    {P("\x80\x02" "ctorch\nFloatStorage\n)R."), "only names a type"},
    {P("\x80\x02" "ctorch\nFloat"), "ends"},
    {P("\x80\x02" "ccollections\nOrderedDict\n(K\x01tR."), "OrderedDict"},
    {P("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n)R."), "_rebuild_tensor_v2"},
    {P("\x80\x02" "ctorch._utils\n_rebuild_parameter\n)R."), "parameter"},
    {P("\x80\x02i"), "0x69"},                  // INST
    {P("\x80\x02)\x81."), "0x81"},             // NEWOBJ
    {P("\x80\x02" "C\x01x."), "0x43"},         // BINBYTES, protocol 3
    {P("\x80\x02\x8c\x01x."), "0x8c"},         // SHORT_BINUNICODE, protocol 4
    {P("\x80\x02" "0."), "0x30"},              // POP
    {P("\x80\x02Pid\n."), "0x50"},             // PERSID
    {P("\x80\x02t."), "mark"},
    {P("\x80\x02u."), "mark"},
    {P("\x80\x02\x86."), "tuple"},
    {P("\x80\x02(N\x86."), "tuple"},
    {P("\x80\x02Ns."), "collection"},
    {P("\x80\x02NNNs."), "collection"},
    {P("\x80\x02}NNNs."), "collection"},
    {P("\x80\x02}(Nu."), "collection"},
    {P("\x80\x02}Na."), "collection"},
    {P("\x80\x02]}b."), "state"},
    {P("\x80\x02}b."), "state"},
    {P("\x80\x02R."), "call"},
    {P("\x80\x02NNR."), "call"},
    {P("\x80\x02Q."), "persistent id"},
    {P("\x80\x02NQ."), "persistent id"},
    {P("\x80\x02(X\x06\0\0\0moduleNNNNtQ."), "persistent id"},
    {P("\x80\x02h\x05."), "memo"},
    {P("\x80\x02q\x00"), "remember"},
    {P("\x80\x02(q\x00"), "remember"},
    {P("\x80\x02}r\xff\xff\xff\xff."), "memo"},
    {P("\x80\x02j\xff\xff\xff\xff."), "memo"},
    {P("\x80\x02X\xff\xff\xff\xffx."), "ends"},
    {P("\x80\x02X\x01"), "ends"},
    {P("\x80\x02G123."), "ends"},
    {P("\x80\x02\x8a\x09" "123456789."), "64 bits"},
    {P("\x80\x02\x8a\x04" "12"), "ends"},
};

static void test_bad_pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD_PICKLES / sizeof *BAD_PICKLES; i++) {
        struct Bytes p = {0};
        vkgpt_error err;
        bytes_add(&p, BAD_PICKLES[i].text, BAD_PICKLES[i].count);
        int code = read_bytes(&p, &err);
        if (!code) fail_msg("accepted pickle %zu: %s", i, BAD_PICKLES[i].word);
        expect_sentence(code, VKGPT_BAD_FILE, &err, "file.bin", BAD_PICKLES[i].word, NULL);
        bytes_free(&p);
    }
}

// Files of Python 2: texts are bytes, and an OrderedDict is made from a list of pairs; keys may be added to it as to a
// dict. And of PyTorch before 0.4: _rebuild_tensor.
static void test_python_2(void **state)
{
    (void)state;
#define STORAGE "(U\x07storagectorch\nFloatStorage\nT\x01\0\0\0" "7U\x03" "cpuK\x06NtQ"
#define TENSOR "ctorch._utils\n_rebuild_tensor\n(" STORAGE "K\x00K\x02K\x03\x86K\x03K\x01\x86tR"
    struct Bytes p = {0};
    bytes_add(&p, P("\x80\x02" "ccollections\nOrderedDict\n](](U\x01" "a" TENSOR "e](U\x01nK\x05" "e(U\x01" "b" TENSOR "te\x85R" "U\x01" "c" TENSOR "s."));
    struct PickleTensor *list;
    size_t count;
    vkgpt_error err;
    if (pickle_read("file.bin", p.data, p.count, &list, &count, &err)) fail_msg("%s", err.text);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_true(list[i].name[0] == (char)('a' + i) && list[i].name[1] == 0);
        assert_string_equal(list[i].key, "7");
        assert_true(list[i].elements == 6 && list[i].shape[1] == 3 && list[i].stride[0] == 3);
    }
    pickle_free(list, count);
    bytes_free(&p);
    bytes_add(&p, P("\x80\x02(U\x07storagectorch\nFloatStorage\nU\x01" "7U\x03" "cpuK\x06U\x01vK\x00K\x03\x87tQ."));
    expect_sentence(read_bytes(&p, &err), VKGPT_BAD_FILE, &err, "part of another one", NULL);
    bytes_free(&p);
}

// Deep and wide: no recursion, no exponential growth. A dict that contains itself is freed once.
static void test_large_pickles(void **state)
{
    (void)state;
    struct Bytes p = {0};
    vkgpt_error err;
    for (int times = 1; times <= 2; times++) {
        bytes_text(&p, "\x80\x02}N");
        for (int i = 0; i < times * 100000; i++) bytes_text(&p, "\x85"); // (((None,),),)...
        for (int i = 0; i < times * 100000; i++) bytes_text(&p, "(");
        bytes_text(&p, ".");
        expect_sentence(read_bytes(&p, &err), VKGPT_BAD_FILE, &err,
                        times == 1 ? "no state dict" : "take more memory than", NULL);
        bytes_free(&p);
    }
    bytes_text(&p, "\x80\x02}q\x01h\x01h\x01s.");
    assert_int_equal(read_bytes(&p, &err), 0);
    bytes_free(&p);
    p.data = calloc(1, p.count = (8u << 20) + 1);
    expect_sentence(read_bytes(&p, &err), VKGPT_BAD_FILE, &err, "8388609", "8388608", NULL);
    bytes_free(&p);
}

// ------------------------------------------------------------------------------------------ archives by hand

struct Entry {
    const char *name;
    struct Bytes data;
    uint64_t local;
};

struct Wrong { // values to write instead of the right ones, if not 0
    int method, flags;
    uint32_t size, local;
    uint64_t directory;
    int field; // bytes that the zip64 field claims
};

static void add_local(struct Bytes *zip, struct Entry *e)
{
    e->local = zip->count;
    bytes_text(zip, "PK\x03\x04");
    bytes_number(zip, 0, 22); // sizes and the other fields are only in the directory
    bytes_number(zip, strlen(e->name), 2);
    bytes_number(zip, 3, 2);
    bytes_text(zip, e->name);
    bytes_text(zip, "pad");
    bytes_add(zip, e->data.data, e->data.count);
}

static void add_central(struct Bytes *zip, const struct Entry *e, const struct Wrong *wrong, bool zip64)
{
    uint64_t size = wrong->size ? wrong->size : e->data.count, local = wrong->local ? wrong->local : e->local;
    bytes_text(zip, "PK\x01\x02");
    bytes_number(zip, 0, 4);
    bytes_number(zip, (uint64_t)wrong->flags, 2);
    bytes_number(zip, (uint64_t)wrong->method, 2);
    bytes_number(zip, 0, 8);
    bytes_number(zip, zip64 ? UINT32_MAX : size, 4);
    bytes_number(zip, zip64 ? UINT32_MAX : size, 4);
    bytes_number(zip, strlen(e->name), 2);
    bytes_number(zip, zip64 ? 33 : 0, 2);
    bytes_number(zip, 0, 10);
    bytes_number(zip, zip64 ? UINT32_MAX : local, 4);
    bytes_text(zip, e->name);
    if (!zip64) return;
    bytes_number(zip, 0x4246, 2); // another field first
    bytes_number(zip, 1, 2);
    bytes_number(zip, 0, 1);
    bytes_number(zip, 1, 2);
    bytes_number(zip, wrong->field ? (uint64_t)wrong->field : 24, 2);
    bytes_number(zip, size, 8);
    bytes_number(zip, size, 8);
    bytes_number(zip, local, 8);
}

static struct Bytes zip_of(struct Entry *entries, size_t count, const struct Wrong *wrong, bool zip64)
{
    struct Bytes zip = {0};
    for (size_t i = 0; i < count; i++) add_local(&zip, &entries[i]);
    uint64_t start = zip.count, at = wrong->directory ? wrong->directory : start;
    for (size_t i = 0; i < count; i++) add_central(&zip, &entries[i], wrong, zip64);
    uint64_t end = zip.count;
    if (zip64) {
        bytes_text(&zip, "PK\x06\x06");
        bytes_number(&zip, 44, 8);
        bytes_number(&zip, 0, 12);
        bytes_number(&zip, count, 8);
        bytes_number(&zip, count, 8);
        bytes_number(&zip, end - start, 8);
        bytes_number(&zip, at, 8);
        bytes_text(&zip, "PK\x06\x07");
        bytes_number(&zip, 0, 4);
        bytes_number(&zip, end, 8);
        bytes_number(&zip, 1, 4);
    }
    bytes_text(&zip, "PK\x05\x06");
    bytes_number(&zip, 0, 4);
    bytes_number(&zip, zip64 ? UINT16_MAX : count, 2);
    bytes_number(&zip, zip64 ? UINT16_MAX : count, 2);
    bytes_number(&zip, zip64 ? UINT32_MAX : end - start, 4);
    bytes_number(&zip, zip64 ? UINT32_MAX : at, 4);
    bytes_number(&zip, 4, 2);
    bytes_text(&zip, "note");
    return zip;
}

static int read_zip(const struct Bytes *zip, struct TensorTable *table, vkgpt_error *err)
{
    char path[2 * DIR_BYTES];
    *table = (struct TensorTable){0};
    file_write(test_dir, "pytorch_model.bin", zip->data, zip->count);
    snprintf(path, sizeof path, "%s/pytorch_model.bin", test_dir);
    return torch_read(path, table, err);
}

static void expect_zip_error(struct Entry *entries, size_t count, const struct Wrong *wrong, const char *word,
                             const char *other)
{
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct TensorTable table;
        vkgpt_error err;
        struct Bytes zip = zip_of(entries, count, wrong, zip64);
        int code = read_zip(&zip, &table, &err);
        if (!code) fail_msg("accepted: %s", word);
        expect_sentence(code, VKGPT_BAD_FILE, &err, "pytorch_model.bin", word, other, NULL);
        table_free(&table);
        bytes_free(&zip);
    }
}

// A zip64 field that is too short for its numbers, or longer than its space.
static void test_zip64_field(void **state)
{
    (void)state;
    struct Entry e = {"m/data.pkl", pickle_of(&good_view), 0};
    for (int field = 8; field < 100; field += 42) {
        struct TensorTable table;
        vkgpt_error err;
        struct Bytes zip = zip_of(&e, 1, &(struct Wrong){.field = field}, true);
        expect_sentence(read_zip(&zip, &table, &err), VKGPT_BAD_FILE, &err, "entry 0", "damaged", NULL);
        table_free(&table);
        bytes_free(&zip);
    }
    bytes_free(&e.data);
}

static void test_archives(void **state)
{
    (void)state;
    static const struct Wrong none = {0};
    struct Bytes storage = {0}, little = {0}, big = {0};
    for (int i = 0; i < 6; i++) bytes_number(&storage, 0x3f800000, 4); // 1.0
    bytes_text(&little, "little");
    bytes_text(&big, "big");
    struct Entry e[] = {{"m/data.pkl", pickle_of(&good_view), 0}, {"m/byteorder", little, 0}, {"m/data/0", storage, 0}};

    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct TensorTable table;
        vkgpt_error err;
        struct Bytes zip = zip_of(e, 3, &none, zip64);
        if (read_zip(&zip, &table, &err)) fail_msg("%s", err.text);
        assert_int_equal(table.count, 1);
        assert_true(weight_max_abs(&(struct Weight){&table.tensors[0], false}) == 1);
        table_free(&table);
        bytes_free(&zip);
    }
    expect_zip_error(e, 3, &(struct Wrong){.method = 8}, "compressed", "method 8");
    expect_zip_error(e, 3, &(struct Wrong){.flags = 1}, "encrypted", NULL);
    expect_zip_error(e, 3, &(struct Wrong){.size = 99999}, "99999 bytes", "does not fit");
    expect_zip_error(e, 3, &(struct Wrong){.local = 7}, "byte 7", "no header");
    expect_zip_error(e, 3, &(struct Wrong){.local = 0x7fffffff}, "2147483647", NULL);
    expect_zip_error(e, 3, &(struct Wrong){.directory = 0x7fffffff}, "2147483647", "does not fit");
    expect_zip_error(e, 3, &(struct Wrong){.directory = 1}, "entry 0", "damaged");
    expect_zip_error(e, 2, &none, "storage 0", "tensor x");
    expect_zip_error(e + 1, 2, &none, "data.pkl", NULL);
    e[2].data.count = 20;
    expect_zip_error(e, 3, &none, "24 bytes", "20");
    e[2].name = "m/data.pkl";
    expect_zip_error(e, 3, &none, "entry 2", "earlier");
    e[1].data = big;
    expect_zip_error(e, 2, &none, "byte order", NULL);
    bytes_free(&e[0].data);
    bytes_free(&storage);
    bytes_free(&little);
    bytes_free(&big);
}

static void expect_plain_error(const void *data, size_t count, const char *word)
{
    struct TensorTable table;
    vkgpt_error err;
    struct Bytes bytes = {0};
    bytes_add(&bytes, data, count);
    expect_sentence(read_zip(&bytes, &table, &err), VKGPT_BAD_FILE, &err, "pytorch_model.bin", word, NULL);
    table_free(&table);
    bytes_free(&bytes);
}

// The parts of the older form's stream, each of which may be wrong. The count of storage 7 follows the pickles.
struct Stream {
    const char *version, *object, *keys;
    size_t object_bytes, keys_bytes;
    uint64_t count;
    size_t values; // bytes after the count
};

static struct Bytes stream_of(const struct Stream *s)
{
    struct Bytes file = {0};
    bytes_add(&file, P("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."));
    bytes_text(&file, s->version);
    bytes_text(&file, "\x80\x02}.");
    bytes_add(&file, s->object, s->object_bytes);
    bytes_add(&file, s->keys, s->keys_bytes);
    bytes_number(&file, s->count, 8);
    for (size_t i = 0; i < s->values; i++) bytes_number(&file, i % 4 ? 0 : 0x3f, 1);
    return file;
}

static void test_legacy_damage(void **state)
{
    (void)state;
#define VERSION_1001 "\x80\x02M\xe9\x03."
#define KEYS P("\x80\x02]U\x01" "7a.")
#define OBJECT P("\x80\x02}U\x01" "a" TENSOR "s.")
#define OTHER "(U\x07storagectorch\nHalfStorage\nU\x01" "7U\x03" "cpuK\x06NtQ"
    const struct {
        const char *version, *object;
        size_t object_bytes;
        const char *keys;
        size_t keys_bytes;
        uint64_t count;
        size_t values;
        const char *words;
    } bad[] = {
        {VERSION_1001, OBJECT, KEYS, 6, 24, NULL},
        {VERSION_1001, OBJECT, KEYS, 6, 30, NULL}, // bytes after the values are ignored
        {"\x80\x02M\xe8\x03.", OBJECT, KEYS, 6, 24, "in version 1000, and only 1001"},
        {"\x80\x02}.", OBJECT, KEYS, 6, 24, "no version"},
        {"\x80\x02(.", OBJECT, KEYS, 6, 24, "no version"},
        {VERSION_1001, P("\x80\x02]."), P("\x80\x02]."), 6, 24, "no state dict"},
        {VERSION_1001, OBJECT, P("\x80\x02}."), 6, 24, "no list of storages"},
        {VERSION_1001, OBJECT, P("\x80\x02(."), 6, 24, "no list of storages"},
        {VERSION_1001, OBJECT, P("\x80\x02]K\x07" "a."), 6, 24, "the key of a storage is not a text"},
        {VERSION_1001, OBJECT, P("\x80\x02]U\x01" "8a."), 6, 24, "storage 8 is not one of the state dict"},
        {VERSION_1001, OBJECT, P("\x80\x02]."), 6, 24, "tensor a is in storage 7, which the file does not have"},
        {VERSION_1001, OBJECT, P("\x80\x02](U\x01" "7U\x01" "7e."), 6, 24, "storage 7 is listed twice"},
        {VERSION_1001, OBJECT, P("\x80\x02]N2."), 6, 24, "0x32"},
        {VERSION_1001, P("\x80\x02}U\x01" "a" TENSOR "sU\x01" "b" OTHER "s."), KEYS, 6, 24, "storage 7 is named twice"},
        {VERSION_1001, OBJECT, KEYS, 5, 24, "storage 7 holds 5 elements, and the state dict says 6"},
        {VERSION_1001, OBJECT, KEYS, UINT64_MAX, 24, "18446744073709551615 elements"},
        {VERSION_1001, OBJECT, KEYS, 6, 23, "storage 7 takes 24 bytes, and 23 are left"},
        {VERSION_1001, OBJECT, KEYS, 6, 0, "storage 7 takes 24 bytes, and 0 are left"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct TensorTable table;
        vkgpt_error err;
        struct Stream s = {bad[i].version, bad[i].object, bad[i].keys, bad[i].object_bytes, bad[i].keys_bytes, bad[i].count, bad[i].values};
        struct Bytes file = stream_of(&s);
        int code = read_zip(&file, &table, &err);
        if (bad[i].words) {
            if (!code) fail_msg("accepted: %s", bad[i].words);
            expect_sentence(code, VKGPT_BAD_FILE, &err, "pytorch_model.bin", bad[i].words, NULL);
        } else if (code) {
            fail_msg("%s", err.text);
        } else {
            assert_true(table.count == 1 && table.tensors[0].bytes == 24);
        }
        table_free(&table);
        for (size_t cut = 16; !bad[i].words && cut < file.count; cut++) { // anywhere before the end of the values
            struct Bytes shorter = {file.data, cut, cut};
            code = read_zip(&shorter, &table, &err);
            if (cut < file.count - bad[i].values + 24) expect_sentence(code, VKGPT_BAD_FILE, &err, "pytorch_model.bin", NULL);
            else assert_int_equal(code, 0);
            table_free(&table);
        }
        bytes_free(&file);
    }
}

static void test_no_archives(void **state)
{
    (void)state;
    struct Bytes good = file_read(FIXTURES "strided", "pytorch_model.bin");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n";
    char tar[512] = {0};
    memcpy(tar + 257, "ustar", 5);
    expect_plain_error("", 0, "empty");
    expect_plain_error("PK", 2, "2 bytes");
    expect_plain_error(good.data, good.count - 1, "truncated");
    expect_plain_error(good.data, good.count / 2, "truncated");
    expect_plain_error(pointer, strlen(pointer), "Git LFS");
    expect_plain_error(tar, sizeof tar, "before 1.6");
    bytes_free(&good);
}

// ------------------------------------------------------------------------------------------------- mutations

// The pickle of a fixture: from its first opcode to the archive's bytes after it.
static struct Bytes fixture_pickle(const char *name)
{
    char path[DIR_BYTES];
    snprintf(path, sizeof path, "%s%s", FIXTURES, name);
    struct Bytes file = file_read(path, "pytorch_model.bin");
    size_t start = 0, end;
    while (file.data[start] != 0x80 || file.data[start + 1] < 2 || file.data[start + 1] > 5) start++;
    for (end = start; memcmp(file.data + end, "PK\x07\x08", 4) != 0; end++) {}
    memmove(file.data, file.data + start, end - start);
    file.count = end - start;
    return file;
}

static void test_pickle_mutations(void **state)
{
    (void)state;
    static const char *const names[] = {"metadata", "strided", "parameters", "protocol-4"};
    uint64_t seed = 4;
    int good = 0;
    for (int n = 0; n < 4; n++) {
        struct Bytes original = fixture_pickle(names[n]);
        vkgpt_error err;
        if (read_bytes(&original, &err)) fail_msg("%s", err.text);
        for (int i = 0; i < 3000; i++) {
            struct Bytes p = {0};
            bytes_add(&p, original.data, original.count);
            bytes_mutate(&p, &seed);
            int code = read_bytes(&p, &err);
            assert_true(code == 0 || code == VKGPT_BAD_FILE);
            good += code == 0;
            bytes_free(&p);
        }
        bytes_free(&original);
    }
    assert_true(good > 0);
}

static void mutate_file(const char *fixture)
{
    struct Bytes original = file_read(fixture, "pytorch_model.bin");
    uint64_t seed = 5;
    int good = 0;
    for (int i = 0; i < 1500; i++) {
        struct Bytes zip = {0};
        struct TensorTable table;
        vkgpt_error err;
        bytes_add(&zip, original.data, original.count);
        bytes_mutate(&zip, &seed);
        if (read_zip(&zip, &table, &err) == 0) {
            good++;
            for (size_t t = 0; t < table.count; t++)
                if (table.tensors[t].dtype != DTYPE_OTHER && table.tensors[t].rank <= 2)
                    weight_max_abs(&(struct Weight){&table.tensors[t], false});
        }
        table_free(&table);
        bytes_free(&zip);
    }
    assert_true(good > 0);
    bytes_free(&original);
}

static void test_file_mutations(void **state)
{
    (void)state;
    mutate_file(FIXTURES "strided");
    mutate_file(FIXTURES "legacy");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_strided), cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_sharded), cmocka_unit_test(test_forms), cmocka_unit_test(test_views),
        cmocka_unit_test(test_bad_pickles), cmocka_unit_test(test_python_2), cmocka_unit_test(test_large_pickles), TEST(test_archives),
        TEST(test_zip64_field), TEST(test_no_archives), cmocka_unit_test(test_pickle_mutations), TEST(test_file_mutations), TEST(test_legacy_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
