#include "tokenizer_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"

vkgpt_tokenizer *open_good(const char *path)
{
    vkgpt_tokenizer *tok;
    vkgpt_error err;
    if (vkgpt_tokenizer_open(path, 0, &tok, &err)) fail_msg("%s", err.text);
    return tok;
}

uint32_t *encode(const vkgpt_tokenizer *tok, const char *text, size_t bytes, bool special, size_t *count)
{
    uint32_t *ids;
    vkgpt_error err;
    if (vkgpt_encode(tok, text, bytes, special, &ids, count, &err)) fail_msg("%s", err.text);
    assert_non_null(ids);
    return ids;
}

bool decodes_to(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, const char *text, size_t bytes)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n;
        const char *token = vkgpt_token_bytes(tok, ids[i], &n);
        if (n > bytes - at || memcmp(token, text + at, n) != 0) return false;
        at += n;
    }
    return at == bytes;
}

// --------------------------------------------------------------------------------------------- fixtures

struct Expected {          // one line of a fixture
    bool special, decoded; // `decoded`: the ids decode to the text
    char *text;
    size_t bytes;
    uint32_t *ids;
    size_t count;
};

static unsigned hex_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

// "special|plain|decode HEX|- ID ID ..."
static struct Expected parse_line(char *line)
{
    struct Expected e = {0};
    char *save = strchr(line, ' ');
    assert_non_null(save);
    e.special = strncmp(line, "special ", 8) == 0;
    e.decoded = strncmp(line, "decode ", 7) == 0;
    assert_true(e.special || e.decoded || strncmp(line, "plain ", 6) == 0);
    char *hex = save + 1, *rest = hex + strcspn(hex, " ");
    size_t digits = (size_t)(rest - hex);
    e.text = malloc(digits / 2 + 1);
    e.ids = malloc((strlen(rest) / 2 + 1) * sizeof *e.ids);
    assert_true(e.text && e.ids);
    for (size_t i = 0; i + 1 < digits; i += 2)
        e.text[e.bytes++] = (char)(hex_digit(hex[i]) << 4 | hex_digit(hex[i + 1]));
    while (*rest == ' ') e.ids[e.count++] = (uint32_t)strtoul(rest + 1, &rest, 10);
    assert_int_equal(*rest, 0);
    return e;
}

static void print_ids(const char *what, const uint32_t *ids, size_t count)
{
    print_error("    %s", what);
    for (size_t i = 0; i < count && i < 40; i++) print_error(" %u", ids[i]);
    print_error("\n");
}

// Compares the decoded text of the ids with the line's.
static bool check_decoded(const vkgpt_tokenizer *tok, const struct Expected *e)
{
    char *text;
    size_t bytes;
    vkgpt_error err;
    if (vkgpt_decode(tok, e->ids, e->count, &text, &bytes, &err)) fail_msg("%s", err.text);
    bool same = bytes == e->bytes && memcmp(text, e->text, bytes) == 0;
    if (!same) print_error("decodes to \"%s\", not to \"%.*s\"\n", text, (int)e->bytes, e->text);
    free(text);
    return same;
}

bool check_line(const vkgpt_tokenizer *tok, const char *name, size_t number, char *line, enum FixtureCheck check)
{
    struct Expected e = parse_line(line);
    size_t count;
    if (e.decoded) {
        bool same = check_decoded(tok, &e);
        if (!same) print_error("    %s, line %zu\n", name, number);
        free(e.text);
        free(e.ids);
        return same;
    }
    uint32_t *ids = encode(tok, e.text, e.bytes, e.special, &count);
    bool same = check == CHECK_DECODED || (count == e.count && memcmp(ids, e.ids, count * sizeof *ids) == 0);
    if (!same) {
        print_error("%s.txt, line %zu: \"%.*s\"\n", name, number, (int)(e.bytes < 80 ? e.bytes : 80), e.text);
        print_ids("is:    ", ids, count);
        print_ids("wanted:", e.ids, e.count);
    } else if (check != CHECK_IDS && !decodes_to(tok, e.ids, e.count, e.text, e.bytes)) {
        print_error("%s.txt, line %zu: does not decode to the same bytes\n", name, number);
        same = false;
    }
    free(ids);
    free(e.text);
    free(e.ids);
    return same;
}

void check_fixture(const char *name, const char *folder, size_t lines, enum FixtureCheck check)
{
    char path[1024], beside[1024], *text;
    size_t bytes, number = 0, wrong = 0;
    vkgpt_error err;
    snprintf(path, sizeof path, "%s/%s.txt", FIXTURES, name);
    snprintf(beside, sizeof beside, "%s/%s", FIXTURES, name);
    if (os_read(path, (size_t)1 << 24, &text, &bytes, &err)) fail_msg("%s", err.text);
    vkgpt_tokenizer *tok = open_good(folder ? folder : beside);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (!check_line(tok, name, ++number, line, check)) wrong++;
    }
    vkgpt_tokenizer_close(tok);
    free(text);
    if (wrong) fail_msg("%s: %zu of %zu lines differ", name, wrong, number);
    if (number < lines) fail_msg("%s: %zu lines, not %zu", name, number, lines);
}

// ------------------------------------------------------------------------------------------------ files

void write_text(const char *name, const char *text) { file_write(test_dir, name, text, strlen(text)); }

void remove_file(const char *name)
{
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    remove(path);
}

void expect_ids(const char *text, const char *wanted)
{
    char is[256] = "";
    size_t count, at = 0;
    vkgpt_tokenizer *tok = open_good(test_dir);
    uint32_t *ids = encode(tok, text, strlen(text), true, &count);
    for (size_t i = 0; i < count; i++) at += (size_t)snprintf(is + at, sizeof is - at, "%s%u", i ? " " : "", ids[i]);
    free(ids);
    vkgpt_tokenizer_close(tok);
    assert_string_equal(is, wanted);
}

void expect_refusal(vkgpt_code code, const char *file, const char *words)
{
    vkgpt_error err;
    vkgpt_tokenizer *tok = (vkgpt_tokenizer *)&err;
    expect_sentence(vkgpt_tokenizer_open(test_dir, 0, &tok, &err), (int)code, &err, file, words, NULL);
    assert_null(tok);
}

void refuse_file(const char *name, const char *text, vkgpt_code code, const char *words)
{
    struct Bytes before = {0};
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    bool was = os_exists(path);
    if (was) before = file_read(test_dir, name);
    write_text(name, text);
    expect_refusal(code, name, words);
    if (was) file_write(test_dir, name, before.data, before.count);
    else remove_file(name);
    bytes_free(&before);
}

void refuse_change(const char *name, const char *text, const char *from, const char *to, vkgpt_code code,
                   const char *words)
{
    char *changed = text_replace(text, from, to);
    refuse_file(name, changed, code, words);
    free(changed);
}

void fuzz_file(const char *name, const char *file, const char *text, int rounds)
{
    uint64_t seed = 3;
    int opened = 0;
    for (int i = 0; i < rounds; i++) {
        struct Bytes b = {0};
        bytes_text(&b, file);
        bytes_mutate(&b, &seed);
        file_write(test_dir, name, b.data, b.count);
        bytes_free(&b);
        vkgpt_error err = {0};
        vkgpt_tokenizer *tok;
        if (vkgpt_tokenizer_open(test_dir, 0, &tok, &err)) {
            if (!strstr(err.text, test_dir) || strchr(err.text, '\n')) fail_msg("round %d: %s", i, err.text);
            continue;
        }
        size_t count;
        free(encode(tok, text, strlen(text), i % 2, &count));
        vkgpt_tokenizer_close(tok);
        opened++;
    }
    if (opened == 0 || opened == rounds)
        fail_msg("%s: %d of %d opened: the damage tests nothing", name, opened, rounds);
}
