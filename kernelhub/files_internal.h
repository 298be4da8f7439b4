/* files_internal.h - what the halves of files.h share. */
#ifndef KERNELHUB_FILES_INTERNAL_H
#define KERNELHUB_FILES_INTERNAL_H

#include <dirent.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "kernelhub/changes.h"
#include "kernelhub/files.h"
#include "kernelhub/files_account.h"

struct loop;

struct tree {
    int root_fd;        /* the workspace */
    int incoming_fd;    /* its user's folder for drafts; -1 until one is made */
    int user_fd;        /* the folder of both */
    int64_t due_ms;     /* monotonic: the work's time is over */
    struct changes *changes; /* who is told what we do there (changes.h); NULL: nobody */
    char workspace[96];
    atomic_bool *ended; /* nobody waits any more; NULL: somebody does */
    struct account *account; /* its user's; NULL: without a limit */
    files_guard_fn *guard;   /* NULL: none */
    const void *guard_arg;
};

/* Opens USER/shared below the folder of all workspaces, made when missing as the keeper expects to find it: 0700, ours. One that a
 * sandbox has to itself is made and removed by the keeper: ERR_NOT_FOUND. */
int tree_open(struct tree *t, int workspaces_fd, const char *user_id, const struct files_place *place, struct err *e);
void tree_close(struct tree *t);
/* What is done to the path from here on is the hub's own work, no run's: changes_own_end. */
struct changes_own *tree_own(struct tree *t, const char *path);
int tree_incoming(struct tree *t, struct err *e); /* the folder of drafts is open */

#define FILES_SHARED   "shared"
#define FILES_PRIVATE  "private-" /* and the sandbox's id */
#define FILES_INCOMING "incoming"
bool files_is_part(const char *name); /* in there: the part of an upload that goes on later */

/* Counts all of the user's workspaces, and parts of uploads. */
int files_count(struct tree *t, struct files_usage *ret, struct err *e);

/* What stands at `name` in the folder may be replaced or removed. NULL: nothing stands there. */
int tree_check_guard(const struct tree *t, const struct stat *there, struct err *e);

/* Removes the drafts of a hub that is no more; kept parts stay until they are an hour old. */
void files_sweep(int workspaces_fd);

/* The folder that `path` stands in, opened; its name goes to ret_name and points into path. The workspace itself: ERR_INVALID. */
int tree_open_parent(struct tree *t, const char *path, const char **ret_name, struct err *e);
ssize_t files_read_at(int fd, uint64_t offset, char *ret, size_t n, struct err *e); /* as file_read */
int files_errno(struct err *e, const char *path); /* the present errno as an error about path; -1 */
void files_stat_from(const struct stat *st, struct files_stat *ret);

/* A folder below an open one, nothing followed, to be listed. NULL: errno says why not. */
DIR *files_open_dir(int dir_fd, const char *path);
DEFINE_CLEANUP(DIR, closedir)

/* ---- the threads ---- */
struct files;
/* The folder of all workspaces, made if need be: a descriptor. ERR_UNAVAILABLE. */
int files_open_workspaces(const char *state_dir, struct err *e);
int files_new(struct loop *loop, const char *state_dir, struct files **ret, struct err *e);
void files_free(struct files *f); /* waits for what runs; drops the rest; NULL is fine */
void files_set_changes(struct files *f, struct changes *c); /* NULL is fine; before any work */
struct files *hub_files(struct hub *h);
struct account *files_account(struct hub *h, const struct user *u); /* in the loop's thread; good until files_free */

#endif
