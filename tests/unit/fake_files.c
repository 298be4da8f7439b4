/* fake_files.c - stands for kernelhub/files.c under web/: the work is done in the loop, a moment later, on the workspaces below
 * paths/state; without that nothing can be submitted ("too much waits"). The verbs themselves are the real ones. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/log.h"
#include "fake_hub.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/sandbox_verbs.h"

#define LATER_MS 1

struct files_job {
    struct files_work work;
    struct hub *hub;
    char user[64];
    atomic_bool ended;
    struct files_job *next;
};

static struct files_job *jobs;
static struct account *account; /* of all users */

static void take_out(struct files_job *j)
{
    struct files_job **at = &jobs;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
}

static int run(struct files_job *j, struct err *e)
{
    struct tree tree = { .due_ms = INT64_MAX, .ended = &j->ended, .account = account };
    CLEANUP_FD int fd = open(config_text(hub_config(j->hub), CONFIG_PATHS_STATE),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open the workspaces");
    if (tree_open(&tree, fd, j->user, &j->work.place, e) < 0)
        return -1;
    int rc = j->work.run(j->work.ctx, &tree, e);
    tree_close(&tree);
    return rc;
}

static int on_due(struct loop *loop, int timer, void *arg)
{
    struct files_job *j = arg;
    struct files_work work = j->work;
    struct err e = ERR_INIT;
    int rc = run(j, &e);
    bool is_left = atomic_load(&j->ended);
    take_out(j);
    free(j);
    if (is_left)
        work.drop(work.ctx);
    else
        work.done(work.ctx, rc < 0 ? &e : NULL);
    return 0;
}

int files_submit(struct hub *h, const struct user *u, const struct files_work *work,
                 struct files_job **ret, struct err *e)
{
    if (!config_text(hub_config(h), CONFIG_PATHS_STATE)[0])
        return err_set(e, ERR_BUSY, "too much waits");
    struct files_job *j = calloc(1, sizeof *j);
    assert(j);
    if (!account)
        account = account_new();
    account_set_limit(
        account,
        (struct files_usage){
            .bytes = (uint64_t)config_number(hub_config(h), CONFIG_LIMITS_WORKSPACE),
            .files = (uint64_t)config_number(hub_config(h), CONFIG_LIMITS_WORKSPACE_FILES) });
    j->work = *work;
    j->hub = h;
    (void)snprintf(j->user, sizeof j->user, "%s", u->name); /* an id is made anew at each start */
    j->next = jobs;
    jobs = j;
    *ret = j;
    (void)loop_timer(hub_loop(h), LATER_MS, on_due, j);
    return 0;
}

void files_leave(struct files_job *j)
{
    atomic_store(&j->ended, true);
}

void files_discard(struct hub *h, const struct user *u, struct draft *d)
{
    draft_free(d);
}

/* The one sandbox of fake_hub.c has a workspace of its own, which is there when somebody has made it. */
int files_place(struct hub *h, const struct user *u, const char *sandbox, struct files_place *ret,
                struct err *e)
{
    struct sandbox *s;
    *ret = (struct files_place){ .folder = "" };
    if (sandbox && sandbox_find(h, u, sandbox, &s, e) < 0)
        return -1;
    if (sandbox)
        (void)snprintf(ret->folder, sizeof ret->folder, FILES_PRIVATE "box"); /* fits */
    return 0;
}

void fake_files_free(void)
{
    while (jobs) {
        struct files_job *j = jobs;
        struct files_work work = j->work;
        jobs = j->next;
        free(j);
        work.drop(work.ctx);
    }
    account_free(TAKE(account));
}
