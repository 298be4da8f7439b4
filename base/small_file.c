#include "base/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

int small_file_read(int dir_fd, const char *path, struct buf *out, struct err *e)
{
    CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno == ENOENT || errno == ESRCH ? ERR_NOT_FOUND : ERR_INTERNAL,
                         "open '%s'", path);
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno == ENODEV || errno == ESRCH ? ERR_NOT_FOUND : ERR_INTERNAL,
                             "read '%s'", path);
        if (n == 0)
            return 0;
        buf_add(out, chunk, (size_t)n);
        if (out->failed)
            return err_set(e, ERR_TOO_LARGE, "'%s' is longer than %zu bytes", path, out->max_bytes);
    }
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return 0;
}

int small_file_write(int dir_fd, const char *path, struct slice bytes, mode_t mode, struct err *e)
{
    char temporary[512];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return err_set(e, ERR_INVALID, "the name '%.40s…' is too long", path);
    CLEANUP_FD int fd =
        openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(e, ERR_INTERNAL, "write '%s'", temporary);
    if (write_all(fd, bytes) < 0 || renameat(dir_fd, temporary, dir_fd, path) < 0) {
        err_errno(e, ERR_INTERNAL, "write '%s'", path);
        (void)unlinkat(dir_fd, temporary, 0); /* the first error is the one to tell */
        return -1;
    }
    return 0;
}
