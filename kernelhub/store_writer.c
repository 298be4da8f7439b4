/* The writer's thread: takes a batch, makes it one transaction, gives it back. */
#include <errno.h>

#include "kernelhub/blob_file.h"
#include "kernelhub/store_internal.h"

#define WAL_PAGES_MAX 16384 /* 64 MiB: then the writer itself checkpoints, whatever it costs */

static size_t hash_feed(const void *key)
{
    uint64_t feed = (uint64_t) * (const int64_t *)key;
    return (size_t)(feed * 0x9e3779b97f4a7c15u >>
                    20); /* Fibonacci hashing: neighbours land apart */
}

static int compare_feeds(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void free_state(void **p)
{
    struct feed_state *state = *p;
    free(state->session);
    free(state);
    *p = NULL;
}

static void free_mark(void **p)
{
    free(*p);
    *p = NULL;
}

/* Takes the place of SQLite's own checkpoint at a commit (it uses the same hook). */
static int after_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct writer *w = arg;
    w->wal_pages = pages;
    if (pages >= WAL_PAGES_MAX)
        (void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                        NULL); /* next time then */
    return SQLITE_OK;
}

void store_writer_free(void *writer)
{
    struct writer *w = writer;
    sql_close(&w->sql);
    zhashx_destroy(&w->feeds);
    zhashx_destroy(&w->marks);
    free(w->extents);
    buf_done(&w->scratch);
    free(w);
}

struct writer *store_writer_new(const char *path, int blob_dir, struct err *e)
{
    struct writer *w = zmalloc(sizeof *w);
    w->blob_dir = blob_dir;
    w->blob_bytes = -1;
    buf_init(&w->scratch, STORE_MAX_LINES_BYTES);
    w->feeds = zhashx_new();
    zhashx_set_key_hasher(w->feeds, hash_feed);
    zhashx_set_key_comparator(w->feeds, compare_feeds);
    zhashx_set_key_duplicator(w->feeds, NULL); /* the key stands in the item */
    zhashx_set_key_destructor(w->feeds, NULL);
    zhashx_set_destructor(w->feeds, free_state);
    w->marks = zhashx_new();
    zhashx_set_key_duplicator(w->marks, NULL); /* the same */
    zhashx_set_key_destructor(w->marks, NULL);
    zhashx_set_destructor(w->marks, free_mark);
    if (sql_open(&w->sql, path, e) == 0 && sql_tune(&w->sql, false, e) == 0) {
        (void)sqlite3_wal_hook(w->sql.db, after_commit, w); /* returns the former argument */
        return w;
    }
    store_writer_free(w);
    return NULL;
}

/* Notes how long the file was, so that a rollback can cut it: else each retry on a full disk would leave its waste. */
int store_writer_append(struct writer *w, int64_t feed, struct slice bytes, int64_t *ret_offset,
                        struct err *e)
{
    if (blob_file_append(w->blob_dir, feed, bytes, ret_offset, e) < 0)
        return -1;
    bool known = false;
    for (size_t i = 0; i < w->n_extents && !known; i++)
        known = w->extents[i].feed == feed;
    if (!known) {
        w->extents = realloc(w->extents, (w->n_extents + 1) * sizeof *w->extents);
        assert(w->extents);
        w->extents[w->n_extents++] =
            (struct blob_extent){ .feed = feed, .bytes_before = *ret_offset };
    }
    if (w->blob_bytes >= 0)
        w->blob_bytes += (int64_t)bytes.len;
    return 0;
}

static void note_mark(struct writer *w, const struct store_mark *mark)
{
    if (!uuid_is_set(&mark->sandbox_id))
        return;
    struct store_mark *known = zhashx_lookup(w->marks, mark->sandbox_id.text);
    if (!known) {
        known = zmalloc(sizeof *known);
        *known = *mark;
        (void)zhashx_insert(w->marks, known->sandbox_id.text, known); /* was not in it */
    } else if (!uuid_equal(&mark->epoch, &known->epoch)) {
        *known = *mark; /* the sandbox has another warden since */
    } else if (mark->number > known->number) {
        known->number = mark->number;
    }
}

static int write_marks(struct writer *w, struct err *e)
{
    for (struct store_mark *mark = zhashx_first(w->marks); mark; mark = zhashx_next(w->marks)) {
        sqlite3_stmt *stmt;
        if (sql_use(&w->sql, SQL_MARK, &stmt, e) < 0)
            return -1;
        sql_bind_text(stmt, 1, mark->sandbox_id.text);
        sql_bind_int(stmt, 2, (int64_t)mark->number);
        sql_bind_text(stmt, 3, mark->epoch.text);
        if (sql_step(&w->sql, stmt, e) < 0)
            return -1;
    }
    return 0;
}

static int run_batch(struct writer *w, struct batch *b, struct err *e)
{
    if (sql_run(&w->sql, SQL_BEGIN, e) < 0)
        return -1;
    for (struct op *op = b->ops.first; op; op = op->next) {
        if (op->type->run(w, op, b, e) < 0)
            return -1;
        note_mark(w, &op->mark);
    }
    if (write_marks(w, e) < 0)
        return -1;
    return sql_run(&w->sql, SQL_COMMIT, e);
}

/* As if the batch had never been: also what was remembered of feeds may stem from it. */
static void roll_back(struct writer *w)
{
    if (!sqlite3_get_autocommit(w->sql.db))
        (void)sql_run(&w->sql, SQL_ROLLBACK, NULL); /* the batch's own error is the story */
    for (size_t i = 0; i < w->n_extents; i++)
        blob_file_truncate(w->blob_dir, w->extents[i].feed, w->extents[i].bytes_before);
    w->blob_bytes = -1;
    zhashx_purge(w->feeds);
}

void store_writer_run(struct writer *w, struct batch *b)
{
    int64_t began_us = zclock_usecs();
    buf_reset(&b->lines);
    b->e = (struct err)ERR_INIT;
    b->failed = run_batch(w, b, &b->e) < 0;
    if (b->failed)
        roll_back(w);
    zhashx_purge(w->marks);
    w->n_extents = 0;
    if (zhashx_size(w->feeds) > STORE_CACHED_FEEDS)
        zhashx_purge(w->feeds);
    b->wal_pages = w->wal_pages;
    b->commit_seconds = (double)(zclock_usecs() - began_us) / 1e6;
}

void store_writer_job(void *writer, void *batch)
{
    struct batch *b = batch;
    (void)atomic_load_explicit(&b->handed, memory_order_acquire); /* for the order alone */
    store_writer_run(writer, b);
    atomic_store_explicit(&b->handed, 2, memory_order_release);
}
