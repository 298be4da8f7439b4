#include "sandbox/host_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/small_file.h"
#include "sandbox/cgroup.h"
#include "sandbox/ids.h"
#include "sandbox/process.h"

#define TRY_TIMEOUT_MS 30000

/* What policy.c asks of Podman, in the runtime's own words, as far as a runtime may fail at it. Ids: the range's. */
static void put_config(struct buf *out, const char *init_path, unsigned first_id, const char *group)
{
    buf_add_str(
        out,
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":"
        "\"probe\","
        "\"process\":{\"user\":{\"uid\":1000,\"gid\":1000},\"cwd\":\"/\",\"args\":[\"/"
        "init\",\"discover\"],"
        "\"env\":[\"PATH=/bin\"],\"capabilities\":{},\"noNewPrivileges\":true,\"oomScoreAdj\":500,"
        "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":0}]},\"mounts\":["
        "{\"destination\":\"/"
        "proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\",\"nodev\",\"noexec\"]"
        "},"
        "{\"destination\":\"/"
        "dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"mode=755\"]},");
    buf_addf(out,
             "{\"destination\":\"/"
             "init\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[\"bind\",\"ro\",\"nosuid\","
             "\"nodev\"]}],",
             init_path);
    buf_addf(out,
             "\"linux\":{\"cgroupsPath\":\"/%s/"
             "probe\",\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":%u}],",
             group, first_id, IDS_MAPPED);
    buf_addf(out, "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":%u}],", first_id,
             IDS_MAPPED);
    buf_add_str(
        out, "\"resources\":{\"memory\":{\"limit\":67108864,\"swap\":67108864},\"cpu\":{\"quota\":"
             "50000,\"period\":100000},"
             "\"pids\":{\"limit\":32}},\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{"
             "\"type\":\"ipc\"},"
             "{\"type\":\"uts\"},{\"type\":\"network\"},{\"type\":\"user\"},{\"type\":\"cgroup\"}],"
             "\"maskedPaths\":[\"/proc/cmdline\"]}}");
}

static _Noreturn void become(char *const argv[], int out, bool want_stderr)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(want_stderr ? null : out, 1) < 0 ||
        dup2(want_stderr ? out : null, 2) < 0)
        _exit(126);
    (void)syscall(SYS_close_range, 3, ~0u, 0); /* all are CLOEXEC anyhow */
    execvp(argv[0], argv);
    _exit(127);
}

/* Keeps what fits and reads the rest away, until the writers are gone or time is up. */
static void collect(int fd, int pidfd, unsigned timeout_ms, char *ret, size_t size)
{
    size_t n = 0;
    struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
    while (poll(p, 2, (int)timeout_ms) > 0) {
        char chunk[1024];
        ssize_t got = p[0].revents ? read(fd, chunk, sizeof chunk) : 0;
        for (ssize_t i = 0; i < got && n < size - 1; i++)
            ret[n++] = chunk[i] >= ' ' && chunk[i] < 127 ? chunk[i] : ' ';
        if (got <= 0)
            break; /* ended, with nothing more to read: what its children keep open is not waited for */
    }
    while (n > 0 && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

int host_run(char *const argv[], bool want_stderr, char *ret, size_t size, unsigned timeout_ms,
             struct err *e)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, ERR_INTERNAL, "make a pipe");
    CLEANUP_FD int from = ends[0];
    CLEANUP_FD int to = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, ERR_UNAVAILABLE, "run %s", argv[0]);
    if (pid == 0)
        become(argv, to, want_stderr);
    close(TAKE_FD(to));
    CLEANUP_FD int pidfd = -1;
    if (process_open(pid, 0, &pidfd, NULL, e) == 0)
        collect(from, pidfd, timeout_ms, ret, size);
    bool ended = pidfd >= 0 && process_wait(pidfd, timeout_ms);
    if (!ended)
        (void)kill(pid, SIGKILL); /* our child, not reaped */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        return err_set(e, ERR_TIMEOUT, "%s took longer than %u ms", argv[0], timeout_ms);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(e, ERR_NOT_FOUND, "%s is not installed", argv[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_bundle(const char *dir, const struct keeper_options *options, const char *group,
                        struct err *e)
{
    CLEANUP_BUF struct buf config = BUF_INIT(16384);
    char path[300];
    unsigned base = options->id_base ? options->id_base : KEEPER_DEFAULT_ID_BASE;
    put_config(&config, options->init_path, base, group);
    static const char *const DIRS[] = { "rootfs", "rootfs/proc", "rootfs/dev", "root" };
    bool made = chmod(dir, 0711) == 0;
    for (size_t i = 0; i < ARRAY_LEN(DIRS); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, DIRS[i]);
        made = made && mkdir(path, 0755) == 0;
    }
    snprintf(path, sizeof path, "%s/rootfs/init", dir);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (!made || fd < 0)
        return err_errno(e, ERR_INTERNAL, "make a bundle in '%s'", dir);
    return small_file_write(AT_FDCWD, path, buf_slice(&config), 0600, e);
}

static void remove_bundle(const char *dir)
{
    static const char *const PATHS[] = {
        "config.json", "rootfs/init", "rootfs/proc", "rootfs/dev", "rootfs", "root", ""
    };
    char path[300];
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, PATHS[i]);
        (void)remove(path); /* what stays is an empty directory in /tmp */
    }
}

int host_runtime_try(const char *runtime, const struct keeper_options *options, struct err *e)
{
    if (access(options->init_path, X_OK) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "'%.200s'", options->init_path);
    char dir[] = "/tmp/kernelhub-probe-XXXXXX";
    if (!mkdtemp(dir))
        return err_errno(e, ERR_INTERNAL, "make a directory in /tmp");
    char root[64], said[400] = "", *name = dir + strlen("/tmp/");
    snprintf(root, sizeof root, "%s/root", dir);
    int code = write_bundle(dir, options, name, e);
    if (code == 0) {
        char *run[] = { (char *)runtime, "--root", root, "run", "--bundle", dir, name, NULL };
        code = host_run(run, true, said, sizeof said, TRY_TIMEOUT_MS, e);
        char *drop[] = { (char *)runtime, "--root", root, "delete", "--force", name, NULL };
        char ignored[8];
        (void)host_run(drop, true, ignored, sizeof ignored, TRY_TIMEOUT_MS,
                       NULL);                       /* mostly there is nothing left */
        (void)cgroup_remove_all(name);              /* what a runtime left that failed half-way */
        const char *message = strstr(said, "msg="); /* after runc's time and level */
        if (code > 0)
            err_set(e, ERR_UNAVAILABLE, "%s cannot run a container here: %s", runtime,
                    message ? message + 4 : said);
    }
    remove_bundle(dir);
    return code == 0 ? 0 : -1;
}
