/* Workspaces that nobody wants any more: put aside at once, removed in the background, a slice at a time. */
#include "sandbox/keeper_inside.h"

#include <stdlib.h>

#include "base/log.h"
#include "sandbox/sweep.h"

#define NAMES_A_SLICE 20000 /* below a second, so that sandboxes are made in between */

struct slice_job {
    struct keeper *keeper;
    bool more;
    struct err result;
};

static void run_slice(void *ctx, struct podman *podman)
{
    struct slice_job *job = ctx;
    CLEANUP_FD int fd = place_open_aside(&job->keeper->place);
    if (fd >= 0 && sweep_some(fd, NAMES_A_SLICE, &job->more, &job->result) == 0)
        job->result.code = ERR_NONE;
}

static void submit(struct slice_job *job);

static void done_slice(void *ctx)
{
    struct slice_job *job = ctx;
    struct keeper *k = job->keeper;
    if (job->result.code != ERR_NONE)
        log_error("a removed workspace is not gone, it is tried again at the next start: %s",
                  job->result.text);
    if (job->more || k->sweep_again) {
        k->sweep_again = false;
        submit(job);
        return;
    }
    k->sweeping = false;
    free(job);
}

/* must: never refused; there is one at a time */
static void submit(struct slice_job *job)
{
    *job = (struct slice_job){ .keeper = job->keeper, .result = ERR_INIT };
    (void)workers_submit(job->keeper->workers, (struct job){ run_slice, done_slice, job, free },
                         true, NULL);
}

void keeper_sweep(struct keeper *k)
{
    if (k->sweeping) {
        k->sweep_again = true;
        return;
    }
    struct slice_job *job = calloc(1, sizeof *job);
    assert(job);
    job->keeper = k;
    k->sweeping = true;
    submit(job);
}

int keeper_purge_workspace(struct keeper *k, const struct verb_request *r, struct err *e)
{
    if (place_put_aside(&k->place, &r->sandbox_id, r->user_id, r->private_workspace, e) < 0)
        return -1;
    log_info("workspace removed user=%s private=%s", r->user_id,
             r->private_workspace ? r->sandbox_id.text : "-");
    keeper_sweep(k);
    return 0;
}
