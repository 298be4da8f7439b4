#include "sandbox/warden_kernel.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "sandbox/warden_kernel_inside.h"

#define RESTART_GRACE_MS 1000
#define EXIT_MS                                                                                    \
    10000 /* from a kill that init confirmed to the end; init itself is patient for 8 s */
#define DRAIN_MS     1000  /* without anything coming in, */
#define DRAIN_MAX_MS 30000 /* and in all */
#define AGAIN_ASK_MS 500
#define ORPHAN_MS    15000 /* for init to connect to another warden; it tries each second at least */
#define NUDGE_MS     1500

int64_t warden_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t warden_now_ms(void)
{
    return warden_now_us() / 1000;
}

static void be_late(struct warden_kernel *k);
static void kill_now(struct warden_kernel *k);
static void be_stuck(struct warden_kernel *k);

#define TO(state) (1u << (state))
#define FAIL      (TO(WK_DRAINING) | TO(WK_OVER))

/* What the world sees, the states that may follow, the time limit (READY_BY: what START said, GRACE: what
 * STOP said), and what is done when that has passed. */
enum { NEVER, READY_BY = -1, GRACE = -2 };

static const struct {
    const char *seen_as;
    unsigned next;
    int64_t limit_ms;
    void (*late)(struct warden_kernel *k);
} STATES[WK_N_STATES] = {
    [WK_WAITING] = { "starting", TO(WK_SPAWNING) | FAIL, READY_BY, be_late },
    [WK_ORPHANED] = { "starting", TO(WK_CONNECTING) | TO(WK_KILLING) | FAIL, ORPHAN_MS, be_late },
    [WK_SPAWNING] = { "starting", TO(WK_CONNECTING) | TO(WK_KILLING) | FAIL, READY_BY, be_late },
    [WK_CONNECTING] = { "starting", TO(WK_ASKING) | TO(WK_KILLING) | FAIL, READY_BY, be_late },
    [WK_ASKING] = { "starting", TO(WK_READY) | TO(WK_KILLING) | FAIL, READY_BY, be_late },
    [WK_READY] = { "ready", TO(WK_STOPPING) | TO(WK_KILLING) | FAIL, NEVER, NULL },
    [WK_STOPPING] = { "ready", TO(WK_STOPPING) | TO(WK_KILLING) | FAIL, GRACE, kill_now },
    [WK_KILLING] = { NULL, FAIL, EXIT_MS, be_stuck },
    [WK_DRAINING] = { NULL, TO(WK_OVER), DRAIN_MS, wk_on_drained },
    [WK_OVER] = { "dead", TO(WK_WAITING) | TO(WK_ORPHANED), NEVER, NULL },
};

static void move(struct warden_kernel *k, enum warden_kernel_state to)
{
    assert(STATES[k->state].next & TO(to));
    int64_t limit = STATES[to].limit_ms;
    k->state = to;
    k->due_ms = limit == NEVER      ? 0
                : limit == READY_BY ? k->ready_by_ms
                                    : warden_now_ms() + (limit == GRACE ? k->grace_ms : limit);
}

static void say_state(struct warden_kernel *k, const char *state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(128u << 10);
    bool dead = strcmp(state, "dead") == 0;
    struct warden_kernel_report report = { .state = state,
                                           .exit = k->exit,
                                           .expected = k->expected,
                                           .reason = dead ? k->reason : "",
                                           .output =
                                               dead ? buf_slice(&k->output) : slice_of(NULL, 0),
                                           .started_us = k->started_us,
                                           .spawned_us = k->spawned_us,
                                           .connected_us = k->connected_us,
                                           .ready_us = k->ready_us };
    if (report.output.len > WARDEN_KERNEL_OUTPUT) {
        report.output.data += report.output.len - WARDEN_KERNEL_OUTPUT;
        report.output.len = WARDEN_KERNEL_OUTPUT;
    }
    warden_report_kernel(&text, &report);
    struct link_frame f = { .type = LINK_KERNEL, .kernel_id = k->id, .n_parts = 1 };
    f.parts[0] = buf_slice(&text);
    if (strcmp(state, "ready") == 0)
        f.parts[f.n_parts++] = slice_of(k->info, k->info_len);
    (void)keep_add(k->env->keep, &f); /* never dropped */
    log_info("event=kernel_%s kernel=%s generation=%llu reason=%s", state, k->id.text,
             (unsigned long long)k->generation, log_quote(slice_str(report.reason)));
}

struct warden_kernel *warden_kernel_new(struct warden_kernel_env *env, const struct uuid *id,
                                        unsigned number)
{
    struct warden_kernel *k = calloc(1, sizeof *k);
    assert(k);
    k->env = env;
    k->id = *id;
    k->state = WK_OVER;
    buf_init(&k->output, 4 * WARDEN_KERNEL_OUTPUT);
    warden_kernel_renumber(k, number);
    return k;
}

bool warden_kernel_is_waiting(const struct warden_kernel *k)
{
    return k->state == WK_WAITING;
}

void warden_kernel_renumber(struct warden_kernel *k, unsigned number)
{
    k->number = number;
    (void)snprintf(k->folder, sizeof k->folder, "%s/%u", k->env->kernels_dir, number);
}

void warden_kernel_free(struct warden_kernel *k)
{
    if (!k)
        return;
    wk_close_lines(k);
    sodium_memzero(k->key, sizeof k->key);
    buf_done(&k->output);
    free(k->info);
    free(k->json);
    free(k->next_json);
    free(k);
}

static void order_init(struct warden_kernel *k, enum init_type type, int confirm, int32_t value,
                       struct slice payload)
{
    struct init_packet p = { .type = type,
                             .kernel = k->number,
                             .value = value,
                             .payload = payload.data,
                             .payload_len = payload.len };
    if (k->confirm_ms[confirm] == 0)
        k->confirm_ms[confirm] = warden_now_ms() + WARDEN_KERNEL_CONFIRM_MS;
    warden_init_send(k->env->init, &p, -1);
}

/* No process was or will be there. */
static void fail(struct warden_kernel *k, const struct err *e)
{
    (void)snprintf(k->reason, sizeof k->reason, "cannot start: %.200s", e->text);
    wk_on_drained(k);
}

static int spawn(struct warden_kernel *k, struct err *e)
{
    unsigned char raw[32];
    CLEANUP_BUF struct buf payload = BUF_INIT(INIT_MAX_PACKET);
    k->generation = ++k->env->generation;
    k->session = uuid_new();
    randombytes_buf(raw, sizeof raw);
    sodium_bin2hex(k->key, sizeof k->key, raw, sizeof raw);
    k->order.climbs = warden_init_can(k->env->init, INIT_CAN_CLIMB);
    if (warden_order_write(&payload, slice_str(k->json), &k->order, k->folder, k->number, k->key,
                           e) < 0 ||
        wk_open_lines(k, e) < 0)
        return -1;
    warden_notes_put(k->env->notes, k->number, &k->id, k->key, false, slice_str(k->json));
    order_init(k, INIT_START, CONFIRM_START, 0, buf_slice(&payload));
    return 0;
}

static void dial_all(struct warden_kernel *k)
{
    struct err e = ERR_INIT;
    for (size_t i = 0; i < LINK_N_CHANNELS; i++)
        if (wk_dial(k, (enum link_channel)i, &e) < 0)
            wk_kill(k, e.text);
}

static void begin(struct warden_kernel *k)
{
    struct err e = ERR_INIT;
    if (!warden_init_is_there(k->env->init))
        return;
    move(k, WK_SPAWNING);
    if (spawn(k, &e) < 0) {
        fail(k, &e);
        return;
    }
    dial_all(k);
}

/* `json` is checked and ours. */
static void start(struct warden_kernel *k, char *json)
{
    struct err e = ERR_INIT;
    free(k->json);
    k->json = json;
    int rc = warden_order_read(slice_str(json), &k->order, &e);
    assert(rc == 0);
    k->started_us = warden_now_us();
    k->spawned_us = k->connected_us = k->ready_us = 0;
    k->ready_by_ms = warden_now_ms() + k->order.ready_timeout_ms;
    k->expected = k->killed = k->deaf = k->ever_ready = k->got_iopub = k->adopted = k->welcomed =
        false;
    k->exit = (struct warden_exit){ 0 };
    k->reason[0] = '\0';
    buf_reset(&k->output);
    memset(k->confirm_ms, 0, sizeof k->confirm_ms);
    free(TAKE(k->info));
    k->oom_kills = usage_read_oom_kills(k->env->usage);
    move(k, WK_WAITING);
    say_state(k, "starting");
    begin(k);
}

int warden_kernel_start(struct warden_kernel *k, struct slice json, struct err *e)
{
    struct warden_order order;
    if (warden_order_read(json, &order, e) < 0)
        return -1;
    char *copy = strndup(json.data, json.len);
    assert(copy);
    if (k->state == WK_OVER) {
        start(k, copy);
        return 0;
    }
    bool running = k->state < WK_STOPPING;
    warden_kernel_stop(k, RESTART_GRACE_MS); /* forgets a restart that waited */
    if (k->state == WK_OVER) {
        start(k, copy);
        return 0;
    }
    if (running)
        (void)snprintf(k->reason, sizeof k->reason, "restarted");
    k->next_json = copy;
    return 0;
}

void warden_kernel_adopt(struct warden_kernel *k, const struct warden_note *note)
{
    struct err e = ERR_INIT;
    k->json = strndup(note->order.data, note->order.len);
    assert(k->json);
    int rc = warden_order_read(note->order, &k->order, &e);
    assert(rc == 0); /* it was read by warden_notes_read */
    memcpy(k->key, note->key, sizeof k->key);
    k->started_us = warden_now_us();
    k->ever_ready = note->ready;
    k->was_busy = note->busy;
    k->adopted = true;
    k->oom_kills = usage_read_oom_kills(k->env->usage);
    move(k, WK_ORPHANED);
    log_info("event=kernel_inherited kernel=%s number=%u busy=%d", k->id.text, k->number,
             note->busy);
}

/* Init says that it lives, and takes orders. */
static void begin_again(struct warden_kernel *k)
{
    struct err e = ERR_INIT;
    int64_t now = warden_now_ms();
    k->generation = ++k->env->generation;
    k->session = uuid_new();
    k->spawned_us = warden_now_us();
    if (k->killed) { /* the hub was quicker */
        kill_now(k);
        return;
    }
    k->ready_by_ms = now + (k->ever_ready ? WARDEN_KERNEL_ADOPT_MS : k->order.ready_timeout_ms);
    k->nudge_ms = k->ever_ready && !k->was_busy ? now + NUDGE_MS : 0;
    move(k, WK_CONNECTING);
    if (wk_open_lines(k, &e) < 0) {
        wk_kill(k, e.text);
        return;
    }
    dial_all(k);
    if (k->was_busy && k->state == WK_CONNECTING)
        wk_interrupt_process(k);
}

bool wk_lives(const struct warden_kernel *k)
{
    return k->state >= WK_CONNECTING && k->state <= WK_STOPPING;
}

void wk_signal(struct warden_kernel *k, int signal)
{
    order_init(k, INIT_SIGNAL, CONFIRM_SIGNAL, signal, slice_of(NULL, 0));
}

static void kill_now(struct warden_kernel *k)
{
    k->killed = true;
    order_init(k, INIT_KILL, CONFIRM_KILL, 0, slice_of(NULL, 0));
    move(k, WK_KILLING);
}

void wk_kill(struct warden_kernel *k, const char *reason)
{
    if (k->state >= WK_KILLING || k->state <= WK_ORPHANED)
        return;
    (void)snprintf(k->reason, sizeof k->reason, "%.239s", reason);
    kill_now(k);
}

static const char *what_is_late(const struct warden_kernel *k)
{
    if (k->state <= WK_ORPHANED)
        return "the sandbox's init was not there";
    return k->state == WK_CONNECTING ? "the kernel opened no sockets" : "the kernel gave no answer";
}

static void be_late(struct warden_kernel *k)
{
    char reason[160];
    (void)snprintf(reason, sizeof reason, "%s within %lld ms%s", what_is_late(k),
                   (long long)(k->adopted && k->ever_ready ? WARDEN_KERNEL_ADOPT_MS
                                                           : k->order.ready_timeout_ms),
                   k->adopted ? " of the sandbox having another warden" : "");
    if (k->state <= WK_ORPHANED) {
        memcpy(k->reason, reason, sizeof reason);
        wk_on_drained(k);
        return;
    }
    wk_kill(k, reason);
}

static void be_stuck(struct warden_kernel *k)
{
    k->due_ms = 0;
    k->env->on_stuck(k->env->owner, "a killed kernel did not end");
}

void warden_kernel_stop(struct warden_kernel *k, int64_t grace_ms)
{
    free(TAKE(k->next_json));
    if (k->state >= WK_STOPPING)
        return;
    k->expected = k->killed = true;
    (void)snprintf(k->reason, sizeof k->reason, "stopped");
    if (k->state == WK_WAITING) {
        wk_on_drained(k);
        return;
    }
    if (k->state == WK_ORPHANED)
        return; /* its process is killed as soon as init can be told */
    if (k->state != WK_READY || grace_ms <= 0) {
        kill_now(k);
        return;
    }
    if (k->n_runs > 0)
        wk_interrupt_process(k);
    k->grace_ms = grace_ms;
    move(k, WK_STOPPING);
    if (!wk_say(k, LINK_CONTROL, "shutdown_request", "{\"restart\":false}")) /* too much waits */
        kill_now(k);
}

void wk_on_ready(struct warden_kernel *k)
{
    k->ready_us = warden_now_us();
    k->ever_ready = true;
    k->ask_ms = k->nudge_ms = 0;
    warden_notes_put(k->env->notes, k->number, &k->id, k->key, true, slice_str(k->json));
    move(k, WK_READY);
    wk_watch_lines(k);
    say_state(k, "ready");
    free(TAKE(k->info));
}

/* From here on nothing of the process can come: the truth about everything is said. */
void wk_on_drained(struct warden_kernel *k)
{
    wk_drain(k);
    wk_end_all(k);
    if (k->reason[0] == '\0' && k->exit.known)
        (void)snprintf(k->reason, sizeof k->reason,
                       WIFSIGNALED(k->exit.wait_status) ? "killed by signal %d"
                                                        : "exited with code %d",
                       WIFSIGNALED(k->exit.wait_status) ? WTERMSIG(k->exit.wait_status)
                                                        : WEXITSTATUS(k->exit.wait_status));
    wk_close_lines(k);
    memset(k->confirm_ms, 0, sizeof k->confirm_ms);
    warden_notes_remove(k->env->notes, k->number);
    k->ask_ms = k->nudge_ms = k->deaf_ms = 0;
    move(k, WK_OVER);
    say_state(k, "dead");
    if (k->next_json)
        start(k, TAKE(k->next_json));
}

void wk_on_drain_progress(struct warden_kernel *k)
{
    int64_t due = warden_now_ms() + DRAIN_MS;
    k->due_ms = due < k->drain_until_ms ? due : k->drain_until_ms;
}

static void on_ended(struct warden_kernel *k, bool known, int wait_status)
{
    bool oom_rose = usage_read_oom_kills(k->env->usage) > k->oom_kills;
    bool by_kill = known && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
    k->exit = (struct warden_exit){ .known = known, .wait_status = wait_status };
    k->exit.oom = !k->killed && oom_rose && (by_kill || !known);
    if (k->exit.oom)
        (void)snprintf(k->reason, sizeof k->reason, "out of memory");
    move(k, WK_DRAINING);
    k->drain_until_ms = warden_now_ms() + DRAIN_MAX_MS;
    if (wk_is_drained(k))
        wk_on_drained(k);
}

void warden_kernel_on_init(struct warden_kernel *k)
{
    if (k->state == WK_WAITING) {
        begin(k);
    } else if (k->state == WK_ORPHANED && k->alive) {
        begin_again(k);
    } else if (k->state == WK_ORPHANED) {
        (void)snprintf(k->reason, sizeof k->reason, "it ended while the sandbox had no warden");
        wk_on_drained(k);
    }
}

void warden_kernel_on_init_gone(struct warden_kernel *k)
{
    k->alive = false;
    if (k->state < WK_SPAWNING || k->state >= WK_DRAINING)
        return;
    if (!k->killed)
        (void)snprintf(k->reason, sizeof k->reason, "the sandbox's init is gone");
    on_ended(k, false, 0);
}

static void on_connected(struct warden_kernel *k, enum link_channel which)
{
    k->lines[which].connected = true;
    if (k->state != WK_CONNECTING || !k->lines[LINK_SHELL].connected ||
        !k->lines[LINK_IOPUB].connected)
        return;
    k->connected_us = warden_now_us();
    move(k, WK_ASKING);
    wk_ask(k);
}

static void on_answer(struct warden_kernel *k, unsigned order, const struct init_packet *p)
{
    static const struct {
        enum init_type order;
        int confirm;
    } CONFIRMS[] = { { INIT_START, CONFIRM_START },
                     { INIT_SIGNAL, CONFIRM_SIGNAL },
                     { INIT_KILL, CONFIRM_KILL } };
    bool was_signalled = order == INIT_SIGNAL && k->confirm_ms[CONFIRM_SIGNAL] != 0;
    for (size_t i = 0; i < ARRAY_LEN(CONFIRMS); i++)
        if (CONFIRMS[i].order == order)
            k->confirm_ms[CONFIRMS[i].confirm] = 0;
    if (was_signalled && p->type == INIT_DONE && k->state == WK_READY && k->n_runs > 0)
        wk_nudge(k);
    if (order == INIT_START && p->type == INIT_FAILED) {
        (void)snprintf(k->reason, sizeof k->reason, "cannot start: %.*s",
                       (int)(p->payload_len < 200 ? p->payload_len : 200), p->payload);
        wk_on_drained(k);
    }
}

static void on_output(struct warden_kernel *k, struct slice bytes)
{
    buf_add_slice(&k->output, bytes);
    if (k->output.len > 2 * WARDEN_KERNEL_OUTPUT)
        buf_drop(&k->output, k->output.len - WARDEN_KERNEL_OUTPUT);
}

void warden_kernel_on_packet(struct warden_kernel *k, const struct init_packet *p)
{
    if (k->state < WK_ORPHANED || k->state >= WK_DRAINING)
        return;
    switch (p->type) {
    case INIT_STARTED:
        k->alive = true;
        k->confirm_ms[CONFIRM_START] = 0;
        if (k->state != WK_SPAWNING)
            return;
        k->spawned_us = warden_now_us();
        move(k, WK_CONNECTING);
        return;
    case INIT_CONNECTED:
    case INIT_CLOSED:
        if (k->state == WK_ORPHANED) /* we have dialled nothing yet */
            return;
        if (p->type == INIT_CONNECTED)
            on_connected(k, (enum link_channel)p->channel);
        else
            wk_on_line_closed(k, (enum link_channel)p->channel);
        return;
    case INIT_EXITED:
        on_ended(k, true, p->value);
        return;
    case INIT_OUTPUT:
        on_output(k, slice_of(p->payload, p->payload_len));
        return;
    case INIT_DONE:
        on_answer(k, (unsigned)p->value, p);
        return;
    case INIT_FAILED:
        on_answer(k, p->channel, p);
        return;
    case INIT_HELLO:
    case INIT_START:
    case INIT_EXEC:
    case INIT_TERMINAL:
    case INIT_RESIZE:
    case INIT_CHANNEL:
    case INIT_SIGNAL:
    case INIT_KILL:
    case INIT_SHUTDOWN:
        return; /* not told to kernels */
    }
}

int64_t warden_kernel_due_ms(const struct warden_kernel *k)
{
    int64_t due = k->due_ms;
    due_sooner(&due, k->ask_ms);
    due_sooner(&due, k->nudge_ms);
    due_sooner(&due, k->deaf_ms);
    due_sooner(&due, k->prompt_ms);
    for (size_t i = 0; i < N_CONFIRM; i++)
        due_sooner(&due, k->confirm_ms[i]);
    for (size_t i = 0; i < LINK_N_CHANNELS; i++)
        due_sooner(&due, k->lines[i].redial_ms);
    for (size_t i = 0; i < k->n_runs; i++)
        due_sooner(&due, run_due_ms(k->runs[i]));
    return due;
}

static bool is_due(int64_t due, int64_t now)
{
    return due && due <= now;
}

void warden_kernel_on_due(struct warden_kernel *k, int64_t now_ms)
{
    for (size_t i = 0; i < N_CONFIRM; i++) {
        if (is_due(k->confirm_ms[i], now_ms)) {
            k->confirm_ms[i] = 0;
            k->env->on_stuck(k->env->owner, "init did not confirm an order");
            return;
        }
    }
    wk_runs_due(k, now_ms);
    wk_redial_due(k, now_ms);
    wk_prompt_due(k, now_ms);
    if (is_due(k->ask_ms, now_ms)) {
        k->ask_ms = now_ms + AGAIN_ASK_MS;
        wk_ask(k);
    }
    if (is_due(k->nudge_ms, now_ms)) {
        k->nudge_ms = 0;
        if (wk_lives(k))
            wk_interrupt_process(k);
    }
    if (is_due(k->deaf_ms, now_ms)) {
        k->deaf_ms = 0;
        k->deaf = k->state == WK_READY;
        if (k->deaf)
            wk_kill(k, "it has closed its channels");
    }
    if (is_due(k->due_ms, now_ms))
        STATES[k->state].late(k);
}

bool warden_kernel_is_over(const struct warden_kernel *k)
{
    return k->state == WK_OVER;
}

bool warden_kernel_is_idle(const struct warden_kernel *k)
{
    return k->n_runs == 0;
}

const char *warden_kernel_state(const struct warden_kernel *k)
{
    const char *seen = STATES[k->state].seen_as;
    return seen ? seen : k->ever_ready ? "ready" : "starting";
}

const struct uuid *warden_kernel_id(const struct warden_kernel *k)
{
    return &k->id;
}

unsigned warden_kernel_number(const struct warden_kernel *k)
{
    return k->number;
}
