#include "base/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES                                                                                     \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define REFER    (1ULL << 13) /* ABI 2 */
#define TRUNCATE (1ULL << 14) /* ABI 3 */
#define ALL_ABI1 ((1ULL << 13) - 1)

#define FAMILIES    63  /* what a mask has room for beside CONFINE_STREAM_PAIRS */
#define SOCKET_TYPE 0xf /* of socketpair's type; the rest are flags such as SOCK_CLOEXEC */

/* As it is since ABI 6; the headers may be older than the kernel. */
struct ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};
#define SCOPE_ABSTRACT_UNIX_SOCKET 1
#define SCOPE_SIGNAL               2

int confine_basics(struct err *e)
{
    struct rlimit none = { 0, 0 };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return err_errno(e, ERR_INTERNAL, "give up privileges");
    return 0;
}

static int allow_path(int ruleset, const struct confine_path *p, uint64_t handled, struct err *e)
{
    CLEANUP_FD int fd = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "open %s", p->path);
    uint64_t access = 0;
    if (p->access & CONFINE_READ)
        access |= READS;
    if (p->access & CONFINE_WRITE)
        access |= WRITES | REFER | TRUNCATE;
    struct landlock_path_beneath_attr rule = { .allowed_access = access & handled,
                                               .parent_fd = fd };
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    /* a file, not a directory: only what makes sense for files */
    rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_errno(e, ERR_INTERNAL, "landlock rule for %s", p->path);
    return 0;
}

int confine_files(const struct confine_path *paths, size_t n, struct err *e)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return err_set(e, ERR_UNAVAILABLE, "this kernel has no landlock");
    struct ruleset attr = { .handled_access_fs = ALL_ABI1 };
    if (abi >= 2)
        attr.handled_access_fs |= REFER;
    if (abi >= 3)
        attr.handled_access_fs |= TRUNCATE;
    if (abi >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    /* a kernel takes a larger struct than it knows, as long as the rest is zero */
    CLEANUP_FD int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return err_errno(e, ERR_INTERNAL, "landlock ruleset");
    for (size_t i = 0; i < n; i++)
        if (allow_path(ruleset, &paths[i], attr.handled_access_fs, e) < 0)
            return -1;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_errno(e, ERR_INTERNAL, "landlock");
    return 0;
}

static void seccomp_release_at(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

/* An unknown name is nothing to allow. clone may make threads, never namespaces. */
static int allow_syscall(scmp_filter_ctx filter, const char *name)
{
    const scmp_datum_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    int nr = seccomp_syscall_resolve_name(name);
    assert(nr != SCMP_SYS(socket) && nr != SCMP_SYS(socketpair)); /* they have rules of their own */
    if (nr == __NR_SCMP_ERROR || nr < 0)
        return 0;
    if (nr == SCMP_SYS(clone))
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces, 0));
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
}

static int allow_sockets(scmp_filter_ctx filter, uint64_t families)
{
    for (unsigned family = 0; family < FAMILIES; family++)
        if (families >> family & 1 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                                       SCMP_A0(SCMP_CMP_EQ, family)) < 0)
            return -1;
    if (families >> AF_UNIX & 1) /* the only family that has pairs */
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    if (families & CONFINE_STREAM_PAIRS)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2,
                                SCMP_A0(SCMP_CMP_EQ, AF_UNIX),
                                SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, SOCK_STREAM));
    return 0;
}

int confine_syscalls(const char *const *names, size_t n, uint64_t socket_families, bool kill,
                     struct err *e)
{
    __attribute__((cleanup(seccomp_release_at))) scmp_filter_ctx filter =
        seccomp_init(kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return err_set(e, ERR_INTERNAL, "seccomp filter");
    for (size_t i = 0; i < n; i++)
        if (allow_syscall(filter, names[i]) < 0)
            return err_set(e, ERR_INTERNAL, "seccomp rule for %s", names[i]);
    if (allow_sockets(filter, socket_families) < 0)
        return err_set(e, ERR_INTERNAL, "seccomp rule for socket");
    /* clone3 must say ENOSYS, or threads break: its flags are behind a pointer */
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
        return err_set(e, ERR_INTERNAL, "seccomp rule for clone3");
    /* threads that exist already (ZeroMQ's) are confined too */
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (rc < 0)
        return err_set(e, ERR_INTERNAL, "load seccomp filter: %s", strerror(-rc));
    return 0;
}

int confine_user(unsigned uid, unsigned gid, const unsigned *groups, size_t n_groups, struct err *e)
{
    gid_t list[8];
    if (n_groups > ARRAY_LEN(list))
        return err_set(e, ERR_INTERNAL, "too many groups");
    for (size_t i = 0; i < n_groups; i++)
        list[i] = groups[i];
    if (setgroups(n_groups, list) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return err_errno(e, ERR_INTERNAL, "change to user %u", uid);
    if (uid != 0 && (setuid(0) == 0 || geteuid() != uid || getegid() != gid))
        return err_set(e, ERR_INTERNAL, "user %u could become root again", uid);
    return 0;
}
