#include "sandbox/init_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Missing folders only; whether they are usable shows when the file is made. */
static void make_folders(const char *path)
{
    char part[PATH_MAX];
    size_t len = strnlen(path, sizeof part);
    for (size_t i = 1; i < len && len < sizeof part; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        (void)mkdir(part, 0700); /* most exist */
    }
}

/* The folder is writable for user code, so the name may be anything: it is never opened, only
 * removed, and made anew. */
static int write_file(const char *path, const char *bytes, size_t len)
{
    make_folders(path);
    if (unlink(path) < 0 && errno != ENOENT)
        return errno;
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static void set_marker(struct init_start *s, const char *marker)
{
    size_t n = 0;
    for (size_t i = 0; s->env[i]; i++)
        if (strncmp(s->env[i], INIT_MARKER, strlen(INIT_MARKER)) != 0)
            s->env[n++] = s->env[i];
    s->env[n++] = marker; /* argc is at least 1, so there is room for this and the NULL */
    s->env[n] = NULL;
}

/* In the child. Everything init changed about signals is undone; all other descriptors are
 * CLOEXEC. Returns only when there is nothing to exec. */
static void become_kernel(const struct init_start *s, int out, int err)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL); /* KILL, STOP and libc's own refuse */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid(); /* a fresh child leads no group: cannot fail */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        return;
    if (chdir(s->cwd) < 0 && chdir("/") < 0)
        return;
    /* On top of the image's own environment, which is ours; execvp searches the PATH that results. */
    for (size_t i = 0; s->env[i]; i++)
        if (putenv((char *)(uintptr_t)s->env[i]) != 0)
            return;
    (void)execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
}

int init_spawn(struct init_start *s, const char *marker, struct init_child *ret)
{
    int out[2] = { -1, -1 }, err[2] = { -1, -1 }, exec[2] = { -1, -1 };
    int error = write_file(s->file_path, s->file, s->file_len);
    if (error)
        return error;
    set_marker(s, marker);
    bool piped =
        pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0 && pipe2(exec, O_CLOEXEC) == 0;
    CLEANUP_FD int out_read = out[0], out_write = out[1], err_read = err[0], err_write = err[1];
    CLEANUP_FD int exec_read = exec[0], exec_write = exec[1];
    /* Only our ends: the kernel's output must be able to block. */
    if (!piped || fcntl(out_read, F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(err_read, F_SETFL, O_NONBLOCK) < 0 || fcntl(exec_read, F_SETFL, O_NONBLOCK) < 0)
        return errno;
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        become_kernel(s, out_write, err_write);
        int why = errno;
        (void)!write(exec_write, &why, sizeof why); /* init sees the exit code at least */
        _exit(127);
    }
    *ret = (struct init_child){ pid, TAKE_FD(exec_read), TAKE_FD(out_read), TAKE_FD(err_read) };
    return 0;
}
