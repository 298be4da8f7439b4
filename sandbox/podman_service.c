#include "sandbox/podman_service.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/small_file.h"
#include "sandbox/process.h"

#define STOP_TIMEOUT_MS 3000

/* All that the host's own containers.conf might say otherwise. With CONTAINERS_CONF set, Podman reads
 * no other; conmon hands the variable on to the clean-up that it starts. */
static int write_conf(const char *path, const char *runtime, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    buf_addf(&text,
             "[containers]\nlog_driver = \"k8s-file\"\nhttp_proxy = false\n"
             "[engine]\nruntime = \"%s\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n"
             "image_default_transport = \"containers-storage:\"\n",
             runtime);
    return small_file_write(AT_FDCWD, path, buf_slice(&text), 0600, e);
}

int podman_service_start(struct podman_service *s, const char *runtime, const char *socket_path,
                         const char *conf_path, struct err *e)
{
    char url[300], conf[300], storage[300], driver[100], dir[300];
    if (snprintf(url, sizeof url, "unix://%s", socket_path) >= (int)sizeof url)
        return err_set(e, ERR_INVALID, "the path of Podman's socket is too long");
    if (write_conf(conf_path, runtime, e) < 0)
        return -1;
    (void)unlink(socket_path); /* of an earlier one */
    snprintf(conf, sizeof conf, "CONTAINERS_CONF=%s", conf_path);
    const char *from_storage = getenv("CONTAINERS_STORAGE_CONF"),
               *from_driver = getenv("STORAGE_DRIVER");
    snprintf(storage, sizeof storage, "CONTAINERS_STORAGE_CONF=%.250s",
             from_storage ? from_storage : "");
    snprintf(driver, sizeof driver, "STORAGE_DRIVER=%.80s", from_driver ? from_driver : "");
    char *env[6] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     "HOME=/root", conf };
    int n = 3;
    if (from_storage)
        env[n++] = storage;
    if (from_driver)
        env[n++] = driver;
    /* fatal: what goes wrong with a request is in its answer, and told once by who asked. */
    char *argv[] = { "podman", "--runtime", (char *)runtime, "--log-level", "fatal",
                     "system", "service",   "--time=0",      url,           NULL };
    snprintf(dir, sizeof dir, "%s", conf_path);
    *strrchr(dir, '/') = '\0'; /* absolute, and below a folder */
    pid_t keeper = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, ERR_UNAVAILABLE, "start Podman");
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        /* Another keeper starts its own. Conmon and the containers do not inherit this. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != keeper)
            _exit(126);
        /* When a container is out of memory its conmon leaves an empty file `oom` where it stands. */
        if (chdir(dir) < 0)
            _exit(126);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
            _exit(126);
        (void)syscall(SYS_close_range, 3, ~0u, 0); /* all are CLOEXEC anyhow */
        execvpe("podman", argv, env);
        _exit(127);
    }
    s->pid = pid;
    if (process_open(pid, 0, &s->pidfd, NULL, e) < 0) {
        (void)kill(pid, SIGKILL); /* our child, not reaped */
        (void)waitpid(pid, NULL, 0);
        s->pid = 0;
        return -1;
    }
    return 0;
}

void podman_service_stop(struct podman_service *s)
{
    if (s->pidfd < 0)
        return;
    (void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGTERM, NULL,
                  0); /* gone already: reaped below */
    (void)process_wait(s->pidfd, STOP_TIMEOUT_MS);
    process_end(s->pid, s->pidfd);
    close_fd_at(&s->pidfd);
    s->pidfd = -1;
    s->pid = 0;
}
