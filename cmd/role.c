#include "cmd/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/pidfile.h"

#define GRACE_MS   10000
#define MAX_REPORT 4096
#define MAX_FILES  65536

static void copy_member(struct slice object, const char *key, char *ret, size_t size)
{
    struct slice raw;
    if (!json_member_string(object, key, &raw) || !json_copy_string(raw, ret, size))
        ret[0] = '\0';
}

bool role_report_parse(struct role_report *ret, struct slice line)
{
    if (!json_valid(line) || json_type(line) != JSON_OBJECT)
        return false;
    copy_member(line, "url", ret->url, sizeof ret->url);
    copy_member(line, "admin_key", ret->admin_key, sizeof ret->admin_key);
    copy_member(line, "error", ret->error, sizeof ret->error);
    return ret->url[0] || ret->error[0];
}

static void add_member(struct buf *line, const char *key, const char *value)
{
    if (!value)
        return;
    buf_addf(line, "%s\"%s\":", line->len > 1 ? "," : "", key);
    json_quote_str(line, value);
}

void role_report_send(const char *url, const char *admin_key, const char *error)
{
    CLEANUP_BUF struct buf line = BUF_INIT(MAX_REPORT);

    buf_add_char(&line, '{');
    add_member(&line, "url", url);
    add_member(&line, "admin_key", admin_key);
    add_member(&line, "error", error);
    buf_add_str(&line, "}\n");
    if (!line.failed)
        (void)!write(ROLE_REPORT_FD, line.data,
                     line.len); /* a supervisor that has gone asks nothing */
    (void)close(ROLE_REPORT_FD);
}

void role_begin(void)
{
    (void)fcntl(ROLE_REPORT_FD, F_SETFD, FD_CLOEXEC);
    (void)fcntl(ROLE_CONFIG_FD, F_SETFD, FD_CLOEXEC); /* there may be none */
    (void)fcntl(ROLE_LISTEN_FD, F_SETFD, FD_CLOEXEC);
    (void)signal(SIGPIPE, SIG_IGN);
}

int role_read_settings(const struct settings *s, bool handed_over, struct config **ret,
                       struct err *e)
{
    int r = settings_read(s, ret, e);
    if (handed_over)
        (void)close(ROLE_CONFIG_FD); /* there may be none */
    return r;
}

int role_init(struct role *r, const char *name, const char *run_dir, struct err *e)
{
    char file[32];

    *r = (struct role){ .name = name, .pidfd = -1, .report_fd = -1, .listen_fd = -1 };
    (void)snprintf(file, sizeof file, "%s.pid", name);
    return paths_join(r->pid_path, run_dir, file, e);
}

bool role_end_left_over(struct role *r)
{
    return pidfile_end(r->pid_path, SIGTERM, GRACE_MS);
}

/* A terminal that root started us from is none of a role's: not even to read from. */
static bool read_from_nothing(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null == STDIN_FILENO ? fcntl(null, F_SETFD, 0) == 0 : dup2(null, STDIN_FILENO) == 0;
}

/* Its output may be one: a shell's descriptor of it can be read from, too, so it is opened anew, for writing alone, and that is what
 * whoever the role starts inherits. Before setsid, after which /dev/tty is nothing. Who is not root may be in a terminal
 * that belongs to another user, and has nobody to keep away from it: the roles are the same user. */
static bool only_write_to(int fd)
{
    char path[32];

    if (!isatty(fd))
        return true;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CLEANUP_FD int out = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return out < 0 ? geteuid() != 0 : dup2(out, fd) == fd;
}

/* A shell's 1024 are few for what has a connection per client and per sandbox. Not allowed: it works with fewer. */
static void allow_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= MAX_FILES)
        return;
    files.rlim_cur = files.rlim_max < MAX_FILES ? files.rlim_max : MAX_FILES;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

/* In the child. The copies above 10 are so that no dup2 runs over another's source. */
static void become(const struct role *r, const char *program, const char *const *arguments,
                   int report_fd, int config_fd)
{
    const char *argv[ROLE_MAX_ARGUMENTS + 4] = { "kernelhub", r->name, "--report" };
    size_t n = 3;
    sigset_t none;

    for (size_t i = 0; arguments[i] && n < ROLE_MAX_ARGUMENTS + 3; i++)
        argv[n++] = arguments[i];
    bool deaf = read_from_nothing() && only_write_to(STDOUT_FILENO) && only_write_to(STDERR_FILENO);
    allow_files();
    (void)setsid();
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int report = fcntl(report_fd, F_DUPFD_CLOEXEC, 10);
    int config = config_fd < 0 ? -1 : fcntl(config_fd, F_DUPFD_CLOEXEC, 10);
    int listener = r->listen_fd < 0 ? -1 : fcntl(r->listen_fd, F_DUPFD_CLOEXEC, 10);
    if (deaf && dup2(report, ROLE_REPORT_FD) >= 0 &&
        (config < 0 || dup2(config, ROLE_CONFIG_FD) >= 0) &&
        (listener < 0 || dup2(listener, ROLE_LISTEN_FD) >= 0))
        (void)execv(program, (char *const *)argv);
    log_error("cannot run %s: %s", program, strerror(errno));
    _exit(127);
}

int role_start(struct role *r, const char *program, const char *const *arguments, int config_fd,
               int64_t now_ms, struct err *e)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(e, ERR_INTERNAL, "make a pipe");
    CLEANUP_FD int read_end = ends[0];
    CLEANUP_FD int write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, ERR_INTERNAL, "fork");
    if (pid == 0)
        become(r, program, arguments, write_end, config_fd);
    r->pid = pid;
    r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* our child: it cannot be another one yet */
    r->report_fd = TAKE_FD(read_end);
    r->due_ms = 0;
    memset(&r->report, 0, sizeof r->report);
    restart_started(&r->restart, now_ms);
    if (r->pidfd < 0)
        return err_errno(e, ERR_INTERNAL, "watch the %s", r->name);
    return pidfile_write(r->pid_path, pid, e);
}

void role_signal(const struct role *r, int signal)
{
    if (r->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, r->pidfd, signal, NULL,
                      0); /* it may have ended just now */
}

/* A report is one write of less than PIPE_BUF bytes, so one read has all of it. */
void role_read_report(struct role *r)
{
    char line[MAX_REPORT];
    ssize_t n = read(r->report_fd, line, sizeof line);

    if (n > 0 && !role_report_parse(&r->report, slice_of(line, (size_t)n)))
        log_warning("event=bad_report role=%s", r->name);
    (void)close(r->report_fd);
    r->report_fd = -1;
}

int role_reap(struct role *r)
{
    int status = 0;

    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r->report_fd >= 0)
        role_read_report(r); /* its last words */
    (void)close(r->pidfd);
    (void)unlink(r->pid_path);
    r->pid = 0;
    r->pidfd = -1;
    return status;
}

void role_describe_end(int status, char *ret, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(ret, size, "was killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(ret, size, "ended with exit code %d", WEXITSTATUS(status));
}
