#include "cmd/service_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/paths.h"

int service_log_begin(const char *path, struct err *e)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_FD int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || nothing < 0)
        return err_errno(e, ERR_INTERNAL, "open %s", path);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
        dup2(nothing, STDIN_FILENO) < 0)
        return err_errno(e, ERR_INTERNAL, "write to %s", path);
    return 0;
}

void service_log_bound(const char *path)
{
    char old[PATH_SIZE + 8];
    struct stat st;
    CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < SERVICE_LOG_MAX_BYTES)
        return;
    (void)snprintf(old, sizeof old, "%s.1", path);
    CLEANUP_FD int copy = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (copy >= 0 && sendfile(copy, fd, NULL, 1 << 20) > 0)
        ;
    (void)!ftruncate(fd, 0); /* a full disk is no reason to fill it further */
}
