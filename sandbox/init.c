/* init.c - PID 1 of a sandbox: starts kernels, reaps, relays bytes to the warden. It shares uid and
 * container with hostile code, so it keeps no secret, trusts no file, and never waits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "sandbox/init_discover.h"
#include "sandbox/init_folders.h"
#include "sandbox/init_kernel.h"
#include "sandbox/init_loop.h"
#include "sandbox/init_warden.h"

#define DEFAULT_SOCKET "/run/kernelhub/init.sock"
#define REAPS_A_WAKE   512 /* a fork bomb makes zombies without end */

enum { EXIT_ALONE = 3, EXIT_USAGE = 64, EXIT_BROKEN = 71 };

struct init {
    struct init_loop loop;
    struct init_folders folders;
    struct init_warden warden;
    struct init_kernels kernels;
    struct init_watch signals;
    struct init_timer reap;
};

static void order(void *owner, const struct init_packet *p, int fds[INIT_MAX_FDS])
{
    struct init *init = owner;
    switch (p->type) {
    case INIT_START:
        return init_kernels_start(&init->kernels, p);
    case INIT_EXEC:
        return init_kernels_exec(&init->kernels, p, fds);
    case INIT_TERMINAL:
        return init_kernels_terminal(&init->kernels, p, TAKE_FD(fds[0]));
    case INIT_RESIZE:
        return init_kernels_resize(&init->kernels, p);
    case INIT_CHANNEL:
        return init_kernels_channel(&init->kernels, p, TAKE_FD(fds[0]));
    case INIT_SIGNAL:
        return init_kernels_signal(&init->kernels, p);
    case INIT_KILL:
        return init_kernels_kill(&init->kernels, p);
    case INIT_SHUTDOWN:
        return init_loop_end(&init->loop, 0);
    case INIT_HELLO:
    case INIT_STARTED:
    case INIT_CONNECTED:
    case INIT_CLOSED:
    case INIT_EXITED:
    case INIT_OUTPUT:
    case INIT_DONE:
    case INIT_FAILED:
        return; /* init_warden lets none of these through */
    }
}

static void warden_connected(void *owner)
{
    init_kernels_hello(&((struct init *)owner)->kernels);
}

static void exit_unheard(void *owner, uint32_t kernel)
{
    init_kernels_unheard(&((struct init *)owner)->kernels, kernel);
}

static void warden_gone(void *owner)
{
    init_loop_end(&((struct init *)owner)->loop, EXIT_ALONE);
}

static void reap(struct init_timer *t)
{
    struct init *init = INIT_OWNER(t, struct init, reap);
    for (int i = 0; i < REAPS_A_WAKE; i++) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        init_kernels_reaped(&init->kernels, pid, status);
    }
    init_timer_arm(&init->loop, t, 0, reap);
}

/* Only who is outside the pid namespace may end PID 1: such a sender has pid 0 here. From inside a
 * pid of 0 can be had too, but only with another si_code (rt_sigqueueinfo). */
static bool from_outside(const struct signalfd_siginfo *s)
{
    return getpid() != 1 || (s->ssi_code == SI_USER && s->ssi_pid == 0);
}

static void signalled(struct init_watch *w, uint32_t events)
{
    (void)events;
    struct init *init = INIT_OWNER(w, struct init, signals);
    struct signalfd_siginfo s;
    while (read(w->fd, &s, sizeof s) == (ssize_t)sizeof s)
        if (s.ssi_signo != SIGCHLD && from_outside(&s))
            init_loop_end(&init->loop, 0);
    reap(&init->reap);
}

static int watch_signals(struct init *init)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    init->signals.fd = -1;
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -1 : init_watch_open(&init->loop, &init->signals, fd, EPOLLIN, signalled);
}

static int serve(const char *socket_path)
{
    struct init *init = calloc(1, sizeof *init); /* pages never touched cost nothing */
    const struct rlimit no_core = { 0, 0 };
    if (!init || init_loop_init(&init->loop) < 0 || watch_signals(init) < 0)
        return EXIT_BROKEN;
    (void)setrlimit(RLIMIT_CORE, &no_core);          /* the container has it already */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* PID 1 is; others (tests) become so */
    (void)signal(SIGPIPE, SIG_IGN);
    init_folders_init(&init->folders, &init->loop);
    init_kernels_init(&init->kernels, &init->loop, &init->folders, &init->warden);
    init->warden.owner = init;
    init->warden.on_connected = warden_connected;
    init->warden.on_order = order;
    init->warden.on_unheard = exit_unheard;
    init->warden.on_alone = warden_gone;
    init_warden_open(&init->warden, &init->loop, &init->folders, socket_path);
    init_loop_run(&init->loop);
    init_kernels_end(&init->kernels);
    int exit_code = init->loop.exit_code;
    free(init);
    return exit_code;
}

/* 0, 1 and 2 must be taken, else a socket becomes a kernel's stdout by number. */
static int open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < 3);
    return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* before all: pidfd_getfd, /proc/1/mem, /proc/1/fd */
    if (open_standard() < 0)
        return EXIT_BROKEN;
    if (argc == 2 && !strcmp(argv[1], "discover"))
        return init_discover(1) < 0 ? EXIT_BROKEN : 0;
    const char *socket_path = argc > 1 ? argv[1] : DEFAULT_SOCKET;
    if (argc > 2 || socket_path[0] != '/' ||
        strlen(socket_path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return EXIT_USAGE;
    return serve(socket_path);
}
