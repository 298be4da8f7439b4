#include "cmd/hub_confine.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/log.h"
#include "cmd/sanitized.h"

/* No exec, ptrace, mount, setns, unshare, bpf, keyctl, io_uring, kill of others. clone is for
 * threads. */
static const char *const SYSCALLS[] = {
    /* files */
    "open",
    "openat",
    "openat2",
    "close",
    "close_range",
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "lseek",
    "_llseek",
    "fstat",
    "fstat64",
    "fstatat64",
    "newfstatat",
    "stat",
    "lstat",
    "statx",
    "fstatfs",
    "statfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
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
    "splice",
    "copy_file_range",
    "flock",
    "fcntl",
    "fcntl64",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "ioctl",
    "umask",
    "getcwd",
    "memfd_create",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    /* memory */
    "mmap",
    "mmap2",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
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
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "signalfd4",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "restart_syscall",
    /* sockets; socket and socketpair themselves by family */
    "connect",
    "accept",
    "accept4",
    "bind",
    "listen",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    /* threads */
    "clone",
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "arch_prctl",
    "membarrier",
    "getcpu",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_setparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_get_priority_min",
    "sched_get_priority_max",
    "gettid",
    "tgkill",
    "exit",
    "exit_group",
    /* itself */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getrlimit",
    "ugetrlimit",
    "prlimit64",
    "getrusage",
    "times",
    "prctl",
    "uname",
    "sysinfo",
    "getrandom",
};

static int confine_to_files(const struct config *c, struct err *e)
{
    char hub[PATH_SIZE], workspaces[PATH_SIZE];
    struct err weak = ERR_INIT;

    if (paths_join(hub, config_text(c, CONFIG_PATHS_STATE), "hub", e) < 0 ||
        paths_join(workspaces, config_text(c, CONFIG_PATHS_STATE), "workspaces", e) < 0)
        return -1;
    const struct confine_path paths[] = {
        { hub, CONFINE_READ | CONFINE_WRITE },
        { workspaces, CONFINE_READ | CONFINE_WRITE },
        { config_text(c, CONFIG_PATHS_RUN), CONFINE_READ },
    };
    if (confine_files(paths, ARRAY_LEN(paths), &weak) == 0)
        return 0;
    if (weak.code != ERR_UNAVAILABLE || !config_flag(c, CONFIG_KEEPER_ALLOW_WEAK)) {
        *e = weak;
        return err_in(e, "confine the hub");
    }
    log_warning("event=weak reason=%s", log_quote(slice_str(weak.text)));
    return 0;
}

int hub_confine(const struct config *c, const struct folders_user *user, struct err *e)
{
    const uint64_t families = 1u << AF_UNIX | 1u << AF_INET | 1u << AF_INET6;
    unsigned group = user->gid;

    if (geteuid() == 0 && confine_user(user->uid, user->gid, &group, 1, e) < 0)
        return -1;
    if (SANITIZED) {
        log_warning("event=not_confined reason=\"built with a sanitizer\"");
        return 0;
    }
    if (confine_basics(e) < 0 || confine_to_files(c, e) < 0)
        return -1;
    return confine_syscalls(SYSCALLS, ARRAY_LEN(SYSCALLS), families, false, e);
}
