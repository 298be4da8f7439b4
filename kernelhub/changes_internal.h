/* changes_internal.h - what the loop's half and the thread's half of changes.h share.
 *
 *     write(2) in a sandbox ─► inotify's queue ─► chunk ─► chunk ─► end of a run ─► chunk …
 *                                          read by whoever comes first      taken by the thread, in order
 *
 * Chunks are numbered. A run is told those above the number that was the last when it began; its end stands behind the last one that
 * is its own. */
#ifndef KERNELHUB_CHANGES_INTERNAL_H
#define KERNELHUB_CHANGES_INTERNAL_H

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "kernelhub/changes.h"
#include "kernelhub/files_path.h"

#define CHANGES_MAX_WORKSPACE 96
#define CHANGES_MAX_QUEUED    (4u << 20) /* bytes of chunks of a workspace; above, inotify's own queue has to do */
#define CHANGES_MAX_NAMES     65536      /* of files that are known to be there, in a workspace */
#define CHANGES_MAX_TOUCHED   10000      /* files of a run that are looked at at its end */
#define CHANGES_MAX_TOUCHED_BYTES (2u << 20) /* of their paths */
#define CHANGES_MAX_ITEMS     1000       /* that it is told */
#define CHANGES_MAX_TOLD      (1u << 20) /* bytes of them; the last one passes it */
#define CHANGES_MAX_RUNS      64         /* at a time in a workspace */
#define CHANGES_MAX_OWN       64
#define CHANGES_MAX_MOVES     64
#define CHANGES_TEXT_BYTES    (64 * 1024) /* a text up to here has its media type said */
#define CHANGES_MAX_FIELDS    (CHANGES_MAX_TOLD + 6 * FILES_MAX_TEXT + 4096)

/* Something in the queue. */
struct item {
    struct item *next;
    struct changes_run *end; /* NULL: a chunk */
    uint64_t number;
    size_t len;
    char bytes[] __attribute__((aligned(8)));
};

struct touched {
    char *path;
    bool existed; /* before the run first touched it */
};

struct changes_run {
    struct watched *watched;
    struct changes_run *next;
    uint64_t after;      /* the last chunk before it */
    int64_t began_ns;    /* unix time */
    const char *missed;  /* why it is not told all; NULL: it is */
    bool shared;         /* with another run; watched->lock, as is `missed` until its end is taken */
    bool is_left;        /* the loop does not wait any more */
    int timer;
    changes_fn *done;
    void *arg;
    struct buf fields; /* the answer */
    /* the thread's */
    struct touched *touched;
    size_t n_touched, touched_bytes;
    zhashx_t *by_path; /* → the path, which is the key too */
};

struct changes_own {
    struct watched *watched;
    struct changes_own *next;
    bool is_done;
    uint64_t last; /* its events stand in chunks up to this one, once it is done */
    char path[];
};

/* A folder in the tree of those that are watched. It lives as long as one of: its watch, a child, a place in a queue. */
struct folder {
    uint64_t id;
    int wd; /* -1: none (yet) */
    unsigned refs;
    struct folder *parent; /* NULL: the workspace itself */
    char *name;
    uint64_t born;  /* the chunk that said it is new, with all that is in it; 0: it was there, or is the hub's work */
    uint64_t moved; /* the chunk that said it came from moved_from */
    char *moved_from;
};

/* A folder that left its place and has not come to another one yet. */
struct move {
    uint32_t cookie;
    uint64_t chunk;
    struct folder *folder;
    char *path;
};

struct watched {
    struct changes *changes;
    char workspace[CHANGES_MAX_WORKSPACE];
    unsigned n_users; /* changes->lock */
    bool look_again;  /* changes->lock: it may be another folder by now */

    pthread_mutex_t lock; /* for what follows */
    int inotify_fd;       /* -1: not watched yet, or anew */
    bool is_ready;        /* every folder has its watch, or `why` says why not */
    const char *why;      /* no run is told all; NULL: they are */
    uint64_t n_read;
    struct item *first, *last;
    size_t queued_bytes;
    struct changes_run *runs;
    struct changes_own *own;

    /* the thread's own */
    int root_fd;
    int64_t rest_until_ms; /* not read before */
    bool lost;             /* the queue overflowed: all has to be looked at again */
    struct item *chunk; /* that is being taken; NULL: none */
    size_t chunk_at;
    uint64_t n_taken, n_stale; /* chunks; the stale ones speak of watches that are no more */
    int64_t looked_ms; /* at all of it, when so many chunks had been taken */
    uint64_t n_looked;
    uint64_t next_id;
    size_t n_folders;
    bool names_full;
    zhashx_t *by_wd;         /* → struct folder */
    zhashx_t *names;         /* hash of folder and name → its struct folder, or CHANGES_FILE */
    zlistx_t *fresh, *known; /* folders to be looked at: those that are news first */
    DIR *dir;                /* of the one that is being looked at */
    struct folder *at;
    zlistx_t *at_queue; /* where it was */
    struct move moves[CHANGES_MAX_MOVES];
    size_t n_moves;
    struct changes_run *now[CHANGES_MAX_RUNS]; /* whom the present chunk concerns */
    size_t n_now;
    struct changes_own *own_now[CHANGES_MAX_OWN];
    size_t n_own_now;
};

#define CHANGES_FILE ((void *)1)

struct changes {
    struct loop *loop;
    int workspaces_fd;
    int bell, wake; /* eventfds: for the loop, for the thread */
    size_t max_folders;
    unsigned char hash_key[16];
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows; taken before that of a workspace */
    bool stop;
    zlistx_t *all; /* struct watched */
    zlistx_t *answers; /* struct changes_run */
};

/* ---- both halves ---- */
extern const char CHANGES_OVERFLOW[]; /* why a run is not told all: more came than could be queued */
bool watched_read(struct watched *w); /* with its lock: what inotify has queued, into chunks. True: there was something */
void watched_append(struct watched *w, struct item *item); /* with its lock */
void changes_ring(int bell);
void changes_run_free(struct changes_run *run);

/* ---- in the thread ---- */
void *changes_work(void *changes);
void watched_free(struct watched *w);

/* changes_folders.c */
void folders_watch(struct watched *w);  /* from nothing, or all anew */
void folders_forget(struct watched *w); /* and no watch any more */
/* A piece of what there is to be looked at. False: nothing is left of it. */
bool folders_look(struct watched *w, zlistx_t *queue);
bool folders_path(const struct folder *f, const char *name, char ret[FILES_MAX_PATH + 1]); /* false: too long */
void *folders_name(struct watched *w, const struct folder *f, const char *name);
void folders_set_name(struct watched *w, const struct folder *f, const char *name, void *what); /* NULL: gone */
void folders_add(struct watched *w, zlistx_t *queue, struct folder *parent, const char *name, uint64_t born);
void folders_move(struct watched *w, struct folder *f, struct folder *parent, const char *name);
void folders_drop_watch(struct watched *w, struct folder *f);
void folders_cut(struct watched *w, const struct folder *f); /* it and all below it is not watched any more */
void folder_unref(struct folder *f);
void folders_queue(zlistx_t *queue, struct folder *f);

/* changes_fold.c */
void fold_collect(struct watched *w, uint64_t chunk); /* whom that chunk concerns, and what is the hub's own */
void fold_miss(struct watched *w, const char *why);   /* they are not told all */
void fold_touch(struct watched *w, const char *path, bool existed, uint64_t born);
/* False: there are folders to be looked at, then it goes on. */
bool fold_chunk(struct watched *w, const struct item *chunk);
void fold_end(struct changes_run *run); /* writes its answer */

#endif
