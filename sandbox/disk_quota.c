#include "sandbox/disk_quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/cleanup.h"

#define MAX_DEPTH    256
#define OUR_PROJECTS 0x40000000u

DEFINE_CLEANUP(DIR, closedir)

/* By a descriptor, so no device has to be found (Linux 5.14). */
static int ask_quota(int fd, unsigned command, uint32_t project, void *arg)
{
    return (int)syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, arg);
}

bool disk_quota_is_enforced(int dir_fd)
{
    struct fs_quota_statv state = { .qs_version = FS_QSTATV_VERSION1 };
    return ask_quota(dir_fd, Q_XGETQSTATV, 0, &state) == 0 &&
           (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

/* Stirred (as MurmurHash3 ends): XFS spreads folders over its groups, and says the group in the high bits. On a disk of terabytes
 * two folders in a row differ in nothing else. */
uint32_t disk_quota_number(uint64_t inode)
{
    inode = (inode ^ inode >> 33) * 0xff51afd7ed558ccd;
    inode = (inode ^ inode >> 33) * 0xc4ceb9fe1a85ec53;
    inode ^= inode >> 33;
    return OUR_PROJECTS | (uint32_t)(inode & (OUR_PROJECTS - 1));
}

int disk_quota_project(int dir_fd, uint32_t *ret, struct err *e)
{
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return err_errno(e, ERR_INTERNAL, "look at the folder of a user");
    *ret = disk_quota_number(st.st_ino);
    return 0;
}

int disk_quota_limit(int dir_fd, uint32_t project, uint64_t bytes, uint64_t files, struct err *e)
{
    struct if_dqblk limits = { .dqb_bhardlimit = (bytes + QIF_DQBLKSIZE - 1) / QIF_DQBLKSIZE,
                               .dqb_ihardlimit = files,
                               .dqb_valid = QIF_LIMITS };
    if (ask_quota(dir_fd, Q_SETQUOTA, project, &limits) < 0)
        return err_errno(e, ERR_INTERNAL, "set the quota of project %u", project);
    return 0;
}

/* ret_is_new: it was not in the project. */
static int join(int fd, uint32_t project, bool is_folder, bool *ret_is_new)
{
    struct fsxattr attr;
    unsigned flags = is_folder ? FS_XFLAG_PROJINHERIT : 0;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
        return -1;
    *ret_is_new = attr.fsx_projid != project || (attr.fsx_xflags & flags) != flags;
    attr.fsx_projid = project;
    attr.fsx_xflags |= flags;
    return *ret_is_new ? ioctl(fd, FS_IOC_FSSETXATTR, &attr) : 0;
}

static int join_all(int dir_fd, uint32_t project, int depth);

/* User code may change the tree meanwhile: what is gone, or is something else by now, is left out. */
static int join_entry(int dir_fd, const struct dirent *entry, uint32_t project, int depth)
{
    bool is_new;
    struct stat st;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
        (entry->d_type != DT_REG && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
        return 0;
    CLEANUP_FD int fd = beneath_open_errno(dir_fd, entry->d_name, O_RDONLY, 0);
    if (fd < 0 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return 0;
    if (join(fd, project, S_ISDIR(st.st_mode), &is_new) < 0)
        return -1;
    return S_ISDIR(st.st_mode) && depth > 0 ? join_all(fd, project, depth - 1) : 0;
}

static int join_all(int dir_fd, uint32_t project, int depth)
{
    int fd = beneath_open_errno(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    CLEANUP(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        close_fd_at(&fd);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(d));)
        if (join_entry(fd, entry, project, depth) < 0)
            return -1;
    return 0;
}

static bool is_member(int fd, uint32_t project)
{
    struct fsxattr attr;
    return ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0 && attr.fsx_projid == project &&
           (attr.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0;
}

/* The folder itself last: while it is no member, not all of it is. */
int disk_quota_join(int dir_fd, uint32_t project, struct err *e)
{
    bool is_new;
    if (is_member(dir_fd, project))
        return 0;
    if (join_all(dir_fd, project, MAX_DEPTH) < 0 || join(dir_fd, project, true, &is_new) < 0)
        return err_errno(e, ERR_INTERNAL, "put a workspace into project %u", project);
    return 0;
}
