#include "cmd/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/knock.h"
#include "cmd/pidfile.h"
#include "sandbox/process.h"

#define START_LIMIT_MS 60000 /* for the keeper's socket; then we say ready without it */
#define END_GRACE_MS   10000
#define PURGE_LIMIT_MS 60000
#define TICK_MS        60000
#define KEEPER_SOCKET  "keeper.sock"
#define COURIER_SOCKET "courier.sock"

enum phase { STARTING, RUNNING, ENDING };

struct supervisor {
    const struct supervisor_options *o;
    struct role hub, keeper;
    struct role courier; /* runs only while it has something to do */
    enum phase phase;
    bool end_all; /* sandboxes too */
    bool hurry;   /* asked twice */
    bool new_key; /* for the hub's next start */
    int signal_fd, inotify_fd, config_fd;
    int64_t start_limit_ms;
    char socket_path[PATH_SIZE], courier_path[PATH_SIZE];
    char port[8]; /* of keep_port */
    int exit_code;
    struct err *error;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start(struct supervisor *s, struct role *r)
{
    const char *arguments[ROLE_MAX_ARGUMENTS];
    char port_setting[32];
    size_t n = 0;

    while (s->o->arguments[n] && n < ROLE_MAX_ARGUMENTS - 4) {
        arguments[n] = s->o->arguments[n];
        n++;
    }
    if (r == &s->hub && s->port[0]) {
        (void)snprintf(port_setting, sizeof port_setting, "--port=%s", s->port);
        arguments[n++] = port_setting;
    }
    if (r == &s->hub && s->new_key)
        arguments[n++] = "--new-admin-key";
    arguments[n] = NULL;
    return role_start(r, s->o->program, arguments, s->config_fd, now_ms(), s->error);
}

static void fail_start(struct supervisor *s, const struct role *r, int status)
{
    char end[80];

    role_describe_end(status, end, sizeof end);
    if (r->report.error[0])
        (void)err_set(s->error, ERR_UNAVAILABLE, "%s", r->report.error);
    else
        (void)err_set(s->error, ERR_UNAVAILABLE, "the %s %s before the service was ready", r->name,
                      end);
    s->exit_code = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
    s->phase = ENDING;
}

static void on_death(struct supervisor *s, struct role *r)
{
    char end[80];
    int status = role_reap(r);

    if (s->phase == STARTING) {
        fail_start(s, r, status);
        return;
    }
    int64_t wait_ms = restart_after_death(&r->restart, status == 0, now_ms());
    role_describe_end(status, end, sizeof end);
    if (r == &s->courier && status == 0)
        return; /* it had nothing to do */
    log_warning("event=%s_ended how=%s again_in_ms=%lld", r->name, log_quote(slice_str(end)),
                (long long)wait_ms);
    r->due_ms = now_ms() + wait_ms;
}

static void remember_port(struct supervisor *s, const char *url)
{
    const char *colon = strrchr(url, ':');
    if (s->o->keep_port && colon && strlen(colon + 1) < sizeof s->port)
        strcpy(s->port, colon + 1);
}

static void look_ready(struct supervisor *s)
{
    bool late = now_ms() >= s->start_limit_ms;

    if (s->phase != STARTING || !s->hub.report.url[0])
        return;
    if (access(s->socket_path, F_OK) < 0 && !late)
        return;
    if (late)
        log_warning("event=keeper_is_late limit_ms=%d", START_LIMIT_MS);
    s->phase = RUNNING;
    s->o->on_ready(s->o->arg, &s->hub.report);
}

static void on_report(struct supervisor *s, struct role *r)
{
    role_read_report(r);
    if (r != &s->hub || !r->report.url[0])
        return;
    s->new_key = false;
    remember_port(s, r->report.url);
    if (s->phase == RUNNING)
        s->o->on_ready(s->o->arg, &r->report);
}

static void reload(struct supervisor *s)
{
    struct err e = ERR_INIT;
    int fd = -1;

    if (s->o->snapshot(s->o->arg, &fd, &e) < 0) {
        log_error("event=reload_refused reason=%s", log_quote(slice_str(e.text)));
        return;
    }
    if (s->config_fd >= 0)
        (void)close(s->config_fd);
    s->config_fd = fd;
    log_info("event=reload");
    role_signal(&s->hub, SIGTERM); /* its next start reads them */
    role_signal(&s->courier, SIGTERM);
}

static void end(struct supervisor *s, bool all)
{
    s->hurry = s->phase == ENDING;
    s->phase = ENDING;
    s->end_all = s->end_all || all;
    if (s->hurry)
        return;
    if (all)
        fprintf(stderr, "kernelhub: ending the hub, the keeper and every sandbox (once more: "
                        "without waiting)\n");
    else
        log_info("event=ending sandboxes=go_on");
}

static void on_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;

    if (read(s->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM || info.ssi_signo == SIGQUIT)
        end(s, info.ssi_signo != SIGTERM);
    else if (info.ssi_signo == SIGHUP && s->o->in_terminal && tcgetpgrp(STDIN_FILENO) < 0)
        end(s, true); /* the window was closed */
    else if (info.ssi_signo == SIGHUP && s->phase != ENDING)
        reload(s);
    else if (info.ssi_signo == SIGUSR1 && s->phase == RUNNING) {
        s->new_key = true;
        role_signal(&s->hub, SIGTERM);
    }
}

static void start_again(struct supervisor *s, struct role *r)
{
    if (start(s, r) < 0) {
        log_error("event=start_failed role=%s reason=%s", r->name,
                  log_quote(slice_str(s->error->text)));
        if (r->pid == 0)
            r->due_ms = now_ms() + RESTART_MAX_MS;
    }
}

static void start_due(struct supervisor *s, struct role *r)
{
    if (r->pid == 0 && r->due_ms != 0 && now_ms() >= r->due_ms)
        start_again(s, r);
}

/* Whether a knock starts the courier: not while it runs, nor too soon after it died. */
static bool may_knock(const struct supervisor *s)
{
    return s->phase == RUNNING && s->courier.pid == 0 && now_ms() >= s->courier.due_ms;
}

static int wait_ms(const struct supervisor *s)
{
    int64_t due = now_ms() + TICK_MS;

    if (s->hub.due_ms && s->hub.due_ms < due)
        due = s->hub.due_ms;
    if (s->keeper.due_ms && s->keeper.due_ms < due)
        due = s->keeper.due_ms;
    if (s->courier.pid == 0 && s->courier.due_ms > now_ms() && s->courier.due_ms < due)
        due = s->courier.due_ms;
    if (s->phase == STARTING && s->start_limit_ms < due)
        due = s->start_limit_ms;
    return due > now_ms() ? (int)(due - now_ms()) : 0;
}

/* One wait for everything; poll skips descriptors below 0. */
static void turn(struct supervisor *s)
{
    char events[4096];
    struct pollfd p[] = {
        { .fd = s->signal_fd, .events = POLLIN },
        { .fd = s->hub.report_fd, .events = POLLIN },
        { .fd = s->keeper.report_fd, .events = POLLIN },
        { .fd = s->hub.pidfd, .events = POLLIN },
        { .fd = s->keeper.pidfd, .events = POLLIN },
        { .fd = s->phase == STARTING ? s->inotify_fd : -1, .events = POLLIN },
        { .fd = s->courier.report_fd, .events = POLLIN },
        { .fd = s->courier.pidfd, .events = POLLIN },
        { .fd = may_knock(s) ? s->courier.listen_fd : -1, .events = POLLIN },
    };

    int n = poll(p, ARRAY_LEN(p), wait_ms(s));
    if (n == 0)
        s->o->on_tick(s->o->arg);
    if (n > 0 && p[1].revents)
        on_report(s, &s->hub);
    if (n > 0 && p[2].revents)
        on_report(s, &s->keeper);
    if (n > 0 && p[3].revents)
        on_death(s, &s->hub);
    if (n > 0 && p[4].revents && s->phase != ENDING)
        on_death(s, &s->keeper);
    if (n > 0 && p[5].revents)
        (void)!read(s->inotify_fd, events,
                    sizeof events); /* what appeared is looked up, not read */
    if (n > 0 && p[6].revents)
        on_report(s, &s->courier);
    if (n > 0 && p[7].revents)
        on_death(s, &s->courier);
    if (n > 0 && p[8].revents)
        start_again(s, &s->courier);
    if (n > 0 && p[0].revents)
        on_signal(s);
    if (s->phase == ENDING)
        return;
    look_ready(s);
    start_due(s, &s->keeper);
    start_due(s, &s->hub);
}

/* SIGTERM, and SIGKILL when it takes too long or somebody hurries. */
static void end_role(struct supervisor *s, struct role *r)
{
    int64_t due_ms = now_ms() + END_GRACE_MS;
    bool killed = false;

    if (r->pid == 0)
        return;
    role_signal(r, SIGTERM);
    for (;;) {
        struct pollfd p[] = { { .fd = r->pidfd, .events = POLLIN },
                              { .fd = s->signal_fd, .events = POLLIN } };
        int64_t left = due_ms - now_ms();
        (void)poll(p, killed ? 1 : 2, killed ? -1 : left > 0 ? (int)left : 0);
        if (p[0].revents)
            break;
        if (p[1].revents)
            on_signal(s);
        if (!killed && (s->hurry || now_ms() >= due_ms)) {
            log_warning("event=%s_killed reason=\"%s\"", r->name,
                        s->hurry ? "asked twice" : "did not end in time");
            role_signal(r, SIGKILL);
            killed = true;
        }
    }
    (void)role_reap(r);
}

/* Every sandbox of this service, by a keeper that does nothing else. */
static void purge(struct supervisor *s)
{
    const char *arguments[ROLE_MAX_ARGUMENTS];
    struct err e = ERR_INIT;
    size_t n = 0;

    while (s->o->arguments[n] && n < ROLE_MAX_ARGUMENTS - 2) {
        arguments[n] = s->o->arguments[n];
        n++;
    }
    arguments[n++] = "--purge";
    arguments[n] = NULL;
    if (role_start(&s->keeper, s->o->program, arguments, s->config_fd, now_ms(), &e) < 0)
        log_error("event=purge_failed reason=%s", log_quote(slice_str(e.text)));
    if (s->keeper.pid == 0)
        return;
    if (!process_wait(s->keeper.pidfd, PURGE_LIMIT_MS))
        role_signal(&s->keeper, SIGKILL);
    int status = role_reap(&s->keeper);
    if (status != 0) {
        log_error("event=purge_failed reason=%s", log_quote(slice_str(s->keeper.report.error)));
        s->exit_code = 1;
    }
}

static int open_fds(struct supervisor *s, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGINT, SIG_DFL);  /* a shell's background jobs begin with it ignored */
    (void)signal(SIGPIPE, SIG_IGN); /* a terminal or log that has gone must not end us */
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->signal_fd < 0 || s->inotify_fd < 0)
        return err_errno(e, ERR_INTERNAL, "watch signals");
    if (inotify_add_watch(s->inotify_fd, s->o->run_dir, IN_CREATE | IN_MOVED_TO) < 0)
        return err_errno(e, ERR_INTERNAL, "watch %s", s->o->run_dir);
    return s->o->snapshot(s->o->arg, &s->config_fd, e);
}

static int begin(struct supervisor *s, struct err *e)
{
    const struct supervisor_options *o = s->o;
    char pid_path[PATH_SIZE];

    if (role_init(&s->hub, "hub", o->run_dir, e) < 0 ||
        role_init(&s->keeper, "keeper", o->run_dir, e) < 0 ||
        role_init(&s->courier, "courier", o->run_dir, e) < 0 ||
        paths_join(s->courier_path, o->run_dir, COURIER_SOCKET, e) < 0 ||
        paths_join(s->socket_path, o->run_dir, KEEPER_SOCKET, e) < 0 ||
        paths_join(pid_path, o->run_dir, SUPERVISOR_PID_FILE, e) < 0 || open_fds(s, e) < 0)
        return -1;
    if (pidfile_write(pid_path, getpid(), e) < 0)
        return -1;
    if (role_end_left_over(&s->hub))
        log_info("event=took_over role=hub");
    if (role_end_left_over(&s->keeper))
        log_info("event=took_over role=keeper");
    if (role_end_left_over(&s->courier))
        log_info("event=took_over role=courier");
    (void)unlink(s->socket_path); /* so that its appearing says that the new keeper listens */
    if (knock_listen(s->courier_path, o->hub_uid, o->hub_gid, &s->courier.listen_fd, e) < 0)
        return -1;
    s->start_limit_ms = now_ms() + START_LIMIT_MS;
    if (start(s, &s->keeper) < 0)
        return -1;
    return start(s, &s->hub);
}

static void finish(struct supervisor *s)
{
    char pid_path[PATH_SIZE];

    end_role(s, &s->hub);
    end_role(s, &s->courier);
    end_role(s, &s->keeper);
    knock_close(s->courier_path, s->courier.listen_fd);
    if (s->end_all)
        purge(s);
    if (paths_join(pid_path, s->o->run_dir, SUPERVISOR_PID_FILE, NULL) == 0)
        (void)unlink(pid_path);
    (void)close(s->inotify_fd);
    (void)close(s->signal_fd);
    if (s->config_fd >= 0)
        (void)close(s->config_fd);
}

int supervisor_run(const struct supervisor_options *o, struct err *ret_error)
{
    struct supervisor s = { .o = o,
                            .new_key = o->new_admin_key,
                            .signal_fd = -1,
                            .inotify_fd = -1,
                            .config_fd = -1,
                            .error = ret_error };

    s.hub.pidfd = s.keeper.pidfd = s.courier.pidfd = -1;
    s.courier.listen_fd = -1;
    if (begin(&s, ret_error) < 0) {
        s.exit_code = 1;
        s.phase = ENDING;
    }
    while (s.phase != ENDING)
        turn(&s);
    finish(&s);
    return s.exit_code;
}
