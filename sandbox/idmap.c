#include "sandbox/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE   1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

static int write_map(pid_t pid, const char *file, unsigned inside, unsigned outside, struct err *e)
{
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int n = snprintf(line, sizeof line, "%u %u 1\n", inside, outside);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        return err_errno(e, ERR_UNAVAILABLE, "write %s", file);
    return 0;
}

/* A user namespace exists only with a process in it or an fd on it: a child is born into a new one,
 * is given its maps, and dies once the fd is held. */
static int open_userns(const struct idmap *map, struct err *e)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        return err_errno(e, ERR_UNAVAILABLE, "make a user namespace");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG,
                    SIGKILL); /* at worst it outlives a keeper that dies right now */
        for (;;)
            pause();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = -1;
    if (write_map(pid, "uid_map", map->disk_uid, map->shown_uid, e) == 0 &&
        write_map(pid, "gid_map", map->disk_gid, map->shown_gid, e) == 0) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            err_errno(e, ERR_UNAVAILABLE, "open the user namespace");
    }
    (void)kill(pid, SIGKILL); /* our own child, not yet reaped: the pid is still its */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fd;
}

int idmap_try(const struct idmap *map, struct err *e)
{
    CLEANUP_FD int userns = open_userns(map, e);
    return userns < 0 ? -1 : 0;
}

int idmap_attach(int dir_fd, const struct idmap *map, const char *target, struct err *e)
{
    CLEANUP_FD int userns = open_userns(map, e);
    if (userns < 0)
        return -1;
    CLEANUP_FD int tree = (int)syscall(SYS_open_tree, dir_fd, "",
                                       AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return err_errno(e, ERR_UNAVAILABLE, "clone the directory's mount");
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        .userns_fd = (unsigned)userns,
    };
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "map ids on this file system");
    /* Only after this does another mount namespace's event reach it: never shared onwards. */
    struct mount_attr alone = { .propagation = MS_PRIVATE };
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &alone, sizeof alone) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "make the mount private");
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "attach at '%s'", target);
    return 0;
}

int idmap_detach(const char *target, struct err *e)
{
    /* Once for each mount that an earlier life may have stacked here. */
    for (int i = 0; i < 16; i++) {
        if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            continue;
        if (errno == EINVAL || errno == ENOENT)
            return 0;
        return err_errno(e, ERR_INTERNAL, "unmount '%s'", target);
    }
    return err_set(e, ERR_INTERNAL, "'%s' stays mounted", target);
}
