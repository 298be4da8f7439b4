#include "kernelhub/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "kernelhub/blob_file.h"
#include "kernelhub/schema.h"
#include "kernelhub/store_internal.h"

#define RESERVE_FEEDS 1000 /* numbers reserved at a time: one small write per thousand executions */

static const double BATCH_BOUNDS[] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000
};
static const double COMMIT_BOUNDS[] = { 0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005,
                                        0.001,   0.002,   0.005,   0.01,   0.02,   0.05,
                                        0.1,     0.5,     1,       5 };

/* The reservation is queued before any op that uses a number of it, so it is committed before or with them. */
int64_t store_next_feed(struct store *s)
{
    if (s->next_feed == s->reserved_feeds) {
        s->reserved_feeds += RESERVE_FEEDS;
        char value[24];
        (void)snprintf(value, sizeof value, "%lld", (long long)s->reserved_feeds); /* fits */
        store_queue_setting(s, "next_feed", value);
    }
    return s->next_feed++;
}

static int find_next_feed(struct store *s, struct err *e)
{
    char value[24];
    sqlite3_stmt *stmt;
    if (store_get_setting(s, "next_feed", value, sizeof value, e) < 0 ||
        sql_use(&s->sync, SQL_MAX_FEED, &stmt, e) < 0 || sql_step(&s->sync, stmt, e) < 0)
        return -1;
    s->next_feed = sqlite3_column_int64(stmt, 0) + 1;
    (void)sqlite3_reset(stmt); /* its one row was read */
    if (atoll(value) > s->next_feed)
        s->next_feed = atoll(value);
    s->reserved_feeds = s->next_feed;
    return 0;
}

static int take_lock(struct store *s, struct err *e)
{
    CLEANUP(free) char *path = zsys_sprintf("%s/lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open %s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? err_set(e, ERR_BUSY, "another hub uses %s", s->dir)
                                : err_errno(e, ERR_UNAVAILABLE, "lock %s", path);
}

static int open_file(struct store *s, const char *path, struct err *e)
{
    if (sql_open(&s->sync, path, e) < 0 || schema_check(&s->sync, path, e) < 0 ||
        sql_tune(&s->sync, false, e) < 0)
        return -1;
    return schema_migrate(&s->sync, path, e);
}

static struct store *new_store(const char *dir, struct loop *loop)
{
    struct store *s = zmalloc(sizeof *s);
    s->loop = loop;
    s->dir = strdup(dir);
    s->lock_fd = s->blob_dir = s->retry_timer = s->late_timer = -1;
    s->writer_actor.bell = s->reader_actor.bell = s->checkpoint_actor.bell = -1;
    buf_init(&s->flight.lines, STORE_MAX_LINES_BYTES);
    s->batch_ops = metric_histogram_new("kernelhub_store_batch_ops", "Writes per commit",
                                        BATCH_BOUNDS, ARRAY_LEN(BATCH_BOUNDS));
    s->commit_seconds =
        metric_histogram_new("kernelhub_store_commit_seconds", "Time of a transaction",
                             COMMIT_BOUNDS, ARRAY_LEN(COMMIT_BOUNDS));
    s->ops = metric_counter_new("kernelhub_store_writes_total", "Writes committed", NULL, NULL);
    s->failures = metric_counter_new("kernelhub_store_failures_total",
                                     "Commits that failed and were tried again", NULL, NULL);
    return s;
}

DEFINE_CLEANUP(struct store, store_close)

int store_open(const char *dir, struct loop *loop, struct store **ret, struct err *e)
{
    CLEANUP(store_close) struct store *s = new_store(dir, loop);
    CLEANUP(free) char *path = zsys_sprintf("%s/kernelhub.db", dir);
    if (take_lock(s, e) < 0 || open_file(s, path, e) < 0 ||
        blob_file_open_dir(dir, &s->blob_dir, e) < 0 || find_next_feed(s, e) < 0 ||
        store_batch_start(s, path, e) < 0 || store_query_start(s, path, e) < 0 ||
        store_checkpoint_start(s, path, e) < 0)
        return err_in(e, "open the store");
    *ret = TAKE(s);
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_batch_stop(s);
    store_checkpoint_stop(s);
    store_query_stop(s);
    sql_close(&s->sync); /* the last to close checkpoints */
    close_fd_at(&s->blob_dir);
    close_fd_at(&s->lock_fd);
    metric_histogram_free(s->batch_ops);
    metric_histogram_free(s->commit_seconds);
    metric_counter_free(s->ops);
    metric_counter_free(s->failures);
    free(s->why);
    free(s->dir);
    free(s);
}

bool store_healthy(const struct store *s, char *ret_why, size_t size)
{
    if (size)
        (void)snprintf(ret_why, size, "%s",
                       s->why ? s->why : ""); /* cut is fine: it is for reading */
    return s->why == NULL;
}

size_t store_queued(const struct store *s)
{
    return s->queued.n + s->flight_ops;
}

void store_write_metrics(struct store *s, struct buf *out)
{
    metric_histogram_write(s->batch_ops, out);
    metric_histogram_write(s->commit_seconds, out);
    metric_counter_write(s->ops, out);
    metric_counter_write(s->failures, out);
    metric_gauge_write(out, "kernelhub_store_queue_ops", "Writes not yet committed",
                       (double)store_queued(s));
    metric_gauge_write(out, "kernelhub_store_queue_bytes",
                       "Memory held by writes not yet committed",
                       (double)(s->queued.bytes + s->flight_bytes));
    metric_gauge_write(out, "kernelhub_store_healthy", "0 while commits fail", s->why ? 0 : 1);
}
