#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

int beneath_open_errno(int root_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

int beneath_open(int root_fd, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd = beneath_open_errno(root_fd, path, flags, mode);
    if (fd >= 0)
        return fd;
    enum err_code code = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND
                         : errno == ELOOP || errno == EXDEV  ? ERR_FORBIDDEN
                                                             : ERR_INTERNAL;
    return err_errno(e, code, "open %s", log_quote(slice_str(path)));
}

int beneath_make_dir(int root_fd, const char *path, mode_t mode, struct err *e)
{
    char copy[1024];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return err_set(e, ERR_INVALID, "path is longer than %zu bytes", sizeof copy - 1);
    CLEANUP_FD int dir = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
    if (dir < 0)
        return err_errno(e, ERR_INTERNAL, "open root");
    char *save = NULL;
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (mkdirat(dir, part, mode) < 0 && errno != EEXIST)
            return err_errno(e, ERR_INTERNAL, "make directory %s", log_quote(slice_str(part)));
        int next = beneath_open(dir, part, O_RDONLY | O_DIRECTORY, 0, e);
        if (next < 0)
            return -1;
        close(dir);
        dir = next;
    }
    return TAKE_FD(dir);
}
