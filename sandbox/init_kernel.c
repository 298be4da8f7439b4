#include "sandbox/init_kernel.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/init_census.h"
#include "sandbox/init_spawn.h"

#define SWEEP_MAX_ROUNDS 80 /* 1, 2, 4 … 32 ms apart: about 2.5 s */
#define SWEEP_MAX_SHIFT  5
#define FLUSH_MS         1000 /* a dead kernel's bytes may rest for so long, */
#define FLUSH_MAX        5    /* and flow for so many times that */
#define DRAIN_TURNS      32   /* reads per pipe of a dead kernel: pipes hold 64 KiB */
#define END_ROUNDS       20   /* sweeps per kernel when init ends, 5 ms apart */
#define HANG_UP_MS       200  /* between a terminal's SIGHUP and KILL */

static void settle(struct init_kernel *k);
static void hang_up(struct init_kernel *k);

/* False when no warden hears it. Only EXITED must be heard; the rest, HELLO's list stands for. */
static bool say(struct init_kernel *k, enum init_type type, unsigned channel, int value,
                const char *text)
{
    return init_warden_say(k->among->warden, type, k->number, channel, value, text);
}

static void refuse(struct init_kernels *all, const struct init_packet *p, int error,
                   const char *text)
{
    (void)init_warden_say(all->warden, INIT_FAILED, p->kernel, p->type, error, text);
}

static struct init_kernel *find(struct init_kernels *all, uint32_t number)
{
    return &all->table[number - 1]; /* init_decode has checked the range */
}

static bool alive(const struct init_kernel *k)
{
    return k->life == INIT_SPAWNING || k->life == INIT_RUNNING || k->life == INIT_ENDING;
}

static void relay_connected(struct init_relay *r)
{
    (void)say(r->owner, INIT_CONNECTED, r->channel, 0, NULL);
}

static void relay_closed(struct init_relay *r, int error)
{
    struct init_kernel *k = r->owner;
    if (k->kind != INIT_PTY)
        (void)say(k, INIT_CLOSED, r->channel, error, NULL);
    else if (k->life != INIT_ENDING)
        return hang_up(k); /* the warden has closed it, or the program has: both are its end */
    settle(k);
}

static void close_relay(struct init_relay *r, int error)
{
    if (r->state == INIT_RELAY_IDLE)
        return;
    const struct init_kernel *k = r->owner;
    init_relay_drop(r);
    if (k->kind != INIT_PTY)
        (void)say(r->owner, INIT_CLOSED, r->channel, error, NULL);
}

/* Returns false when there is nothing more for now, or for good. */
static bool pass_output(struct init_kernel *k, struct init_watch *w)
{
    char bytes[INIT_PAYLOAD_OUTPUT];
    ssize_t n = w->fd < 0 ? 0 : read(w->fd, bytes, sizeof bytes);
    if (n > 0)
        init_warden_output(k->among->warden, k->number, w == &k->out ? 1 : 2, bytes, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        init_watch_close(k->among->loop, w);
    return n > 0;
}

static void out_ready(struct init_watch *w, uint32_t events)
{
    (void)events;
    (void)pass_output(INIT_OWNER(w, struct init_kernel, out), w); /* one read a wake-up */
}

static void err_ready(struct init_watch *w, uint32_t events)
{
    (void)events;
    (void)pass_output(INIT_OWNER(w, struct init_kernel, err), w);
}

static void close_output(struct init_kernel *k, struct init_watch *w)
{
    for (int i = 0; i < DRAIN_TURNS && pass_output(k, w); i++)
        ;
    init_watch_close(k->among->loop, w);
}

/* Whatever is there now is only the sandbox's: user code may have been quicker. */
static void remove_file(const struct init_kernel *k)
{
    if (k->kind == INIT_KERNEL)
        (void)unlink(k->marker + strlen(INIT_MARKER));
}

/* By which each kind is begun. */
static const enum init_type ORDERS[] = {
    [INIT_KERNEL] = INIT_START, [INIT_COMMAND] = INIT_EXEC, [INIT_PTY] = INIT_TERMINAL
};

static void exec_failed(struct init_kernel *k, int error)
{
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        close_relay(&k->relays[i], error);
    init_watch_close(k->among->loop, &k->out);
    init_watch_close(k->among->loop, &k->err);
    remove_file(k);
    init_timer_disarm(k->among->loop, &k->sweep); /* of a terminal that was hung up by then */
    k->life = INIT_FREE;
    (void)say(k, INIT_FAILED, ORDERS[k->kind], error, "cannot execute it");
}

static void exec_ready(struct init_watch *w, uint32_t events)
{
    (void)events;
    struct init_kernel *k = INIT_OWNER(w, struct init_kernel, exec);
    int error = 0;
    ssize_t n = read(w->fd, &error, sizeof error);
    init_watch_close(k->among->loop, w);
    if (n == (ssize_t)sizeof error)
        return exec_failed(k, error);
    k->life = INIT_RUNNING;
    (void)say(k, INIT_STARTED, k->kind, k->pid, NULL);
}

static void born(struct init_kernel *k, const struct init_child *child)
{
    struct init_loop *l = k->among->loop;
    k->pid = child->pid;
    k->kill_asked = k->sweeping = false;
    k->life = INIT_SPAWNING;
    /* A pipe that cannot be watched is closed: the kernel then lives without it. */
    if (child->out_fd >= 0)
        (void)init_watch_open(l, &k->out, child->out_fd, EPOLLIN, out_ready);
    if (child->err_fd >= 0)
        (void)init_watch_open(l, &k->err, child->err_fd, EPOLLIN, err_ready);
    if (init_watch_open(l, &k->exec, child->exec_fd, EPOLLIN, exec_ready) < 0) {
        (void)kill(k->pid, SIGKILL); /* reaped like any other; its end is this order's answer */
        exec_failed(k, errno);
    }
}

static int start(struct init_kernel *k, const struct init_packet *p)
{
    struct init_start s;
    struct init_child child;
    k->kind = INIT_KERNEL;
    if (!init_decode_start(p->payload, p->payload_len, &s))
        return EBADMSG;
    if (strlen(s.file_path) >= sizeof k->marker - strlen(INIT_MARKER))
        return ENAMETOOLONG;
    strcpy(stpcpy(k->marker, INIT_MARKER), s.file_path);
    int error = init_spawn(&s, k->marker, &child);
    if (error)
        return error;
    born(k, &child);
    return 0;
}

/* Of all of its kind there ever were: what a later one starts is not killed for an earlier one. */
static void write_marker(struct init_kernel *k, const char *name, uint32_t number)
{
    char digits[16];
    size_t n = 0;
    char *at = stpcpy(k->marker, name);
    for (uint32_t rest = number; rest || n == 0; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n)
        *at++ = digits[--n];
    *at = '\0';
}

static int exec_command(struct init_kernel *k, const struct init_packet *p,
                        const int fds[INIT_MAX_FDS])
{
    struct init_start s;
    struct init_child child;
    k->kind = INIT_COMMAND;
    if (fds[0] < 0 || fds[1] < 0 || !init_decode_exec(p->payload, p->payload_len, &s))
        return EBADMSG;
    write_marker(k, INIT_COMMAND_MARKER, ++k->among->n_commands);
    int error = init_spawn_command(&s, k->marker, fds, &child);
    if (!error)
        born(k, &child);
    return error;
}

void init_kernels_start(struct init_kernels *all, const struct init_packet *p)
{
    struct init_kernel *k = find(all, p->kernel);
    if (k->life != INIT_FREE)
        return refuse(all, p, EBUSY, "the number is in use");
    int error = start(k, p);
    if (error)
        refuse(all, p, error, "cannot start it");
}

void init_kernels_exec(struct init_kernels *all, const struct init_packet *p,
                       const int fds[INIT_MAX_FDS])
{
    struct init_kernel *k = find(all, p->kernel);
    if (k->life != INIT_FREE)
        return refuse(all, p, EBUSY, "the number is in use");
    int error = exec_command(k, p, fds);
    if (error)
        refuse(all, p, error, "cannot start it");
}

/* *fd is taken when it is used. */
static int open_terminal(struct init_kernel *k, const struct init_packet *p, int *fd)
{
    struct init_start s;
    struct init_child child;
    int tty;
    k->kind = INIT_PTY;
    if (*fd < 0 || !init_decode_exec(p->payload, p->payload_len, &s))
        return EBADMSG;
    write_marker(k, INIT_TERMINAL_MARKER, ++k->among->n_terminals);
    int error = init_spawn_terminal(&s, k->marker, p->value, &child, &tty);
    if (error)
        return error;
    error = init_relay_join(&k->relays[0], TAKE_FD(*fd), tty);
    born(k, &child);
    if (error) /* its terminal is gone: that is its end */
        hang_up(k);
    return 0;
}

void init_kernels_terminal(struct init_kernels *all, const struct init_packet *p, int fd)
{
    CLEANUP_FD int socket = fd;
    struct init_kernel *k = find(all, p->kernel);
    if (k->life != INIT_FREE)
        return refuse(all, p, EBUSY, "the number is in use");
    int error = open_terminal(k, p, &socket);
    if (error)
        refuse(all, p, error, "cannot start it");
}

void init_kernels_resize(struct init_kernels *all, const struct init_packet *p)
{
    const struct init_kernel *k = find(all, p->kernel);
    if (k->kind == INIT_PTY && (k->life == INIT_SPAWNING || k->life == INIT_RUNNING) &&
        k->relays[0].state == INIT_RELAY_OPEN)
        init_spawn_resize(k->relays[0].kernel.fd, p->value);
}

void init_kernels_channel(struct init_kernels *all, const struct init_packet *p, int fd)
{
    struct init_kernel *k = find(all, p->kernel);
    int error = ESRCH;
    if (k->kind == INIT_KERNEL && (k->life == INIT_SPAWNING || k->life == INIT_RUNNING))
        error = init_relay_open(&k->relays[p->channel], fd, p->payload, p->payload_len);
    else if (fd >= 0)
        (void)close(fd);
    if (error)
        (void)say(k, INIT_CLOSED, p->channel, error, NULL);
}

void init_kernels_signal(struct init_kernels *all, const struct init_packet *p)
{
    struct init_kernel *k = find(all, p->kernel);
    if (k->life != INIT_RUNNING)
        return refuse(all, p, ESRCH, "no such kernel");
    if (p->value < 1 || p->value >= NSIG)
        return refuse(all, p, EINVAL, "no such signal");
    if (kill(-k->pid, p->value) < 0)
        return refuse(all, p, errno, "cannot signal it");
    (void)say(k, INIT_DONE, 0, INIT_SIGNAL, NULL);
}

static bool only_one(const struct init_kernel *k)
{
    for (size_t i = 0; i < INIT_MAX_KERNELS; i++)
        if (alive(&k->among->table[i]) && &k->among->table[i] != k)
            return false;
    return true;
}

static void sweep_due(struct init_timer *t)
{
    struct init_kernel *k = INIT_OWNER(t, struct init_kernel, sweep);
    /* then nothing else in the namespace may live on; but what commands left behind may */
    bool all = getpid() == 1 && !k->among->n_commands && only_one(k);
    unsigned left = all ? init_census_kill_all() : init_census_kill(k->pid, k->marker);
    if (left && k->rounds < SWEEP_MAX_ROUNDS) {
        int64_t in_ms = 1 << (k->rounds < SWEEP_MAX_SHIFT ? k->rounds : SWEEP_MAX_SHIFT);
        k->rounds++;
        return init_timer_arm(k->among->loop, t, in_ms, sweep_due);
    }
    k->sweeping = false;
    if (k->kill_asked)
        (void)say(k, INIT_DONE, 0, INIT_KILL, NULL);
    k->kill_asked = false;
    if (k->kind == INIT_PTY && k->life == INIT_ENDING)
        init_relay_finish(&k->relays[0]);
    settle(k);
}

static void hang_up(struct init_kernel *k)
{
    if (k->sweeping)
        return;
    int64_t in_ms = init_census_hang_up(k->pid, k->marker) ? HANG_UP_MS : 0;
    k->rounds = 0;
    k->sweeping = true;
    init_timer_arm(k->among->loop, &k->sweep, in_ms, sweep_due);
}

static void begin_sweep(struct init_kernel *k)
{
    init_timer_disarm(k->among->loop, &k->sweep);
    k->rounds = 0;
    k->sweeping = true;
    sweep_due(&k->sweep);
}

void init_kernels_kill(struct init_kernels *all, const struct init_packet *p)
{
    struct init_kernel *k = find(all, p->kernel);
    if (!alive(k))
        return refuse(all, p, ESRCH, "no such kernel");
    k->kill_asked = true;
    if (!k->sweeping || k->kind == INIT_PTY) /* that may only be hung up yet */
        begin_sweep(k);
}

static void tell_end(struct init_kernel *k)
{
    if (say(k, INIT_EXITED, 0, k->status, NULL))
        k->life = INIT_FREE;
}

void init_kernels_unheard(struct init_kernels *all, uint32_t number)
{
    find(all, number)->life = INIT_ENDED;
}

/* The last word about a kernel, when all it started is gone and all it said is passed on. */
static void settle(struct init_kernel *k)
{
    if (k->life != INIT_ENDING || k->sweeping)
        return;
    close_output(k, &k->out);
    close_output(k, &k->err);
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        if (k->relays[i].state != INIT_RELAY_IDLE)
            return;
    init_timer_disarm(k->among->loop, &k->flush);
    remove_file(k);
    k->life = INIT_ENDED;
    tell_end(k);
}

static uint64_t moved(const struct init_kernel *k)
{
    uint64_t sum = 0;
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        sum += k->relays[i].moved;
    return sum;
}

static void flush_due(struct init_timer *t)
{
    struct init_kernel *k = INIT_OWNER(t, struct init_kernel, flush);
    if (moved(k) != k->moved_before && ++k->flushes < FLUSH_MAX) {
        k->moved_before = moved(k);
        return init_timer_arm(k->among->loop, t, FLUSH_MS, flush_due);
    }
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        close_relay(&k->relays[i], ETIMEDOUT);
    settle(k);
}

void init_kernels_reaped(struct init_kernels *all, pid_t pid, int status)
{
    struct init_kernel *k = all->table;
    while (k < all->table + INIT_MAX_KERNELS &&
           (k->pid != pid || (k->life != INIT_SPAWNING && k->life != INIT_RUNNING)))
        k++;
    if (k == all->table + INIT_MAX_KERNELS)
        return; /* an orphan, or one whose exec failed */
    if (k->life == INIT_SPAWNING)
        exec_ready(&k->exec, 0); /* quicker than its pipe: that has the answer by now */
    if (k->life != INIT_RUNNING)
        return;
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        init_relay_settle(&k->relays[i]); /* its death may be heard before its answer */
    k->life = INIT_ENDING;
    k->status = status;
    if (k->kind == INIT_COMMAND)
        return settle(k); /* a KILL that is under way first comes to its end */
    /* A terminal's last bytes may take their time: the warden's side has its bounds. */
    if (k->kind == INIT_PTY)
        return hang_up(k);
    k->flushes = 0;
    k->moved_before = moved(k);
    for (int i = 0; i < INIT_N_CHANNELS; i++)
        if (k->relays[i].state != INIT_RELAY_OPEN)
            close_relay(&k->relays[i], ECONNREFUSED);
    init_timer_arm(all->loop, &k->flush, FLUSH_MS, flush_due);
    begin_sweep(k);
}

void init_kernels_end(struct init_kernels *all)
{
    for (size_t i = 0; i < INIT_MAX_KERNELS; i++) {
        struct init_kernel *k = &all->table[i];
        for (int round = 0; alive(k) && round < END_ROUNDS; round++) {
            unsigned left =
                getpid() == 1 ? init_census_kill_all() : init_census_kill(k->pid, k->marker);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
            if (!left)
                break;
            (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        }
    }
}

void init_kernels_hello(struct init_kernels *all)
{
    uint32_t count = 0;
    for (size_t i = 0; i < INIT_MAX_KERNELS; i++)
        count += all->table[i].life >= INIT_RUNNING;
    if (!init_warden_say(all->warden, INIT_HELLO, count,
                         INIT_CAN_EXEC | INIT_CAN_TERMINAL | INIT_CAN_CLIMB, INIT_WIRE_VERSION,
                         NULL))
        return;
    for (size_t i = 0; i < INIT_MAX_KERNELS; i++) {
        struct init_kernel *k = &all->table[i];
        if (k->life == INIT_RUNNING || k->life == INIT_ENDING)
            (void)say(k, INIT_STARTED, k->kind, k->pid,
                      NULL); /* lost with the line: the next HELLO says it */
        else if (k->life == INIT_ENDED)
            tell_end(k);
    }
}

void init_kernels_init(struct init_kernels *all, struct init_loop *l, struct init_folders *f,
                       struct init_warden *w)
{
    all->loop = l;
    all->warden = w;
    all->relays = (struct init_relays){ .loop = l, .folders = f };
    for (uint32_t i = 0; i < INIT_MAX_KERNELS; i++) {
        struct init_kernel *k = &all->table[i];
        k->among = all;
        k->number = i + 1;
        k->exec.fd = k->out.fd = k->err.fd = -1;
        for (unsigned c = 0; c < INIT_N_CHANNELS; c++) {
            init_relay_init(&k->relays[c], &all->relays, k, c);
            k->relays[c].on_connected = relay_connected;
            k->relays[c].on_closed = relay_closed;
        }
    }
}
