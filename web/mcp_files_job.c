#include "web/mcp_files_job.h"

#include "kernelhub/sandbox_verbs.h"

int mcp_files_job_read(struct mcp_files_job *j, struct mcp_call *c, const char *path,
                       const char *sandbox, struct err *e)
{
    bool is_shared = !sandbox || strcmp(sandbox, SANDBOX_DEFAULT) == 0; /* it need not be there */
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    j->call = c;
    if (files_path_read(slice_str(strcmp(path, ".") == 0 ? "" : path), j->path, e) < 0)
        return err_in(e, "field 'path'");
    return files_place(c->site->hub, c->user, is_shared ? NULL : sandbox, &j->place, e);
}

bool mcp_files_are_shared(const struct mcp_call *c, const char *sandbox)
{
    struct files_place shared, own;
    struct err e = ERR_INIT;
    return files_place(c->site->hub, c->user, NULL, &shared, &e) == 0 &&
           files_place(c->site->hub, c->user, sandbox, &own, &e) == 0 &&
           strcmp(shared.folder, own.folder) == 0;
}

static void drop(void *own)
{
    struct mcp_files_job *j = own;
    j->release(own);
}

static void on_done(void *own, const struct err *e)
{
    struct mcp_files_job *j = own;
    j->job = NULL;
    if (e)
        j->fail(j->call, own, e);
    else
        j->done(own);
}

/* The call has ended: what a worker still has in hand is released when that is done. */
static void end(void *own)
{
    struct mcp_files_job *j = own;
    if (j->job)
        files_leave(j->job);
    else
        j->release(own);
}

void mcp_files_job_start(struct mcp_files_job *j,
                         int (*run)(void *own, struct tree *t, struct err *e), bool is_change)
{
    struct mcp_call *c = j->call;
    struct err e = ERR_INIT;
    const struct files_work work = { .run = run,
                                     .done = on_done,
                                     .drop = drop,
                                     .ctx = j,
                                     .place = j->place,
                                     .is_change = is_change };
    mcp_call_own(c, j, NULL, end);
    if (files_submit(c->site->hub, c->user, &work, &j->job, &e) < 0)
        j->fail(c, j, &e);
}
