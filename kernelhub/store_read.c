/* What is asked about one feed or one execution. Runs in the reader's thread; no read transaction outlives a page. */
#include <sodium.h>

#include "base/json.h"
#include "kernelhub/blob_file.h"
#include "kernelhub/callback_url.h"
#include "kernelhub/moment.h"
#include "kernelhub/record.h"
#include "kernelhub/store_internal.h"

#define FOLD_PAGE_BYTES (1024 * 1024)
#define RECORD_TEXT_BYTES                                                                          \
    (64 * 1024 * 1024) /* twice the default ceiling of an execution's output */

/* The head of the line the statement stands on; read again only when it changes. */
struct head_cache {
    int head; /* -1: none */
    struct event_head values;
    char *session;
};

static int load_head(struct reader *r, int64_t feed, int head, struct head_cache *cache,
                     struct err *e)
{
    sqlite3_stmt *stmt;
    if (cache->head == head)
        return 0;
    if (sql_use(&r->sql, SQL_HEAD, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    sql_bind_int(stmt, 2, head);
    int found = sql_step(&r->sql, stmt, e);
    if (found <= 0)
        return found < 0
                   ? -1
                   : err_set(e, ERR_INTERNAL, "feed %lld has no head %d", (long long)feed, head);
    cache->values.execution_id = sql_uuid(stmt, 1);
    cache->values.kernel_id = sql_uuid(stmt, 3);
    free(cache->session);
    cache->session = sql_text(stmt, 2) ? strdup(sql_text(stmt, 2)) : NULL;
    cache->values.session = cache->session;
    cache->head = head;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

/* Appends the line of the event the statement stands on, with its newline. */
static int write_line(struct reader *r, int64_t feed, sqlite3_stmt *stmt, struct head_cache *cache,
                      struct buf *out, struct err *e)
{
    if (load_head(r, feed, sqlite3_column_int(stmt, 1), cache, e) < 0)
        return -1;
    if (!event_type_parse(sql_slice(stmt, 2), &cache->values.type))
        return err_set(e, ERR_INTERNAL, "feed %lld has an event of an unknown type",
                       (long long)feed);
    cache->values.unix_us = sqlite3_column_int64(stmt, 3);
    uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (sqlite3_column_type(stmt, 4) != SQLITE_NULL) {
        event_record_write(out, seq, &cache->values, sql_slice(stmt, 4));
    } else {
        CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_LINES_BYTES);
        size_t n = (size_t)sqlite3_column_int64(stmt, 6);
        char *room = buf_room(&body, n);
        if (!room)
            return err_set(e, ERR_TOO_LARGE, "an event of %zu bytes", n);
        if (blob_file_read(r->blob_dir, feed, sqlite3_column_int64(stmt, 5), n, room, e) < 0)
            return -1;
        event_record_write(out, seq, &cache->values, slice_of(room, n));
    }
    buf_add_char(out, '\n');
    return out->failed ? err_set(e, ERR_TOO_LARGE, "a page of events takes too much memory") : 0;
}

/* What a page of a feed holds beyond its lines. */
struct page {
    uint64_t first_seq, last_seq;
    size_t n_lines;
};

static int step_page(struct reader *r, int64_t feed, sqlite3_stmt *stmt, size_t max_bytes,
                     struct head_cache *cache, struct buf *out, struct page *page, struct err *e)
{
    int more;
    while ((more = sql_step(&r->sql, stmt, e)) > 0) {
        size_t before = out->len;
        if (write_line(r, feed, stmt, cache, out, e) < 0)
            return -1;
        if (page->n_lines && out->len > max_bytes) {
            out->len = before;
            return 0;
        }
        page->last_seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (page->n_lines++ == 0)
            page->first_seq = page->last_seq;
        if (out->len >= max_bytes)
            return 0;
    }
    return more;
}

static int read_page(struct reader *r, int64_t feed, uint64_t after, size_t max_bytes,
                     struct buf *out, struct page *page, struct err *e)
{
    struct head_cache cache = { .head = -1 };
    sqlite3_stmt *stmt;
    *page = (struct page){ .last_seq = after };
    if (sql_use(&r->sql, SQL_EVENTS, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    sql_bind_int(stmt, 2, after > INT64_MAX ? INT64_MAX : (int64_t)after);
    int failed = step_page(r, feed, stmt, max_bytes, &cache, out, page, e);
    (void)sqlite3_reset(stmt); /* ends the read transaction; repeats the error of the step */
    free(cache.session);
    return failed;
}

/* The number of the feed's `finished`; 0 when its last event is another. */
static int find_end(struct reader *r, int64_t feed, uint64_t *ret, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_LAST_TYPE, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    int found = sql_step(&r->sql, stmt, e);
    if (found < 0)
        return -1;
    bool finished = found && slice_is(sql_slice(stmt, 1), event_type_name(EVENT_FINISHED));
    *ret = finished ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int run_events(struct reader *r, struct store_query *q)
{
    uint64_t end;
    struct page page;
    if (find_end(r, q->feed, &end, &q->e) < 0 ||
        read_page(r, q->feed, q->after, q->max_bytes, &q->out, &page, &q->e) < 0)
        return -1;
    q->first_seq = page.first_seq;
    q->n_lines = page.n_lines;
    q->ended = end != 0 && end <= page.last_seq;
    return 0;
}

static void answer_page(struct store_query *q, const struct err *e)
{
    q->done.page(q->arg, e, q->first_seq, q->n_lines, buf_slice(&q->out), q->ended);
}

struct store_query *store_read_events(struct store *s, int64_t feed, uint64_t after,
                                      size_t max_bytes, store_page_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_events, answer_page, arg);
    q->done.page = done;
    q->feed = feed;
    q->after = after;
    q->max_bytes = max_bytes;
    return store_query_send(q);
}

static int not_found(const struct uuid *id, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "execution '%s' does not exist", id->text);
}

static int write_sha256(struct reader *r, struct store_query *q)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_READ_CODE, &stmt, &q->e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &q->id);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0)
        return found < 0 ? -1 : not_found(&q->id, &q->e);
    struct slice code = sql_slice(stmt, 0);
    (void)crypto_hash_sha256(hash, (const unsigned char *)code.data, code.len); /* always 0 */
    (void)sqlite3_reset(stmt); /* its one row was read */
    buf_addf(&q->out, ",\"code_sha256\":\"%s\"",
             sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
    return 0;
}

static int run_find(struct reader *r, struct store_query *q)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_FIND_EXECUTION, &stmt, &q->e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &q->id);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0)
        return found < 0 ? -1 : not_found(&q->id, &q->e);
    enum status status = STATUS_LOST;
    (void)status_parse(sql_slice(stmt, 2), &status); /* unknown to this version: lost */
    buf_addf(&q->out, "{\"feed\":%lld,\"user_id\":\"%s\",\"status\":\"%s\",\"session\":",
             (long long)sqlite3_column_int64(stmt, 0), sql_text(stmt, 1), status_name(status));
    json_quote_str(&q->out, sql_text(stmt, 3));
    buf_addf(&q->out, ",\"ended\":%s", status_is_end(status) ? "true" : "false");
    (void)sqlite3_reset(stmt); /* its one row was read */
    if (q->wants_hash && write_sha256(r, q) < 0)
        return -1;
    buf_add_char(&q->out, '}');
    return 0;
}

static void answer_json(struct store_query *q, const struct err *e)
{
    q->done.json(q->arg, e, buf_slice(&q->out));
}

struct store_query *store_find_execution(struct store *s, const struct uuid *id, store_json_fn done,
                                         void *arg)
{
    struct store_query *q = store_query_new(s, run_find, answer_json, arg);
    q->done.json = done;
    q->id = *id;
    return store_query_send(q);
}

struct store_query *store_find_hash(struct store *s, const struct uuid *id, store_json_fn done,
                                    void *arg)
{
    struct store_query *q = store_query_new(s, run_find, answer_json, arg);
    q->done.json = done;
    q->id = *id;
    q->wants_hash = true;
    return store_query_send(q);
}

static void add_lines(struct record *record, struct slice lines)
{
    while (lines.len) {
        const char *end = memchr(lines.data, '\n', lines.len);
        size_t n = end ? (size_t)(end - lines.data) : lines.len;
        record_add(record, slice_of(lines.data, n));
        n = end ? n + 1 : n;
        lines = slice_of(lines.data + n, lines.len - n);
    }
}

static int fold(struct reader *r, struct store_query *q, int64_t feed, struct record *record)
{
    CLEANUP_BUF struct buf lines = BUF_INIT(STORE_MAX_LINES_BYTES);
    struct page page = { 0 };
    do {
        buf_reset(&lines);
        if (read_page(r, feed, page.last_seq, FOLD_PAGE_BYTES, &lines, &page, &q->e) < 0)
            return -1;
        add_lines(record, buf_slice(&lines));
        if (atomic_load(&q->cancelled))
            return err_set(&q->e, ERR_GONE, "cancelled");
    } while (page.n_lines);
    return 0;
}

DEFINE_CLEANUP(struct record, record_free)

/* Into the record's object, when somebody is to be called. */
static int add_callback(struct reader *r, struct store_query *q, int64_t feed)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_READ_CALLBACK, &stmt, &q->e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0 || q->out.failed || q->out.len == 0)
        return found < 0 ? -1 : 0;
    q->out.len--; /* its brace */
    buf_add_str(&q->out, ",\"callback\":{\"url\":");
    json_quote(&q->out, callback_url_shown(sql_slice(stmt, 0)));
    buf_add_str(&q->out, ",\"status\":");
    json_quote_str(&q->out, sql_text(stmt, 1));
    buf_addf(&q->out, ",\"attempts\":%lld", (long long)sqlite3_column_int64(stmt, 2));
    moment_write(&q->out, "next_attempt_at", sqlite3_column_int64(stmt, 3));
    moment_write(&q->out, "ended_at", sqlite3_column_int64(stmt, 4));
    buf_add_str(&q->out, ",\"last_error\":");
    json_quote_str(&q->out, sql_text(stmt, 5));
    buf_add_str(&q->out, "}}");
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

/* The row is looked at twice: for the feed first, and again behind the events, so that the status is no older than they are. */
static int run_record(struct reader *r, struct store_query *q)
{
    CLEANUP(record_free)
    struct record *record = record_new(q->max_bytes ? q->max_bytes : RECORD_TEXT_BYTES);
    int64_t feed = 0;
    for (int pass = 0; pass < 2; pass++) {
        sqlite3_stmt *stmt;
        struct execution_row row;
        if (sql_use(&r->sql, SQL_READ_EXECUTION, &stmt, &q->e) < 0)
            return -1;
        sql_bind_uuid(stmt, 1, &q->id);
        sql_bind_uuid(stmt, 2, &q->user_id);
        int found = sql_step(&r->sql, stmt, &q->e);
        if (found <= 0)
            return found < 0 ? -1 : not_found(&q->id, &q->e);
        store_row_of_execution(stmt, &row);
        feed = row.feed;
        if (pass == 1)
            record_write(record, &row, sql_text(stmt, STORE_EXECUTION_N_COLUMNS), true, &q->out);
        (void)sqlite3_reset(stmt); /* its one row was read */
        if (pass == 0 && fold(r, q, feed, record) < 0)
            return -1;
    }
    if (!q->max_bytes && add_callback(r, q, feed) < 0)
        return -1;
    return q->out.failed ? err_set(&q->e, ERR_TOO_LARGE, "the record of '%s' takes too much memory",
                                   q->id.text)
                         : 0;
}

struct store_query *store_read_record(struct store *s, const struct uuid *id,
                                      const struct uuid *user_id, store_json_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_record, answer_json, arg);
    q->done.json = done;
    q->id = *id;
    if (user_id)
        q->user_id = *user_id;
    return store_query_send(q);
}

struct store_query *store_read_record_short(struct store *s, const struct uuid *id,
                                            const struct uuid *user_id, size_t max_text_bytes,
                                            store_json_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_record, answer_json, arg);
    q->done.json = done;
    q->id = *id;
    q->user_id = *user_id;
    q->max_bytes = max_text_bytes;
    return store_query_send(q);
}

static void write_json(struct buf *out, const char *name, struct slice json)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_slice(out, json.len ? json : SLICE_LITERAL("null"));
}

static int run_source(struct reader *r, struct store_query *q)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_READ_SOURCE, &stmt, &q->e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &q->id);
    sql_bind_uuid(stmt, 2, &q->user_id);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0)
        return found < 0 ? -1 : not_found(&q->id, &q->e);
    const char *template_name = sql_text(stmt, 4);
    buf_add_str(&q->out, "{\"code\":");
    json_quote(&q->out, sql_slice(stmt, 0));
    buf_add_str(&q->out, ",\"language\":");
    json_quote_str(&q->out, sql_text(stmt, 1));
    buf_add_str(&q->out, ",\"template\":");
    json_quote_str(&q->out, template_name && template_name[0] ? template_name : NULL);
    write_json(&q->out, "labels", sql_slice(stmt, 2));
    write_json(&q->out, "options", sql_slice(stmt, 3));
    buf_add_char(&q->out, '}');
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

struct store_query *store_read_source(struct store *s, const struct uuid *id,
                                      const struct uuid *user_id, store_json_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_source, answer_json, arg);
    q->done.json = done;
    q->id = *id;
    q->user_id = *user_id;
    return store_query_send(q);
}

static int run_blob(struct reader *r, struct store_query *q)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_BLOB, &stmt, &q->e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &q->id);
    sql_bind_uuid(stmt, 2, &q->user_id);
    sql_bind_int(stmt, 3, q->n);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0)
        return found < 0 ? -1
                         : err_set(&q->e, ERR_NOT_FOUND, "execution '%s' has no blob %u",
                                   q->id.text, q->n);
    int64_t feed = sqlite3_column_int64(stmt, 0), offset = sqlite3_column_int64(stmt, 2);
    size_t n = (size_t)sqlite3_column_int64(stmt, 3);
    q->media_type = strdup(sql_text(stmt, 1));
    (void)sqlite3_reset(stmt); /* its one row was read */
    char *room = buf_room(&q->out, n);
    if (!room)
        return err_set(&q->e, ERR_TOO_LARGE, "blob %u of %zu bytes takes too much memory", q->n, n);
    if (blob_file_read(r->blob_dir, feed, offset, n, room, &q->e) < 0)
        return -1;
    q->out.len = n;
    return 0;
}

static void answer_blob(struct store_query *q, const struct err *e)
{
    q->done.blob(q->arg, e, q->media_type, buf_slice(&q->out));
}

struct store_query *store_read_blob(struct store *s, const struct uuid *id,
                                    const struct uuid *user_id, unsigned n, store_blob_fn done,
                                    void *arg)
{
    struct store_query *q = store_query_new(s, run_blob, answer_blob, arg);
    q->done.blob = done;
    q->id = *id;
    if (user_id)
        q->user_id = *user_id;
    q->n = n;
    return store_query_send(q);
}
