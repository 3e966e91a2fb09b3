// A harness without libFuzzer: runs it on each file of a folder, then for so many seconds on damaged copies of them.
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "model_files.h"

#define MOST 4096 // files

static struct Bytes inputs[MOST];
static size_t count;

static void run(const struct Bytes *input)
{
    uint8_t *exact = malloc(input->count ? input->count : 1); // no byte behind the end, for the sanitizer
    if (!exact) abort();
    if (input->count) memcpy(exact, input->data, input->count);
    LLVMFuzzerTestOneInput(exact, input->count);
    free(exact);
}

static void read_folder(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && count < MOST && (e = readdir(d));)
        if (e->d_name[0] != '.') inputs[count++] = file_read(folder, e->d_name);
    if (d) closedir(d);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER SECONDS\n", argv[0]);
        return 2;
    }
    read_folder(argv[1]);
    if (!count) {
        fprintf(stderr, "%s: no inputs there\n", argv[1]);
        return 1;
    }
    for (size_t i = 0; i < count; i++) run(&inputs[i]);
    uint64_t seed = 1;
    size_t runs = 0;
    for (time_t end = time(NULL) + atoi(argv[2]); time(NULL) < end; runs++) {
        struct Bytes copy = {0};
        const struct Bytes *from = &inputs[random_next(&seed) % count];
        bytes_add(&copy, from->data, from->count);
        for (uint32_t i = random_next(&seed) % 4; i < 4 && copy.count; i++) bytes_mutate(&copy, &seed);
        run(&copy);
        bytes_free(&copy);
    }
    printf("%zu inputs, %zu damaged ones\n", count, runs);
    for (size_t i = 0; i < count; i++) bytes_free(&inputs[i]);
    return 0;
}
