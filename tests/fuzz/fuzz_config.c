// config.json and generation_config.json, by the reader of each family.
#include "fuzz.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json", "generation_config.json", NULL};
    struct Config config;
    vkgpt_error err = {0};
    fuzz_files(data, size, names);
    int code = config_read(fuzz_dir(), &config, &err);
    fuzz_check(code, &err);
    if (!code) (void)config_params(&config);
    return 0;
}
