#include "cmd/hub_confine.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/role_confine.h"
#include "cmd/sanitized.h"

/* What a store, a socket that listens and a loop of its own need. */
static const char *const SYSCALLS[] = {
    /* files: to write, to look at */
    "openat2",
    "close_range",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "fstatfs",
    "statfs",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "utimensat",
    "ftruncate",
    "ftruncate64",
    "truncate",
    "fallocate",
    "fadvise64",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "sendfile",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "flock",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "umask",
    "getcwd",
    /* memory */
    "msync",
    "mlock",
    "mlock2",
    "munlock",
    /* waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "signalfd4",
    /* sockets, threads, itself */
    "listen",
    "futex_waitv",
    "get_robust_list",
    "sched_getparam",
    "sched_setparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_get_priority_min",
    "sched_get_priority_max",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "getppid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getrusage",
    "times",
};

static int narrow(const struct config *c, struct err *e)
{
    char hub[PATH_SIZE], workspaces[PATH_SIZE];

    if (paths_join(hub, config_text(c, CONFIG_PATHS_STATE), "hub", e) < 0 ||
        paths_join(workspaces, config_text(c, CONFIG_PATHS_STATE), "workspaces", e) < 0)
        return -1;
    const struct confine_path paths[] = {
        { hub, CONFINE_READ | CONFINE_WRITE },
        { workspaces, CONFINE_READ | CONFINE_WRITE },
        { config_text(c, CONFIG_PATHS_RUN), CONFINE_READ },
    };
    const struct role_walls walls = { .doing = "confine the hub",
                                      .paths = paths,
                                      .n_paths = ARRAY_LEN(paths),
                                      .syscalls = SYSCALLS,
                                      .n_syscalls = ARRAY_LEN(SYSCALLS),
                                      .families = 1u << AF_UNIX | 1u << AF_INET | 1u << AF_INET6 };
    return role_confine(c, &walls, e);
}

int hub_confine(const struct config *c, const struct folders_user *user, struct err *e)
{
    unsigned group = user->gid;

    if (geteuid() == 0 && confine_user(user->uid, user->gid, &group, 1, e) < 0)
        return -1;
    if (SANITIZED) {
        log_warning("event=not_confined reason=\"built with a sanitizer\"");
        return 0;
    }
    return narrow(c, e);
}
