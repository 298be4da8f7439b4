#include "sandbox/warden_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE   1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

#define HARMLESS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
/* A few folders, and nothing can be made there later. */
#define TMPFS "mode=755,size=64k,nr_inodes=64"

/* The mount of that folder alone: what is mounted below it stays behind. */
static int take(const char *path, uint64_t attributes, struct err *e)
{
    struct mount_attr attr = { .attr_set = attributes };
    CLEANUP_FD int fd =
        (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return err_errno(e, ERR_INTERNAL, "take the mount of '%s'", path);
    return TAKE_FD(fd);
}

static int put(int tree, const char *path, struct err *e)
{
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_errno(e, ERR_INTERNAL, "attach '%s'", path);
    return 0;
}

static int put_tmpfs(const char *path, struct err *e)
{
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, TMPFS) < 0)
        return err_errno(e, ERR_INTERNAL, "mount a tmpfs at '%s'", path);
    return 0;
}

static int make_read_only(const char *path, struct err *e)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
    if (syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof attr) < 0)
        return err_errno(e, ERR_INTERNAL, "make '%s' read-only", path);
    return 0;
}

/* What is there already is as good; what cannot be made is seen when something is put there. */
static void make_way(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    for (size_t i = 1; i <= len && len < sizeof part; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        (void)mkdir(part, 0755);
    }
}

/* The part of `dir` up to the first component below `above`, or NULL when `dir` is not further below. */
static const char *first_below(const char *dir, const char *above, char ret[PATH_MAX])
{
    size_t len = strlen(above);
    if (strncmp(dir, above, len) != 0 || dir[len] != '/')
        return NULL;
    const char *end = strchr(dir + len + 1, '/');
    if (!end)
        return NULL;
    (void)snprintf(ret, PATH_MAX, "%.*s", (int)(end - dir), dir);
    return ret;
}

/* In the new tree, which is the working directory: paths begin with the dot put before them. */
static int furnish(const char *dir, int own, const char *meeting, int way_out, struct err *e)
{
    char first[PATH_MAX];
    const char *cover = way_out < 0 ? NULL : first_below(dir, meeting, first);
    if (way_out >= 0) {
        make_way(meeting);
        if (put(way_out, meeting, e) < 0)
            return -1;
    }
    if (cover && put_tmpfs(cover, e) < 0)
        return -1;
    make_way(dir);
    if (put(own, dir, e) < 0 || (cover && make_read_only(cover, e) < 0))
        return -1;
    return make_read_only(".", e);
}

int warden_root_enter(const char *dir, const char *keeper_path, struct err *e)
{
    char at[PATH_MAX], meeting[PATH_MAX];
    const char *slash = strrchr(keeper_path, '/');
    int n = snprintf(at, sizeof at, ".%s", dir);
    if (dir[0] != '/' || keeper_path[0] != '/' || n >= (int)sizeof at ||
        snprintf(meeting, sizeof meeting, ".%.*s", (int)(slash - keeper_path), keeper_path) >=
            (int)sizeof meeting)
        return err_set(e, ERR_INVALID, "the warden's paths are not absolute or too long");
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_errno(e, ERR_INTERNAL, "unshare the mounts");
    CLEANUP_FD int own = take(dir, HARMLESS, e);
    /* Never all of the host, for a socket that lies in its root. */
    CLEANUP_FD int way_out =
        own < 0 || meeting[1] == '\0' ? -1 : take(meeting + 1, HARMLESS | MOUNT_ATTR_RDONLY, e);
    if (own < 0 || (way_out < 0 && meeting[1] != '\0'))
        return -1;
    /* Any folder will do for the new tree to hang on until it is the root; this one is there. */
    if (put_tmpfs(dir, e) < 0)
        return -1;
    if (chdir(dir) < 0)
        return err_errno(e, ERR_INTERNAL, "go to the new root");
    mode_t before = umask(0);
    int r = furnish(at, own, meeting, way_out, e);
    (void)umask(before); /* cannot fail */
    if (r < 0)
        return -1;
    /* The old root lands on top of the new one, and is let go with all that is mounted in it. */
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_errno(e, ERR_INTERNAL, "change the root");
    return 0;
}
