/* changes.h - which files a piece of code changed: inotify watches the workspaces that sandboxes use, and each run is told what came
 * about from its start to its end.
 *
 * A thread of its own reads what the kernel queues, follows folders that come and go, and looks at the files. The loop only asks the
 * kernel once at a run's start and once at its end whether anything is queued: a run that changed nothing costs that.
 *
 * inotify knows no culprit. A run is told everything that changed in the workspace meanwhile, but for what the hub itself did there
 * (changes_own_begin); when another run of the same workspace overlapped it, both are told so ("shared"). */
#ifndef KERNELHUB_CHANGES_H
#define KERNELHUB_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

struct changes; /* of all workspaces */

/* max_folders are watched in a workspace. state_dir/workspaces is there. */
int changes_new(struct loop *loop, const char *state_dir, size_t max_folders, struct changes **ret,
                struct err *e);
/* No done is called any more; runs that have not ended are forgotten. NULL is fine. */
void changes_free(struct changes *c);

/* A workspace that somebody uses: "USER/shared". It is watched from about now on until each who asked has left. c NULL: NULL. */
struct watched;
struct watched *changes_watch(struct changes *c, const char *workspace);
void changes_unwatch(struct watched *w); /* NULL is fine */

/* Grows when something in the workspace, or in any of the user's, was seen to change. From any thread. c NULL: 0. */
uint64_t changes_count_of(struct watched *w);
bool changes_sees_all(struct watched *w); /* no folder of it is closed to us or above a bound; in the loop's thread */
uint64_t changes_count(struct changes *c, const char *user_id);

/* The members of an event files_changed, beginning with a comma; empty: nothing changed, and nothing was missed. Called once, from
 * the loop, within CHANGES_PATIENCE_MS. */
typedef void changes_fn(void *arg, struct slice fields);
#define CHANGES_PATIENCE_MS 1000

/* From here on what changes is the run's. missed: a static sentence, why it is not told all (it began earlier); NULL: it is. */
struct changes_run;
struct changes_run *changes_begin(struct watched *w, const char *missed);
/* Up to here. True: it is known already and was appended to `ret`; else done is called. The run is gone in either case. */
bool changes_end(struct changes_run *run, struct buf *ret, changes_fn *done, void *arg);

/* The same members when nobody looked. why: a sentence. */
void changes_write_missed(const char *why, struct buf *out);

/* What the hub itself is about to do to a path, and below it, is no run's. From any thread. NULL (c is, or nobody watches) is fine. */
struct changes_own;
struct changes_own *changes_own_begin(struct changes *c, const char *workspace, const char *path);
void changes_own_end(struct changes_own *own);
DEFINE_CLEANUP(struct changes_own, changes_own_end)

#endif
