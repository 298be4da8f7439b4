#include "sandbox/warden_confine.h"

#include <czmq.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/log.h"
#include "sandbox/warden_root.h"

#define DATA_BYTES (512ull << 20)
#define FILES      4096
#define FILE_BYTES                                                                                 \
    (1ull << 30) /* no file of it grows longer: it can open none, and has one of its own */
#define START_MS 5000

/* Only threads that exist already run under this list. What is not here ends the process. */
static const char *const CALLS[] = {
    /* sockets and files that are open */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "ftruncate",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "close",
    "accept",
    "accept4",
    "bind",
    "listen",
    "connect",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    "fcntl",
    "poll",
    "ppoll",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "eventfd2",
    /* a command's stdin, stdout and stderr; it may open them by name */
    "pipe2",
    "fchmod",
    /* ZeroMQ removes what stands where it binds */
    "unlink",
    "unlinkat",
    "fstat",
    "newfstatat",
    /* memory */
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    /* time, locks, randomness, signals, the end */
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "futex",
    "sched_yield",
    "getrandom",
    "getpid",
    "gettid",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "restart_syscall",
    "tgkill",
    "exit",
    "exit_group",
#if defined(__SANITIZE_ADDRESS__)
    "openat",
    "readlink",
    "readlinkat",
    "sched_getaffinity",
    "sigaltstack",
    "prctl",
    "clone",
    "wait4",
    "ptrace",
    "set_robust_list",
    "rseq",
    "getppid",
    "prlimit64",
    "lseek",
    "getdents64",
    "process_vm_readv",
    "arch_prctl",
    "uname",
    "ioctl",
    "mincore",
    "sysinfo",
#endif
};

static int limit(int which, rlim_t value, struct err *e)
{
    struct rlimit now;
    if (getrlimit(which, &now) < 0)
        return err_errno(e, ERR_INTERNAL, "read a resource limit");
    if (now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
        value = now.rlim_max;
    now.rlim_cur = now.rlim_max = value;
    if (setrlimit(which, &now) < 0)
        return err_errno(e, ERR_INTERNAL, "set a resource limit");
    return 0;
}

/* Memory of big messages goes back at once, and no arena is kept per thread. */
static void be_frugal(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
    (void)mallopt(M_ARENA_MAX, 1);
}

/* Both of ZeroMQ's threads set themselves up with calls that are not on the list, so wait until they have:
 * it takes the one and the other to make a bound socket listen no more. */
static int start_threads(const char *dir, struct spool *spool, struct err *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    zsys_handler_set(NULL);
    zsys_set_linger(0);
    int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/channels/begin", dir);
    zsock_t *first = n < (int)sizeof a.sun_path ? zsock_new(ZMQ_PAIR) : NULL;
    if (!first || zsock_bind(first, "ipc://%s", a.sun_path) < 0)
        return err_errno(e, ERR_INTERNAL, "start ZeroMQ");
    zsock_destroy(&first);
    if (spool)
        spool_start(spool);
    for (int i = 0; i < START_MS; i++) {
        CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0 && errno == ECONNREFUSED)
            return unlink(a.sun_path) < 0 ? err_errno(e, ERR_INTERNAL, "unlink a socket") : 0;
        (void)usleep(1000); /* only a pause */
    }
    return err_set(e, ERR_TIMEOUT, "ZeroMQ's threads did not start in %d ms", START_MS);
}

int warden_leave_network(struct err *e)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
        return err_errno(e, ERR_INTERNAL, "unshare the network");
    return 0;
}

int warden_confine(const char *dir, const char *keeper_path, unsigned uid, unsigned gid,
                   struct spool *spool, struct err *e)
{
    const struct confine_path paths[] = { { dir, CONFINE_READ | CONFINE_WRITE } };
    struct err weak = ERR_INIT;
    be_frugal();
    tzset();                        /* the log would open a file for it later */
    (void)signal(SIGXFSZ, SIG_IGN); /* a write then fails, and that is dealt with */
    if (limit(RLIMIT_NOFILE, FILES, e) < 0 || limit(RLIMIT_FSIZE, FILE_BYTES, e) < 0)
        return -1;
#if !defined(__SANITIZE_ADDRESS__) /* whose shadow is data, and who reads /proc */
    if (warden_root_enter(dir, keeper_path, e) < 0)
        return -1;
    if (limit(RLIMIT_DATA, DATA_BYTES, e) < 0)
        return -1;
#endif
    if (confine_user(uid, gid, NULL, 0, e) < 0 || confine_basics(e) < 0)
        return -1;
    if (confine_files(paths, ARRAY_LEN(paths), &weak) < 0) {
        if (weak.code != ERR_UNAVAILABLE)
            return err_set(e, weak.code, "%s", weak.text);
        log_warning(
            "event=no_landlock"); /* doctor says so too; no path can be opened in any case */
    }
    /* everything up to here is inherited by the threads, and the filter is laid over them too */
    if (start_threads(dir, spool, e) < 0)
        return -1;
    return confine_syscalls(CALLS, ARRAY_LEN(CALLS), 1ull << AF_UNIX, true, e);
}
