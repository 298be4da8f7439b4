#include "kernelhub/files_account.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "kernelhub/files_internal.h"

#define MAX_DEPTH   256
#define BLOCK_BYTES 512 /* of st_blocks */

enum freshness { FOR_A_WRITE, FOR_A_REFUSAL };

struct account {
    pthread_mutex_t lock, counting, place; /* counting: one thread does; taken before `lock` */
    struct files_usage limit, used, since; /* since: what was written here while it is counted */
    uint64_t taken;                        /* bytes of drafts */
    int64_t counted_ms, took_ms;           /* when it ended; -1: never */
    bool is_stale;                         /* much has gone since */
    struct account_open *open;
    uint64_t min_free;
};

struct account *account_new(void)
{
    struct account *a = zmalloc(sizeof *a);
    (void)pthread_mutex_init(&a->lock, NULL); /* never fail on Linux */
    (void)pthread_mutex_init(&a->counting, NULL);
    (void)pthread_mutex_init(&a->place, NULL);
    a->counted_ms = -1;
    return a;
}

void account_free(struct account *a)
{
    if (!a)
        return;
    (void)pthread_mutex_destroy(&a->lock); /* nobody holds them */
    (void)pthread_mutex_destroy(&a->counting);
    (void)pthread_mutex_destroy(&a->place);
    free(a);
}

static void lock(pthread_mutex_t *m)
{
    int rc = pthread_mutex_lock(m);
    assert(rc == 0);
}

static void unlock(pthread_mutex_t *m)
{
    int rc = pthread_mutex_unlock(m);
    assert(rc == 0);
}

static void subtract(uint64_t *from, uint64_t n)
{
    *from -= n < *from ? n : *from;
}

void account_set_limit(struct account *a, struct files_usage limit)
{
    lock(&a->lock);
    a->limit = limit;
    unlock(&a->lock);
}

void account_set_min_free(struct account *a, uint64_t bytes)
{
    lock(&a->lock);
    a->min_free = bytes;
    unlock(&a->lock);
}

uint64_t account_min_free(struct account *a)
{
    if (!a)
        return 0;
    lock(&a->lock);
    uint64_t bytes = a->min_free;
    unlock(&a->lock);
    return bytes;
}

uint64_t account_bytes(const struct stat *st)
{
    uint64_t n_names = S_ISDIR(st->st_mode) || st->st_nlink == 0 ? 1 : st->st_nlink;
    return (uint64_t)st->st_blocks * BLOCK_BYTES / n_names;
}

/* ---- files that are open ---- */

void account_on_open(struct account *a, struct account_open *o, int fd, const struct stat *st)
{
    *o = (struct account_open){
        .account = a, .fd = fd, .device = st->st_dev, .node = st->st_ino, .next = NULL
    };
    if (!a)
        return;
    lock(&a->lock);
    o->next = a->open;
    o->at = &a->open;
    if (o->next)
        o->next->at = &o->next;
    a->open = o;
    unlock(&a->lock);
}

static bool has_no_name(const struct account_open *o, struct stat *ret)
{
    return fstat(o->fd, ret) == 0 && ret->st_nlink == 0;
}

static bool is_open(const struct account *a, const struct stat *st)
{
    const struct account_open *o = a->open;
    while (o && (o->device != st->st_dev || o->node != st->st_ino))
        o = o->next;
    return o != NULL;
}

void account_on_close(struct account_open *o)
{
    struct account *a = o->account;
    struct stat st;
    if (!a)
        return;
    lock(&a->lock);
    *o->at = o->next;
    if (o->next)
        o->next->at = o->at;
    if (has_no_name(o, &st) && !is_open(a, &st))
        subtract(&a->used.bytes, account_bytes(&st));
    unlock(&a->lock);
}

/* Each once, whoever has it open: by the last one in the list. */
uint64_t account_held(struct account *a)
{
    uint64_t bytes = 0;
    if (!a)
        return 0;
    lock(&a->lock);
    for (const struct account_open *o = a->open; o; o = o->next) {
        struct stat st;
        const struct account_open *same = o->next;
        while (same && (same->device != o->device || same->node != o->node))
            same = same->next;
        if (!same && has_no_name(o, &st))
            bytes += account_bytes(&st);
    }
    unlock(&a->lock);
    return bytes;
}

/* ---- counting ---- */

/* Folders that cannot be looked into, or are nested too deep, are counted as empty. */
static int count_folder(struct tree *t, int dir_fd, const char *name, int depth,
                        struct files_usage *used, struct err *e)
{
    CLEANUP(closedir) DIR *d = depth ? files_open_dir(dir_fd, name) : NULL;
    used->unseen += !d;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        used->bytes += account_bytes(&st);
        if (++used->files % 256 == 0 && files_go_on(t, e) < 0)
            return -1;
        if (S_ISDIR(st.st_mode) && count_folder(t, dirfd(d), entry->d_name, depth - 1, used, e) < 0)
            return -1;
    }
    return 0;
}

/* Parts of uploads that wait for the next one. Those under way are counted by what they have taken. */
static void count_parts(int user_fd, struct files_usage *used)
{
    CLEANUP(closedir) DIR *d = files_open_dir(user_fd, FILES_INCOMING);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        if (files_is_part(entry->d_name) &&
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            used->bytes += account_bytes(&st);
    }
}

/* Not what is installed or being built beside them: that has limits of its own. */
static bool is_workspace(const char *name)
{
    return strcmp(name, FILES_SHARED) == 0 ||
           strncmp(name, FILES_PRIVATE, sizeof FILES_PRIVATE - 1) == 0;
}

int files_count(struct tree *t, struct files_usage *ret, struct err *e)
{
    struct files_usage used = { .bytes = 0 };
    CLEANUP(closedir) DIR *d = files_open_dir(t->user_fd, "");
    if (!d)
        return files_errno(e, "");
    for (struct dirent *entry; (entry = readdir(d));)
        if (is_workspace(entry->d_name) &&
            count_folder(t, dirfd(d), entry->d_name, MAX_DEPTH, &used, e) < 0)
            return -1;
    count_parts(t->user_fd, &used);
    *ret = used;
    return 0;
}

static int64_t age_ms(const struct account *a)
{
    return a->counted_ms < 0 ? INT64_MAX : zclock_mono() - a->counted_ms;
}

/* A count that took long is good for longer. */
static bool is_old(const struct account *a, enum freshness wanted)
{
    static const struct {
        int64_t ms, times;
    } GOOD_FOR[] = { [FOR_A_WRITE] = { 5000, 20 }, [FOR_A_REFUSAL] = { 1000, 2 } };
    int64_t ms = GOOD_FOR[wanted].times * a->took_ms;
    return age_ms(a) > (ms > GOOD_FOR[wanted].ms ? ms : GOOD_FOR[wanted].ms);
}

/* Holds `counting`, not `lock`. */
static int count(struct account *a, struct tree *t, struct err *e)
{
    struct files_usage used;
    int64_t begun_ms = zclock_mono();
    lock(&a->lock);
    a->since = (struct files_usage){ .bytes = 0 };
    a->is_stale = false;
    unlock(&a->lock);
    if (files_count(t, &used, e) < 0)
        return -1;
    used.bytes += account_held(a);
    lock(&a->lock);
    a->used = used; /* what was put meanwhile may be counted twice: until the next count */
    a->used.bytes += a->since.bytes;
    a->used.files += a->since.files;
    a->counted_ms = zclock_mono();
    a->took_ms = a->counted_ms - begun_ms;
    unlock(&a->lock);
    return 0;
}

/* Whoever comes while another counts has his figures. */
static int refresh(struct account *a, struct tree *t, enum freshness wanted, struct err *e)
{
    int rc = 0;
    lock(&a->counting);
    lock(&a->lock);
    bool needed = a->is_stale || is_old(a, wanted);
    unlock(&a->lock);
    if (needed)
        rc = count(a, t, e);
    unlock(&a->counting);
    return rc;
}

/* ---- taking ---- */

static bool fits(const struct account *a, uint64_t bytes, uint64_t files)
{
    uint64_t in_use = a->used.bytes + a->taken;
    return (bytes == 0 || (in_use <= a->limit.bytes && bytes <= a->limit.bytes - in_use)) &&
           (files == 0 ||
            (a->used.files <= a->limit.files && files <= a->limit.files - a->used.files));
}

static bool take(struct account *a, uint64_t bytes, uint64_t files)
{
    lock(&a->lock);
    bool ok = fits(a, bytes, files);
    if (ok)
        a->taken += bytes;
    unlock(&a->lock);
    return ok;
}

static int refuse(struct account *a, uint64_t bytes, struct err *e)
{
    lock(&a->lock);
    struct files_usage used = a->used, limit = a->limit;
    used.bytes += a->taken;
    unlock(&a->lock);
    if (used.files >= limit.files)
        return err_set(e, ERR_QUOTA,
                       "the workspace has %llu files and folders, the limit "
                       "(limits/workspace_files)",
                       (unsigned long long)used.files);
    return err_set(e, ERR_QUOTA,
                   "the workspace is full: %llu bytes are in use, %llu more are wanted, the limit "
                   "is %llu (limits/workspace_bytes)",
                   (unsigned long long)used.bytes, (unsigned long long)bytes,
                   (unsigned long long)limit.bytes);
}

/* A count that another thread has just begun is not waited for, when there is an older one and there is room by that. */
int account_take(struct account *a, struct tree *t, uint64_t bytes, uint64_t files, struct err *e)
{
    if (!a)
        return 0;
    lock(&a->lock);
    bool is_first = a->counted_ms < 0, old = is_old(a, FOR_A_WRITE);
    unlock(&a->lock);
    if (old && (is_first || pthread_mutex_trylock(&a->counting) == 0)) {
        int rc = is_first ? refresh(a, t, FOR_A_WRITE, e) : count(a, t, e);
        if (!is_first)
            unlock(&a->counting);
        if (rc < 0)
            return -1;
    }
    if (take(a, bytes, files))
        return 0;
    if (refresh(a, t, FOR_A_REFUSAL, e) < 0)
        return -1;
    return take(a, bytes, files) ? 0 : refuse(a, bytes, e);
}

void account_give_back(struct account *a, uint64_t bytes)
{
    if (!a || !bytes)
        return;
    lock(&a->lock);
    a->taken -= bytes < a->taken ? bytes : a->taken;
    unlock(&a->lock);
}

/* The room of what has lost a name, unless somebody reads it. */
static void give_up(struct account *a, const struct stat *gone)
{
    if (!is_open(a, gone))
        subtract(&a->used.bytes, account_bytes(gone));
}

void account_on_put(struct account *a, const struct stat *there, const struct stat *gone)
{
    if (!a)
        return;
    lock(&a->lock);
    a->used.bytes += account_bytes(there);
    a->since.bytes += account_bytes(there);
    if (gone) {
        give_up(a, gone);
    } else {
        a->used.files++;
        a->since.files++;
    }
    unlock(&a->lock);
}

void account_on_gone(struct account *a, const struct stat *gone)
{
    if (!a)
        return;
    lock(&a->lock);
    give_up(a, gone);
    subtract(&a->used.files, 1);
    unlock(&a->lock);
}

void account_on_tree_gone(struct account *a)
{
    if (!a)
        return;
    lock(&a->lock);
    a->is_stale = true;
    unlock(&a->lock);
}

int account_read(struct account *a, struct tree *t, struct files_usage *ret_used,
                 struct files_usage *ret_limit, struct err *e)
{
    if (refresh(a, t, FOR_A_REFUSAL, e) < 0)
        return -1;
    lock(&a->lock);
    *ret_used = a->used;
    ret_used->bytes += a->taken;
    *ret_limit = a->limit;
    unlock(&a->lock);
    return 0;
}

void account_lock_place(struct account *a)
{
    if (a)
        lock(&a->place);
}

void account_unlock_place(struct account *a)
{
    if (a)
        unlock(&a->place);
}
