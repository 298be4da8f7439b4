/* Each case runs in a child: what is given up does not come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/confine.h"

#define SKIPPED 77
/* What a sanitizer's end needs, too. */
static const char *const CALLS[] = { "exit_group",     "exit",        "write", "close",
                                     "rt_sigprocmask", "sigaltstack", "mmap",  "munmap" };

static int errno_of_pair(uint64_t families, int family, int type)
{
    int ends[2];
    struct err e = ERR_INIT;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        confine_syscalls(CALLS, ARRAY_LEN(CALLS), families, false, &e) < 0)
        return SKIPPED;
    return socketpair(family, type, 0, ends) < 0 ? errno : 0;
}

static void check_pair(uint64_t families, int family, int type, int expected)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        (void)syscall(SYS_exit_group,
                      errno_of_pair(families, family, type)); /* past a sanitizer's own end */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void pairs_of_sockets_are_of_the_unix_family_only(void **state)
{
    const uint64_t hub = 1u << AF_UNIX | 1u << AF_INET | 1u << AF_INET6;
    check_pair(hub, AF_UNIX, SOCK_STREAM, 0);
    /* Not EOPNOTSUPP, which would be said by the family's own code. */
    check_pair(hub, AF_INET, SOCK_STREAM, EPERM);
    check_pair(hub, AF_INET6, SOCK_STREAM, EPERM);
    check_pair(hub, AF_VSOCK, SOCK_STREAM, EPERM);
}

static void who_may_make_no_unix_socket_may_make_no_pair(void **state)
{
    check_pair(0, AF_UNIX, SOCK_STREAM, EPERM);
    check_pair(1u << AF_INET, AF_UNIX, SOCK_STREAM, EPERM);
}

/* A datagram socket of a pair sends to any path, too. */
static void who_may_make_pairs_of_streams_makes_no_others(void **state)
{
    const uint64_t courier = 1u << AF_INET | 1u << AF_INET6 | CONFINE_STREAM_PAIRS;
    check_pair(courier, AF_UNIX, SOCK_STREAM, 0);
    check_pair(courier, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check_pair(courier, AF_UNIX, SOCK_DGRAM, EPERM);
    check_pair(courier, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, EPERM);
    check_pair(courier, AF_UNIX, SOCK_RAW, EPERM); /* another word for SOCK_DGRAM */
    check_pair(courier, AF_UNIX, SOCK_SEQPACKET, EPERM);
    check_pair(courier, AF_INET, SOCK_STREAM, EPERM);
    check_pair(courier, AF_TIPC, SOCK_STREAM, EPERM);
}

static int errno_of_socket(uint64_t families, int family)
{
    struct err e = ERR_INIT;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        confine_syscalls(CALLS, ARRAY_LEN(CALLS), families, false, &e) < 0)
        return SKIPPED;
    return socket(family, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static void leave_for_pairs_is_no_leave_for_sockets(void **state)
{
    const uint64_t courier = 1u << AF_INET | 1u << AF_INET6 | CONFINE_STREAM_PAIRS;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        (void)syscall(SYS_exit_group, errno_of_socket(courier, AF_UNIX));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), EPERM);
}

#define SEEN(bit) (1 << (bit))

/* What a process under landlock can still reach: an answer per bit. */
static int what_is_reachable(const char *dir, int abstract, const struct sockaddr_un *name,
                             socklen_t len)
{
    struct err e = ERR_INIT;
    const struct confine_path paths[] = { { dir, CONFINE_READ | CONFINE_WRITE } };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_files(paths, 1, &e) < 0)
        return SKIPPED;
    int seen = 0;
    if (open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0)
        seen |= SEEN(0);
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
        seen |= SEEN(1);
    if (connect(abstract, (const struct sockaddr *)name, len) == 0)
        seen |= SEEN(2);
    if (kill(getppid(), 0) == 0)
        seen |= SEEN(3);
    if (kill(getpid(), 0) == 0)
        seen |= SEEN(4);
    return seen;
}

static void landlock_leaves_the_named_folder_and_what_is_ours(void **state)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                (size_t)snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
                                                 "kernelhub-test-%d", (int)getpid()));
    CLEANUP_FD int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP_FD int dialler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&name, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int status, expected = SEEN(0) | SEEN(4) | (abi >= 6 ? 0 : SEEN(2) | SEEN(3));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(what_is_reachable("/tmp", dialler, &name, len));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_sockets_are_of_the_unix_family_only),
        cmocka_unit_test(landlock_leaves_the_named_folder_and_what_is_ours),
        cmocka_unit_test(who_may_make_no_unix_socket_may_make_no_pair),
        cmocka_unit_test(who_may_make_pairs_of_streams_makes_no_others),
        cmocka_unit_test(leave_for_pairs_is_no_leave_for_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
