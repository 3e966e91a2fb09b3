// The file of a saved session: every cut and every changed byte is refused, and each forged number has its sentence.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/saved.h"

#include <cmocka.h> // last: it has a macro called fail

#define LAYERS 2
#define POSITION_BYTES 6
#define NOTE "a note"

static char path[64];

static const struct SavedInto INTO = {
    .header = {.magic = {'v', 'k', 'g', 'p', 't', 's', 'e', 's'},
               .version = SAVED_VERSION,
               .kv = 1,
               .model = 77,
               .name = "tales",
               .weights = "f16",
               .layers = LAYERS,
               .position_bytes = POSITION_BYTES},
    .context = 8,
    .vocab = 100,
};

static struct SavedHeader good_header(void)
{
    struct SavedHeader h = INTO.header;
    h.tokens = 5;
    h.cached = 4;
    h.note_bytes = sizeof NOTE - 1;
    return h;
}

// A file with this header, and with the tokens, note and cache that belong to the good one. Returns its bytes.
static size_t make(const struct SavedHeader *h, uint8_t *out)
{
    const uint32_t ids[5] = {1, 2, 3, 4, 99};
    uint8_t *at = out;
    struct Hash hash;
    memcpy(at, h, sizeof *h);
    at += sizeof *h;
    memcpy(at, ids, sizeof ids);
    at += sizeof ids;
    memcpy(at, NOTE, sizeof NOTE - 1);
    at += sizeof NOTE - 1;
    for (size_t i = 0; i < (size_t)2 * LAYERS * 4 * POSITION_BYTES; i++) *at++ = (uint8_t)(i * 7);
    hash_begin(&hash);
    hash_add(&hash, out, (size_t)(at - out));
    uint64_t value = hash_value(&hash);
    memcpy(at, &value, sizeof value);
    return (size_t)(at - out) + sizeof value;
}

static int read_bytes(const uint8_t *data, size_t bytes, struct Saved *saved, vkgpt_error *err)
{
    const struct Mapping file = {.data = data, .bytes = bytes};
    return saved_read(path, &file, &INTO, saved, err);
}

static void test_good(void **state)
{
    (void)state;
    uint8_t data[512];
    struct SavedHeader h = good_header();
    struct Saved saved;
    vkgpt_error err = {0};
    size_t bytes = make(&h, data);
    if (read_bytes(data, bytes, &saved, &err)) fail_msg("%s", err.text);
    assert_memory_equal(saved.note, NOTE, sizeof NOTE - 1);
    assert_ptr_equal(saved.ids, data + sizeof h);
    assert_ptr_equal(saved.cache + 2 * LAYERS * 4 * POSITION_BYTES + 8, data + bytes);
    uint32_t ids[5];
    memcpy(ids, saved.ids, sizeof ids);
    assert_int_equal(saved_check_ids(path, ids, 5, &INTO, &err), 0);
    ids[3] = 100;
    assert_int_equal(saved_check_ids(path, ids, 5, &INTO, &err), VKGPT_BAD_FILE);
    assert_non_null(strstr(err.text, "token 3 is 100, the model has ids below 100"));
}

static void refuse(const uint8_t *data, size_t bytes, const char *what, size_t at)
{
    struct Saved saved;
    vkgpt_error err = {0};
    int code = read_bytes(data, bytes, &saved, &err);
    if (!code || code != (int)err.code || strncmp(err.text, path, strlen(path)) != 0)
        fail_msg("%s %zu: code %d, %s", what, at, code, err.text);
}

static void test_damaged(void **state)
{
    (void)state;
    uint8_t data[512], bad[513];
    struct SavedHeader h = good_header();
    size_t bytes = make(&h, data);
    for (size_t cut = 0; cut < bytes; cut++) refuse(data, cut, "cut at", cut);
    for (size_t at = 0; at < bytes; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, data, bytes);
            bad[at] ^= (uint8_t)(1 << bit);
            refuse(bad, bytes, "changed byte", at);
        }
    memcpy(bad, data, bytes);
    bad[bytes] = 0;
    refuse(bad, bytes + 1, "longer", bytes);
}

// A number of the header that is changed, with a hash that fits.
static const struct Forged {
    size_t offset, bytes;
    uint64_t value;
    int code;
    const char *sentence;
} forged[] = {
#define NUMBER(member) offsetof(struct SavedHeader, member), sizeof(((struct SavedHeader *)0)->member)
    {NUMBER(version), 2, VKGPT_BAD_FILE, "is a saved session of version 2, this vkgpt reads version 1"},
    {NUMBER(kv), 3, VKGPT_BAD_FILE, "unknown format 3"},
    {NUMBER(kv), UINT32_MAX, VKGPT_BAD_FILE, "unknown format 4294967295"},
    {NUMBER(kv), 2, VKGPT_BAD_ARGUMENT, "has a KV cache in q8_0, this one is in f16 (--kv q8_0)"},
    {NUMBER(model), 78, VKGPT_BAD_ARGUMENT, "another model that is called tales: its weights differ"},
    {NUMBER(layers), 3, VKGPT_BAD_FILE, "its cache has 3 layers of 6 bytes a position, the model's has 2 of 6"},
    {NUMBER(layers), UINT32_MAX, VKGPT_BAD_FILE, "its cache has 4294967295 layers"},
    {NUMBER(position_bytes), 7, VKGPT_BAD_FILE, "2 layers of 7 bytes"},
    {NUMBER(tokens), 4, VKGPT_BAD_FILE, "bytes, "},
    {NUMBER(tokens), 10, VKGPT_BAD_ARGUMENT, "has 10 tokens, the context has room for 8"},
    {NUMBER(tokens), UINT32_MAX, VKGPT_BAD_ARGUMENT, "has 4294967295 tokens, the context has room for 8"},
    {NUMBER(tokens), 3, VKGPT_BAD_FILE, "4 of its 3 tokens are in the cache"},
    {NUMBER(cached), 3, VKGPT_BAD_FILE, "bytes, "},
    {NUMBER(cached), 6, VKGPT_BAD_FILE, "6 of its 5 tokens are in the cache"},
    {NUMBER(note_bytes), 5, VKGPT_BAD_FILE, "bytes, "},
    {NUMBER(note_bytes), UINT64_MAX, VKGPT_BAD_FILE,
     "its note has 18446744073709551615 bytes, 16777216 at most can be"},
    {NUMBER(note_bytes), 16777216, VKGPT_BAD_FILE, "bytes, "},
};

static void test_forged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        const struct Forged *f = &forged[i];
        uint8_t data[512];
        struct SavedHeader h = good_header();
        struct Saved saved;
        vkgpt_error err = {0};
        memcpy((uint8_t *)&h + f->offset, &f->value, f->bytes);
        size_t bytes = make(&h, data);
        int code = read_bytes(data, bytes, &saved, &err);
        if (code != f->code || !strstr(err.text, f->sentence))
            fail_msg("%zu: code %d, %s; it should say: %s", i, code, err.text, f->sentence);
    }
}

static void test_names(void **state)
{
    (void)state;
    uint8_t data[512];
    struct SavedHeader h = good_header();
    struct Saved saved;
    vkgpt_error err = {0};
    h.model = 78;
    memset(h.name, 'x', sizeof h.name);
    assert_int_equal(read_bytes(data, make(&h, data), &saved, &err), VKGPT_BAD_FILE);
    assert_non_null(strstr(err.text, "the name of its model has no end"));
    memset(h.name, 0, sizeof h.name);
    snprintf(h.name, sizeof h.name, "other\n\x1b[2J");
    assert_int_equal(read_bytes(data, make(&h, data), &saved, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "was saved with the model other??[2J in f16, this one is tales in f16"));
    memset(h.weights, 'x', sizeof h.weights);
    assert_int_equal(read_bytes(data, make(&h, data), &saved, &err), VKGPT_BAD_FILE);
}

static void test_hash(void **state)
{
    (void)state;
    uint8_t data[300];
    struct Hash whole, pieces;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * i);
    hash_begin(&whole);
    hash_add(&whole, data, sizeof data);
    for (size_t piece = 1; piece < sizeof data; piece++) {
        hash_begin(&pieces);
        for (size_t at = 0; at < sizeof data; at += piece)
            hash_add(&pieces, data + at, at + piece < sizeof data ? piece : sizeof data - at);
        assert_true(hash_value(&pieces) == hash_value(&whole));
    }
    memset(data, 0, sizeof data); // zeros: only their number differs
    uint64_t before = 0;
    for (size_t bytes = 0; bytes < sizeof data; bytes++) {
        hash_begin(&whole);
        hash_add(&whole, data, bytes);
        assert_true(hash_value(&whole) != before);
        before = hash_value(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_damaged), cmocka_unit_test(test_forged),
        cmocka_unit_test(test_names), cmocka_unit_test(test_hash),
    };
    snprintf(path, sizeof path, "file.session");
    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
