/* files.h - the one way of the hub to the files of workspaces.
 *
 * Two halves. In the loop's thread: files_submit gives a piece of work to one of a few threads. In such a thread the work gets the
 * user's workspace, open (`struct tree`), and calls the verbs below, which block as the disk does. Nothing else in the hub opens a
 * path in a workspace.
 *
 * Code in the sandbox changes the same tree at the same time, as it likes. So every path is opened beneath the workspace's folder
 * by openat2, without following a symbolic link; only regular files and folders are opened, never waiting; what has been opened
 * is looked at again. What is made here belongs to the hub's user, which is the sandbox's user inside (idmapped mount).
 *
 * Paths are bytes, as files_path_read gives them; "" is the workspace. Errors of all verbs: ERR_NOT_FOUND; ERR_FORBIDDEN (a link
 * in the way, permissions); ERR_INVALID (a file where a folder is wanted, a folder, pipe or socket where a file is);
 * ERR_CONFLICT (it is there already, the folder is not empty); ERR_BUSY (a process holds a lease on it); ERR_TOO_LARGE;
 * ERR_QUOTA, ERR_UNAVAILABLE (no room); ERR_TIMEOUT (the work's time is over), ERR_GONE (nobody waits any more); ERR_INTERNAL. */
#ifndef KERNELHUB_FILES_H
#define KERNELHUB_FILES_H

#include <stdint.h>

#include "kernelhub/files_path.h"
#include "kernelhub/user.h"

#define FILES_MAX_ENTRIES 100000 /* of a folder that is listed */
#define FILES_MAX_DEPTH   64     /* of a tree that is walked, copied or deleted */
#define FILES_MAX_LOOKS   100000 /* entries that are looked at for one page of a walk */
#define FILES_SHA256_HEX  65

/* Which workspace: USER/shared when nothing is said, else the one that a sandbox has to itself. */
struct files_place {
    char folder[48];
};

struct tree; /* a workspace that is open, in a worker's thread, for the time of one piece of work */

/* ---- in the loop's thread ---- */

struct files_job;

/* The workspace of the sandbox with that name or id; NULL: the shared one. It is a call of the sandbox. ERR_NOT_FOUND, ERR_GONE. */
int files_place(struct hub *h, const struct user *u, const char *sandbox, struct files_place *ret, struct err *e);

/* `run` in a worker's thread, then `done` in the loop's, once: e is what run failed with (the workspace cannot be opened: it was
 * not run), else NULL. Once nobody waits (files_leave), or when the hub ends: `drop` instead, in the loop's thread too. ctx is
 * run's from submit to done or drop. */
struct files_work {
    int (*run)(void *ctx, struct tree *t, struct err *e);
    void (*done)(void *ctx, const struct err *e);
    void (*drop)(void *ctx);
    void *ctx;
    struct files_place place;
    bool is_piece;  /* goes on with what has begun: never refused (the caller has one at a time) */
    bool is_change; /* goes on to its end when nobody waits for it any more */
};

/* ERR_BUSY when too much waits already, for all or for this user; then neither done nor drop is called. One user has at most half
 * of the threads. done is never called before this returns. */
int files_submit(struct hub *h, const struct user *u, const struct files_work *work,
                 struct files_job **ret, struct err *e);
/* Not after done or drop. */
void files_leave(struct files_job *j);

/* Frees a draft, in a worker's thread: to remove a large file takes its time. NULL is fine. */
struct draft;
void files_discard(struct hub *h, const struct user *u, struct draft *d);

/* ---- in a worker's thread ---- */

enum files_type {
    FILES_FILE,
    FILES_FOLDER,
    FILES_OTHER /* a link, pipe, socket: it can be named and deleted, nothing else */
};

struct files_stat {
    enum files_type type;
    uint64_t bytes;
    int64_t modified_ns, changed_ns; /* unix time; changed: the node itself */
    uint64_t device, node;
    unsigned mode; /* the nine bits of permissions */
};

/* Whether the work should end now: 0, or -1 with ERR_TIMEOUT or ERR_GONE. The verbs that may take long ask it themselves. */
int files_go_on(struct tree *t, struct err *e);

int files_stat(struct tree *t, const char *path, struct files_stat *ret, struct err *e);

/* What all of the user's workspaces hold (his packages do not count), and the parts of uploads that wait: bytes on the disk, entries of any type; folders that could not be looked into (permissions,
 * more than 256 deep). What is written by the verbs below has to fit into the limit: ERR_QUOTA. */
struct files_usage {
    uint64_t bytes, files, unseen;
};
/* Counted anew, unless that was a moment ago (a second, or twice as long as it takes). */
int files_usage(struct tree *t, struct files_usage *ret_used, struct files_usage *ret_limit, struct err *e);

/* From now on, in this piece of work, commit, delete and rename ask first whether they may: `there` is what they would replace or
 * remove (rename: what is moved), NULL when there is nothing. No other writer of ours comes in between. -1: they fail with e. */
typedef int files_guard_fn(const void *arg, const struct files_stat *there, struct err *e);
void files_guard(struct tree *t, files_guard_fn *may, const void *arg);

/* Calls each(arg, name, stat) for every entry, in no order; it returns -1 to end the list early, with e. ERR_TOO_LARGE above
 * FILES_MAX_ENTRIES. An entry that goes away meanwhile is left out. */
typedef int files_each_fn(void *arg, const char *name, const struct files_stat *st, struct err *e);
int files_list(struct tree *t, const char *path, files_each_fn *each, void *arg, struct err *e);

/* A folder and what is below it. The order is that of the names' bytes, a folder before what is in it: the next page can go on
 * behind any path, there or not any more. */
struct files_walk {
    struct slice pattern; /* glob.h, of text: of the name; with a '/' in it of the path below the folder. Empty: all */
    unsigned depth;       /* 1: only what stands in the folder itself */
    unsigned limit;       /* entries of a page */
    const char *after;    /* a path below the folder, the last one of the page before; NULL or "": the first page */
};
struct files_found {
    const char *path, *name; /* of the disk, from the workspace on; good during the call */
    struct files_stat st;
    bool is_closed; /* a folder that ought to be looked into and is not: permissions, or too deep (FILES_MAX_DEPTH) */
};
typedef int files_found_fn(void *arg, const struct files_found *found, struct err *e); /* -1: ends the walk, with e; ret_next is set */
/* ret_next: `after` of the next page, "" when this was the last. A page may have fewer than `limit`, none too, and not be the last:
 * FILES_MAX_LOOKS. What cannot be named (a path above FILES_MAX_PATH) is left out. Memory does not grow with the folder. */
int files_walk(struct tree *t, const char *path, const struct files_walk *want, files_found_fn *each, void *arg,
               char ret_next[FILES_MAX_PATH + 1], struct err *e);

/* A regular file, open for reading. It may be kept from one piece of work to the next, and be closed in any thread. */
struct file;
int files_open(struct tree *t, const char *path, struct file **ret, struct files_stat *ret_stat,
               struct err *e);
/* Reads up to n bytes at offset; returns how many, 0 at the end, -1. */
ssize_t file_read(struct file *f, uint64_t offset, char *ret, size_t n, struct err *e);
/* Appends it all to `out`, whose ceiling is the limit: ERR_TOO_LARGE. */
int file_read_all(struct file *f, struct tree *t, struct buf *out, struct err *e);
void file_close(struct file *f); /* NULL is fine */
DEFINE_CLEANUP(struct file, file_close)

/* A file that is being written: beside the workspace, in the same file system, where no sandbox sees it. Its commit puts it in
 * place, whole and synced, or fails and changes nothing. Freed without one it is gone. It may be kept from one piece of work to
 * the next; at the hub's start what a former hub left is removed. */
int files_draft(struct tree *t, struct draft **ret, struct err *e);
/* One that is never put in place: room on the disk for the time of a piece of work or some. It has no limit of the user's. */
int files_scratch(struct tree *t, struct draft **ret, struct err *e);
/* It will have so many bytes: is there room? It is kept for it. */
int draft_expect(struct draft *d, struct tree *t, uint64_t bytes, struct err *e);
int draft_add(struct draft *d, struct slice bytes, struct err *e);
/* What was added, as file_read. */
ssize_t draft_read(struct draft *d, uint64_t offset, char *ret, size_t n, struct err *e);
/* replace: a regular file may be there; it keeps its permissions. Else: ERR_CONFLICT. */
int draft_commit(struct draft *d, struct tree *t, const char *path, bool replace,
                 struct files_stat *ret, struct err *e);
void draft_set_mode(struct draft *d,
                    unsigned mode); /* of a file that replaces none; 0644 when it is not said */
uint64_t draft_bytes(const struct draft *d);
void draft_free(struct draft *d); /* NULL is fine */
DEFINE_CLEANUP(struct draft, draft_free)

/* A draft between requests that are not joined by anything but their path: part 1 begins, part n continues where part n-1 was kept
 * (ERR_CONFLICT when there is no such part), part -1 is the last. Kept parts survive the hub's end; those that nobody continued
 * for an hour are removed when the user's next part 1 comes. At most FILES_MAX_PARTS of a user: ERR_QUOTA. */
#define FILES_MAX_PARTS 16
int files_draft_part(struct tree *t, const char *path, int64_t part, struct draft **ret,
                     struct err *e);
int draft_keep(struct draft *d, struct files_stat *ret, struct err *e); /* then free it */

int files_make_folder(struct tree *t, const char *path,
                      struct err *e); /* ERR_CONFLICT: something is there */
/* The folders that `path` stands in, those that are missing. */
int files_make_parents(struct tree *t, const char *path, struct err *e);

/* A link is removed, never what it points to. A folder that is not empty: ERR_CONFLICT unless `all`. */
int files_delete(struct tree *t, const char *path, bool all, struct err *e);

/* Moves a file or a folder. replace: a file may be there, or an empty folder for a folder; else ERR_CONFLICT. */
int files_rename(struct tree *t, const char *from, const char *to, bool replace, struct err *e);

/* Copies a file, or a folder with what is in it (links, pipes and sockets are left out). replace: for files only. */
int files_copy(struct tree *t, const char *from, const char *to, bool replace, struct err *e);

void files_sha256(struct slice bytes, char ret[FILES_SHA256_HEX]); /* hex */
int file_sha256(struct file *f, struct tree *t, char ret[FILES_SHA256_HEX], struct err *e);

#endif
