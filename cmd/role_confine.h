/* role_confine.h - the walls that hub and courier have in common: landlock, and seccomp from one list. */
#ifndef CMD_ROLE_CONFINE_H
#define CMD_ROLE_CONFINE_H

#include "base/confine.h"
#include "kernelhub/config.h"

#define ROLE_MAX_SYSCALLS 128

struct role_walls {
    const char *doing; /* "confine the hub": for errors */
    const struct confine_path *paths;
    size_t n_paths;
    const char *const *syscalls; /* beside those that each role may call */
    size_t n_syscalls;
    uint64_t families; /* as confine_syscalls takes them */
};

/* To be called before the first thread: landlock and seccomp reach only the calling thread and those it makes later. A kernel
 * without landlock is refused unless keeper/allow_weak. */
int role_confine(const struct config *c, const struct role_walls *w, struct err *e);

#endif
