#include "sandbox/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/small_file.h"

#define START_FIELD 22

bool process_parse_start(struct slice stat, uint64_t *ret)
{
    const char *at = stat.len ? memrchr(stat.data, ')', stat.len) : NULL;
    if (!at)
        return false;
    const char *end = stat.data + stat.len;
    int field = 2;
    for (at++; at < end && field < START_FIELD; at++)
        if (*at == ' ')
            field++;
    uint64_t value = 0;
    const char *first = at;
    for (; at < end && *at >= '0' && *at <= '9' && at - first < 19; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (field != START_FIELD || at == first || at == end || *at != ' ')
        return false;
    *ret = value;
    return true;
}

static int read_start(pid_t pid, uint64_t *ret, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8192);
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (small_file_read(AT_FDCWD, path, &text, e) < 0)
        return -1;
    if (!process_parse_start(buf_slice(&text), ret))
        return err_set(e, ERR_INTERNAL, "%s makes no sense", path);
    return 0;
}

int process_open(pid_t pid, uint64_t start, int *ret_pidfd, uint64_t *ret_start, struct err *e)
{
    if (pid <= 1)
        return err_set(e, ERR_NOT_FOUND, "there is no process %d", (int)pid);
    CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return err_errno(e, errno == ESRCH ? ERR_NOT_FOUND : ERR_INTERNAL, "open process %d",
                         (int)pid);
    uint64_t now = 0;
    if (read_start(pid, &now, e) < 0)
        return -1;
    if (start != 0 && start != now)
        return err_set(e, ERR_NOT_FOUND, "process %d is another one now", (int)pid);
    if (ret_start)
        *ret_start = now;
    *ret_pidfd = TAKE_FD(fd);
    return 0;
}

void process_kill(int pidfd)
{
    if (pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL,
                      0); /* ESRCH: that is what we want */
}

bool process_wait(int pidfd, unsigned timeout_ms)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    int n;
    do
        n = poll(&p, 1, (int)timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

void process_end(pid_t pid, int pidfd)
{
    if (pidfd < 0)
        return;
    process_kill(pidfd);
    if (process_wait(pidfd, 2000))
        (void)waitpid(pid, NULL, WNOHANG); /* ECHILD: adopted, its parent is another */
}
