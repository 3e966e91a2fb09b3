// tools/test sets VKGPT_TEST_SHORT to leave out long tests; `tools/test --all` runs them. A test program that is run by
// hand leaves out nothing.
#ifndef TESTS_SHORT_RUN_H
#define TESTS_SHORT_RUN_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool short_run(void) { return getenv("VKGPT_TEST_SHORT") != NULL; }

// SwiftShader takes at least a second to compile a kernel, and keeps none for the next process.
static inline bool on_swiftshader(void)
{
    const char *driver = getenv("VK_DRIVER_FILES");
    return driver && strstr(driver, "swiftshader");
}

static inline bool short_run_on_lavapipe(void)
{
    const char *driver = getenv("VK_DRIVER_FILES");
    return short_run() && driver && strstr(driver, "lvp_icd");
}

static inline bool short_run_on_swiftshader(void) { return short_run() && on_swiftshader(); }

#endif
