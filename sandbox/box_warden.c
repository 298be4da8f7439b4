#include "sandbox/box_warden.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/ids.h"
#include "sandbox/process.h"

#define WARDEN_MEMORY_BYTES (512ull << 20)
/* So that who floods his warden with messages costs his neighbours one CPU at most. */
#define WARDEN_CPU_PERCENT 100
#define WARDEN_FD          3

struct birth {
    const char *path;
    char *const *argv;
    const struct cgroup_procs *procs; /* "": there is none */
    int fd;
};

/* In the child of a process with threads: only what is safe after fork. */
static bool enter(const char *procs)
{
    if (!*procs)
        return true;
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "0", 1) == 1;
}

static _Noreturn void become_warden(const struct birth *birth)
{
    static char *const ENVIRONMENT[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid(); /* Ctrl-C in a terminal is for the supervisor */
    if (!enter(birth->procs->memory) || !enter(birth->procs->cpu))
        _exit(126);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        _exit(126);
    if (birth->fd == WARDEN_FD ? fcntl(WARDEN_FD, F_SETFD, 0) < 0 : dup2(birth->fd, WARDEN_FD) < 0)
        _exit(126);
    (void)syscall(SYS_close_range, WARDEN_FD + 1, ~0u, 0); /* all are CLOEXEC anyhow */
    execve(birth->path, birth->argv, ENVIRONMENT);
    _exit(127);
}

int box_warden_spawn(struct box *b, const struct place *place, struct err *e)
{
    char dir[PLACE_MAX_PATH], keeper_sock[PLACE_MAX_PATH], uid[16], hub_gid[16], name[64];
    char spool[PLACE_MAX_PATH], spool_mib[16], notes[PLACE_MAX_PATH];
    struct cgroup_procs procs = { "", "" };
    b->epoch = uuid_new();
    place_sandbox_path(place, &b->id, "", dir);
    snprintf(keeper_sock, sizeof keeper_sock, "%.200s/keeper.sock", place->options.run_dir);
    snprintf(uid, sizeof uid, "%u", b->first_id + IDS_WARDEN);
    snprintf(hub_gid, sizeof hub_gid, "%u", place->options.hub_gid);
    snprintf(name, sizeof name, "warden-%s", b->id.text);
    place_notes_path(place, &b->id, notes);
    place_spool_path(place, &b->id, spool);
    snprintf(spool_mib, sizeof spool_mib, "%u", place->options.spool_mib);
    struct err weak = ERR_INIT;
    if (cgroup_make(place->group, name, WARDEN_MEMORY_BYTES, WARDEN_CPU_PERCENT, &procs, &weak) < 0)
        log_warning("sandbox=%s warden has no cgroup: %s", b->id.text, weak.text);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_errno(e, ERR_INTERNAL, "make the warden's socket");
    CLEANUP_FD int ours = ends[0];
    CLEANUP_FD int theirs = ends[1];
    char *argv[] = { "kernelhub-warden",
                     "--sandbox",
                     b->id.text,
                     "--dir",
                     dir,
                     "--uid",
                     uid,
                     "--gid",
                     uid,
                     "--hub-gid",
                     hub_gid,
                     "--keeper",
                     keeper_sock,
                     "--epoch",
                     b->epoch.text,
                     "--notes",
                     notes,
                     "--spool",
                     spool,
                     "--spool-mib",
                     spool_mib,
                     NULL };
    struct birth birth = {
        .path = place->options.warden_path, .argv = argv, .procs = &procs, .fd = theirs
    };
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, ERR_UNAVAILABLE, "start a warden");
    if (pid == 0)
        become_warden(&birth);
    b->warden_pid = pid;
    b->warden_fd = TAKE_FD(ours);
    if (process_open(pid, 0, &b->warden_pidfd, &b->warden_start, e) < 0) {
        (void)kill(pid, SIGKILL); /* our child, not reaped */
        (void)waitpid(pid, NULL, 0);
        b->warden_pid = 0;
        return -1;
    }
    return 0;
}

int box_warden_expect(struct box *b, const char *word, unsigned timeout_ms, struct err *e)
{
    struct pollfd p[] = { { .fd = b->warden_fd, .events = POLLIN },
                          { .fd = b->pidfd, .events = POLLIN } }; /* -1 is passed over */
    char packet[64];
    int n = poll(p, 2, (int)timeout_ms);
    if (n == 0)
        return err_set(e, ERR_TIMEOUT, "the warden did not say '%s' in %u ms", word, timeout_ms);
    if (n > 0 && p[0].revents == 0)
        return err_set(e, ERR_SANDBOX, "the container ended before its warden was %s", word);
    ssize_t len = n < 0 ? -1 : recv(b->warden_fd, packet, sizeof packet, MSG_DONTWAIT);
    if (len <= 0)
        return err_set(e, ERR_SANDBOX, "the warden ended before it was %s", word);
    if (!slice_is(slice_of(packet, (size_t)len), word))
        return err_set(e, ERR_SANDBOX, "the warden says %s instead of '%s'",
                       log_quote(slice_of(packet, (size_t)len)), word);
    return 0;
}

int box_warden_tell(struct box *b, struct err *e)
{
    CLEANUP_BUF struct buf packet = BUF_INIT(8192);
    buf_addf(&packet, "{\"pid\":%d,\"cgroup\":{\"version\":%d,\"memory\":", b->pid,
             b->cgroup.version);
    json_quote_str(&packet, b->cgroup.memory);
    buf_add_str(&packet, ",\"cpu\":");
    json_quote_str(&packet, b->cgroup.cpu);
    buf_add_str(&packet, ",\"pids\":");
    json_quote_str(&packet, b->cgroup.pids);
    buf_add_str(&packet, "}}");
    if (packet.failed || send(b->warden_fd, packet.data, packet.len, MSG_NOSIGNAL | MSG_DONTWAIT) !=
                             (ssize_t)packet.len)
        return err_errno(e, ERR_SANDBOX, "tell the warden the container's pid");
    return 0;
}

void box_warden_end(struct box *b, const struct place *place)
{
    char name[64];
    if (b->warden_pidfd >= 0)
        process_end(b->warden_pid, b->warden_pidfd);
    snprintf(name, sizeof name, "warden-%s", b->id.text);
    cgroup_remove(place->group, name);
}
