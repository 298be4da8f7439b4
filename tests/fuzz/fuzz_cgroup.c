/* Property: nothing is read outside the text; a path that is found is absolute and fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/cgroup.h"
#include "sandbox/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    char path[64], root[64];
    uint64_t n;
    static const char *const CONTROLLERS[] = { "", "memory" };
    for (size_t i = 0; i < 2; i++) {
        if (cgroup_parse_membership(text, CONTROLLERS[i], path, sizeof path) && path[0] != '/')
            abort();
        if (cgroup_parse_mount(text, CONTROLLERS[i], path, sizeof path, root, sizeof root) &&
            (path[0] != '/' || root[0] != '/'))
            abort();
    }
    (void)cgroup_parse_number(text, &n); /* any answer is right that is not a crash */
    (void)cgroup_parse_oom_kills(text, &n);
    (void)cgroup_parse_cpu_us(2, text, &n);
    (void)process_parse_start(text, &n);
    return 0;
}
