#include "sandbox/warden_command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/log.h"
#include "protocol/jupyter_message.h"
#include "protocol/text_cut.h"
#include "sandbox/warden_kernel_inside.h"
#include "sandbox/warden_order.h"
#include "sandbox/warden_report.h"

#define WAIT_MS       60000 /* for init to be there */
#define EXIT_MS       10000 /* from a kill that init confirmed to the end */
#define DRAIN_MS      200   /* for what its children still write when it has ended itself */
#define READ_BYTES    (16u << 10)
#define READS         4   /* a wake-up */
#define LAST_READS    128 /* of a pipe whose process has ended: pipes hold at most 1 MiB */
#define MAX_MS        (400LL * 86400 * 1000) /* what is longer is no limit */
#define DEFAULT_GRACE 2000
#define CANNOT_EXEC   126 /* as a shell says it */

enum state {
    WAITING,  /* for init */
    SPAWNING, /* EXEC is on its way */
    RUNNING,  /* its process is there */
    DRAINING, /* it is gone; what others that hold its pipes still write is coming in */
    OVER
};

struct outlet {
    struct warden_command *command;
    const char *name;
    int fd;
    char held[4]; /* the beginning of a character */
    size_t n_held;
};

struct warden_command {
    struct warden_kernel_env *env;
    struct uuid id;
    unsigned number;
    enum state state;
    int64_t due_ms; /* of the state, or of a kill's end */
    int64_t confirm_ms[N_CONFIRM];
    struct run *run;
    struct buf order;  /* init's EXEC; empty once it is sent */
    struct buf parent; /* header of the request that its messages answer */
    struct outlet out, err;
    char *input; /* owned; what is left of stdin */
    size_t input_at, input_len;
    int input_fd;
    unsigned n_said;
    bool interrupt_wanted, stopped, killed;
    struct warden_exit exit;
};

static void end(struct warden_command *c, enum warden_how how);

/* ---- what goes up ---- */

static void say(struct warden_command *c, const char *type, struct slice content)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024);
    char msg_id[64];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)snprintf(msg_id, sizeof msg_id, "%s_%u", c->id.text, ++c->n_said);
    jupyter_write_header(&header, msg_id, type, c->id.text,
                         (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    struct link_frame f = { .type = LINK_MESSAGE,
                            .channel = LINK_IOPUB,
                            .kernel_id = c->id,
                            .execution_id = c->run->execution_id,
                            .n_parts = 4 };
    f.parts[0] = buf_slice(&header);
    f.parts[1] = buf_slice(&c->parent);
    f.parts[2] = SLICE_LITERAL("{}");
    f.parts[3] = content;
    (void)keep_add(c->env->keep, &f); /* dropped ones are counted in a gap */
}

static void say_text(struct warden_command *c, const char *stream, struct slice text)
{
    if (text.len == 0)
        return;
    CLEANUP_BUF struct buf content = BUF_INIT(8 * text.len + 256);
    buf_addf(&content, "{\"name\":\"%s\",\"text\":", stream);
    json_quote(&content, text);
    buf_add_char(&content, '}');
    if (!c->run->first_us)
        c->run->first_us = warden_now_us();
    say(c, "stream", buf_slice(&content));
}

/* ---- its pipes ---- */

static void unwatch(struct warden_command *c, int fd)
{
    zmq_pollitem_t item = { .fd = fd };
    loop_poller_end(c->env->loop, &item);
}

static void close_outlet(struct outlet *o)
{
    if (o->fd < 0)
        return;
    unwatch(o->command, o->fd);
    (void)close(TAKE_FD(o->fd)); /* nothing to do about an error here */
    say_text(o->command, o->name, slice_of(o->held, o->n_held)); /* it was the end of a character */
    o->n_held = 0;
}

static void close_input(struct warden_command *c)
{
    free(TAKE(c->input));
    c->input_at = c->input_len = 0;
    if (c->input_fd < 0)
        return;
    unwatch(c, c->input_fd);
    (void)close(TAKE_FD(c->input_fd)); /* nothing to do about an error here */
}

/* Reads at most n times. Whoever has the other end may hold it for ever. */
static void read_outlet(struct outlet *o, unsigned n)
{
    char bytes[sizeof o->held + READ_BYTES];
    while (n-- > 0 && o->fd >= 0) {
        memcpy(bytes, o->held, o->n_held);
        ssize_t got = read(o->fd, bytes + o->n_held, READ_BYTES);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            close_outlet(o);
            return;
        }
        struct slice text = slice_of(bytes, o->n_held + (size_t)got);
        o->n_held = text_cut_incomplete(text);
        text.len -= o->n_held;
        memcpy(o->held, text.data + text.len, o->n_held);
        say_text(o->command, o->name, text);
    }
}

static void end_when_drained(struct warden_command *c)
{
    if (c->state == DRAINING && c->out.fd < 0 && c->err.fd < 0)
        end(c, WARDEN_DONE);
}

static int on_output(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct outlet *o = arg;
    struct warden_command *c = o->command;
    read_outlet(o, READS);
    end_when_drained(c);
    c->env->after(c->env->owner);
    return 0;
}

static int on_input(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_command *c = arg;
    ssize_t n = write(c->input_fd, c->input + c->input_at, c->input_len - c->input_at);
    if (n > 0)
        c->input_at += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || c->input_at == c->input_len)
        close_input(c); /* nobody reads it any more, or all is written */
    return 0;
}

/* ret[0] reads, ret[1] writes; our end does not block. The process may open its own by name
 * (/dev/stdout), which is a question of the inode's mode: it is not ours. */
static int open_pipe(int ret[2], int ours, struct err *e)
{
    if (pipe2(ret, O_CLOEXEC) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "make a pipe");
    if (fchmod(ret[0], 0666) < 0 || fcntl(ret[ours], F_SETFL, O_NONBLOCK) < 0) {
        (void)err_errno(e, ERR_INTERNAL, "prepare a pipe");
        (void)close(TAKE_FD(ret[0]));
        (void)close(TAKE_FD(ret[1]));
        return -1;
    }
    return 0;
}

static void watch(struct warden_command *c, int fd, short events, loop_poller_fn *handler,
                  void *arg)
{
    zmq_pollitem_t item = { .fd = fd, .events = events };
    loop_poller(c->env->loop, &item, handler, arg);
    loop_poller_set_tolerant(c->env->loop, &item); /* hung up is not read to its end */
}

/* Ours are watched and kept; theirs are for init. */
static int open_pipes(struct warden_command *c, int ret_theirs[INIT_MAX_FDS], struct err *e)
{
    int out[2] = { -1, -1 }, err[2] = { -1, -1 }, in[2] = { -1, -1 };
    bool ok = open_pipe(out, 0, e) == 0 && open_pipe(err, 0, e) == 0 &&
              (!c->input || open_pipe(in, 1, e) == 0);
    CLEANUP_FD int out_theirs = out[1], err_theirs = err[1], in_theirs = in[0];
    CLEANUP_FD int out_ours = out[0], err_ours = err[0], in_ours = in[1];
    if (!ok)
        return -1;
    c->out.fd = TAKE_FD(out_ours);
    c->err.fd = TAKE_FD(err_ours);
    c->input_fd = TAKE_FD(in_ours);
    watch(c, c->out.fd, ZMQ_POLLIN, on_output, &c->out);
    watch(c, c->err.fd, ZMQ_POLLIN, on_output, &c->err);
    if (c->input_fd >= 0)
        watch(c, c->input_fd, ZMQ_POLLOUT, on_input, c);
    ret_theirs[0] = TAKE_FD(out_theirs);
    ret_theirs[1] = TAKE_FD(err_theirs);
    ret_theirs[2] = TAKE_FD(in_theirs);
    return 0;
}

/* ---- its end ---- */

static void end(struct warden_command *c, enum warden_how how)
{
    struct usage_sample now;
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    struct run *r = c->run;
    close_outlet(&c->out);
    close_outlet(&c->err);
    close_input(c);
    usage_read(c->env->usage, &now);
    r->idle = r->reply = how == WARDEN_DONE;
    warden_report_end(&text, how, r, &c->exit, &now, warden_now_us());
    struct link_frame f = {
        .type = LINK_END, .kernel_id = c->id, .execution_id = r->execution_id, .n_parts = 1
    };
    f.parts[0] = buf_slice(&text);
    r->state = RUN_OVER;
    r->due_ms = 0;
    uint64_t number = keep_add(c->env->keep, &f); /* never dropped */
    run_table_ended(c->env->runs, TAKE(c->run), number, keep_acked(c->env->keep));
    c->state = OVER;
    c->due_ms = 0;
    memset(c->confirm_ms, 0, sizeof c->confirm_ms);
    log_info("event=command_ended command=%s how=%d", c->id.text, how);
}

/* There was and will be no process. */
static void fail(struct warden_command *c, const char *why)
{
    char text[300];
    (void)snprintf(text, sizeof text, "kernelhub: cannot start the command: %.200s\n", why);
    say_text(c, "stderr", slice_str(text));
    c->exit = (struct warden_exit){ .known = true, .wait_status = CANNOT_EXEC << 8 };
    end(c, c->stopped ? WARDEN_KILLED : WARDEN_DONE);
}

/* A shell says 137 when what it waited for was killed. */
static bool is_oom(const struct warden_command *c, bool known, int wait_status)
{
    bool killed = !known || (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL) ||
                  (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 128 + SIGKILL);
    return killed && !c->killed && usage_read_oom_kills(c->env->usage) > c->run->oom_kills;
}

static void on_exited(struct warden_command *c, int wait_status)
{
    c->exit = (struct warden_exit){ .known = true, .wait_status = wait_status };
    c->exit.oom = is_oom(c, true, wait_status);
    memset(c->confirm_ms, 0, sizeof c->confirm_ms);
    c->run->due_ms = 0; /* it was in time */
    /* all that the process itself wrote is in the pipes by now */
    read_outlet(&c->out, LAST_READS);
    read_outlet(&c->err, LAST_READS);
    if (c->stopped) {
        end(c, WARDEN_KILLED);
        return;
    }
    c->state = DRAINING;
    c->due_ms = warden_now_ms() + DRAIN_MS;
    end_when_drained(c);
}

void warden_command_on_init_gone(struct warden_command *c)
{
    if (c->state != SPAWNING && c->state != RUNNING)
        return;
    read_outlet(&c->out, LAST_READS);
    read_outlet(&c->err, LAST_READS);
    c->exit = (struct warden_exit){ .oom = is_oom(c, false, 0) };
    end(c, c->stopped ? WARDEN_KILLED : WARDEN_DIED);
}

/* ---- orders to init ---- */

static void order_init(struct warden_command *c, enum init_type type, int confirm, int32_t value)
{
    struct init_packet p = { .type = type, .kernel = c->number, .value = value };
    if (c->confirm_ms[confirm] == 0)
        c->confirm_ms[confirm] = warden_now_ms() + WARDEN_KERNEL_CONFIRM_MS;
    warden_init_send(c->env->init, &p, -1);
}

static void kill_all(struct warden_command *c)
{
    if (c->killed)
        return;
    c->killed = true;
    order_init(c, INIT_KILL, CONFIRM_KILL, 0);
    c->due_ms = warden_now_ms() + EXIT_MS;
}

void warden_command_interrupt(struct warden_command *c)
{
    if (c->state == WAITING || c->state == SPAWNING)
        c->interrupt_wanted = true;
    if (c->state != RUNNING)
        return;
    c->run->interrupted = true;
    order_init(c, INIT_SIGNAL, CONFIRM_SIGNAL, SIGINT);
}

void warden_command_stop(struct warden_command *c)
{
    c->stopped = true;
    if (c->state == WAITING)
        fail(c, "the command was stopped");
    else if (c->state == SPAWNING || c->state == RUNNING)
        kill_all(c);
    else if (c->state == DRAINING)
        end(c, WARDEN_DONE);
}

void warden_command_begin(struct warden_command *c, unsigned number)
{
    int fds[INIT_MAX_FDS];
    struct err e = ERR_INIT;
    assert(c->state == WAITING);
    c->number = number;
    if (!warden_init_can(c->env->init, INIT_CAN_EXEC)) {
        fail(c, "the sandbox is of an older version that runs none: end it, the next one will");
        return;
    }
    if (open_pipes(c, fds, &e) < 0) {
        fail(c, e.text);
        return;
    }
    struct init_packet p = {
        .type = INIT_EXEC, .kernel = number, .payload = c->order.data, .payload_len = c->order.len
    };
    c->run->cpu_us = usage_read_cpu_us(c->env->usage);
    c->run->oom_kills = usage_read_oom_kills(c->env->usage);
    c->run->sent_us = warden_now_us();
    c->confirm_ms[CONFIRM_START] = warden_now_ms() + WARDEN_KERNEL_CONFIRM_MS;
    c->state = SPAWNING;
    c->due_ms = 0;
    warden_init_send_fds(c->env->init, &p, fds, fds[2] >= 0 ? 3 : 2);
    buf_done(&c->order);
}

static void on_started(struct warden_command *c)
{
    c->confirm_ms[CONFIRM_START] = 0;
    if (c->state != SPAWNING)
        return;
    c->state = RUNNING;
    (void)run_on_turn(c->run, warden_now_ms()); /* asks for nothing */
    c->run->at_code = true;
    c->run->busy = true;
    say(c, "execute_input", SLICE_LITERAL("{}"));
    if (c->interrupt_wanted)
        warden_command_interrupt(c);
}

static void on_answer(struct warden_command *c, unsigned order, const struct init_packet *p)
{
    if (order == INIT_EXEC && p->type == INIT_FAILED && c->state == SPAWNING)
        fail(c, p->value > 0 ? strerror(p->value) : "init cannot");
    else if (order == INIT_SIGNAL)
        c->confirm_ms[CONFIRM_SIGNAL] = 0; /* refused: it has just ended */
    else if (order == INIT_KILL)
        c->confirm_ms[CONFIRM_KILL] = 0;
}

void warden_command_on_packet(struct warden_command *c, const struct init_packet *p)
{
    if (c->state != SPAWNING && c->state != RUNNING)
        return;
    switch (p->type) {
    case INIT_STARTED:
        on_started(c);
        return;
    case INIT_EXITED:
        on_exited(c, p->value);
        return;
    case INIT_DONE:
        on_answer(c, (unsigned)p->value, p);
        return;
    case INIT_FAILED:
        on_answer(c, p->channel, p);
        return;
    case INIT_CONNECTED:
    case INIT_CLOSED:
    case INIT_OUTPUT:
    case INIT_HELLO:
    case INIT_START:
    case INIT_EXEC:
    case INIT_TERMINAL:
    case INIT_RESIZE:
    case INIT_CHANNEL:
    case INIT_SIGNAL:
    case INIT_KILL:
    case INIT_SHUTDOWN:
        return; /* not said of commands */
    }
}

/* ---- time ---- */

int64_t warden_command_due_ms(const struct warden_command *c)
{
    int64_t due = c->due_ms;
    for (size_t i = 0; i < N_CONFIRM; i++)
        due_sooner(&due, c->confirm_ms[i]);
    due_sooner(&due, c->run ? c->run->due_ms : 0);
    return due;
}

static bool is_due(int64_t due, int64_t now)
{
    return due && due <= now;
}

static void on_state_due(struct warden_command *c)
{
    c->due_ms = 0;
    switch (c->state) {
    case WAITING:
        fail(c, "the sandbox's init was not there in time");
        return;
    case DRAINING:
        read_outlet(&c->out, LAST_READS);
        read_outlet(&c->err, LAST_READS);
        end(c, WARDEN_DONE);
        return;
    case SPAWNING:
    case RUNNING:
        c->env->on_stuck(c->env->owner, "a killed command did not end");
        return;
    case OVER:
        return;
    }
}

void warden_command_on_due(struct warden_command *c, int64_t now_ms)
{
    for (size_t i = 0; i < N_CONFIRM; i++) {
        if (is_due(c->confirm_ms[i], now_ms)) {
            c->confirm_ms[i] = 0;
            c->env->on_stuck(c->env->owner, "init did not confirm an order");
            return;
        }
    }
    if (c->run && is_due(c->run->due_ms, now_ms)) {
        enum run_action action = run_on_due(c->run, now_ms);
        log_info("event=late execution=%s command=%s", c->run->execution_id.text, c->id.text);
        if (action == RUN_INTERRUPT)
            order_init(c, INIT_SIGNAL, CONFIRM_SIGNAL, SIGINT);
        else if (action == RUN_KILL)
            kill_all(c);
    }
    if (is_due(c->due_ms, now_ms))
        on_state_due(c);
}

/* ---- birth and death ---- */

static int take_input(struct warden_command *c, const struct link_frame *f, size_t held_input,
                      struct err *e)
{
    if (f->n_parts < 2)
        return 0;
    if (f->parts[1].len > WARDEN_COMMANDS_MAX_INPUT - held_input)
        return err_set(e, ERR_BUSY, "%u bytes of stdin wait to be read by commands, the limit",
                       WARDEN_COMMANDS_MAX_INPUT);
    c->input_len = f->parts[1].len;
    c->input = malloc(c->input_len + 1);
    assert(c->input);
    if (c->input_len)
        memcpy(c->input, f->parts[1].data, c->input_len);
    return 0;
}

DEFINE_CLEANUP(struct warden_command, warden_command_free)

int warden_command_new(struct warden_kernel_env *env, const struct link_frame *f, size_t held_input,
                       struct warden_command **ret, struct err *e)
{
    int64_t timeout_ms = 0, grace_ms = DEFAULT_GRACE;
    CLEANUP(warden_command_free) struct warden_command *c = calloc(1, sizeof *c);
    assert(c);
    c->env = env;
    c->id = f->kernel_id;
    c->out = (struct outlet){ .command = c, .name = "stdout", .fd = -1 };
    c->err = (struct outlet){ .command = c, .name = "stderr", .fd = -1 };
    c->input_fd = -1;
    buf_init(&c->order, INIT_MAX_PACKET);
    buf_init(&c->parent, 1024);
    if (!uuid_is_set(&f->kernel_id) || !uuid_is_set(&f->execution_id) || f->n_parts < 1 ||
        f->n_parts > 2)
        return err_set(e, ERR_INVALID, "a command has two ids and one or two parts");
    if (warden_order_write_exec(&c->order, f->parts[0], e) < 0 ||
        take_input(c, f, held_input, e) < 0)
        return -1;
    (void)json_member_int(f->parts[0], "timeout_ms", &timeout_ms); /* absent: none */
    (void)json_member_int(f->parts[0], "grace_ms", &grace_ms);     /* absent: the default */
    c->run = run_table_add(env->runs, &f->execution_id, ++env->generation, f->execution_id.text);
    if (!c->run)
        return err_set(e, ERR_BUSY, "too many executions are not acknowledged");
    c->run->kernel_id = c->id;
    c->run->timeout_ms = timeout_ms > 0 && timeout_ms < MAX_MS ? timeout_ms : 0;
    c->run->grace_ms = grace_ms > 0 && grace_ms < MAX_MS ? grace_ms : 0;
    c->run->arrived_us = warden_now_us();
    jupyter_write_header(&c->parent, f->execution_id.text, "execute_request", c->id.text, 0);
    c->state = WAITING;
    c->due_ms = warden_now_ms() + WAIT_MS;
    *ret = TAKE(c);
    return 0;
}

void warden_command_free(struct warden_command *c)
{
    if (!c)
        return;
    c->out.n_held = c->err.n_held = 0; /* nothing is said any more */
    close_outlet(&c->out);
    close_outlet(&c->err);
    close_input(c);
    buf_done(&c->order);
    buf_done(&c->parent);
    free(c);
}

bool warden_command_is_waiting(const struct warden_command *c)
{
    return c->state == WAITING;
}

bool warden_command_is_over(const struct warden_command *c)
{
    return c->state == OVER;
}

const struct uuid *warden_command_id(const struct warden_command *c)
{
    return &c->id;
}

unsigned warden_command_number(const struct warden_command *c)
{
    return c->number;
}

size_t warden_command_input(const struct warden_command *c)
{
    return c->input_len - c->input_at;
}
