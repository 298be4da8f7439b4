/* quota.h - stops code that writes past its user's limit (limits/workspace_bytes, limits/workspace_files).
 *
 * A file system with project quotas does that itself (the keeper sets them). On others a thread counts what the workspaces of each
 * user hold while a sandbox of his runs, when there is a reason to:
 *
 *     every 250 ms:  count before + what the disk has lost since  ≤ limit   nothing to do: one statvfs for all
 *                                                                 > limit   count again
 *
 * Above the limit whatever writes on is stopped, step by step, each after a second in which it grew on: the user's runs in sandboxes
 * that write are interrupted; their kernels are killed and terminals closed; the sandboxes are reset. Code may run again at once; it
 * is stopped when the workspaces grow further, so that it can delete, and read.
 *
 * What no count sees (files that are unlinked and open, folders closed to us) is seen by the disk alone: with less than
 * limits/min_free_bytes, and losing, the sandboxes of all users that write are reset. As long as the disk is short, nothing begins of
 * users who hold more than they may, or have folders that nobody can look into. */
#ifndef KERNELHUB_QUOTA_H
#define KERNELHUB_QUOTA_H

#include "base/err.h"
#include "kernelhub/user.h"

struct quota;
struct execution;

int quota_new(struct hub *h, struct quota **ret, struct err *e);
void quota_stop(struct quota *q); /* nothing is counted any more: before files_free; NULL is fine */
void quota_free(struct quota *q); /* NULL is fine */

/* A sandbox of the user runs; and does not any more, as often. */
void quota_enter(struct quota *q, const struct user *u);
void quota_leave(struct quota *q, const struct user *u);

/* Whether code of his may begin: ERR_QUOTA. */
int quota_may_begin(struct quota *q, const struct user *u, struct err *e);

/* One that was stopped has ended. */
void quota_on_end(struct quota *q, const struct execution *x);

#endif
