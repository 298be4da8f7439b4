/* The kernel's part is played here: which inode is in which project, and which limits a project has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/disk_quota.h"
#include "scratch.h"

static struct {
    bool has_quota, is_enforced, refuses;
    uint64_t members[32]; /* inodes, in the order in which they joined */
    uint32_t project;
    bool inherits[32];
    size_t n_members;
    unsigned n_asked;
    uint64_t bytes, files;
} kernel;

static size_t find(uint64_t node)
{
    size_t i = 0;
    while (i < kernel.n_members && kernel.members[i] != node)
        i++;
    return i;
}

int __wrap_ioctl(int fd, unsigned long command, ...);
int __wrap_ioctl(int fd, unsigned long command, ...)
{
    va_list list;
    struct stat st;
    va_start(list, command);
    struct fsxattr *attr = va_arg(list, struct fsxattr *);
    va_end(list);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    kernel.n_asked++;
    size_t at = find(st.st_ino);
    if (command == FS_IOC_FSGETXATTR) {
        *attr = (struct fsxattr){ .fsx_xflags = FS_XFLAG_NOATIME };
        if (at < kernel.n_members) {
            attr->fsx_projid = kernel.project;
            attr->fsx_xflags |= kernel.inherits[at] ? FS_XFLAG_PROJINHERIT : 0;
        }
        return 0;
    }
    assert_true(command == FS_IOC_FSSETXATTR);
    assert_true(attr->fsx_xflags & FS_XFLAG_NOATIME); /* what else it was stays */
    if (kernel.refuses) {
        errno = EOPNOTSUPP;
        return -1;
    }
    assert_int_equal(at, kernel.n_members);
    kernel.project = attr->fsx_projid;
    kernel.inherits[at] = attr->fsx_xflags & FS_XFLAG_PROJINHERIT;
    kernel.members[kernel.n_members++] = st.st_ino;
    return 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long),
         d = va_arg(list, long);
    va_end(list);
    if (number != SYS_quotactl_fd)
        return __real_syscall(number, a, b, c, d);
    if (!kernel.has_quota) {
        errno = ENOSYS;
        return -1;
    }
    if ((int)b == (int)QCMD(Q_XGETQSTATV, PRJQUOTA)) {
        struct fs_quota_statv *state = (void *)d;
        assert_int_equal(state->qs_version, FS_QSTATV_VERSION1);
        state->qs_flags = FS_QUOTA_PDQ_ACCT | (kernel.is_enforced ? FS_QUOTA_PDQ_ENFD : 0);
        return 0;
    }
    assert_true((unsigned)b == QCMD((unsigned)Q_SETQUOTA, PRJQUOTA));
    const struct if_dqblk *limits = (void *)d;
    assert_int_equal(limits->dqb_valid, QIF_LIMITS);
    assert_int_equal(limits->dqb_bsoftlimit, 0);
    kernel.bytes = limits->dqb_bhardlimit * 1024;
    kernel.files = limits->dqb_ihardlimit;
    kernel.project = (uint32_t)c;
    return 0;
}

#define PROJECT 0x40000007

static char folder[200];

static void make(const char *name, bool is_folder)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (is_folder) {
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static uint64_t node(const char *name)
{
    char path[300];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static int setup(void **state)
{
    char path[300];
    memset(&kernel, 0, sizeof kernel);
    kernel.has_quota = kernel.is_enforced = true;
    assert_non_null(mkdtemp(scratch_path(folder, sizeof folder, "quota-XXXXXX")));
    make("shared", true);
    make("shared/a", false);
    make("shared/d", true);
    make("shared/d/b", false);
    (void)snprintf(path, sizeof path, "%s/shared/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)snprintf(path, sizeof path, "%s/shared/link", folder);
    assert_int_equal(symlink("/", path), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int set(struct err *e)
{
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return disk_quota_limit(fd, PROJECT, 10000000, 500, e) < 0 ? -1
                                                               : disk_quota_join(fd, PROJECT, e);
}

static void it_is_there_only_when_limits_hold(void **state)
{
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(disk_quota_is_enforced(fd));
    kernel.is_enforced = false; /* only counted */
    assert_false(disk_quota_is_enforced(fd));
    kernel.has_quota = false;
    assert_false(disk_quota_is_enforced(fd));
}

static void all_that_is_there_joins_and_the_folder_itself_is_last(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(set(&e), 0);
    static const char *const MEMBERS[] = { "shared", "shared/a", "shared/d", "shared/d/b", "." };
    assert_int_equal(kernel.n_members, ARRAY_LEN(MEMBERS));
    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        size_t at = find(node(MEMBERS[i]));
        assert_true(at < kernel.n_members);
        assert_int_equal(kernel.inherits[at], strcmp(MEMBERS[i], "shared/a") != 0 &&
                                                  strcmp(MEMBERS[i], "shared/d/b") != 0);
    }
    assert_int_equal(find(node(".")), kernel.n_members - 1);
    assert_int_equal(kernel.project, PROJECT);
    assert_true(kernel.bytes >= 10000000 && kernel.bytes < 10000000 + 1024);
    assert_int_equal(kernel.files, 500);
}

static void the_second_time_it_is_quick(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(set(&e), 0);
    kernel.n_asked = 0;
    kernel.bytes = 0;
    assert_int_equal(set(&e), 0);
    assert_int_equal(kernel.n_asked, 1);
    assert_true(kernel.bytes > 0); /* the limit may be another one */
}

static void one_that_was_cut_short_goes_on(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(set(&e), 0);
    kernel.n_members -= 2; /* the folder itself, and one in it */
    assert_int_equal(set(&e), 0);
    assert_int_equal(kernel.n_members, 5);
    assert_int_equal(find(node(".")), 4);
}

static void a_file_system_without_projects_is_an_error(void **state)
{
    struct err e = ERR_INIT;
    kernel.refuses = true;
    assert_int_equal(set(&e), -1);
    assert_non_null(strstr(e.text, "put a workspace into project"));
    kernel.has_quota = false;
    assert_int_equal(set(&e), -1);
    assert_non_null(strstr(e.text, "set the quota of project"));
}

static void a_users_project_is_his_folders_and_out_of_the_way(void **state)
{
    struct err e = ERR_INIT;
    uint32_t project;
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(disk_quota_project(fd, &project, &e), 0);
    assert_int_equal(project, disk_quota_number(node(".")));
    assert_int_equal(project >> 30, 1);
}

/* Eight folders that were made in a row on an XFS of 4 TiB. */
static void users_of_a_large_disk_share_no_project(void **state)
{
    static const uint64_t NODES[] = { 2147483776, 4299141248, 6442451072, 132,
                                      2147483777, 4299141249, 6442451073, 133 };
    for (size_t i = 0; i < ARRAY_LEN(NODES); i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(disk_quota_number(NODES[i]), disk_quota_number(NODES[k]));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_there_only_when_limits_hold),
        TEST(all_that_is_there_joins_and_the_folder_itself_is_last),
        TEST(the_second_time_it_is_quick),
        TEST(one_that_was_cut_short_goes_on),
        TEST(a_file_system_without_projects_is_an_error),
        TEST(a_users_project_is_his_folders_and_out_of_the_way),
        TEST(users_of_a_large_disk_share_no_project),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
