/* confine.h - gives up, for good, what a process will not need any more. Each call can only narrow. */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A path that stays usable under landlock. */
enum confine_access {
    CONFINE_READ = 1,  /* read files, list directories */
    CONFINE_WRITE = 2, /* make, write, remove, rename files and directories, bind Unix sockets */
};
struct confine_path {
    const char *path; /* must exist */
    unsigned access;  /* of enum confine_access */
};

/* PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE 0, no core dumps. */
int confine_basics(struct err *e);

/* Landlock: from now on the file system is these paths and nothing else; no execution at all. Connecting
 * to a socket by its path is not governed. Where the kernel can (ABI 6, Linux 6.12): no abstract Unix
 * socket and no signal but to who comes from us. On a kernel without landlock: -1 with ERR_UNAVAILABLE. */
int confine_files(const struct confine_path *paths, size_t n, struct err *e);

/* Seccomp: only the named system calls, native architecture only; everything else kills the
 * process (kill=true) or answers EPERM. Unknown names are skipped (older libseccomp). socket() is
 * limited to the families given as a bit mask of 1u << AF_…; 0: no socket() at all. socketpair() is for
 * AF_UNIX alone, and only when that is among them; with CONFINE_STREAM_PAIRS among them for SOCK_STREAM alone and
 * without AF_UNIX: what is connected when it is made can be sent to nobody else, as a datagram can. Neither may be
 * among the names. Holds for all threads of the process, those that exist already too. */
#define CONFINE_STREAM_PAIRS (1ull << 63)
int confine_syscalls(const char *const *names, size_t n, uint64_t socket_families, bool kill, struct err *e);

/* Drops to uid/gid with no supplementary groups but `groups`; every capability goes. Verifies. */
int confine_user(unsigned uid, unsigned gid, const unsigned *groups, size_t n_groups, struct err *e);

#endif
