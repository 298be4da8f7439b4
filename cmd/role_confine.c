#include "cmd/role_confine.h"

#include <assert.h>

#include "base/cleanup.h"
#include "base/log.h"

/* What a role with threads needs that serves sockets, and no more. No exec, ptrace, mount, setns, unshare, bpf, keyctl, io_uring, no
 * signal to others; clone is for threads. */
static const char *const COMMON[] = {
    /* files, those that landlock leaves: to read */
    "open",
    "openat",
    "close",
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "lseek",
    "_llseek",
    "fstat",
    "fstat64",
    "fstatat64",
    "newfstatat",
    "stat",
    "lstat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "fcntl",
    "fcntl64",
    "ioctl",
    /* memory */
    "mmap",
    "mmap2",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    /* waiting */
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd2",
    "pipe2",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "restart_syscall",
    /* sockets; socket and socketpair themselves by family */
    "connect",
    "bind",
    "accept",
    "accept4",
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
    "set_robust_list",
    "rseq",
    "set_tid_address",
    "arch_prctl",
    "membarrier",
    "getcpu",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "tgkill",
    "exit",
    "exit_group",
    /* itself */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "getpid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrlimit",
    "ugetrlimit",
    "prlimit64",
    "prctl",
    "uname",
    "sysinfo",
    "getrandom",
};

static int confine_to_files(const struct config *c, const struct role_walls *w, struct err *e)
{
    struct err weak = ERR_INIT;

    if (confine_files(w->paths, w->n_paths, &weak) == 0)
        return 0;
    if (weak.code != ERR_UNAVAILABLE || !config_flag(c, CONFIG_KEEPER_ALLOW_WEAK)) {
        *e = weak;
        return err_in(e, w->doing);
    }
    log_warning("event=weak reason=%s", log_quote(slice_str(weak.text)));
    return 0;
}

int role_confine(const struct config *c, const struct role_walls *w, struct err *e)
{
    const char *names[ARRAY_LEN(COMMON) + ROLE_MAX_SYSCALLS];
    size_t n = 0;

    assert(w->n_syscalls <= ROLE_MAX_SYSCALLS);
    for (size_t i = 0; i < ARRAY_LEN(COMMON); i++)
        names[n++] = COMMON[i];
    for (size_t i = 0; i < w->n_syscalls; i++)
        names[n++] = w->syscalls[i];
    if (confine_basics(e) < 0 || confine_to_files(c, w, e) < 0)
        return -1;
    return confine_syscalls(names, n, w->families, false, e);
}
