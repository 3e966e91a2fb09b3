// First inputs for the harness of GGUF: the tiny model of the tests in its versions. usage: fuzz_seeds FOLDER
#include <stdio.h>

#include "gguf_file.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (uint32_t version = 2; version <= 3; version++) {
        char name[24];
        struct Bytes file = gguf_tiny(version, version == 2 ? 32 : 64);
        snprintf(name, sizeof name, "tiny-%u", version);
        file_write(argv[1], name, file.data, file.count);
        bytes_free(&file);
    }
    return 0;
}
