#include "cmd/pidfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/paths.h"
#include "sandbox/process.h"

bool pidfile_parse(struct slice text, pid_t *ret_pid, uint64_t *ret_start)
{
    char copy[64], *end;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    long pid = strtol(copy, &end, 10);
    if (pid <= 1 || pid > 0x3fffffff || *end != ' ')
        return false;
    char *second = end + 1;
    unsigned long long start = strtoull(second, &end, 10);
    if (end == second || start == 0 || *second == '-' || strcmp(end, "\n") != 0)
        return false;
    *ret_pid = (pid_t)pid;
    *ret_start = start;
    return true;
}

int pidfile_write(const char *path, pid_t pid, struct err *e)
{
    char temporary[PATH_SIZE], text[64];
    uint64_t start = 0;
    CLEANUP_FD int pidfd = -1;

    if (process_open(pid, 0, &pidfd, &start, e) < 0)
        return err_in(e, "write a pid file");
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || n >= (int)sizeof temporary)
        return err_set(e, ERR_INVALID, "the path %.100s… is too long", path);
    CLEANUP_FD int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    n = snprintf(text, sizeof text, "%d %llu\n", (int)pid, (unsigned long long)start);
    if (fd < 0 || write(fd, text, (size_t)n) != n || rename(temporary, path) < 0)
        return err_errno(e, ERR_INTERNAL, "write %s", path);
    return 0;
}

int pidfile_open(const char *path, pid_t *ret_pid)
{
    char text[64];
    pid_t pid;
    uint64_t start;
    int pidfd = -1;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

    if (n <= 0 || !pidfile_parse(slice_of(text, (size_t)n), &pid, &start))
        return -1;
    if (process_open(pid, start, &pidfd, NULL, NULL) < 0)
        return -1;
    if (ret_pid)
        *ret_pid = pid;
    return pidfd;
}

bool pidfile_end(const char *path, int signal, unsigned grace_ms)
{
    CLEANUP_FD int pidfd = pidfile_open(path, NULL);

    if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 &&
        !process_wait(pidfd, grace_ms)) {
        process_kill(pidfd);
        (void)process_wait(pidfd, 5000); /* a process in the kernel's hands ends when it can */
    }
    (void)unlink(path); /* it may not be there */
    return pidfd >= 0;
}
