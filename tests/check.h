// CHECK fails a test if a call of the library fails, and prints why. It needs a vkgpt_error `err`.
//
// Like compare.h, this includes cmocka.h, whose macro `fail` hides the function of base/error.h.
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include "compare.h"
#include "vkgpt.h"

static inline void check(int status, const vkgpt_error *err)
{
    if (status) fail_msg("%s", err->text);
}

#define CHECK(call) check(call, &err)

#endif
