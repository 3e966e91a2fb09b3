// What the tests of the tokenizers share: fixtures of ids, and files to spoil. Errors fail the test.
#ifndef TESTS_TOKENIZER_FILES_H
#define TESTS_TOKENIZER_FILES_H

#include "model_files.h"
#include "vkgpt.h"

#ifndef VKGPT_SOURCE_DIR
#define VKGPT_SOURCE_DIR "."
#endif

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/tokenizer"

vkgpt_tokenizer *open_good(const char *path);
uint32_t *encode(const vkgpt_tokenizer *tok, const char *text, size_t bytes, bool special, size_t *count);
// Whether the bytes of the tokens, joined, equal the text.
bool decodes_to(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, const char *text, size_t bytes);

// Checks a fixture NAME.txt against the tokenizer in `folder`, or in the directory NAME beside it. The fixture has to
// have at least `lines` lines.
enum FixtureCheck {
    CHECK_IDS,     // the texts encode to the ids
    CHECK_BOTH,    // the texts encode to the ids, and the ids decode to the texts
    CHECK_DECODED, // the ids decode to the texts
};
// Checks one line of a fixture; `name` and `number` are printed if it differs.
bool check_line(const vkgpt_tokenizer *tok, const char *name, size_t number, char *line, enum FixtureCheck check);
void check_fixture(const char *name, const char *folder, size_t lines, enum FixtureCheck check);

// These work in test_dir.
void write_text(const char *name, const char *text);
void remove_file(const char *name);
void expect_ids(const char *text, const char *wanted); // "2 1 4"; special tokens in the text become their ids
void expect_refusal(vkgpt_code code, const char *file, const char *words);
// Writes `text` into a file, checks that it is refused, and restores the file.
void refuse_file(const char *name, const char *text, vkgpt_code code, const char *words);
void refuse_change(const char *name, const char *text, const char *from, const char *to, vkgpt_code code,
                   const char *words);
// Damaged files open and encode `text`, or give a sentence that names one of them.
void fuzz_file(const char *name, const char *file, const char *text, int rounds);

#endif
