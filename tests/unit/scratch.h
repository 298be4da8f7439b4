/* scratch.h - where a test's files are: in $TMPDIR, which tests/in-scratch makes for each test and looks at afterwards. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* The path of `name` there, in ret, which has room for `size` bytes. */
static inline char *scratch_path(char *ret, size_t size, const char *name)
{
    const char *folder = getenv("TMPDIR");
    int n = snprintf(ret, size, "%s/%s", folder && folder[0] ? folder : "/tmp", name);
    assert(n > 0 && (size_t)n < size);
    return ret;
}

#endif
