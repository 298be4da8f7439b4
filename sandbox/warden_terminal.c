#include "sandbox/warden_terminal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/warden_kernel_inside.h"

#define WAIT_MS     60000 /* for init to be there */
#define END_MS      15000 /* from a closed socket to init's word that it is over */
#define READ_BYTES  (32u << 10)
#define FRAME_BYTES (32u << 10)
#define RING        LINK_TERMINAL_RING_BYTES
#define WINDOW      LINK_TERMINAL_WINDOW_BYTES
#define TAKEN_BYTES (WINDOW / 4) /* said at once after so much */
#define MAX_SIDE    0x7fff

enum state {
    WAITING,  /* for init */
    SPAWNING, /* TERMINAL is on its way */
    RUNNING,
    ENDING, /* the socket has ended; init has still to say that all is over */
    ENDED,  /* what is left of the output, and that it is over, wait for the hub */
    OVER
};

struct warden_terminal {
    struct warden_kernel_env *env;
    struct warden_link *link;
    struct uuid id;
    char name[LINK_TERMINAL_NAME_BYTES + 1];
    unsigned rows, cols, number;
    enum state state;
    int64_t due_ms;
    struct buf order; /* init's TERMINAL; empty once it is sent */
    bool started, started_said, stopped;
    struct warden_exit exit;
    bool exited; /* init said so: the socket is read to its end */
    char reason[200];

    int fd;
    short watched;
    char *ring; /* position p stands at p % RING */
    uint64_t start, end, sent, upto;
    bool has_credit; /* on this connection */

    struct buf held;
    uint64_t input, taken, taken_said;
};

/* ---- its socket ---- */

static void watch(struct warden_terminal *t, short events);

static void close_socket(struct warden_terminal *t)
{
    if (t->fd < 0)
        return;
    watch(t, 0);
    (void)close(TAKE_FD(t->fd)); /* nothing to do about an error here */
    t->taken += t->held.len;     /* nobody reads it any more */
    buf_done(&t->held);
}

static void enter(struct warden_terminal *t, enum state state, int ms)
{
    t->state = state;
    t->due_ms = ms ? warden_now_ms() + ms : 0;
}

/* The socket has ended: init ends what is left, and says so. */
static void on_end_of_socket(struct warden_terminal *t)
{
    close_socket(t);
    if (t->exited)
        enter(t, ENDED, 0);
    else if (t->state == SPAWNING || t->state == RUNNING)
        enter(t, ENDING, END_MS);
}

/* There is no process, or none that is ours. */
static void give_up(struct warden_terminal *t, const char *why)
{
    close_socket(t);
    if (!t->reason[0])
        (void)snprintf(t->reason, sizeof t->reason, "%s", why); /* cut is fine */
    enter(t, ENDED, 0);
    log_info("event=terminal_ended terminal=%s reason=%s", t->id.text,
             log_quote(slice_str(t->reason)));
}

static void read_output(struct warden_terminal *t)
{
    size_t at = (size_t)(t->end % RING), room = RING - at;
    if (room > READ_BYTES)
        room = READ_BYTES;
    if (room > t->upto - t->end)
        room = (size_t)(t->upto - t->end);
    ssize_t n = recv(t->fd, t->ring + at, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        on_end_of_socket(t);
        return;
    }
    t->end += (uint64_t)n;
    if (t->end - t->start > RING)
        t->start = t->end - RING;
}

static void write_input(struct warden_terminal *t)
{
    ssize_t n = send(t->fd, t->held.data, t->held.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        n = (ssize_t)t->held.len; /* the other side is gone: its last words are still read */
    t->taken += (uint64_t)n;
    buf_drop(&t->held, (size_t)n);
    if (t->held.len == 0)
        buf_done(&t->held);
}

static bool may_read(const struct warden_terminal *t)
{
    return t->has_credit && t->end < t->upto && warden_link_is_clear(t->link);
}

static int on_socket(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_terminal *t = arg;
    if (t->held.len)
        write_input(t);
    if (may_read(t))
        read_output(t);
    t->env->after(t->env->owner);
    return 0;
}

static void watch(struct warden_terminal *t, short events)
{
    zmq_pollitem_t item = { .fd = t->fd, .events = events };
    if (events == t->watched)
        return;
    t->watched = events;
    loop_poller_end(t->env->loop, &item);
    if (!events)
        return;
    loop_poller(t->env->loop, &item, on_socket, t);
    loop_poller_set_tolerant(t->env->loop, &item); /* hung up is not read to its end */
}

void warden_terminal_watch(struct warden_terminal *t)
{
    if (t->fd < 0)
        return;
    watch(t, (short)((may_read(t) ? ZMQ_POLLIN : 0) | (t->held.len ? ZMQ_POLLOUT : 0)));
}

/* ---- what the hub hears ---- */

static void say(struct warden_terminal *t, enum link_type type, struct slice part)
{
    struct link_frame f = { .type = type, .kernel_id = t->id, .n_parts = 1 };
    f.parts[0] = part;
    warden_link_say(t->link, &f);
}

static void say_taken(struct warden_terminal *t)
{
    char json[64];
    if (t->taken == t->taken_said || (t->held.len && t->taken - t->taken_said < TAKEN_BYTES))
        return;
    t->taken_said = t->taken;
    (void)snprintf(json, sizeof json, "{\"upto\":%llu}", (unsigned long long)t->taken);
    say(t, LINK_TAKEN, slice_str(json));
}

static void say_started(struct warden_terminal *t)
{
    if (!t->started || t->started_said)
        return;
    t->started_said = true;
    say(t, LINK_STATE, SLICE_LITERAL("{\"state\":\"started\"}"));
}

static void say_output(struct warden_terminal *t)
{
    uint64_t limit = t->end < t->upto ? t->end : t->upto;
    while (t->sent < limit) {
        size_t at = (size_t)(t->sent % RING), n = RING - at;
        if (n > FRAME_BYTES)
            n = FRAME_BYTES;
        if (n > limit - t->sent)
            n = (size_t)(limit - t->sent);
        say(t, LINK_OUTPUT, slice_of(t->ring + at, n));
        t->sent += n;
    }
}

static void add_number(struct buf *out, const char *name, bool known, int value)
{
    if (known)
        buf_addf(out, ",\"%s\":%d", name, value);
    else
        buf_addf(out, ",\"%s\":null", name);
}

static void say_over(struct warden_terminal *t)
{
    CLEANUP_BUF struct buf json = BUF_INIT(2048);
    const struct warden_exit *x = &t->exit;
    bool code = x->known && WIFEXITED(x->wait_status),
         signal = x->known && WIFSIGNALED(x->wait_status);
    buf_add_str(&json, "{\"state\":\"over\"");
    add_number(&json, "exit_code", code, WEXITSTATUS(x->wait_status));
    add_number(&json, "signal", signal, WTERMSIG(x->wait_status));
    buf_add_str(&json, ",\"reason\":");
    json_quote_str(&json, t->reason[0] ? t->reason : NULL);
    buf_add_char(&json, '}');
    say(t, LINK_STATE, buf_slice(&json));
    enter(t, OVER, 0);
}

/* Only into an empty queue: what is numbered gets its turn between two of these. */
void warden_terminal_say(struct warden_terminal *t)
{
    if (!warden_link_is_clear(t->link))
        return;
    say_taken(t);
    if (!t->has_credit)
        return;
    say_started(t);
    say_output(t);
    if (t->state == ENDED && t->sent == t->end)
        say_over(t);
}

void warden_terminal_write_hello(struct warden_terminal *t, struct buf *out)
{
    t->has_credit = false;
    t->taken_said = t->taken;
    t->started_said = t->started;
    buf_addf(out, "{\"terminal_id\":\"%s\",\"name\":", t->id.text);
    json_quote_str(out, t->name);
    buf_addf(out,
             ",\"rows\":%u,\"cols\":%u,\"running\":%s,\"start\":%llu,\"end\":%llu,\"input\":%llu,"
             "\"taken\":%llu}",
             t->rows, t->cols, t->started ? "true" : "false", (unsigned long long)t->start,
             (unsigned long long)t->end, (unsigned long long)t->input,
             (unsigned long long)t->taken);
}

/* ---- the hub's orders ---- */

int warden_terminal_input(struct warden_terminal *t, struct slice bytes, struct err *e)
{
    if (bytes.len > WINDOW - t->held.len)
        return err_set(e, ERR_BUSY, "%u bytes wait for the terminal's program, the limit", WINDOW);
    t->input += bytes.len;
    if (t->state > RUNNING)
        t->taken += bytes.len; /* nobody reads it */
    else
        buf_add_slice(&t->held, bytes);
    if (t->fd >= 0 && t->held.len)
        write_input(t); /* a key is no reason for a turn of its own */
    return 0;
}

static bool read_side(struct slice json, const char *name, unsigned *ret)
{
    int64_t n = 0;
    if (!json_member_int(json, name, &n) || n < 1 || n > MAX_SIDE)
        return false;
    *ret = (unsigned)n;
    return true;
}

static int read_size(struct warden_terminal *t, struct slice json, struct err *e)
{
    unsigned rows, cols;
    if (!json_valid(json) || !read_side(json, "rows", &rows) || !read_side(json, "cols", &cols))
        return err_set(e, ERR_INVALID, "rows and cols are 1 to %d", MAX_SIDE);
    t->rows = rows;
    t->cols = cols;
    return 0;
}

int warden_terminal_resize(struct warden_terminal *t, struct slice json, struct err *e)
{
    if (read_size(t, json, e) < 0)
        return -1;
    const struct init_packet p = { .type = INIT_RESIZE,
                                   .kernel = t->number,
                                   .value = init_size(t->rows, t->cols) };
    if (t->state == SPAWNING || t->state == RUNNING)
        warden_init_send(t->env->init, &p, -1);
    return 0;
}

int warden_terminal_credit(struct warden_terminal *t, struct slice json, struct err *e)
{
    int64_t from = -1, upto = -1;
    bool good = json_valid(json) && json_member_int(json, "upto", &upto) && upto >= 0;
    (void)json_member_int(json, "from", &from); /* only in the first one */
    if (good && !t->has_credit)
        good = from >= 0 && (uint64_t)from >= t->start && (uint64_t)from <= t->end;
    if (!good)
        return err_set(e, ERR_INVALID, "there is no such output");
    if (!t->has_credit)
        t->sent = (uint64_t)from;
    t->has_credit = true;
    t->upto = (uint64_t)upto < t->sent + WINDOW ? (uint64_t)upto : t->sent + WINDOW;
    return 0;
}

void warden_terminal_stop(struct warden_terminal *t, const char *why)
{
    (void)snprintf(t->reason, sizeof t->reason, "%s", why); /* cut is fine */
    if (t->state == WAITING)
        give_up(t, why);
    else
        on_end_of_socket(t);
    t->stopped = true;
    /* nobody wants what is left of its output */
    t->has_credit = true;
    t->sent = t->upto = t->end;
}

/* ---- init ---- */

void warden_terminal_begin(struct warden_terminal *t, unsigned number)
{
    int ends[2];
    assert(t->state == WAITING);
    t->number = number;
    if (!warden_init_can(t->env->init, INIT_CAN_TERMINAL)) {
        give_up(t, "the sandbox is of an older version that has no terminals: end it, the next "
                   "one will");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        give_up(t, strerror(errno));
        return;
    }
    struct init_packet p = { .type = INIT_TERMINAL,
                             .kernel = number,
                             .value = init_size(t->rows, t->cols),
                             .payload = t->order.data,
                             .payload_len = t->order.len };
    t->fd = ends[0];
    enter(t, SPAWNING, WARDEN_KERNEL_CONFIRM_MS);
    warden_init_send(t->env->init, &p, ends[1]);
    buf_done(&t->order);
}

static void on_started(struct warden_terminal *t)
{
    t->started = true;
    if (t->state == SPAWNING)
        enter(t, RUNNING, 0);
}

static void on_exited(struct warden_terminal *t, int wait_status)
{
    t->exited = true;
    t->exit = (struct warden_exit){ .known = true, .wait_status = wait_status };
    log_info("event=terminal_ended terminal=%s", t->id.text);
    if (t->state == ENDING)
        enter(t, ENDED, 0);
    else
        t->due_ms = 0; /* what is in the socket comes as the hub takes it */
}

void warden_terminal_on_packet(struct warden_terminal *t, const struct init_packet *p)
{
    char why[160];
    if (t->state != SPAWNING && t->state != RUNNING && t->state != ENDING)
        return;
    if (p->type == INIT_STARTED) {
        on_started(t);
    } else if (p->type == INIT_EXITED) {
        on_exited(t, p->value);
    } else if (p->type == INIT_FAILED && p->channel == INIT_TERMINAL) {
        (void)snprintf(why, sizeof why, "the terminal cannot be started: %.100s",
                       p->value > 0 ? strerror(p->value) : "init cannot");
        give_up(t, why);
    }
}

void warden_terminal_on_init_gone(struct warden_terminal *t)
{
    if (t->state == SPAWNING || t->state == RUNNING || t->state == ENDING)
        give_up(t, "the sandbox's init is gone");
}

/* ---- time ---- */

int64_t warden_terminal_due_ms(const struct warden_terminal *t)
{
    return t->due_ms;
}

void warden_terminal_on_due(struct warden_terminal *t)
{
    t->due_ms = 0;
    switch (t->state) {
    case WAITING:
        give_up(t, "the sandbox's init was not there in time");
        return;
    case SPAWNING:
        t->env->on_stuck(t->env->owner, "init did not confirm a terminal");
        return;
    case ENDING:
        t->env->on_stuck(t->env->owner, "a terminal that was hung up did not end");
        return;
    case RUNNING:
    case ENDED:
    case OVER:
        return;
    }
}

/* ---- birth and death ---- */

int warden_terminal_new(struct warden_kernel_env *env, struct warden_link *link,
                        const struct link_frame *f, struct warden_terminal **ret, struct err *e)
{
    struct slice name;
    CLEANUP(warden_terminal_free) struct warden_terminal *t = calloc(1, sizeof *t);
    assert(t);
    *t = (struct warden_terminal){ .env = env, .link = link, .id = f->kernel_id, .fd = -1 };
    buf_init(&t->order, INIT_MAX_PACKET);
    buf_init(&t->held, WINDOW);
    if (!uuid_is_set(&f->kernel_id) || f->n_parts != 1)
        return err_set(e, ERR_INVALID, "a terminal has an id and one part");
    if (warden_order_write_exec(&t->order, f->parts[0], e) < 0 || read_size(t, f->parts[0], e) < 0)
        return -1;
    if (!json_member_string(f->parts[0], "name", &name) ||
        !json_copy_string(name, t->name, sizeof t->name))
        return err_set(e, ERR_INVALID, "a terminal's name has at most %d bytes",
                       LINK_TERMINAL_NAME_BYTES);
    t->ring = malloc(RING); /* pages that are not written to cost nothing */
    assert(t->ring);
    enter(t, WAITING, WAIT_MS);
    *ret = TAKE(t);
    return 0;
}

void warden_terminal_free(struct warden_terminal *t)
{
    if (!t)
        return;
    close_socket(t);
    buf_done(&t->order);
    buf_done(&t->held);
    free(t->ring);
    free(t);
}

bool warden_terminal_is_waiting(const struct warden_terminal *t)
{
    return t->state == WAITING;
}

bool warden_terminal_is_over(const struct warden_terminal *t)
{
    return t->state == OVER;
}

bool warden_terminal_is_stopped(const struct warden_terminal *t)
{
    return t->stopped;
}

const struct uuid *warden_terminal_id(const struct warden_terminal *t)
{
    return &t->id;
}

unsigned warden_terminal_number(const struct warden_terminal *t)
{
    return t->number;
}
