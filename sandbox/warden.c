#include "sandbox/warden.h"

#include <assert.h>
#include <czmq.h>
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "sandbox/keep.h"
#include "sandbox/warden_command.h"
#include "sandbox/warden_init.h"
#include "sandbox/warden_keeper.h"
#include "sandbox/warden_kernel.h"
#include "sandbox/warden_kernel_inside.h"
#include "sandbox/warden_link.h"
#include "sandbox/warden_terminals.h"

#define TRIM_BYTES (8u << 20) /* so much was kept: when it is gone, give the memory back */

struct warden {
    struct warden_setup setup;
    struct loop *loop;
    struct keep *keep;
    struct run_table *runs;
    struct warden_link *link;
    struct warden_init *init;
    struct warden_keeper *keeper;
    struct warden_kernel_env env;
    struct warden_kernel *kernels[INIT_MAX_KERNELS + 1]; /* by number */
    struct warden_command *commands[LINK_MAX_COMMANDS];
    struct warden_terminals terminals;
    uint64_t strangers; /* bit n: number n is init's, not ours: being killed */
    unsigned last_number;
    const char *stuck; /* init is to be given up, and why */
    int timer;
    int64_t timer_ms; /* when it fires */
    bool spool_lost;  /* what lay there cannot be read: over */
    size_t most_kept;
};

static struct warden_kernel *find(struct warden *w, const struct uuid *id)
{
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        if (w->kernels[i] && uuid_equal(warden_kernel_id(w->kernels[i]), id))
            return w->kernels[i];
    return NULL;
}

static struct warden_command *find_command(struct warden *w, const struct uuid *id)
{
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        if (w->commands[i] && uuid_equal(warden_command_id(w->commands[i]), id))
            return w->commands[i];
    return NULL;
}

static struct warden_command *command_of(struct warden *w, unsigned number)
{
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        if (w->commands[i] && warden_command_number(w->commands[i]) == number)
            return w->commands[i];
    return NULL;
}

/* Round and round, so that a number rests before it is used again; 0: none is free. */
static unsigned free_number(struct warden *w)
{
    for (unsigned tries = 0; tries < INIT_MAX_KERNELS; tries++) {
        w->last_number = w->last_number % INIT_MAX_KERNELS + 1;
        if (!w->kernels[w->last_number] && !command_of(w, w->last_number) &&
            !warden_terminals_of(&w->terminals, w->last_number) &&
            !(w->strangers >> (w->last_number - 1) & 1))
            return w->last_number;
    }
    return 0;
}

static unsigned free_number_of(void *owner)
{
    return free_number(owner);
}

/* The hub's orders */

static int order_start(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct warden_kernel *k = find(w, &f->kernel_id);
    if (!uuid_is_set(&f->kernel_id) || f->n_parts != 1)
        return err_set(e, ERR_INVALID, "a start order has a kernel id and one part");
    if (k)
        return warden_kernel_start(k, f->parts[0], e);
    unsigned number = free_number(w);
    if (number == 0)
        return err_set(e, ERR_QUOTA, "%d kernels and commands run in this sandbox, the limit",
                       INIT_MAX_KERNELS);
    k = warden_kernel_new(&w->env, &f->kernel_id, number);
    if (warden_kernel_start(k, f->parts[0], e) < 0) {
        warden_kernel_free(k);
        return -1;
    }
    w->kernels[number] = k;
    return 0;
}

static int no_kernel(struct err *e)
{
    return err_set(e, ERR_GONE, "no such kernel runs here");
}

static int order_stop(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct warden_kernel *k = find(w, &f->kernel_id);
    struct warden_command *c = find_command(w, &f->kernel_id);
    int64_t grace_ms = 2000;
    if (c)
        warden_command_stop(c);
    if (c || warden_terminals_stop(&w->terminals, f))
        return 0;
    if (!k)
        return no_kernel(e);
    if (f->n_parts > 0 && json_valid(f->parts[0]))
        (void)json_member_int(f->parts[0], "grace_ms", &grace_ms); /* absent: the default */
    warden_kernel_stop(k, grace_ms < 600000 ? grace_ms : 600000);
    return 0;
}

static int order_execute(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct warden_kernel *k = find(w, &f->kernel_id);
    if (run_table_find(w->runs, &f->execution_id))
        return 0; /* exactly once */
    return k ? warden_kernel_execute(k, f, e) : no_kernel(e);
}

static void begin_command(struct warden *w, struct warden_command *c)
{
    unsigned number = free_number(w);
    if (number)
        warden_command_begin(c, number);
    else
        warden_command_stop(c); /* so many kernels run: it ends as cancelled */
}

static int order_exec(struct warden *w, const struct link_frame *f, struct err *e)
{
    size_t place = LINK_MAX_COMMANDS, held_input = 0;
    if (run_table_find(w->runs, &f->execution_id))
        return 0; /* exactly once */
    if (find(w, &f->kernel_id) || find_command(w, &f->kernel_id))
        return err_set(e, ERR_CONFLICT, "something with this id runs here");
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++) {
        if (!w->commands[i])
            place = i;
        else
            held_input += warden_command_input(w->commands[i]);
    }
    if (place == LINK_MAX_COMMANDS)
        return err_set(e, ERR_QUOTA, "%d commands run in this sandbox, the limit",
                       LINK_MAX_COMMANDS);
    if (warden_command_new(&w->env, f, held_input, &w->commands[place], e) < 0)
        return -1;
    if (warden_init_is_there(w->init))
        begin_command(w, w->commands[place]);
    return 0;
}

static int order_message(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct warden_kernel *k = find(w, &f->kernel_id);
    return k ? warden_kernel_message(k, f, e) : no_kernel(e);
}

static int order_interrupt(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct warden_kernel *k = find(w, &f->kernel_id);
    struct warden_command *c = find_command(w, &f->kernel_id);
    if (!k && !c)
        return no_kernel(e);
    if (k)
        warden_kernel_interrupt(k, &f->execution_id);
    else
        warden_command_interrupt(c);
    return 0;
}

static int order_terminal(struct warden *w, const struct link_frame *f, struct err *e)
{
    if (f->type == LINK_TERMINAL && (find(w, &f->kernel_id) || find_command(w, &f->kernel_id)))
        return err_set(e, ERR_CONFLICT, "something with this id runs here");
    return warden_terminals_order(&w->terminals, f, e);
}

static int order_sample(struct warden *w, const struct link_frame *f, struct err *e)
{
    struct usage_sample now;
    CLEANUP_BUF struct buf text = BUF_INIT(1024);
    usage_read(w->setup.usage, &now);
    buf_add_char(&text, '{');
    usage_write(&text, &now);
    buf_add_char(&text, '}');
    struct link_frame reply = { .type = LINK_USAGE, .n_parts = 1 };
    reply.parts[0] = buf_slice(&text);
    warden_link_say(w->link, &reply);
    return 0;
}

static const struct {
    enum link_type type;
    int (*order)(struct warden *w, const struct link_frame *f, struct err *e);
} ORDERS[] = {
    { LINK_START, order_start },         { LINK_STOP, order_stop },
    { LINK_EXECUTE, order_execute },     { LINK_MESSAGE, order_message },
    { LINK_INTERRUPT, order_interrupt }, { LINK_SAMPLE, order_sample },
    { LINK_EXEC, order_exec },           { LINK_TERMINAL, order_terminal },
    { LINK_INPUT, order_terminal },      { LINK_RESIZE, order_terminal },
    { LINK_CREDIT, order_terminal },
};

static void say_error(struct warden *w, const struct link_frame *f, const struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    buf_addf(&text, "{\"code\":\"%s\",\"message\":", err_name(e->code));
    json_quote_str(&text, e->text);
    buf_add_char(&text, '}');
    struct link_frame reply = {
        .type = LINK_ERROR, .kernel_id = f->kernel_id, .execution_id = f->execution_id, .n_parts = 1
    };
    reply.parts[0] = buf_slice(&text);
    warden_link_say(w->link, &reply);
}

static bool on_frame(void *owner, const struct link_frame *f)
{
    struct warden *w = owner;
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(ORDERS); i++) {
        if (ORDERS[i].type != f->type)
            continue;
        if (ORDERS[i].order(w, f, &e) < 0)
            say_error(w, f, &e);
        return true;
    }
    return false;
}

static void write_hello(void *owner, struct buf *out)
{
    struct warden *w = owner;
    const char *comma = "";
    buf_add_str(out, ",\"kernels\":[");
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++) {
        if (!w->kernels[i])
            continue;
        buf_addf(out, "%s{\"kernel_id\":\"%s\",\"state\":\"%s\",\"iopub_welcome\":%s}", comma,
                 warden_kernel_id(w->kernels[i])->text, warden_kernel_state(w->kernels[i]),
                 warden_kernel_welcomes(w->kernels[i]) ? "true" : "false");
        comma = ",";
    }
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++) {
        if (!w->commands[i])
            continue;
        buf_addf(out, "%s{\"kernel_id\":\"%s\",\"state\":\"ready\"}", comma,
                 warden_command_id(w->commands[i])->text);
        comma = ",";
    }
    buf_add_str(out, "],\"executions\":[");
    comma = "";
    for (struct run *r = run_table_first(w->runs); r; r = run_table_next(w->runs)) {
        buf_addf(out, "%s{\"execution_id\":\"%s\",\"kernel_id\":\"%s\",\"state\":\"%s\"}", comma,
                 r->execution_id.text, r->kernel_id.text,
                 r->state == RUN_OVER ? "ended" : "running");
        comma = ",";
    }
    buf_add_str(out, "],\"features\":[\"exec\",\"terminal\"],\"terminals\":");
    warden_terminals_write_hello(&w->terminals, out);
}

/* Init's side */

static void on_hello(void *owner)
{
    struct warden *w = owner;
    log_info("event=init_connected");
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        if (w->kernels[i])
            warden_kernel_on_init(w->kernels[i]);
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        if (w->commands[i] && warden_command_is_waiting(w->commands[i]))
            begin_command(w, w->commands[i]);
    warden_terminals_on_init(&w->terminals);
}

/* A kernel of an earlier warden: we have no key to speak to it. */
static void on_stranger(struct warden *w, const struct init_packet *p)
{
    uint64_t bit = 1ull << (p->kernel - 1);
    struct warden_kernel *k = w->kernels[p->kernel];
    if (p->type == INIT_EXITED)
        w->strangers &= ~bit;
    if (p->type != INIT_STARTED)
        return;
    w->strangers |= bit;
    warden_init_send(w->init, &(struct init_packet){ .type = INIT_KILL, .kernel = p->kernel }, -1);
    log_warning("event=foreign_kernel number=%u", p->kernel);
    unsigned number = k ? free_number(w) : 0;
    if (number == 0)
        return; /* none waits under this number, or it fails to start and says so */
    w->kernels[p->kernel] = NULL;
    w->kernels[number] = k;
    warden_kernel_renumber(k, number);
}

static void on_packet(void *owner, const struct init_packet *p)
{
    struct warden *w = owner;
    if (p->kernel == 0)
        return;
    struct warden_command *c = command_of(w, p->kernel);
    struct warden_terminal *t = warden_terminals_of(&w->terminals, p->kernel);
    if (c)
        warden_command_on_packet(c, p);
    else if (t)
        warden_terminal_on_packet(t, p);
    else if (w->kernels[p->kernel] && !warden_kernel_is_waiting(w->kernels[p->kernel]))
        warden_kernel_on_packet(w->kernels[p->kernel], p);
    else
        on_stranger(w, p);
}

static void on_gone(void *owner)
{
    struct warden *w = owner;
    w->strangers = 0;
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        if (w->kernels[i])
            warden_kernel_on_init_gone(w->kernels[i]);
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        if (w->commands[i])
            warden_command_on_init_gone(w->commands[i]);
    warden_terminals_on_init_gone(&w->terminals);
}

static void on_stuck(void *owner, const char *why)
{
    struct warden *w = owner;
    w->stuck = why;
}

/* After every batch */

static int on_timer(struct loop *loop, int timer_id, void *arg);

static void arm(struct warden *w)
{
    int64_t due = 0;
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        due_sooner(&due, w->kernels[i] ? warden_kernel_due_ms(w->kernels[i]) : 0);
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        due_sooner(&due, w->commands[i] ? warden_command_due_ms(w->commands[i]) : 0);
    due_sooner(&due, warden_terminals_due_ms(&w->terminals));
    due_sooner(&due, warden_link_due_ms(w->link));
    /* a timer that fires too early finds nothing due and arms again */
    if (!due || (w->timer >= 0 && w->timer_ms <= due))
        return;
    if (w->timer >= 0)
        loop_timer_end(w->loop, w->timer);
    int64_t delay = due - warden_now_ms();
    w->timer = loop_timer(w->loop, delay > 0 ? (size_t)delay : 0, on_timer, w);
    w->timer_ms = due;
}

static void give_memory_back(struct warden *w)
{
    size_t kept = keep_bytes(w->keep);
    if (kept > w->most_kept)
        w->most_kept = kept;
    if (kept > 0 || w->most_kept < TRIM_BYTES)
        return;
    w->most_kept = 0;
    (void)malloc_trim(0); /* no matter whether there was something */
}

static void after(void *owner)
{
    struct warden *w = owner;
    if (w->stuck) {
        log_error("event=stuck reason=%s", log_quote(slice_str(w->stuck)));
        warden_keeper_ask_kill(w->keeper);
        warden_init_drop(w->init, w->stuck);
        w->stuck = NULL;
    }
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        if (w->kernels[i] && warden_kernel_is_over(w->kernels[i]))
            warden_kernel_free(TAKE(w->kernels[i]));
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        if (w->commands[i] && warden_command_is_over(w->commands[i]))
            warden_command_free(TAKE(w->commands[i]));
    warden_terminals_flush(&w->terminals);
    give_memory_back(w);
    arm(w);
}

static int on_timer(struct loop *loop, int timer_id, void *arg)
{
    struct warden *w = arg;
    int64_t now = warden_now_ms();
    w->timer = -1;
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++) {
        int64_t due = w->kernels[i] ? warden_kernel_due_ms(w->kernels[i]) : 0;
        if (due && due <= now)
            warden_kernel_on_due(w->kernels[i], now);
    }
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++) {
        int64_t due = w->commands[i] ? warden_command_due_ms(w->commands[i]) : 0;
        if (due && due <= now)
            warden_command_on_due(w->commands[i], now);
    }
    warden_terminals_on_due(&w->terminals, now);
    after(w);
    return 0;
}

static int on_keeper(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    char text[16];
    ssize_t n = recv(item->fd, text, sizeof text, MSG_DONTWAIT);
    if (n > 0)
        return slice_is(slice_of(text, (size_t)n), "stop") ? -1 : 0;
    if (n == 0) {
        log_info("event=keeper_gone");
        loop_poller_end(loop, item);
    }
    return 0;
}

/* What cannot be read back cannot be told; the next warden says what is lost. */
static int on_spool(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden *w = arg;
    int error = 0;
    w->spool_lost = !keep_on_spool(w->keep, &error);
    if (error)
        log_error("event=%s reason=%s kept_bytes=%zu spooled_bytes=%llu",
                  w->spool_lost ? "spool_lost" : "spool_full",
                  log_quote(slice_str(strerror(error))), keep_bytes(w->keep),
                  (unsigned long long)keep_spooled_bytes(w->keep));
    if (w->spool_lost)
        return -1;
    after(w);
    return 0;
}

/* The kernels of the warden before us. Init says which of them live. */
static void inherit(struct warden *w)
{
    struct warden_note note;
    CLEANUP_BUF struct buf text = BUF_INIT(128u << 10);
    for (unsigned i = 1; i <= INIT_MAX_KERNELS; i++) {
        if (!warden_notes_read(w->setup.notes, i, &text, &note) || find(w, &note.kernel_id))
            continue;
        w->kernels[i] = warden_kernel_new(&w->env, &note.kernel_id, i);
        warden_kernel_adopt(w->kernels[i], &note);
        sodium_memzero(note.key, sizeof note.key);
    }
    if (text.data)
        sodium_memzero(text.data, text.capacity);
    arm(w);
}

struct warden *warden_new(const struct warden_setup *setup)
{
    struct warden *w = calloc(1, sizeof *w);
    assert(w);
    w->setup = *setup;
    w->timer = -1;
    w->loop = loop_new();
    assert(w->loop);
    w->keep = keep_new(WARDEN_KEEP_BYTES, LINK_WINDOW_BYTES, setup->spool);
    w->runs = run_table_new(WARDEN_REMEMBER_RUNS, WARDEN_MAX_RUNS);
    w->keeper = warden_keeper_new(w->loop, setup->keeper_path);
    w->init =
        warden_init_new(w->loop, setup->init_fd, setup->init_pid,
                        &(struct warden_init_events){ on_hello, on_packet, on_gone, after, w });
    w->link = warden_link_new(w->loop, setup->link_fd, setup->first_uid, setup->last_uid,
                              w->setup.sandbox_id.text, &setup->epoch, w->keep,
                              &(struct warden_link_events){ on_frame, write_hello, after, w });
    w->env = (struct warden_kernel_env){ .loop = w->loop,
                                         .keep = w->keep,
                                         .runs = w->runs,
                                         .usage = setup->usage,
                                         .init = w->init,
                                         .notes = setup->notes,
                                         .channels_dir = setup->channels_dir,
                                         .kernels_dir = setup->kernels_dir,
                                         .on_stuck = on_stuck,
                                         .after = after,
                                         .owner = w };
    w->terminals.env = &w->env;
    w->terminals.link = w->link;
    w->terminals.free_number = free_number_of;
    zmq_pollitem_t item = { .fd = setup->keeper_fd, .events = ZMQ_POLLIN };
    loop_poller(w->loop, &item, on_keeper, w);
    if (setup->spool) {
        item.fd = spool_bell(setup->spool);
        loop_poller(w->loop, &item, on_spool, w);
    }
    inherit(w);
    return w;
}

void warden_free(struct warden *w)
{
    if (!w)
        return;
    for (size_t i = 1; i <= INIT_MAX_KERNELS; i++)
        warden_kernel_free(w->kernels[i]);
    for (size_t i = 0; i < LINK_MAX_COMMANDS; i++)
        warden_command_free(w->commands[i]);
    warden_terminals_done(&w->terminals);
    warden_link_free(w->link);
    warden_init_free(w->init);
    warden_keeper_free(w->keeper);
    run_table_free(w->runs);
    keep_free(w->keep);
    loop_free(w->loop);
    free(w);
}

int warden_run(struct warden *w)
{
    (void)loop_start(w->loop); /* ends by "stop", or with the spool */
    return w->spool_lost ? -1 : 0;
}
