/* The query behind GET …/output: one execution's text, event by event. Runs in the reader's thread; no read transaction
 * outlives a page, and who reads much lets others read in between. */
#include "base/json.h"
#include "kernelhub/blob_file.h"
#include "kernelhub/output.h"
#include "kernelhub/store_internal.h"
#include "kernelhub/text_part.h"

#define PAGE_BYTES (256 * 1024)
#define TURN_PAGES 16 /* then others read */
#define TEXT_PLAIN "text/plain"

static const enum event_type TYPES[] = {
    [OUTPUT_STDOUT] = EVENT_STDOUT, [OUTPUT_STDERR] = EVENT_STDERR, [OUTPUT_RESULT] = EVENT_RESULT
};

static int read_file(const struct reader *r, int64_t feed, int64_t offset, size_t n,
                     struct buf *out, struct err *e)
{
    char *room = buf_room(out, n);
    if (!room)
        return err_set(e, ERR_TOO_LARGE, "an output of %zu bytes takes too much memory", n);
    if (blob_file_read(r->blob_dir, feed, offset, n, room, e) < 0)
        return -1;
    out->len += n;
    return 0;
}

int store_read_body(const struct reader *r, int64_t feed, sqlite3_stmt *stmt, int column,
                    struct buf *out, struct err *e)
{
    buf_add_char(out, '{');
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL) {
        if (read_file(r, feed, sqlite3_column_int64(stmt, column + 1),
                      (size_t)sqlite3_column_int64(stmt, column + 2), out, e) < 0)
            return -1;
    } else {
        buf_add_slice(out, sql_slice(stmt, column));
    }
    if (out->len > 1 && out->data[1] == ',')
        out->data[1] = ' ';
    buf_add_char(out, '}');
    return out->failed ? err_set(e, ERR_TOO_LARGE, "an event takes too much memory") : 0;
}

int store_read_aside(struct reader *r, const struct uuid *id, const struct uuid *user_id,
                     unsigned n_blob, struct buf *text, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_BLOB, &stmt, e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, id);
    sql_bind_uuid(stmt, 2, user_id);
    sql_bind_int(stmt, 3, n_blob);
    int found = sql_step(&r->sql, stmt, e);
    if (found <= 0)
        return found < 0 ? -1 : err_set(e, ERR_INTERNAL, "a result of '%s' is gone", id->text);
    int64_t feed = sqlite3_column_int64(stmt, 0), offset = sqlite3_column_int64(stmt, 2);
    size_t n = (size_t)sqlite3_column_int64(stmt, 3);
    (void)sqlite3_reset(stmt); /* its one row was read */
    return read_file(r, feed, offset, n, text, e);
}

/* An object that is no reference of ours is a kernel's, and no text: it is shown as it is. */
static int add_result(struct reader *r, struct store_query *q, struct slice body, struct buf *text)
{
    struct slice data, value;
    unsigned n_blob;
    if (!json_member(body, "data", &data) || !json_member(data, TEXT_PLAIN, &value))
        return 0;
    if (json_type(value) == JSON_STRING)
        json_unescape(text, slice_of(value.data + 1, value.len - 2));
    else if (!output_is_ref(value, &q->id, &n_blob))
        buf_add_slice(text, json_type(value) == JSON_OBJECT ? value : slice_of("", 0));
    else if (store_read_aside(r, &q->id, &q->user_id, n_blob, text, &q->e) < 0)
        return -1;
    buf_add_char(text, '\n');
    return 0;
}

/* 1: go on, 0: enough, -1: q->e. */
static int add_event(struct reader *r, struct store_query *q, sqlite3_stmt *stmt, size_t *ret_bytes)
{
    CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_BODY_BYTES);
    CLEANUP_BUF struct buf text = BUF_INIT(STORE_MAX_BODY_BYTES);
    struct slice raw;
    if (store_read_body(r, q->feed, stmt, 1, &body, &q->e) < 0)
        return -1;
    *ret_bytes += body.len;
    if (q->stream == OUTPUT_RESULT) {
        if (add_result(r, q, buf_slice(&body), &text) < 0)
            return -1;
    } else if (json_member_string(buf_slice(&body), "text", &raw)) {
        json_unescape(&text, raw);
    }
    if (text.failed)
        return err_set(&q->e, ERR_TOO_LARGE, "an output takes too much memory");
    return text_part_add(q->part, buf_slice(&text));
}

/* 1: there may be more, 0: it was enough or all, -1: q->e. */
static int read_page(struct reader *r, struct store_query *q)
{
    sqlite3_stmt *stmt;
    size_t bytes = 0;
    int more = 1, go_on = 1;
    if (sql_use(&r->sql, SQL_OUTPUT, &stmt, &q->e) < 0)
        return -1;
    sql_bind_int(stmt, 1, q->feed);
    sql_bind_int(stmt, 2, (int64_t)q->after);
    sql_bind_text(stmt, 3, event_type_name(TYPES[q->stream]));
    while (go_on > 0 && bytes < PAGE_BYTES && (more = sql_step(&r->sql, stmt, &q->e)) > 0) {
        q->after = (uint64_t)sqlite3_column_int64(stmt, 0);
        go_on = add_event(r, q, stmt, &bytes);
    }
    (void)sqlite3_reset(stmt); /* ends the read transaction; repeats the error of the step */
    return go_on > 0 ? more : go_on;
}

/* Whether it has ended is looked at before its events: what comes in between is no end too early. */
static int find_feed(struct reader *r, struct store_query *q)
{
    sqlite3_stmt *stmt;
    enum status status = STATUS_LOST;
    if (sql_use(&r->sql, SQL_FEED_OF, &stmt, &q->e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &q->id);
    sql_bind_uuid(stmt, 2, &q->user_id);
    int found = sql_step(&r->sql, stmt, &q->e);
    if (found <= 0)
        return found < 0
                   ? -1
                   : err_set(&q->e, ERR_NOT_FOUND, "execution '%s' does not exist", q->id.text);
    q->feed = sqlite3_column_int64(stmt, 0);
    (void)status_parse(sql_slice(stmt, 1), &status); /* unknown to this version: lost */
    q->ended = status_is_end(status);
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int run_output(struct reader *r, struct store_query *q)
{
    int more = find_feed(r, q) < 0 ? -1 : 1;
    for (int pages = 0; more > 0 && pages < TURN_PAGES; pages++) {
        more = read_page(r, q);
        if (atomic_load(&q->cancelled))
            return err_set(&q->e, ERR_GONE, "cancelled");
    }
    q->unfinished = more > 0;
    if (more == 0)
        text_part_end(q->part);
    return more < 0 ? -1 : 0;
}

static void answer_output(struct store_query *q, const struct err *e)
{
    struct output_found found = text_part_found(q->part);
    found.ended = q->ended;
    q->done.output(q->arg, e, e ? NULL : &found);
}

struct store_query *store_read_output(struct store *s, const struct uuid *id,
                                      const struct uuid *user_id, const struct output_part *part,
                                      store_output_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_output, answer_output, arg);
    q->done.output = done;
    q->id = *id;
    q->user_id = *user_id;
    q->stream = part->stream;
    q->part = text_part_new(part);
    return store_query_send(q);
}
