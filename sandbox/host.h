/* host.h - what this host can do for us. Found out by trying, never by a name or version where trying
 * is possible. Used at the keeper's start and by `kernelhub doctor`. */
#ifndef SANDBOX_HOST_H
#define SANDBOX_HOST_H

#include <stddef.h>

#include "base/err.h"
#include "sandbox/keeper.h"

struct host_finding {
    const char *name; /* "runtime", "cgroup", … a constant */
    enum { HOST_OK, HOST_WEAK, HOST_MISSING } level;
    char text[256]; /* what was found */
    char mend[256]; /* what to do about it; "" when OK */
};

#define HOST_MAX_FINDINGS 24

/* Tries everything; takes some 300 ms (a container runtime is run). Returns how many there are.
 * HOST_WEAK: works, with a wall less. HOST_MISSING: does not work. */
size_t host_check(const struct keeper_options *options, struct host_finding *ret, size_t max);

/* The runtime to use: options->runtime, else the first of crun, runc that really runs a container with
 * limits here. The answer is a constant or options->runtime. ERR_UNAVAILABLE when none does; another code when
 * options->runtime is a path by which somebody else than root could decide what is run. */
int host_choose_runtime(const struct keeper_options *options, const char **ret, struct err *e);

/* To remove with: as above, but one that is only installed will do, for where none works nothing can run. */
int host_any_runtime(const struct keeper_options *options, const char **ret, struct err *e);

#endif
