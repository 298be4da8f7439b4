/* mcp_files_job.h - a call that looks at the workspace or changes it: a piece of work in a worker's thread, then its answer. */
#ifndef WEB_MCP_FILES_JOB_H
#define WEB_MCP_FILES_JOB_H

#include "kernelhub/files.h"
#include "web/mcp_call.h"

/* The first member of what the call owns, from malloc. */
struct mcp_files_job {
    struct mcp_call *call;
    struct files_job *job; /* NULL: none is under way */
    struct files_place place;
    char path[FILES_MAX_PATH + 1];
    /* In the loop's thread: the work is done, or failed; each answers the call. */
    void (*done)(void *own);
    void (*fail)(struct mcp_call *c, void *own, const struct err *e);
    void (*release)(void *own); /* frees what it is a part of */
};

/* Reads a tool's `path` ("." and what begins with "./" too) and the sandbox whose workspace it is in (NULL: the shared one). ERR_INVALID,
 * ERR_NOT_FOUND, ERR_GONE. */
int mcp_files_job_read(struct mcp_files_job *j, struct mcp_call *c, const char *path,
                       const char *sandbox, struct err *e);

/* Gives it to a worker, and itself to the call. `run` gets own. */
void mcp_files_job_start(struct mcp_files_job *j,
                         int (*run)(void *own, struct tree *t, struct err *e), bool is_change);

/* Whether that sandbox's files are those of the default one, and outlive it. Of one that is gone nobody knows: false. */
bool mcp_files_are_shared(const struct mcp_call *c, const char *sandbox);

#endif
