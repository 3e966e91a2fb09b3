// The version of the library, for programs that were compiled with an older header.
#include "vkgpt.h"

const char *vkgpt_version(void) { return VKGPT_VERSION; }
