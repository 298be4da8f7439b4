/* The life of one sandbox, from a create to when nothing of it is left.
 *
 *   MAKING ──► RUNNING ──(its PID 1 ended)──► EXAMINING ──► ENDING ──► freed
 *      │         │  ▲ │                          ▲              ▲
 *      │  warden │  │ └──(destroy)───────────────┼──────────────┤
 *      │    gone ▼  │ done                       │              │
 *      │        REPLACING ──(PID 1 ended)────────┘              │
 *      │            └──(again and again, destroyed meanwhile)───┤
 *      └──(failed, destroyed meanwhile)─────────────────────────┘      ENDING is tried again until it succeeds */
#include "sandbox/keeper_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/process.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

/* Wardens of one sandbox that may die in a time; the next one is its end. */
#define MAX_DEATHS      5
#define DEATHS_IN_MS    60000
#define REPLACE_WAIT_MS 300 /* more before each try */

enum life_state { LIFE_MAKING, LIFE_RUNNING, LIFE_REPLACING, LIFE_EXAMINING, LIFE_ENDING, LIFE_N };

#define TO(state) (1u << LIFE_##state)

static const struct {
    const char *name;
    unsigned next;
} STATES[LIFE_N] = {
    [LIFE_MAKING] = { "making", TO(RUNNING) | TO(ENDING) },
    [LIFE_RUNNING] = { "running", TO(REPLACING) | TO(EXAMINING) | TO(ENDING) },
    [LIFE_REPLACING] = { "replacing", TO(RUNNING) | TO(EXAMINING) | TO(ENDING) },
    [LIFE_EXAMINING] = { "examining", TO(ENDING) },
    [LIFE_ENDING] = { "ending", 0 },
};

struct life {
    struct keeper *keeper;
    struct box *box; /* a worker's while MAKING, EXAMINING, ENDING; REPLACING: its warden */
    enum life_state state;
    bool destroyed; /* somebody asked for it */
    bool killed;    /* its warden asked for it */
    bool told;      /* the hub has had its create's answer and so hears of the end */
    struct watch container_watch;
    struct watch warden_watch;
    struct waiters creators;
    struct waiters destroyers;
    struct box_death death;
    struct err result; /* of the job that runs, written by the worker */
    unsigned retry_ms;
    int64_t warden_deaths_ms[MAX_DEATHS]; /* the latest ones, in a ring */
    unsigned n_warden_deaths;
};

static void begin_ending(struct life *l);

static void move(struct life *l, enum life_state next)
{
    assert(STATES[l->state].next & (1u << next));
    log_debug("sandbox=%s %s -> %s", l->box->id.text, STATES[l->state].name, STATES[next].name);
    l->state = next;
}

static void unwatch(struct life *l)
{
    watch_remove(l->keeper->watches, &l->container_watch);
    watch_remove(l->keeper->watches, &l->warden_watch);
}

void life_free(struct life *l)
{
    unwatch(l);
    box_free(l->box);
    free(l);
}

static void tell_end(struct life *l)
{
    if (!l->told)
        return;
    l->told = false; /* once */
    const char *reason = box_reason_name(l->death.reason);
    log_info("sandbox=%s ended reason=%s exit_code=%d", l->box->id.text, reason,
             l->death.exit_code);
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    /* message is our own text: printable, without quotes */
    buf_addf(&fields,
             ",\"sandbox_id\":\"%s\",\"reason\":\"%s\",\"exit_code\":%d,\"message\":\"%s\"",
             l->box->id.text, reason, l->death.exit_code, l->death.message);
    verb_server_tell_all(l->keeper->server, "exited", buf_slice(&fields));
}

static void answer_created(struct life *l, uint64_t client, uint64_t id)
{
    const struct box *b = l->box;
    CLEANUP_BUF struct buf fields = BUF_INIT(4096);
    buf_addf(&fields,
             ",\"sandbox_id\":\"%s\",\"template\":\"%s\",\"digest\":\"%s\",\"image\":", b->id.text,
             b->template_name, b->digest);
    json_quote_str(&fields, b->image);
    buf_addf(
        &fields,
        ",\"phases\":{\"create_us\":%lld,\"start_us\":%lld,\"warden_us\":%lld,\"total_us\":%lld}",
        (long long)b->phases.create_us, (long long)b->phases.start_us,
        (long long)b->phases.warden_us, (long long)b->phases.total_us);
    verb_server_reply(l->keeper->server, client, id, buf_slice(&fields));
}

static void refuse_all(struct life *l, struct waiters *w, const struct err *error)
{
    for (unsigned i = 0; i < w->n; i++)
        verb_server_refuse(l->keeper->server, w->waiter[i].client, w->waiter[i].id, error);
    w->n = 0;
}

static void set_death(struct life *l, enum box_reason reason, const char *message)
{
    l->death = (struct box_death){ .reason = reason, .exit_code = -1 };
    snprintf(l->death.message, sizeof l->death.message, "%s", message);
}

/* EXAMINING */

static void run_examine(void *ctx, struct podman *podman)
{
    struct life *l = ctx;
    box_examine(l->box, &l->keeper->place, podman, &l->death);
}

static void done_examine(void *ctx)
{
    struct life *l = ctx;
    if (l->destroyed)
        l->death.reason = BOX_DESTROYED;
    else if (l->killed && l->death.reason == BOX_DIED)
        l->death.reason = BOX_KILLED;
    tell_end(l);
    return begin_ending(l);
}

static void on_container_gone(struct watch *w, uint32_t events)
{
    struct life *l = CONTAINER_OF(w, struct life, container_watch);
    unwatch(l);
    move(l, LIFE_EXAMINING);
    (void)workers_submit(l->keeper->workers, (struct job){ run_examine, done_examine, l, NULL }, true,
                         NULL); /* must: never refused */
}

/* REPLACING */

static void begin_running(struct life *l);

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Counts one; false when it is one too many. */
static bool may_have_another(struct life *l)
{
    int64_t now = now_ms(), *oldest = &l->warden_deaths_ms[l->n_warden_deaths % MAX_DEATHS];
    bool many = l->n_warden_deaths >= MAX_DEATHS && now - *oldest < DEATHS_IN_MS;
    *oldest = now;
    l->n_warden_deaths++;
    return !many;
}

static void run_replace(void *ctx, struct podman *podman)
{
    struct life *l = ctx;
    l->result = (struct err)ERR_INIT;
    if (box_replace_warden(l->box, &l->keeper->place, &l->result) == 0)
        l->result.code = ERR_NONE;
}

static void done_replace(void *ctx);

static void submit_replace(struct life *l)
{
    (void)workers_submit(l->keeper->workers, (struct job){ run_replace, done_replace, l, NULL }, true,
                         NULL); /* must: never refused */
}

static int on_replace_due(struct loop *loop, int timer, void *ctx)
{
    struct life *l = ctx;
    /* it may have been given up, or have ended by itself, while nobody looked */
    if (l->destroyed || process_wait(l->box->pidfd, 0)) {
        err_set(&l->result, ERR_GONE, "the sandbox ends");
        done_replace(l);
    } else {
        submit_replace(l);
    }
    return 0;
}

static void try_replace(struct life *l)
{
    if (!may_have_another(l)) {
        log_error("sandbox=%s its wardens die again and again: it is given up", l->box->id.text);
        set_death(l, BOX_DIED, "its wardens died again and again");
        tell_end(l);
        return begin_ending(l);
    }
    unsigned tries = 0;
    for (unsigned i = 0; i < MAX_DEATHS; i++)
        tries += l->warden_deaths_ms[i] && now_ms() - l->warden_deaths_ms[i] < DEATHS_IN_MS;
    loop_timer(l->keeper->loop, tries > 1 ? (tries - 1) * REPLACE_WAIT_MS : 1, on_replace_due, l);
}

static void done_replace(void *ctx)
{
    struct life *l = ctx;
    if (process_wait(l->box->pidfd, 0))
        return on_container_gone(&l->container_watch, 0);
    if (l->destroyed) {
        set_death(l, BOX_DESTROYED, "destroyed");
        tell_end(l);
        return begin_ending(l);
    }
    if (l->result.code != ERR_NONE) {
        log_warning("sandbox=%s %s", l->box->id.text, l->result.text);
        return try_replace(l);
    }
    log_info("sandbox=%s has another warden pid=%d", l->box->id.text, l->box->warden_pid);
    move(l, LIFE_RUNNING);
    begin_running(l);
    if (l->killed)
        process_kill(l->box->pidfd); /* asked for meanwhile */
}

static void on_warden_gone(struct watch *w, uint32_t events)
{
    struct life *l = CONTAINER_OF(w, struct life, warden_watch);
    unwatch(l);
    /* When the container ended first its warden may follow at once: then that is what there is to tell. */
    if (process_wait(l->box->pidfd, 0))
        return on_container_gone(&l->container_watch, events);
    log_warning("sandbox=%s warden died", l->box->id.text);
    move(l, LIFE_REPLACING);
    return try_replace(l);
}

/* RUNNING */

static void begin_running(struct life *l)
{
    l->container_watch = (struct watch){ .on_ready = on_container_gone, .fd = -1 };
    l->warden_watch = (struct watch){ .on_ready = on_warden_gone, .fd = -1 };
    watch_add(l->keeper->watches, &l->container_watch, l->box->pidfd, EPOLLIN);
    l->told = true;
    if (l->box->warden_pidfd >= 0)
        watch_add(l->keeper->watches, &l->warden_watch, l->box->warden_pidfd, EPOLLIN);
    if (l->box->warden_pidfd < 0) { /* adopted without one */
        unwatch(l);
        move(l, LIFE_REPLACING);
        try_replace(l);
    }
}

/* ENDING */

static void run_end(void *ctx, struct podman *podman)
{
    struct life *l = ctx;
    l->result = (struct err)ERR_INIT;
    if (box_end(l->box, &l->keeper->place, podman, &l->result) == 0)
        l->result.code = ERR_NONE;
}

static void done_end(void *ctx);

static void submit_end(struct life *l)
{
    (void)workers_submit(l->keeper->workers, (struct job){ run_end, done_end, l, NULL }, true,
                         NULL); /* must: never refused */
}

static int on_retry(struct loop *loop, int timer, void *ctx)
{
    submit_end(ctx);
    return 0;
}

static void done_end(void *ctx)
{
    struct life *l = ctx;
    struct keeper *k = l->keeper;
    if (l->result.code != ERR_NONE) {
        if (l->retry_ms == 0)
            log_error("sandbox=%s cannot be removed, is tried again: %s", l->box->id.text,
                      l->result.text);
        refuse_all(l, &l->destroyers, &l->result);
        l->retry_ms = l->retry_ms == 0                 ? RETRY_MIN_MS
                      : l->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS
                                                       : l->retry_ms * 2;
        loop_timer(k->loop, l->retry_ms, on_retry, l);
        return;
    }
    for (unsigned i = 0; i < l->destroyers.n; i++)
        verb_server_reply(k->server, l->destroyers.waiter[i].client, l->destroyers.waiter[i].id,
                          SLICE_LITERAL(""));
    log_info("sandbox=%s removed", l->box->id.text);
    k->by_range[l->box->range] = NULL;
    ids_give(k->ids, l->box->range);
    zhashx_delete(k->lives, l->box->id.text);
    return life_free(l);
}

static void begin_ending(struct life *l)
{
    unwatch(l);
    move(l, LIFE_ENDING);
    submit_end(l);
}

/* MAKING */

static void run_make(void *ctx, struct podman *podman)
{
    struct life *l = ctx;
    l->result = (struct err)ERR_INIT;
    if (box_make(l->box, &l->keeper->place, podman, &l->result) == 0)
        l->result.code = ERR_NONE;
}

static void done_make(void *ctx)
{
    struct life *l = ctx;
    if (l->destroyed && l->result.code == ERR_NONE)
        err_set(&l->result, ERR_GONE, "the sandbox was destroyed while it was made");
    if (l->result.code != ERR_NONE) {
        log_warning("sandbox=%s user=%s template=%s could not be made: %s", l->box->id.text,
                    l->box->user_id, l->box->template_name, l->result.text);
        /* An image that Podman does not have any more: the list is stale. */
        if (l->result.code == ERR_NOT_FOUND)
            keeper_images_refresh(l->keeper);
        refuse_all(l, &l->creators, &l->result);
        return begin_ending(l);
    }
    log_info("sandbox=%s user=%s template=%s runs pid=%d warden=%d total_us=%lld", l->box->id.text,
             l->box->user_id, l->box->template_name, l->box->pid, l->box->warden_pid,
             (long long)l->box->phases.total_us);
    move(l, LIFE_RUNNING);
    for (unsigned i = 0; i < l->creators.n; i++)
        answer_created(l, l->creators.waiter[i].client, l->creators.waiter[i].id);
    l->creators.n = 0;
    begin_running(l);
    if (l->killed && l->state == LIFE_RUNNING)
        process_kill(l->box->pidfd); /* its warden asked while it was made */
}

static struct life *life_new(struct keeper *k, struct box *box, enum life_state state)
{
    struct life *l = calloc(1, sizeof *l);
    assert(l);
    l->keeper = k;
    l->box = box;
    l->state = state;
    l->container_watch.fd = l->warden_watch.fd = -1;
    set_death(l, BOX_DESTROYED, "destroyed");
    zhashx_insert(k->lives, box->id.text, l);
    k->by_range[box->range] = l;
    return l;
}

void life_begin(struct keeper *k, struct verb_peer peer, const struct verb_request *request,
                const struct image *image)
{
    struct err e = ERR_INIT;
    unsigned range;
    if (ids_take(k->ids, &range, &e) < 0)
        return verb_server_refuse(k->server, peer.client, request->id, &e);
    struct box *box = box_new(request);
    box->range = range;
    box->first_id = ids_first(k->ids, range);
    snprintf(box->image, sizeof box->image, "%s", image->name);
    snprintf(box->image_id, sizeof box->image_id, "%s", image->id);
    snprintf(box->digest, sizeof box->digest, "%s", image->digest);
    struct life *l = life_new(k, box, LIFE_MAKING);
    (void)waiters_add(&l->creators, peer.client, request->id); /* the first: there is room */
    if (workers_submit(k->workers, (struct job){ run_make, done_make, l, NULL }, false, &e) == 0)
        return;
    refuse_all(l, &l->creators, &e);
    k->by_range[range] = NULL;
    ids_give(k->ids, range);
    zhashx_delete(k->lives, box->id.text);
    life_free(l);
}

void life_adopt(struct keeper *k, struct box *box)
{
    box->first_id = ids_first(k->ids, box->range);
    struct life *l = life_new(k, box, LIFE_RUNNING);
    log_info("sandbox=%s adopted pid=%d warden=%d", box->id.text, box->pid, box->warden_pid);
    return begin_running(l);
}

struct life *life_find(struct keeper *k, const struct uuid *id)
{
    return zhashx_lookup(k->lives, id->text);
}

/* The verb carries thousandths, and a record's number need not come back bit by bit. */
static bool same_cpus(double a, double b)
{
    return a - b < 0.0005 && b - a < 0.0005;
}

static bool same_wish(const struct box *b, const struct verb_request *r)
{
    return strcmp(b->user_id, r->user_id) == 0 && strcmp(b->template_name, r->template_name) == 0 &&
           b->private_workspace == r->private_workspace &&
           b->limits.memory_bytes == r->limits.memory_bytes && b->limits.pids == r->limits.pids &&
           b->limits.workspace_bytes == r->limits.workspace_bytes &&
           same_cpus(b->limits.cpus, r->limits.cpus);
}

void life_ask_again(struct life *l, struct verb_peer peer, const struct verb_request *request)
{
    struct err e = ERR_INIT;
    if (!same_wish(l->box, request))
        err_set(&e, ERR_CONFLICT, "there is another sandbox with this id");
    else if (l->state == LIFE_RUNNING || l->state == LIFE_REPLACING)
        return answer_created(l, peer.client, request->id);
    else if (l->state != LIFE_MAKING)
        err_set(&e, ERR_GONE, "the sandbox has ended");
    else if (waiters_add(&l->creators, peer.client, request->id))
        return;
    else
        err_set(&e, ERR_BUSY, "%d ask for this sandbox already", KEEPER_MAX_WAITERS);
    verb_server_refuse(l->keeper->server, peer.client, request->id, &e);
}

void life_destroy(struct life *l, struct verb_peer peer, uint64_t request_id)
{
    struct err e = ERR_INIT;
    if (!waiters_add(&l->destroyers, peer.client, request_id)) {
        err_set(&e, ERR_BUSY, "%d wait for the end of this sandbox already", KEEPER_MAX_WAITERS);
        verb_server_refuse(l->keeper->server, peer.client, request_id, &e);
    }
    l->destroyed = true;
    atomic_store(&l->box->unwanted, true);
    if (l->state == LIFE_REPLACING)
        process_kill(l->box->pidfd); /* nobody has to wait for a warden any more */
    if (l->state != LIFE_RUNNING)
        return; /* its job's end sees to it */
    set_death(l, BOX_DESTROYED, "destroyed");
    tell_end(l);
    return begin_ending(l);
}

void life_kill(struct life *l)
{
    if (!life_is_running(l))
        return;
    log_warning("sandbox=%s killed at its warden's request", l->box->id.text);
    l->killed = true;
    /* while it is made its pid is a worker's: it is killed once it runs */
    if (l->state != LIFE_MAKING)
        process_kill(l->box->pidfd);
}

bool life_is_running(const struct life *l)
{
    return l->state == LIFE_MAKING || l->state == LIFE_RUNNING || l->state == LIFE_REPLACING;
}

const struct box *life_box(const struct life *l)
{
    return l->box;
}
