/* Retention: first an execution's row goes and its feed is noted in `removed`, in one commit; then the feed's events, some
 * thousands a commit, and its file. A crash in between leaves work, not damage: the next call finds it in `removed`.
 * Each step is an op like any other, so that it stands in line with the writes and never holds them up for long. */
#include "kernelhub/blob_file.h"
#include "kernelhub/store_internal.h"

#define EXECUTIONS_A_STEP   200
#define EVENTS_A_STEP       4000 /* about 10 ms */
#define SESSION_EVENTS_KEPT 1000 /* the newest of each open session */
#define DAY_US              (86400ll * 1000000)

struct retain_op {
    struct op op;
    struct store_retention limits;
    int64_t now_us;
    bool more;
};

/* The first column of the first row. */
static int first_number(struct writer *w, sqlite3_stmt *stmt, int64_t *ret, bool *ret_found,
                        struct err *e)
{
    int found = sql_step(&w->sql, stmt, e);
    if (found < 0)
        return -1;
    *ret_found = found > 0;
    *ret = found ? sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int ask(struct writer *w, enum sql_statement which, int64_t *ret, bool *ret_found,
               struct err *e)
{
    sqlite3_stmt *stmt;
    return sql_use(&w->sql, which, &stmt, e) < 0 ? -1 : first_number(w, stmt, ret, ret_found, e);
}

static int tell(struct writer *w, enum sql_statement which, int64_t n, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, which, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n);
    return sql_step(&w->sql, stmt, e) < 0 ? -1 : 0;
}

/* Deletes some events of one removed feed, or what else it has when they are gone. */
static int clear_one(struct writer *w, int64_t feed, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_DROP_EVENTS, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    sql_bind_int(stmt, 2, EVENTS_A_STEP);
    if (sql_step(&w->sql, stmt, e) < 0)
        return -1;
    if (sqlite3_changes(w->sql.db) == EVENTS_A_STEP)
        return 0; /* perhaps more */
    if (tell(w, SQL_DROP_HEADS, feed, e) < 0 || tell(w, SQL_DROP_BLOBS, feed, e) < 0 ||
        tell(w, SQL_DROP_REMOVED, feed, e) < 0)
        return -1;
    w->blob_bytes -= blob_file_remove(w->blob_dir, feed);
    zhashx_delete(w->feeds, &feed);
    return 0;
}

static int clear_removed(struct writer *w, bool *ret_more, struct err *e)
{
    int before = sqlite3_total_changes(w->sql.db);
    for (;;) {
        int64_t feed;
        if (ask(w, SQL_PICK_REMOVED, &feed, ret_more, e) < 0)
            return -1;
        if (!*ret_more || sqlite3_total_changes(w->sql.db) - before >= EVENTS_A_STEP)
            return 0;
        if (clear_one(w, feed, e) < 0)
            return -1;
    }
}

static int remove_feed(struct writer *w, enum sql_statement drop, int64_t feed, struct err *e)
{
    return tell(w, drop, feed, e) < 0 || tell(w, SQL_ADD_REMOVED, feed, e) < 0 ? -1 : 0;
}

/* How many of the oldest must go for their number, and whether there are too many bytes. */
static int count_excess(struct writer *w, const struct store_retention *limits, int64_t *ret_excess,
                        bool *ret_too_big, struct err *e)
{
    int64_t ended, used;
    bool found;
    if (ask(w, SQL_COUNT_ENDED, &ended, &found, e) < 0 ||
        ask(w, SQL_USED_BYTES, &used, &found, e) < 0)
        return -1;
    if (w->blob_bytes < 0)
        w->blob_bytes = blob_file_total(w->blob_dir);
    *ret_excess = limits->max_executions > 0 ? ended - limits->max_executions : 0;
    *ret_too_big = limits->max_bytes > 0 && used + w->blob_bytes > limits->max_bytes;
    return 0;
}

/* The oldest ended executions: `ret_feeds` has room for EXECUTIONS_A_STEP. */
static int pick_oldest(struct writer *w, const struct retain_op *op, int64_t *ret_feeds,
                       size_t *ret_n, struct err *e)
{
    int64_t excess,
        old_us = op->limits.max_days > 0 ? op->now_us - op->limits.max_days * DAY_US : 0;
    bool too_big;
    sqlite3_stmt *stmt;
    int more;
    *ret_n = 0;
    if (count_excess(w, &op->limits, &excess, &too_big, e) < 0 ||
        sql_use(&w->sql, SQL_PICK_OLDEST, &stmt, e) < 0)
        return -1;
    /* what the bytes of one are is not known before they are gone: a few at a time */
    int64_t big_excess = too_big ? EXECUTIONS_A_STEP / 10 : 0;
    if (big_excess > excess)
        excess = big_excess;
    sql_bind_int(stmt, 1, EXECUTIONS_A_STEP);
    while ((more = sql_step(&w->sql, stmt, e)) > 0)
        if ((int64_t)*ret_n < excess || sqlite3_column_int64(stmt, 1) < old_us)
            ret_feeds[(*ret_n)++] = sqlite3_column_int64(stmt, 0);
    return more;
}

/* The execution, and the session that was made for it alone. */
static int remove_execution(struct writer *w, int64_t feed, struct err *e)
{
    int64_t holder;
    bool found;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PICK_HOLDER, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    if (first_number(w, stmt, &holder, &found, e) < 0 ||
        (found && remove_feed(w, SQL_DROP_SESSION, holder, e) < 0))
        return -1;
    return tell(w, SQL_DROP_CALLBACK, feed, e) < 0 ? -1
                                                   : remove_feed(w, SQL_DROP_EXECUTION, feed, e);
}

static int remove_executions(struct writer *w, const struct retain_op *op, bool *ret_more,
                             struct err *e)
{
    int64_t feeds[EXECUTIONS_A_STEP];
    size_t n;
    if (pick_oldest(w, op, feeds, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (remove_execution(w, feeds[i], e) < 0)
            return -1;
    *ret_more = n > 0;
    return 0;
}

/* At most EXECUTIONS_A_STEP feeds of sessions, for which there is room in `ret`; `n` is what the statement compares with. */
static int pick_sessions(struct writer *w, enum sql_statement which, int64_t n, int64_t *ret,
                         size_t *ret_n, struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (sql_use(&w->sql, which, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n);
    sql_bind_int(stmt, 2, EXECUTIONS_A_STEP);
    *ret_n = 0;
    while ((more = sql_step(&w->sql, stmt, e)) > 0)
        ret[(*ret_n)++] = sqlite3_column_int64(stmt, 0);
    return more;
}

/* Of the open ones: what has ended grows no more, and nobody can follow it. */
static int trim_sessions(struct writer *w, bool *ret_more, struct err *e)
{
    int64_t feeds[EXECUTIONS_A_STEP];
    size_t n;
    if (pick_sessions(w, SQL_PICK_LONG_SESSION, SESSION_EVENTS_KEPT, feeds, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *stmt;
        if (sql_use(&w->sql, SQL_TRIM_SESSION, &stmt, e) < 0)
            return -1;
        sql_bind_int(stmt, 1, feeds[i]);
        sql_bind_int(stmt, 2, SESSION_EVENTS_KEPT);
        if (sql_step(&w->sql, stmt, e) < 0)
            return -1;
    }
    *ret_more = n == EXECUTIONS_A_STEP;
    return 0;
}

/* Sessions and sandboxes that ended too long ago. */
static int remove_old(struct writer *w, const struct retain_op *op, bool *ret_more, struct err *e)
{
    int64_t feeds[EXECUTIONS_A_STEP], old_us = op->now_us - op->limits.max_days * DAY_US;
    size_t n;
    if (trim_sessions(w, ret_more, e) < 0)
        return -1;
    if (op->limits.max_days <= 0)
        return 0;
    if (tell(w, SQL_DROP_SANDBOXES, old_us, e) < 0 ||
        pick_sessions(w, SQL_PICK_OLD_SESSION, old_us, feeds, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (remove_feed(w, SQL_DROP_SESSION, feeds[i], e) < 0)
            return -1;
    *ret_more = *ret_more || n > 0;
    return 0;
}

static int run_retain(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    struct retain_op *op = (struct retain_op *)o;
    if (clear_removed(w, &op->more, e) < 0)
        return -1;
    if (op->more)
        return 0;
    bool more_old, more_executions;
    if (remove_old(w, op, &more_old, e) < 0 || remove_executions(w, op, &more_executions, e) < 0)
        return -1;
    op->more = more_old || more_executions;
    return 0;
}

static void send_step(struct store *s, const struct store_retention *limits);

static void answer_retain(struct store *s, struct op *o, struct batch *b)
{
    const struct retain_op *op = (struct retain_op *)o;
    if (op->more)
        send_step(s, &op->limits);
    else
        s->retaining = false;
}

static void send_step(struct store *s, const struct store_retention *limits)
{
    static const struct op_type TYPE = { run_retain, answer_retain, true };
    struct retain_op *op = zmalloc(sizeof *op);
    op->op = (struct op){ .type = &TYPE, .bytes = sizeof *op };
    op->limits = *limits;
    op->now_us = zclock_time() * 1000;
    store_send(s, &op->op);
}

void store_retain(struct store *s, const struct store_retention *r)
{
    if (s->retaining)
        return; /* the last call's work goes on */
    s->retaining = true;
    send_step(s, r);
}
