/* files_account.h - what a user's workspaces hold, against what they may hold. Shared by the worker threads.
 *
 * Code in the sandboxes writes without asking. So what is there is counted, and counted again when that is some seconds old; what
 * goes through files.h is added in between. A write is refused only on a count that is fresh. */
#ifndef KERNELHUB_FILES_ACCOUNT_H
#define KERNELHUB_FILES_ACCOUNT_H

#include <sys/stat.h>

#include "kernelhub/files.h"

struct account;

struct account *account_new(void);
void account_free(struct account *a); /* NULL is fine */

void account_set_limit(struct account *a, struct files_usage limit); /* in any thread; none before the first: 0, 0 */

/* What uploads leave free on the disk (limits/min_free_bytes), the small ones (a notebook is saved) excepted. In any thread. */
#define ACCOUNT_SMALL_BYTES (1u << 20)
void account_set_min_free(struct account *a, uint64_t bytes);
uint64_t account_min_free(struct account *a); /* NULL: 0 */

/* A file that we have open. One that has lost its last name takes its room until it is closed, and counts as long. In any thread; a
 * NULL account keeps no list. */
struct account_open {
    struct account *account;
    int fd;
    dev_t device;
    ino_t node;
    struct account_open *next, **at;
};
void account_on_open(struct account *a, struct account_open *o, int fd, const struct stat *st);
void account_on_close(struct account_open *o); /* before it is closed */
uint64_t account_held(struct account *a);      /* bytes of those that have no name; NULL: 0 */

/* ---- in a worker's thread; with a NULL account all is allowed ---- */

/* Room for so much more; of the bytes it is kept until they are given back. The count may take as long as the tree's time. ERR_QUOTA,
 * and what files_go_on says. */
int account_take(struct account *a, struct tree *t, uint64_t bytes, uint64_t files, struct err *e);
void account_give_back(struct account *a, uint64_t bytes);
/* What was written has its place: `there` is new, `gone` (may be NULL) was replaced by it. */
void account_on_put(struct account *a, const struct stat *there, const struct stat *gone);
void account_on_gone(struct account *a, const struct stat *gone);
void account_on_tree_gone(struct account *a); /* so much that it has to be counted */

/* Counted now, unless that was a moment ago. */
int account_read(struct account *a, struct tree *t, struct files_usage *ret_used, struct files_usage *ret_limit, struct err *e);

/* One writer at a time between looking at what is there and replacing it. */
void account_lock_place(struct account *a);
void account_unlock_place(struct account *a);

/* What a file takes on the disk. One with several names counts as one, when all of them are counted. */
uint64_t account_bytes(const struct stat *st);

#endif
