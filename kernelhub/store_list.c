/* The history: newest first, a page at a time. Walks down the feed numbers in windows, so that a search through all code
 * holds no read transaction for long, can be cancelled, and gives what it has after two seconds (with a cursor to go on). */
#include <ctype.h>
#include <errno.h>

#include "base/json.h"
#include "base/timestamp.h"
#include "kernelhub/execution.h"
#include "kernelhub/record.h"
#include "kernelhub/store_internal.h"

#define WINDOW_FEEDS   20000
#define PAGE_MS        2000
#define PAGE_BYTES     (8 * 1024 * 1024)
#define DEFAULT_ITEMS  50
#define MAX_ITEMS      500
#define MAX_TEXT_BYTES 1024 /* of each filter */

enum field {
    F_SESSION,
    F_LANGUAGE,
    F_STATUS,
    F_LABEL,
    F_SINCE,
    F_UNTIL,
    F_Q,
    F_USER,
    F_CURSOR,
    N_FIELDS
};

struct store_list_filter {
    char *text[N_FIELDS]; /* NULL: not given */
    int limit;
};

void store_list_filter_free(struct store_list_filter *f)
{
    if (!f)
        return;
    for (int i = 0; i < N_FIELDS; i++)
        free(f->text[i]);
    free(f);
}

static struct store_list_filter *copy_filter(const struct execution_filter *f)
{
    const char *given[N_FIELDS] = {
        [F_SESSION] = f->session,
        [F_LANGUAGE] = f->language,
        [F_STATUS] = f->status,
        [F_LABEL] = f->label,
        [F_SINCE] = f->since,
        [F_UNTIL] = f->until,
        [F_Q] = f->q,
        [F_USER] = f->user,
        [F_CURSOR] = f->cursor,
    };
    struct store_list_filter *copy = zmalloc(sizeof *copy);
    for (int i = 0; i < N_FIELDS; i++)
        copy->text[i] = given[i] && *given[i] ? strdup(given[i]) : NULL;
    copy->limit = f->limit;
    return copy;
}

static int bind_plain(sqlite3_stmt *stmt, int at, const char *text, struct err *e)
{
    sql_bind_text(stmt, at, text);
    return 0;
}

static int bind_status(sqlite3_stmt *stmt, int at, const char *text, struct err *e)
{
    enum status status;
    if (!status_parse(slice_str(text), &status))
        return err_set(
            e, ERR_INVALID,
            "status '%.40s' is none of queued, running, waiting_input, ok, error, interrupted, "
            "timeout, oom, kernel_died, cancelled, lost",
            text);
    sql_bind_text(stmt, at, text);
    return 0;
}

static int bind_date(sqlite3_stmt *stmt, int at, const char *text, const char *name, struct err *e)
{
    int64_t us;
    if (!timestamp_parse(slice_str(text), &us))
        return err_set(e, ERR_INVALID,
                       "%s '%.40s' is no RFC 3339 time like 2026-11-21T10:00:00Z "
                       "(a + in a URL is written %%2B)",
                       name, text);
    sql_bind_int(stmt, at, us);
    return 0;
}

static int bind_since(sqlite3_stmt *stmt, int at, const char *text, struct err *e)
{
    return bind_date(stmt, at, text, "since", e);
}

static int bind_until(sqlite3_stmt *stmt, int at, const char *text, struct err *e)
{
    return bind_date(stmt, at, text, "until", e);
}

/* %text%, with what LIKE finds special escaped. */
static int bind_search(sqlite3_stmt *stmt, int at, const char *text, struct err *e)
{
    CLEANUP_BUF struct buf pattern = BUF_INIT(2 * MAX_TEXT_BYTES + 2);
    buf_add_char(&pattern, '%');
    for (; *text; text++) {
        if (strchr("%_\\", *text))
            buf_add_char(&pattern, '\\');
        buf_add_char(&pattern, *text);
    }
    buf_add_char(&pattern, '%');
    int rc =
        sqlite3_bind_text64(stmt, at, pattern.data, pattern.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    return rc == SQLITE_OK ? 0 : err_set(e, ERR_INTERNAL, "q cannot be bound");
}

/* The clause's parameter is ?{4 + field}: 1 to 3 are the window and the limit, 4 the user's id. */
static const struct {
    const char *name, *clause;
    int (*bind)(sqlite3_stmt *stmt, int at, const char *text, struct err *e);
} FIELDS[N_FIELDS] = {
    [F_SESSION] = { "session", " AND session = ?5", bind_plain },
    [F_LANGUAGE] = { "language", " AND language = ?6", bind_plain },
    [F_STATUS] = { "status", " AND status = ?7", bind_status },
    [F_LABEL] = { "label",
                  " AND json_valid(labels) AND EXISTS (SELECT 1 FROM json_each(labels) WHERE key = "
                  "?8"
                  " OR key || '=' || value = ?8)",
                  bind_plain },
    [F_SINCE] = { "since", " AND created_us >= ?9", bind_since },
    [F_UNTIL] = { "until", " AND created_us < ?10", bind_until },
    [F_Q] = { "q", " AND code LIKE ?11 ESCAPE '\\'", bind_search },
    [F_USER] = { "user", " AND user_id IN (SELECT id FROM users WHERE ?12 IN (name, id))",
                 bind_plain },
    [F_CURSOR] = { "cursor", "", NULL },
};

static bool is_asked(const struct store_list_filter *f, int field)
{
    return f->text[field] && FIELDS[field].bind &&
           !(field == F_USER && strcmp(f->text[field], "*") == 0);
}

static int prepare(struct reader *r, const struct store_query *q, sqlite3_stmt **ret, struct err *e)
{
    const struct store_list_filter *f = q->filter;
    CLEANUP_BUF struct buf text = BUF_INIT(8192);
    buf_add_str(&text, "SELECT " STORE_EXECUTION_COLUMNS
                       ", (SELECT name FROM users u WHERE u.id = user_id), error"
                       " FROM executions WHERE feed >= ?1 AND feed < ?2");
    if (uuid_is_set(&q->user_id))
        buf_add_str(&text, " AND user_id = ?4");
    for (int i = 0; i < N_FIELDS; i++)
        if (is_asked(f, i))
            buf_add_str(&text, FIELDS[i].clause);
    buf_add_str(&text, " ORDER BY feed DESC LIMIT ?3");
    if (sqlite3_prepare_v2(r->sql.db, text.data, (int)text.len, ret, NULL) != SQLITE_OK)
        return sql_error(&r->sql, "list executions", e);
    if (uuid_is_set(&q->user_id))
        sql_bind_uuid(*ret, 4, &q->user_id);
    for (int i = 0; i < N_FIELDS; i++)
        if (is_asked(f, i) && FIELDS[i].bind(*ret, 5 + i, f->text[i], e) < 0)
            return -1;
    return 0;
}

static int check_filter(struct store_list_filter *f, int64_t *ret_before, struct err *e)
{
    for (int i = 0; i < N_FIELDS; i++)
        if (f->text[i] && strlen(f->text[i]) > MAX_TEXT_BYTES)
            return err_set(e, ERR_INVALID, "%s is longer than %d bytes", FIELDS[i].name,
                           MAX_TEXT_BYTES);
    if (f->limit < 0 || f->limit > MAX_ITEMS)
        return err_set(e, ERR_INVALID, "limit %d is not 1 to %d", f->limit, MAX_ITEMS);
    if (f->limit == 0)
        f->limit = DEFAULT_ITEMS;
    *ret_before = INT64_MAX;
    if (!f->text[F_CURSOR])
        return 0;
    char *end;
    errno = 0;
    *ret_before = strtoll(f->text[F_CURSOR], &end, 10);
    if (errno || *end || !isdigit((unsigned char)*f->text[F_CURSOR]))
        return err_set(e, ERR_INVALID, "cursor '%.40s' is not one that a list gave",
                       f->text[F_CURSOR]);
    return 0;
}

/* A page as it fills: items in `before`…, going down. */
struct list {
    sqlite3_stmt *stmt;
    int64_t before; /* all feeds from here up are dealt with */
    int64_t lowest; /* of all executions */
    int left;       /* items still wanted */
    int64_t due_ms;
    bool first;
    bool more; /* there is one beyond the last wanted */
};

static int64_t window_start(const struct list *l)
{
    return l->before - l->lowest > WINDOW_FEEDS ? l->before - WINDOW_FEEDS : l->lowest;
}

static bool page_is_full(const struct list *l, const struct buf *out)
{
    return l->more || out->len >= PAGE_BYTES;
}

static void add_item(struct list *l, struct buf *out)
{
    struct execution_row row;
    store_row_of_execution(l->stmt, &row);
    if (l->left == 0) {
        l->more = true;
        l->before = row.feed + 1;
        return;
    }
    if (!l->first)
        buf_add_char(out, ',');
    l->first = false;
    record_write_item(&row, sql_text(l->stmt, STORE_EXECUTION_N_COLUMNS),
                      sql_slice(l->stmt, STORE_EXECUTION_N_COLUMNS + 1), out);
    l->left--;
    l->before = row.feed;
}

static int list_window(struct reader *r, struct list *l, struct buf *out, struct err *e)
{
    int64_t start = window_start(l);
    int more;
    sql_bind_int(l->stmt, 1, start);
    sql_bind_int(l->stmt, 2, l->before);
    sql_bind_int(l->stmt, 3, l->left + 1);
    while ((more = sql_step(&r->sql, l->stmt, e)) > 0) {
        add_item(l, out);
        if (page_is_full(l, out)) {
            (void)sqlite3_reset(l->stmt); /* ends the read transaction */
            return 0;
        }
    }
    if (more < 0)
        return -1;
    l->before = start;
    return 0;
}

static int find_range(struct reader *r, struct list *l, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_FEED_RANGE, &stmt, e) < 0 || sql_step(&r->sql, stmt, e) < 0)
        return -1;
    int64_t highest = sqlite3_column_int64(stmt, 1);
    l->lowest = sqlite3_column_int64(stmt, 0);
    if (l->before > highest)
        l->before = highest + 1;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int fill_list(struct reader *r, struct store_query *q, struct list *l)
{
    buf_add_str(&q->out, "{\"items\":[");
    while (l->before > l->lowest && !page_is_full(l, &q->out) && zclock_mono() < l->due_ms)
        if (list_window(r, l, &q->out, &q->e) < 0)
            return -1;
    if (l->before > l->lowest)
        buf_addf(&q->out, "],\"next\":\"%lld\"}", (long long)l->before);
    else
        buf_add_str(&q->out, "],\"next\":null}");
    return q->out.failed
               ? err_set(&q->e, ERR_TOO_LARGE, "a page of the history takes too much memory")
               : 0;
}

static int run_list(struct reader *r, struct store_query *q)
{
    struct list l = { .first = true, .due_ms = zclock_mono() + PAGE_MS };
    if (check_filter(q->filter, &l.before, &q->e) < 0 || find_range(r, &l, &q->e) < 0)
        return -1;
    l.left = q->filter->limit;
    int failed = prepare(r, q, &l.stmt, &q->e);
    if (failed == 0)
        failed = fill_list(r, q, &l);
    (void)sqlite3_finalize(l.stmt); /* repeats the error of the last step */
    return failed;
}

static void answer_list(struct store_query *q, const struct err *e)
{
    q->done.json(q->arg, e, buf_slice(&q->out));
}

struct store_query *store_list_executions(struct store *s, const struct uuid *user_id,
                                          const struct execution_filter *f, store_json_fn done,
                                          void *arg)
{
    struct store_query *q = store_query_new(s, run_list, answer_list, arg);
    q->done.json = done;
    if (user_id)
        q->user_id = *user_id;
    q->filter = copy_filter(f);
    return store_query_send(q);
}
