/* What is done about it: the loop's half. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/changes.h"
#include "kernelhub/changes_internal.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/quota_internal.h"
#include "kernelhub/terminal_internal.h"

#define GRACE_MS 1000 /* between two steps */

#define NEWER(a, b) ((a) > (b) ? (a) : (b))

/* "the workspaces hold 130023424 bytes, the limit is 104857600 (limits/workspace_bytes)" */
static void say_figures(const struct metered *m, char *ret, size_t size)
{
    bool bytes = m->used.bytes > m->limit.bytes;
    (void)snprintf(ret, size, "the workspaces hold %llu %s, the limit is %llu (%s)",
                   (unsigned long long)(bytes ? m->used.bytes : m->used.files),
                   bytes ? "bytes" : "files and folders",
                   (unsigned long long)(bytes ? m->limit.bytes : m->limit.files),
                   bytes ? "limits/workspace_bytes" : "limits/workspace_files");
}

/* With the lock. */
static struct metered *find(struct quota *q, const struct user *u)
{
    for (struct metered *m = zlistx_first(q->all); m; m = zlistx_next(q->all))
        if (uuid_equal(&m->user, &u->id))
            return m;
    return NULL;
}

/* ---- who writes ---- */

/* Since his workspaces were last seen to be within the limit. inotify knows no culprit, but in which workspace. */
static bool writes(const struct sandbox *s)
{
    return !s->watched || changes_count_of(s->watched) != s->n_changes_within;
}

/* At the floor: where a folder is closed to us we would not see it, and others would lose their sandboxes for it. */
static bool may_write(const struct sandbox *s)
{
    return writes(s) || !changes_sees_all(s->watched);
}

static void note_within(struct hub *h, const struct user *u)
{
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u && s->watched)
            s->n_changes_within = changes_count_of(s->watched);
}

static bool is_at_work(const struct sandbox *s)
{
    for (const struct session *at = zhashx_first(s->hub->sessions); at;
         at = zhashx_next(s->hub->sessions))
        if (at->sandbox == s && at->running)
            return true;
    return false;
}

static bool is_any(const struct sandbox *s)
{
    return true;
}

/* Of that user; of all when u is NULL. */
static zlistx_t *find_sandboxes(struct hub *h, const struct user *u,
                                bool (*is_one)(const struct sandbox *s))
{
    zlistx_t *found = zlistx_new();
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if ((!u || s->user == u) && s->state == SANDBOX_UP && is_one(s))
            (void)zlistx_add_end(found, s); /* no memory aborts */
    return found;
}

static zlistx_t *find_first_kind(struct hub *h, const struct user *u,
                                 bool (*const *kinds)(const struct sandbox *s), size_t n)
{
    zlistx_t *found = find_sandboxes(h, u, kinds[0]);
    for (size_t i = 1; i < n && zlistx_size(found) == 0; i++) {
        zlistx_destroy(&found);
        found = find_sandboxes(h, u, kinds[i]);
    }
    return found;
}

/* His that write; when none was seen to (it does through a memory map, or above the bound of watches) all of his. */
static zlistx_t *find_writers(struct hub *h, const struct user *u)
{
    static bool (*const KINDS[])(const struct sandbox *s) = { writes, is_any };
    return find_first_kind(h, u, KINDS, ARRAY_LEN(KINDS));
}

/* Of all users, at the floor. What was reset a moment ago is about to end, and may be all there is: then only who was seen to write. */
static zlistx_t *find_losers(struct hub *h, const struct floor *f)
{
    static bool (*const KINDS[])(const struct sandbox *s) = { may_write, is_at_work, is_any };
    bool is_moment = zclock_mono() <= f->reset_ms + GRACE_MS;
    return find_first_kind(h, NULL, KINDS, is_moment ? 1 : ARRAY_LEN(KINDS));
}

/* ---- steps ---- */

/* Noted and told; what stops it is the caller's. */
static void say_stopped(struct execution *x, const char *figures, const char *what_now)
{
    char why[300];
    (void)snprintf(why, sizeof why, "%s: the code was stopped", figures); /* fits */
    x->stopped_why = strdup(why);
    assert(x->stopped_why);
    x->stopped_ms = zclock_mono();
    CLEANUP_BUF struct buf text = BUF_INIT(4096), fields = BUF_INIT(8192);
    if (!x->started)
        execution_say_started(x, (struct store_mark){ .number = 0 });
    buf_addf(&text, "kernelhub: %s; %s\n", figures, what_now);
    buf_add_str(&fields, ",\"text\":");
    json_quote(&fields, buf_slice(&text));
    execution_add_event(x, EVENT_STDERR, buf_slice(&fields), hub_unix_us(),
                        (struct store_mark){ .number = 0 });
    if (!x->command)
        fronts_say_stderr(x->session, x, buf_slice(&text));
}

static void interrupt(struct execution *x, const char *figures)
{
    say_stopped(x, figures, "the code is interrupted: delete files to go on");
    execution_send_interrupt(x);
}

static void kill_kernel(struct execution *x)
{
    struct link_frame f = { .type = LINK_STOP,
                            .kernel_id = x->kernel_id,
                            .n_parts = 1,
                            .parts = { SLICE_LITERAL("{\"grace_ms\":0}") } };
    x->is_killed = true;
    sandbox_send(x->session->sandbox, &f);
}

/* May run on while it does not grow past where it stood when it began. */
static bool may_go_on(struct metered *m, struct execution *x)
{
    if (x->quota_bytes == 0) { /* not seen before */
        if (m->begun_ms * 1000 < x->sent_mono_us)
            return true; /* counted before it began */
        x->quota_bytes = m->is_settled ? m->mark.bytes : m->used.bytes;
        x->quota_files = m->is_settled ? m->mark.files : m->used.files;
    }
    if (m->used.bytes < x->quota_bytes)
        x->quota_bytes = m->used.bytes;
    if (m->used.files < x->quota_files)
        x->quota_files = m->used.files;
    return m->used.bytes <= x->quota_bytes + QUOTA_SLACK_BYTES &&
           m->used.files <= x->quota_files + QUOTA_SLACK_FILES;
}

struct runs {
    unsigned n_stopped, n_pending;
};

static bool is_among(zlistx_t *sandboxes, const struct sandbox *s)
{
    for (const struct sandbox *at = zlistx_first(sandboxes); at; at = zlistx_next(sandboxes))
        if (at == s)
            return true;
    return false;
}

/* is_first: they are above the limit since this count; what wrote until now is stopped. */
static struct runs stop_runs(struct hub *h, struct metered *m, zlistx_t *writers, bool is_first,
                             const char *figures)
{
    struct runs n = { 0, 0 };
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions)) {
        struct execution *x = s->running;
        if (!x || !is_among(writers, s->sandbox) || !x->sent_mono_us)
            continue;
        bool was_there = is_first && m->begun_ms * 1000 >= x->sent_mono_us;
        if (!x->stopped_why && (was_there || !may_go_on(m, x))) {
            interrupt(x, figures);
            n.n_stopped++;
        } else if (x->stopped_why && !x->is_killed && zclock_mono() > x->stopped_ms + GRACE_MS &&
                   m->used.bytes > m->mark.bytes + QUOTA_SLACK_BYTES) {
            kill_kernel(x);
            n.n_stopped++;
        }
        n.n_pending += x->stopped_why != NULL;
    }
    return n;
}

static bool close_terminals(struct hub *h, zlistx_t *writers, const char *figures)
{
    zlistx_t *all = zhashx_values(h->terminals); /* one that is over leaves the table */
    bool some = false;
    for (struct terminal *t = zlistx_first(all); t; t = zlistx_next(all)) {
        if (!t->sandbox || !is_among(writers, t->sandbox))
            continue;
        const struct link_frame stop = { .type = LINK_STOP, .kernel_id = t->id };
        sandbox_send(t->sandbox, &stop);
        terminal_end(t, ERR_QUOTA, figures);
        some = true;
    }
    zlistx_destroy(&all);
    return some;
}

static void reset_sandboxes(zlistx_t *writers, const char *figures)
{
    char why[400];
    (void)snprintf(why, sizeof why, "the sandbox was reset: %s, and something wrote on",
                   figures); /* fits */
    for (struct sandbox *s = zlistx_first(writers); s; s = zlistx_next(writers)) {
        sandbox_note(s, "quota", slice_str(why));
        sandbox_remake(s, why);
    }
}

/* No run of his writes, and they grow: a terminal, or what a run has left behind. */
static void stop_the_rest(struct hub *h, struct metered *m, zlistx_t *writers, const char *figures)
{
    if (zclock_mono() < NEWER(m->above_ms, m->quiet_ms) + GRACE_MS)
        return;
    if (m->n_steps++ > 0 || !close_terminals(h, writers, figures))
        reset_sandboxes(writers, figures);
    m->above_ms = zclock_mono();
    m->is_settled = false;
}

static bool has_grown(const struct metered *m)
{
    return m->used.bytes > m->mark.bytes + QUOTA_SLACK_BYTES ||
           m->used.files > m->mark.files + QUOTA_SLACK_FILES;
}

static void settle(struct metered *m)
{
    if (!m->is_settled && m->begun_ms >= NEWER(m->quiet_ms, m->above_ms)) {
        m->mark = m->used;
        m->is_settled = true;
    }
    if (m->used.bytes < m->mark.bytes)
        m->mark.bytes = m->used.bytes;
    if (m->used.files < m->mark.files)
        m->mark.files = m->used.files;
}

static void on_above(struct hub *h, struct metered *m, const struct user *u)
{
    char figures[200];
    bool is_new = m->n_judged++ == 0, is_first = !m->is_above && !is_new;
    say_figures(m, figures, sizeof figures);
    if (!m->is_above) {
        log_warning("user=%s is above the limit: %s", u->id.text, figures);
        m->is_above = true;
        m->is_settled =
            is_new; /* what was there before anything of his ran, nobody is stopped for */
        m->mark = m->used;
        m->above_ms = zclock_mono();
        m->n_steps = 0;
    }
    zlistx_t *writers = find_writers(h, u);
    struct runs n = stop_runs(h, m, writers, is_first, figures);
    if (n.n_stopped > 0) {
        m->is_settled = false;
        m->mark = m->used;
    } else if (n.n_pending == 0) {
        settle(m);
        if (m->is_settled && has_grown(m))
            stop_the_rest(h, m, writers, figures);
    }
    zlistx_destroy(&writers);
}

static void judge(struct hub *h, struct metered *m)
{
    const struct user *u = zhashx_lookup(h->users, m->user.text);
    m->limit.bytes = (uint64_t)config_number(h->config, CONFIG_LIMITS_WORKSPACE);
    m->limit.files = (uint64_t)config_number(h->config, CONFIG_LIMITS_WORKSPACE_FILES);
    if (!u)
        return;
    if (quota_exceeds(&m->used, &m->limit)) {
        on_above(h, m, u);
        return;
    }
    if (m->is_above)
        log_info("user=%s is within the limit again", u->id.text);
    m->is_above = false;
    m->n_judged++;
    note_within(h, u);
}

/* Who takes the room is not known: files that are unlinked and open are in no count. The end of a sandbox gives their room back. */
static void on_short_disk(struct hub *h, struct floor *f)
{
    char figures[200];
    f->is_news = false;
    (void)snprintf(figures, sizeof figures,
                   "the service's disk has %llu bytes free, fewer than %llu "
                   "(limits/min_free_bytes)",
                   (unsigned long long)f->free_bytes, (unsigned long long)f->min_bytes); /* fits */
    zlistx_t *writers = find_losers(h, f);
    for (struct session *s = zhashx_first(h->sessions); s; s = zhashx_next(h->sessions)) {
        struct execution *x = s->running;
        if (!x || !x->sent_mono_us || x->stopped_why || !is_among(writers, s->sandbox))
            continue;
        say_stopped(x, figures, "the sandbox is reset: what it held open is gone");
        x->is_killed = true;
    }
    log_warning("%s: %zu sandboxes are reset", figures, zlistx_size(writers));
    if (zlistx_size(writers))
        f->reset_ms = zclock_mono();
    reset_sandboxes(writers, figures);
    zlistx_destroy(&writers);
}

static int on_bell(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct quota *q = arg;
    uint64_t rings;
    if (read(q->bell, &rings, sizeof rings) != sizeof rings)
        return 0;
    pthread_mutex_lock(&q->lock);
    floor_set(&q->floor, (uint64_t)config_number(q->hub->config, CONFIG_LIMITS_MIN_FREE));
    if (q->floor.is_news)
        on_short_disk(q->hub, &q->floor);
    zlistx_t *all = zlistx_dup(q->all);
    assert(all);
    for (struct metered *m = zlistx_first(all); m; m = zlistx_next(all))
        if (m->is_news) {
            m->is_news = false;
            judge(q->hub, m);
        }
    zlistx_destroy(&all);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

/* ---- who is counted ---- */

void quota_enter(struct quota *q, const struct user *u)
{
    pthread_mutex_lock(&q->lock);
    struct metered *m = find(q, u);
    if (!m) {
        const struct config *c = q->hub->config;
        m = zmalloc(sizeof *m);
        m->user = u->id;
        m->account = files_account(q->hub, u);
        m->limit.bytes = (uint64_t)config_number(c, CONFIG_LIMITS_WORKSPACE);
        m->limit.files = (uint64_t)config_number(c, CONFIG_LIMITS_WORKSPACE_FILES);
        (void)zlistx_add_end(q->all, m); /* searched for by its user */
        floor_set(&q->floor, (uint64_t)config_number(c, CONFIG_LIMITS_MIN_FREE));
    }
    m->n_sandboxes++;
    pthread_mutex_unlock(&q->lock);
    changes_ring(q->wake);
}

void quota_leave(struct quota *q, const struct user *u)
{
    pthread_mutex_lock(&q->lock);
    struct metered *m = find(q, u);
    if (m)
        m->n_sandboxes--;
    pthread_mutex_unlock(&q->lock);
}

int quota_may_begin(struct quota *q, const struct user *u, struct err *e)
{
    pthread_mutex_lock(&q->lock);
    const struct metered *m = find(q, u);
    bool is_blamed = m && quota_is_blamed(q, m), is_hidden = m && m->used.unseen > 0;
    if (is_blamed)
        (void)err_set(e, ERR_QUOTA,
                      "the service's disk is nearly full (limits/min_free_bytes), and your "
                      "workspaces hold %s: "
                      "delete files over the API, or purge the workspace",
                      is_hidden ? "folders that cannot be looked into"
                                : "more than they may (limits/workspace_bytes)");
    pthread_mutex_unlock(&q->lock);
    return is_blamed ? -1 : 0;
}

void quota_on_end(struct quota *q, const struct execution *x)
{
    pthread_mutex_lock(&q->lock);
    struct metered *m = find(q, x->user);
    if (m) {
        m->quiet_ms = zclock_mono();
        m->is_settled = false;
        m->is_wanted = true;
    }
    pthread_mutex_unlock(&q->lock);
    changes_ring(q->wake);
}

/* ---- life ---- */

/* The loop takes it again when what it does ends a run. */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t kind;
    (void)pthread_mutexattr_init(&kind); /* never fail on Linux */
    (void)pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(lock, &kind);
    (void)pthread_mutexattr_destroy(&kind);
}

int quota_new(struct hub *h, struct quota **ret, struct err *e)
{
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/workspaces", config_text(h->config, CONFIG_PATHS_STATE));
    CLEANUP_FD int workspaces = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CLEANUP_FD int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (workspaces < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open %s", path);
    if (bell < 0 || wake < 0)
        return err_errno(e, ERR_INTERNAL, "make an eventfd");
    struct quota *q = zmalloc(sizeof *q);
    *q = (struct quota){
        .hub = h, .workspaces_fd = TAKE_FD(workspaces), .bell = TAKE_FD(bell), .wake = TAKE_FD(wake)
    };
    q->all = zlistx_new();
    init_lock(&q->lock);
    int rc = pthread_create(&q->thread, NULL, quota_work, q);
    assert(rc == 0); /* no thread, no memory */
    q->has_thread = true;
    zmq_pollitem_t item = { .fd = q->bell, .events = ZMQ_POLLIN };
    loop_poller(h->loop, &item, on_bell, q);
    *ret = q;
    return 0;
}

void quota_stop(struct quota *q)
{
    if (!q || !q->has_thread)
        return;
    atomic_store(&q->stop, true);
    changes_ring(q->wake);
    (void)pthread_join(q->thread, NULL); /* it ends: files_go_on asks */
    q->has_thread = false;
}

void quota_free(struct quota *q)
{
    if (!q)
        return;
    quota_stop(q);
    zmq_pollitem_t item = { .fd = q->bell, .events = ZMQ_POLLIN };
    loop_poller_end(q->hub->loop, &item);
    for (struct metered *m; (m = zlistx_detach(q->all, NULL));)
        free(m);
    zlistx_destroy(&q->all);
    pthread_mutex_destroy(&q->lock);
    close_fd_at(&q->workspaces_fd);
    close_fd_at(&q->bell);
    close_fd_at(&q->wake);
    free(q);
}
