// Runs the program as a user would: arguments and stdin in; stdout, stderr and the exit status out.
#ifndef VKGPT_TESTS_PROGRAM_H
#define VKGPT_TESTS_PROGRAM_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct Output {
    char *out, *err; // each ends with a NUL
    size_t out_bytes, err_bytes;
    int status; // 128 + the signal's number if a signal ended it
};

// The last argument is NULL. `input` NULL: stdin is empty.
struct Output program_run(const char *input, size_t bytes, const char *const *arguments);
// The same, and sends SIGINT as soon as stdout has some output.
struct Output program_interrupt(const char *const *arguments);
// The same on a terminal of its own, where `keys` are typed at once. `out` gets stdout, stderr and what was typed. A
// run that does not end within a minute fails the test.
struct Output program_terminal(const char *keys, const char *const *arguments);
// The same with a limit on the size of files: writing beyond it fails, as it does on a full disk. A driver that keeps
// its memory in a file, as SwiftShader does, is ended by the limit.
struct Output program_limited(size_t bytes, const char *const *arguments);
// The same with stdout written to a file or device; NULL: to a pipe whose other end is closed.
struct Output program_into(const char *path, const char *const *arguments);
void output_free(struct Output *output);

#define RUN(...) program_run(NULL, 0, (const char *const[]){__VA_ARGS__, NULL})

// Fails the test with both streams unless the status is the expected one.
void assert_status(const struct Output *output, int status);
// The JSON that a successful run wrote to stdout; frees the output. Free the result with cJSON_Delete.
cJSON *output_json(struct Output output);
// Fails the test if there is none.
const cJSON *json_member(const cJSON *json, const char *name);
// Checks that the run failed with exactly one sentence, which contains `part`; frees the output.
void assert_sentence(struct Output output, int status, const char *part);

#endif
