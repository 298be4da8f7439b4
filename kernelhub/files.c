/* The threads, and the queue before them.
 *
 *     files_submit ──► queue ──► a thread's pipe ──► run ──► pipe, bell ──► done or drop
 *
 * A job is with the loop or with one thread, never with both. One user's jobs take at most half of the threads, so that nobody's
 * long copy keeps another's listing waiting. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/sandbox.h"

#define N_THREADS          4
#define MAX_OF_USER        (N_THREADS / 2) /* running */
#define MAX_QUEUED         256
#define MAX_QUEUED_OF_USER 64
#define JOB_MS             600000 /* from its submit: what waits too long is refused, what runs too long ends */

struct files_job {
    struct files_work work;
    struct uuid user;
    struct account *account;
    struct files *files;
    struct worker *worker; /* who runs it; NULL: it waits */
    int64_t due_ms;
    bool is_left;
    atomic_bool ended; /* for the thread: nobody waits */
    atomic_int
        handed; /* for the order of memory alone: ZeroMQ's pipe is not seen by thread sanitizers */
    bool failed;
    struct err e;
};

struct worker {
    struct files *files;
    zactor_t *actor;
    struct files_job *job;
};

struct files {
    struct loop *loop;
    int workspaces_fd;
    int bell;
    zlistx_t *queue;
    struct changes *changes;
    zhashx_t
        *accounts; /* user's id → struct account, owned; as long as this: drafts point to them */
    bool is_ending;
    struct worker worker[N_THREADS];
};

/* ---- in a thread ---- */

static void run_job(struct files_job *j, int workspaces_fd)
{
    struct tree tree = {
        .due_ms = j->due_ms, .ended = &j->ended, .account = j->account, .changes = j->files->changes
    };
    j->e = (struct err)ERR_INIT;
    j->failed = files_go_on(&tree, &j->e) < 0 ||
                tree_open(&tree, workspaces_fd, j->user.text, &j->work.place, &j->e) < 0;
    if (j->failed)
        return;
    j->failed = j->work.run(j->work.ctx, &tree, &j->e) < 0;
    tree_close(&tree);
}

static void ring(int bell)
{
    const uint64_t one = 1;
    ssize_t n = write(bell, &one, sizeof one);
    assert(n == sizeof one); /* fails only at 2^64 rings */
}

static void work(zsock_t *pipe, void *arg)
{
    const struct worker *w = arg;
    struct files_job *job;
    int n;
    (void)zsock_signal(pipe, 0); /* zactor_new waits for it */
    while ((n = zmq_recv(zsock_resolve(pipe), &job, sizeof job, 0)) == sizeof job ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        (void)atomic_load_explicit(&job->handed, memory_order_acquire);
        run_job(job, w->files->workspaces_fd);
        atomic_store_explicit(&job->handed, 2, memory_order_release);
        (void)zmq_send(zsock_resolve(pipe), &job, sizeof job, 0); /* fails only at the end */
        ring(w->files->bell);
    }
}

/* ---- in the loop ---- */

static unsigned running_of(const struct files *f, const struct uuid *user)
{
    unsigned n = 0;
    for (size_t i = 0; i < N_THREADS; i++)
        n += f->worker[i].job && uuid_equal(&f->worker[i].job->user, user);
    return n;
}

static struct files_job *take_next(struct files *f)
{
    for (struct files_job *j = zlistx_first(f->queue); j; j = zlistx_next(f->queue))
        if (running_of(f, &j->user) < MAX_OF_USER)
            return zlistx_detach_cur(f->queue);
    return NULL;
}

static void dispatch(struct files *f)
{
    for (size_t i = 0; i < N_THREADS && !f->is_ending; i++) {
        struct worker *w = &f->worker[i];
        if (w->job || !(w->job = take_next(f)))
            continue;
        w->job->worker = w;
        atomic_store_explicit(&w->job->handed, 1, memory_order_release);
        int rc = zmq_send(zsock_resolve(w->actor), &w->job, sizeof w->job, 0);
        assert(rc == sizeof w->job); /* one at a time never fills the pipe */
    }
}

static void finish(struct files_job *j, bool is_heard)
{
    struct files_work work = j->work;
    struct err e = j->e;
    bool failed = j->failed;
    if (is_heard && !j->is_left) {
        free(j);
        work.done(work.ctx, failed ? &e : NULL);
    } else {
        free(j);
        work.drop(work.ctx);
    }
}

/* The worker's job, when it has come back. */
static struct files_job *take_back(struct worker *w, int flags)
{
    struct files_job *job = NULL;
    if (!w->job || zmq_recv(zsock_resolve(w->actor), &job, sizeof job, flags) != sizeof job)
        return NULL;
    (void)atomic_load_explicit(&job->handed, memory_order_acquire);
    assert(job == w->job);
    w->job = NULL;
    return job;
}

static int on_bell(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct files *f = arg;
    struct files_job *back[N_THREADS];
    uint64_t rings;
    if (read(f->bell, &rings, sizeof rings) != sizeof rings)
        return 0;
    for (size_t i = 0; i < N_THREADS; i++)
        back[i] = take_back(&f->worker[i], ZMQ_DONTWAIT);
    dispatch(f);
    for (size_t i = 0; i < N_THREADS; i++)
        if (back[i])
            finish(back[i], true);
    return 0;
}

/* Of what has not begun. What has is bounded already: a piece for each client. */
static int check_room(struct files *f, const struct user *u, struct err *e)
{
    unsigned n = 0, n_of_user = 0;
    for (struct files_job *j = zlistx_first(f->queue); j; j = zlistx_next(f->queue)) {
        n += !j->work.is_piece;
        n_of_user += !j->work.is_piece && uuid_equal(&j->user, &u->id);
    }
    if (n >= MAX_QUEUED)
        return err_set(e, ERR_BUSY, "%d requests for files wait already", MAX_QUEUED);
    if (n_of_user >= MAX_QUEUED_OF_USER)
        return err_set(e, ERR_BUSY, "%d of your requests for files wait already",
                       MAX_QUEUED_OF_USER);
    return 0;
}

/* The limit is read each time: it is a setting. */
struct account *files_account(struct hub *h, const struct user *u)
{
    struct files *f = hub_files(h);
    struct account *a = zhashx_lookup(f->accounts, u->id.text);
    if (!a) {
        a = account_new();
        (void)zhashx_insert(f->accounts, u->id.text, a); /* it was not there */
    }
    account_set_limit(
        a, (struct files_usage){
               .bytes = (uint64_t)config_number(h->config, CONFIG_LIMITS_WORKSPACE),
               .files = (uint64_t)config_number(h->config, CONFIG_LIMITS_WORKSPACE_FILES) });
    account_set_min_free(a, (uint64_t)config_number(h->config, CONFIG_LIMITS_MIN_FREE));
    return a;
}

int files_submit(struct hub *h, const struct user *u, const struct files_work *work,
                 struct files_job **ret, struct err *e)
{
    struct files *f = hub_files(h);
    if (!work->is_piece && check_room(f, u, e) < 0)
        return -1;
    struct files_job *j = zmalloc(sizeof *j);
    j->work = *work;
    j->user = u->id;
    j->files = f;
    j->account = files_account(h, u);
    j->due_ms = zclock_mono() + JOB_MS;
    (void)zlistx_add_end(f->queue, j); /* its place: files_leave searches */
    *ret = j;
    dispatch(f);
    return 0;
}

void files_leave(struct files_job *j)
{
    j->is_left = true;
    if (j->work.is_change)
        return;
    atomic_store(&j->ended, true);
    if (j->worker)
        return; /* it comes back, soon */
    struct files *f = j->files;
    for (struct files_job *at = zlistx_first(f->queue); at; at = zlistx_next(f->queue))
        if (at == j) {
            (void)zlistx_detach_cur(f->queue); /* j itself */
            finish(j, false);
            return;
        }
}

/* ---- drafts that nobody wants ---- */

static int discard(void *arg, struct tree *t, struct err *e)
{
    struct draft **d = arg;
    draft_free(TAKE(*d));
    return 0;
}

static void drop_discarded(void *arg)
{
    struct draft **d = arg;
    draft_free(*d); /* it was not run: the hub ends, or the workspace has gone */
    free(d);
}

static void on_discarded(void *arg, const struct err *e)
{
    drop_discarded(arg);
}

void files_discard(struct hub *h, const struct user *u, struct draft *d)
{
    struct files_job *job;
    struct err e = ERR_INIT;
    if (!d)
        return;
    struct draft **own = zmalloc(sizeof *own);
    *own = d;
    const struct files_work work = {
        .run = discard, .done = on_discarded, .drop = drop_discarded, .ctx = own, .is_piece = true
    };
    int rc = files_submit(h, u, &work, &job, &e);
    assert(rc == 0); /* a piece is never refused */
}

/* ---- places ---- */

int files_place(struct hub *h, const struct user *u, const char *sandbox, struct files_place *ret,
                struct err *e)
{
    struct sandbox *s;
    *ret = (struct files_place){ .folder = "" };
    if (!sandbox)
        return 0;
    if (sandbox_find(h, u, sandbox, &s, e) < 0)
        return -1;
    sandbox_called(s);
    if (s->private_workspace)
        (void)snprintf(ret->folder, sizeof ret->folder, FILES_PRIVATE "%s", s->id.text); /* fits */
    return 0;
}

/* ---- life ---- */

static void free_account(void **at)
{
    account_free(*at);
    *at = NULL;
}

int files_new(struct loop *loop, const char *state_dir, struct files **ret, struct err *e)
{
    CLEANUP_FD int workspaces = files_open_workspaces(state_dir, e);
    CLEANUP_FD int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (workspaces < 0 || bell < 0)
        return workspaces < 0 ? -1 : err_errno(e, ERR_INTERNAL, "make an eventfd");
    files_sweep(workspaces);
    struct files *f = zmalloc(sizeof *f);
    *f =
        (struct files){ .loop = loop, .workspaces_fd = TAKE_FD(workspaces), .bell = TAKE_FD(bell) };
    f->queue = zlistx_new();
    f->accounts = zhashx_new();
    zhashx_set_destructor(f->accounts, free_account);
    for (size_t i = 0; i < N_THREADS; i++) {
        f->worker[i].files = f;
        f->worker[i].actor = zactor_new(work, &f->worker[i]);
        assert(f->worker[i].actor); /* no thread, no memory */
    }
    zmq_pollitem_t item = { .fd = f->bell, .events = ZMQ_POLLIN };
    loop_poller(loop, &item, on_bell, f);
    *ret = f;
    return 0;
}

void files_set_changes(struct files *f, struct changes *c)
{
    f->changes = c;
}

void files_free(struct files *f)
{
    if (!f)
        return;
    zmq_pollitem_t item = { .fd = f->bell, .events = ZMQ_POLLIN };
    loop_poller_end(f->loop, &item);
    f->is_ending = true;
    for (size_t i = 0; i < N_THREADS; i++)
        if (f->worker[i].job)
            atomic_store(&f->worker[i].job->ended, true);
    for (size_t i = 0; i < N_THREADS; i++) {
        struct files_job *job = take_back(&f->worker[i], 0); /* it ends: its time is bounded */
        zactor_destroy(&f->worker[i].actor);
        if (job)
            finish(job, false);
    }
    for (struct files_job *j; (j = zlistx_detach(f->queue, NULL));)
        finish(j, false);
    zlistx_destroy(&f->queue);
    zhashx_destroy(&f->accounts);
    close_fd_at(&f->bell);
    close_fd_at(&f->workspaces_fd);
    free(f);
}
