/* quota_internal.h - what the thread that counts and the loop that acts share. */
#ifndef KERNELHUB_QUOTA_INTERNAL_H
#define KERNELHUB_QUOTA_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernelhub/files.h"
#include "kernelhub/quota.h"

#define QUOTA_TICK_MS     250
#define QUOTA_SLACK_BYTES (1 << 20) /* to grow so much further is not to write on */
#define QUOTA_SLACK_FILES 64

/* A user with a sandbox. */
struct metered {
    struct uuid user;
    struct account *account; /* for what he reads of ours and has deleted */
    unsigned n_sandboxes; /* 0: the thread frees it */
    struct files_usage limit;
    /* by the thread, with the lock */
    struct files_usage used;
    uint64_t disk_bytes, disk_files; /* in use on the disk, when the count began */
    int64_t begun_ms, took_ms;       /* monotonic; 0: not counted yet */
    uint64_t n_changes;              /* of his workspaces, when it began */
    bool is_news;
    bool is_above;  /* by the loop: counted more often */
    bool is_wanted; /* by the loop: counted at once, for what was stopped has ended */
    /* the loop's own */
    struct files_usage mark; /* what a run may not grow past */
    bool is_settled;         /* `mark` is what they held when nothing wrote any more */
    int64_t quiet_ms;        /* the last of those that were stopped ended then */
    int64_t above_ms;
    uint64_t n_judged;
    unsigned n_steps; /* since then, when no run was there to be stopped */
};

#define FLOOR_SLACK_BYTES (16u << 20)

/* Whether the disk has less than limits/min_free_bytes and goes on losing. */
struct floor {
    uint64_t min_bytes;  /* 0: whatever is free is enough */
    uint64_t free_bytes; /* for us */
    uint64_t mark_bytes; /* FLOOR_SLACK_BYTES less than that is a loss; 0: nobody looked yet */
    bool is_news;        /* for the loop */
    int64_t reset_ms;    /* the loop's: sandboxes were reset for it then; monotonic */
};

static inline bool floor_is_short(const struct floor *f)
{
    return f->free_bytes < f->min_bytes;
}

struct quota {
    struct hub *hub;
    int workspaces_fd;
    int bell, wake;
    pthread_t thread;
    bool has_thread;
    atomic_bool stop;
    pthread_mutex_t lock; /* of all there is of `metered`; recursive */
    zlistx_t *all;        /* struct metered */
    struct floor floor;   /* with the lock */
};

void *quota_work(void *quota); /* the thread */

void floor_set(struct floor *f, uint64_t min_bytes);
bool floor_falls(struct floor *f, uint64_t free_bytes); /* looked at now; true: it has lost again */

static inline bool quota_exceeds(const struct files_usage *used, const struct files_usage *limit)
{
    return used->bytes > limit->bytes || used->files > limit->files;
}

/* The disk is short, and that is his matter, too: he holds more than he may, or nobody can say how much. */
static inline bool quota_is_blamed(const struct quota *q, const struct metered *m)
{
    return floor_is_short(&q->floor) &&
           (quota_exceeds(&m->used, &m->limit) || m->used.unseen > 0);
}

#endif
