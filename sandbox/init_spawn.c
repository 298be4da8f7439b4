#include "sandbox/init_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PTMX "/dev/ptmx"

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
    size_t n = 0, name_len = strcspn(marker, "=") + 1;
    for (size_t i = 0; s->env[i]; i++)
        if (strncmp(s->env[i], marker, name_len) != 0)
            s->env[n++] = s->env[i];
    s->env[n++] = marker; /* argc is at least 1, so there is room for this and the NULL */
    s->env[n] = NULL;
}

/* In the child. Everything init changed about signals is undone; all other descriptors are
 * CLOEXEC. in -1: /dev/null. */
static int be_clean(int in, int out, int err)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL); /* KILL, STOP and libc's own refuse */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid(); /* a fresh child leads no group: cannot fail */
    if (in < 0)
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ? -1 : 0;
}

/* Returns only when there is nothing to exec. */
static void become(const struct init_start *s)
{
    /* On top of the image's own environment, which is ours; execvp searches the PATH that results. */
    for (size_t i = 0; s->env[i]; i++)
        if (putenv((char *)(uintptr_t)s->env[i]) != 0)
            return;
    (void)execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
}

/* A notebook's folder may have been moved, or never was in this workspace: the nearest one above it that is there. */
static bool climb(const char *folder)
{
    char path[PATH_MAX];
    size_t len = strnlen(folder, sizeof path);
    if (len == sizeof path)
        return chdir("/") == 0;
    memcpy(path, folder, len + 1);
    while (chdir(path) < 0) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            return chdir("/") == 0;
        *slash = '\0';
    }
    return true;
}

static void become_kernel(const struct init_start *s, int out, int err)
{
    if (be_clean(-1, out, err) == 0 && climb(s->cwd))
        become(s);
}

/* As a shell would say it. */
static void complain(const char *name, int error)
{
    const char *why = strerrordesc_np(error);
    const char *parts[] = { "kernelhub: ", name, ": ", why ? why : "it cannot be executed", "\n" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        (void)!write(2, parts[i], strlen(parts[i])); /* the exit code says it too */
}

static int become_command(const struct init_start *s, const int fds[INIT_MAX_FDS])
{
    if (be_clean(fds[2], fds[0], fds[1]) < 0)
        return 126;
    if (chdir(s->cwd) < 0) {
        complain(s->cwd, errno);
        return 126;
    }
    become(s);
    int why = errno;
    complain(s->argv[0], why);
    return why == ENOENT || why == ENOTDIR ? 127 : 126;
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

int init_spawn_command(struct init_start *s, const char *marker, const int fds[INIT_MAX_FDS],
                       struct init_child *ret)
{
    int exec[2];
    set_marker(s, marker);
    if (pipe2(exec, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno;
    CLEANUP_FD int exec_read = exec[0], exec_write = exec[1];
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(become_command(s, fds));
    *ret = (struct init_child){ pid, TAKE_FD(exec_read), -1, -1 };
    return 0;
}

void init_spawn_resize(int tty, int32_t size)
{
    const struct winsize w = { .ws_row = (unsigned short)(size >> 16 & 0x7fff),
                               .ws_col = (unsigned short)(size & 0x7fff) };
    (void)ioctl(tty, TIOCSWINSZ, &w); /* a terminal that is hung up has no size */
}

/* The slave is had from the master, not by a name. Whoever made the image may have put anything at PTMX. Returns 0 or an errno. */
static int open_terminal(int32_t size, int *ret_master, int *ret_slave)
{
    int unlocked = 0;
    struct stat st;
    struct termios t;
    CLEANUP_FD int master = open(PTMX, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0 || fstat(master, &st) < 0)
        return errno;
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
        return ENODEV;
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return errno;
    CLEANUP_FD int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || tcgetattr(slave, &t) < 0)
        return errno;
    t.c_iflag |= IUTF8; /* so that a backspace takes a whole character */
    if (tcsetattr(slave, TCSANOW, &t) < 0)
        return errno;
    init_spawn_resize(slave, size);
    *ret_master = TAKE_FD(master);
    *ret_slave = TAKE_FD(slave);
    return 0;
}

/* Home when there is no such folder (any more). */
static void become_terminal(const struct init_start *s, int slave)
{
    const char *home = getenv("HOME");
    if (be_clean(slave, slave, slave) < 0 || ioctl(0, TIOCSCTTY, 0) < 0)
        return;
    if (chdir(s->cwd) == 0 || (home && chdir(home) == 0) || chdir("/") == 0)
        become(s);
}

int init_spawn_terminal(struct init_start *s, const char *marker, int32_t size,
                        struct init_child *ret, int *ret_tty)
{
    int exec[2], opened_master = -1, opened_slave = -1;
    int error = open_terminal(size, &opened_master, &opened_slave);
    if (error)
        return error;
    CLEANUP_FD int master = opened_master, slave = opened_slave;
    set_marker(s, marker);
    if (pipe2(exec, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno;
    CLEANUP_FD int exec_read = exec[0], exec_write = exec[1];
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        become_terminal(s, slave);
        int why = errno;
        (void)!write(exec_write, &why, sizeof why); /* init sees the exit code at least */
        _exit(127);
    }
    *ret = (struct init_child){ pid, TAKE_FD(exec_read), -1, -1 };
    *ret_tty = TAKE_FD(master);
    return 0;
}
