/* The thread that counts. */
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/beneath.h"
#include "base/log.h"
#include "kernelhub/changes_internal.h"
#include "kernelhub/files_internal.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/quota_internal.h"

#define MAX_COUNT_MS 60000

/* How old a count may get, and how many times what it took: a large workspace is not counted all the time. */
static const struct pace {
    int64_t ms, times;
} PACES[2][2] = {
    /* may be above   nothing was seen to change     something was */
    [false] = { [false] = { 30000, 200 }, [true] = { 3000, 50 } },
    [true] = { [false] = { 2000, 20 }, [true] = { QUOTA_TICK_MS - 10, 4 } },
};

struct disk {
    uint64_t bytes, files; /* in use */
    uint64_t free_bytes;   /* for us */
};

static struct disk look_at_disk(const struct quota *q)
{
    struct statvfs st;
    if (fstatvfs(q->workspaces_fd, &st) < 0)
        return (struct disk){ 0, 0, UINT64_MAX }; /* then it is counted when something changes */
    return (struct disk){ (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize,
                          (uint64_t)(st.f_files - st.f_ffree),
                          (uint64_t)st.f_bavail * st.f_frsize };
}

static uint64_t growth(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

/* Whatever the disk has lost since, it could have been him. */
static bool may_exceed(const struct metered *m, const struct disk *disk)
{
    struct files_usage most = { .bytes = m->used.bytes + growth(m->disk_bytes, disk->bytes),
                                .files = m->used.files + growth(m->disk_files, disk->files) };
    return m->is_above || quota_exceeds(&most, &m->limit);
}

static bool is_due(const struct quota *q, const struct metered *m, const struct disk *disk,
                   bool has_changed)
{
    if (!m->begun_ms || m->is_wanted)
        return true;
    const struct pace *p = &PACES[may_exceed(m, disk) || quota_is_blamed(q, m)][has_changed];
    int64_t wait_ms = p->times * m->took_ms > p->ms ? p->times * m->took_ms : p->ms;
    return zclock_mono() - m->begun_ms >= wait_ms;
}

static int count(struct quota *q, const struct uuid *user, struct account *account,
                 struct files_usage *ret)
{
    struct err e = ERR_INIT;
    struct tree t = { .due_ms = zclock_mono() + MAX_COUNT_MS, .ended = &q->stop };
    t.user_fd = beneath_make_dir(q->workspaces_fd, user->text, 0700, &e);
    if (t.user_fd < 0)
        return -1;
    int rc = files_count(&t, ret, &e);
    if (rc < 0)
        log_debug("workspaces of user=%s cannot be counted: %s", user->text, e.text);
    ret->bytes += rc < 0 ? 0 : account_held(account);
    (void)close(t.user_fd); /* of an open folder: no error */
    return rc;
}

/* Only the thread takes one out, so m stays; what the loop writes is written with the lock. */
static void look_at(struct quota *q, struct metered *m, const struct disk *disk)
{
    uint64_t n = changes_count(q->hub->changes, m->user.text);
    pthread_mutex_lock(&q->lock);
    bool is_known = q->hub->changes != NULL;
    bool due = is_due(q, m, disk, !is_known || n != m->n_changes);
    m->is_wanted &= !due;
    struct uuid user = m->user;
    pthread_mutex_unlock(&q->lock);
    if (!due)
        return;
    struct files_usage used;
    int64_t begun_ms = zclock_mono();
    int rc = count(q, &user, m->account, &used);
    pthread_mutex_lock(&q->lock);
    if (rc == 0) {
        m->used = used;
        m->disk_bytes = disk->bytes;
        m->disk_files = disk->files;
        m->n_changes = n;
        m->is_news = true;
    }
    m->begun_ms = begun_ms; /* one that failed is not tried at once again */
    m->took_ms = zclock_mono() - begun_ms;
    pthread_mutex_unlock(&q->lock);
    if (rc == 0)
        changes_ring(q->bell);
}

static void drop_unwanted(struct quota *q)
{
    zlistx_t *gone = zlistx_new();
    pthread_mutex_lock(&q->lock);
    for (struct metered *m = zlistx_first(q->all); m; m = zlistx_next(q->all))
        if (m->n_sandboxes == 0 && !quota_is_blamed(q, m)) /* else it is not forgotten by leaving */
            (void)zlistx_add_end(gone, m);                 /* no memory aborts */
    for (struct metered *m = zlistx_first(gone); m; m = zlistx_next(gone)) {
        (void)zlistx_delete(q->all, zlistx_find(q->all, m)); /* it is in there */
        free(m);
    }
    pthread_mutex_unlock(&q->lock);
    zlistx_destroy(&gone);
}

/* Those that are there now; the caller frees the list. */
static zlistx_t *copy_all(struct quota *q)
{
    pthread_mutex_lock(&q->lock);
    zlistx_t *copy = zlistx_dup(q->all);
    pthread_mutex_unlock(&q->lock);
    assert(copy);
    return copy;
}

/* ---- what no count sees: the disk itself ---- */

void floor_set(struct floor *f, uint64_t min_bytes)
{
    if (f->min_bytes != min_bytes)
        *f = (struct floor){ .min_bytes = min_bytes, .free_bytes = UINT64_MAX };
}

bool floor_falls(struct floor *f, uint64_t free_bytes)
{
    uint64_t below = free_bytes < f->min_bytes ? free_bytes : f->min_bytes;
    bool falls = free_bytes < f->min_bytes && f->mark_bytes > free_bytes + FLOOR_SLACK_BYTES;
    f->free_bytes = free_bytes;
    if (falls || below > f->mark_bytes)
        f->mark_bytes = below;
    f->is_news |= falls;
    return falls;
}

/* When it falls, all are counted anew: who is to blame is to be known. */
static void look_at_floor(struct quota *q, const struct disk *disk)
{
    pthread_mutex_lock(&q->lock);
    bool falls = floor_falls(&q->floor, disk->free_bytes);
    for (struct metered *m = falls ? zlistx_first(q->all) : NULL; m; m = zlistx_next(q->all))
        m->is_wanted = true;
    pthread_mutex_unlock(&q->lock);
    if (falls)
        changes_ring(q->bell);
}

/* Nobody runs: what the disk loses until somebody does is nobody's fault. */
static void forget_floor(struct quota *q)
{
    pthread_mutex_lock(&q->lock);
    q->floor.mark_bytes = 0;
    pthread_mutex_unlock(&q->lock);
}

void *quota_work(void *quota)
{
    struct quota *q = quota;
    struct pollfd fd = { .fd = q->wake, .events = POLLIN };
    for (size_t n = 0; !atomic_load(&q->stop);) {
        uint64_t rings;
        if (poll(&fd, 1, n ? QUOTA_TICK_MS : -1) > 0)
            (void)!read(q->wake, &rings, sizeof rings); /* a look at all follows anyway */
        drop_unwanted(q);
        zlistx_t *all = copy_all(q);
        n = zlistx_size(all);
        struct disk disk = look_at_disk(q);
        if (n)
            look_at_floor(q, &disk);
        else
            forget_floor(q);
        for (struct metered *m = zlistx_first(all); m && !atomic_load(&q->stop);
             m = zlistx_next(all))
            look_at(q, m, &disk);
        zlistx_destroy(&all);
    }
    return NULL;
}
