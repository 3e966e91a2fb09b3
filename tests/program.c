#define _GNU_SOURCE // forkpty, pipe2
#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ARGUMENTS 64

static FILE *temporary(const char *data, size_t bytes)
{
    FILE *file = tmpfile(); // files, not pipes, so that neither side waits for the other
    assert_non_null(file);
    if (bytes) assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    rewind(file);
    return file;
}

static char *read_back(FILE *file, size_t *bytes)
{
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    data[*bytes] = '\0';
    fclose(file);
    return data;
}

static pid_t start(FILE *in, FILE *out, FILE *err, const char *const *arguments)
{
    const char *argv[MAX_ARGUMENTS] = {VKGPT_PROGRAM};
    for (int i = 0; arguments[i]; i++) {
        assert_true(i + 2 < MAX_ARGUMENTS);
        argv[i + 1] = arguments[i];
    }
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) return child;
    dup2(fileno(in), 0);
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    execv(argv[0], (char *const *)argv); // execv changes none of the strings
    _exit(127);
}

static struct Output finish(pid_t child, FILE *in, FILE *out, FILE *err)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct Output output = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
    fclose(in);
    output.out = read_back(out, &output.out_bytes);
    output.err = read_back(err, &output.err_bytes);
    // with VKGPT_VALIDATE=1 each message of the validation layer is printed, and each is a failure
    if (strstr(output.err, "validation: ")) fail_msg("%s", output.err);
    return output;
}

struct Output program_run(const char *input, size_t bytes, const char *const *arguments)
{
    FILE *in = temporary(input, bytes), *out = temporary(NULL, 0), *err = temporary(NULL, 0);
    return finish(start(in, out, err, arguments), in, out, err);
}

struct Output program_interrupt(const char *const *arguments)
{
    FILE *in = temporary(NULL, 0), *out = temporary(NULL, 0), *err = temporary(NULL, 0);
    pid_t child = start(in, out, err, arguments);
    struct stat st = {0};
    for (int i = 0; i < 6000 && st.st_size == 0; i++) { // a minute
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        assert_int_equal(fstat(fileno(out), &st), 0);
    }
    kill(child, SIGINT);
    return finish(child, in, out, err);
}

// Starts the program with these descriptors as stdout and stderr, which it then has alone.
static pid_t start_with(int out, int err, size_t most, const char *const *arguments)
{
    FILE *in = temporary(NULL, 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        const char *argv[MAX_ARGUMENTS] = {VKGPT_PROGRAM};
        for (int i = 0; arguments[i] && i + 2 < MAX_ARGUMENTS; i++) argv[i + 1] = arguments[i];
        struct rlimit limit;
        if (getrlimit(RLIMIT_FSIZE, &limit)) _exit(126);
        if (most) limit.rlim_cur = most;
        if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(126);
        dup2(fileno(in), 0);
        dup2(out, 1);
        dup2(err, 2);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    fclose(in);
    close(out);
    close(err);
    return child;
}

static char *read_pipe(int fd, size_t *bytes)
{
    char *data = NULL;
    ssize_t n = 1;
    for (*bytes = 0; n > 0; *bytes += n > 0 ? (size_t)n : 0) {
        data = realloc(data, *bytes + 65537);
        assert_non_null(data);
        n = read(fd, data + *bytes, 65536);
    }
    data[*bytes] = '\0';
    close(fd);
    return data;
}

static void wait_for(pid_t child, struct Output *output)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    output->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (strstr(output->err, "validation: ")) fail_msg("%s", output->err);
}

// stdout and stderr are pipes, which have no limit; stderr has to fit into the buffer of one.
struct Output program_limited(size_t bytes, const char *const *arguments)
{
    int out[2], err[2];
    struct Output output = {0};
    assert_true(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    pid_t child = start_with(out[1], err[1], bytes, arguments);
    output.out = read_pipe(out[0], &output.out_bytes);
    output.err = read_pipe(err[0], &output.err_bytes);
    wait_for(child, &output);
    return output;
}

struct Output program_into(const char *path, const char *const *arguments)
{
    int out[2] = {-1, -1}, err[2];
    struct Output output = {.out = calloc(1, 1)};
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    if (path) {
        out[1] = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        close(out[0]);
    }
    assert_true(out[1] >= 0);
    pid_t child = start_with(out[1], err[1], 0, arguments);
    output.err = read_pipe(err[0], &output.err_bytes);
    wait_for(child, &output);
    return output;
}

// Reads until the other side is closed.
static void read_terminal(int fd, pid_t child, struct Output *output)
{
    size_t capacity = 1 << 16;
    output->out = malloc(capacity);
    assert_non_null(output->out);
    for (ssize_t n = 1; n > 0; output->out_bytes += n > 0 ? (size_t)n : 0) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 60000) <= 0 || output->out_bytes + 1 == capacity) {
            kill(child, SIGKILL);
            fail_msg("on a terminal the program does not end");
        }
        n = read(fd, output->out + output->out_bytes, capacity - 1 - output->out_bytes);
    }
    output->out[output->out_bytes] = '\0';
}

struct Output program_terminal(const char *keys, const char *const *arguments)
{
    const char *argv[MAX_ARGUMENTS] = {VKGPT_PROGRAM};
    struct Output output = {0};
    int fd, status;
    for (int i = 0; arguments[i] && i + 2 < MAX_ARGUMENTS; i++) argv[i + 1] = arguments[i];
    fflush(NULL);
    pid_t child = forkpty(&fd, NULL, NULL, &(struct winsize){.ws_row = 24, .ws_col = 80});
    assert_true(child >= 0);
    if (!child) {
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    assert_int_equal(write(fd, keys, strlen(keys)), strlen(keys));
    read_terminal(fd, child, &output);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(fd);
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    output.err = calloc(1, 1);
    return output;
}

void output_free(struct Output *output)
{
    free(output->out);
    free(output->err);
    *output = (struct Output){0};
}

void assert_status(const struct Output *output, int status)
{
    if (output->status != status)
        fail_msg("exit status %d, expected %d\nstdout: %s\nstderr: %s", output->status, status, output->out,
                 output->err);
}

cJSON *output_json(struct Output output)
{
    assert_status(&output, 0);
    cJSON *json = cJSON_Parse(output.out);
    if (!json) fail_msg("not JSON: %s", output.out);
    output_free(&output);
    return json;
}

const cJSON *json_member(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!item) fail_msg("no member %s", name);
    return item;
}

void assert_sentence(struct Output output, int status, const char *part)
{
    assert_status(&output, status);
    size_t lines = 0;
    for (const char *c = output.err; *c; c++) lines += *c == '\n';
    if (lines != 1 || strncmp(output.err, "vkgpt: ", 7) != 0) fail_msg("not one sentence: %s", output.err);
    if (!strstr(output.err, part)) fail_msg("the sentence lacks '%s': %s", part, output.err);
    if (output.out_bytes) fail_msg("something stands on stdout: %s", output.out);
    output_free(&output);
}
