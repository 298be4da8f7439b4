/* Two walks over a session's executions, each a page at a time, so that no read transaction outlives a page and others have their turn:
 *
 *     1. displays   display_id ─► the last event that has it: what every display of that id shows, in whichever cell it stands
 *     2. cells      row ─► where its outputs begin (clear_output) ─► event by event ─► the piece
 *
 * What is kept between two pages does not grow but by display ids, and these are counted. */
#include "base/json.h"
#include "kernelhub/notebook.h"
#include "kernelhub/store_internal.h"

#define PIECE_BYTES       (256 * 1024)
#define PIECE_MS          50
#define WINDOW_FEEDS      20000
#define MAX_DISPLAYS      20000 /* more: the rest show what they showed first */
#define MAX_DISPLAY_CHARS 256   /* of an id; a longer one is never updated */

static const char UPDATE_END[] = ",\"update\":true"; /* how the body of an update ends */

/* An event of a display. */
struct display {
    struct uuid execution_id;
    int64_t feed;
    uint64_t seq;
};

struct store_notebook {
    struct uuid user_id;
    char *session;
    int64_t since_us, until_us;
    bool without_outputs;
    bool has_begun, has_displays, is_over;
    bool is_known;   /* there is an execution, wanted or not */
    int64_t highest; /* what is accepted later is not in it */
    int64_t feed;    /* all below are dealt with; itself too, unless is_inside */
    bool is_inside;  /* in the middle of that execution: */
    struct uuid id;
    uint64_t after,
        last; /* events up to `after` are dealt with, those above `last` are not wanted */
    int64_t session_feed; /* of the last cell */
    zhashx_t *displays;   /* display_id, raw → struct display */
    struct notebook cells;
    char *kernelspec, *template_name, *language;
};

static void display_free(void **p)
{
    free(*p);
    *p = NULL;
}

struct store_notebook *store_notebook_new(const struct uuid *user_id,
                                          const struct store_notebook_filter *f)
{
    struct store_notebook *n = zmalloc(sizeof *n);
    *n = (struct store_notebook){ .user_id = *user_id,
                                  .session = strdup(f->session),
                                  .since_us = f->since_us,
                                  .until_us = f->until_us,
                                  .without_outputs = f->without_outputs,
                                  .has_displays = f->without_outputs,
                                  .displays = zhashx_new() };
    assert(n->session && n->displays);
    zhashx_set_destructor(n->displays, display_free);
    return n;
}

void store_notebook_free(struct store_notebook *n)
{
    if (!n)
        return;
    zhashx_destroy(&n->displays);
    free(n->session);
    free(n->kernelspec);
    free(n->template_name);
    free(n->language);
    free(n);
}

struct store_notebook_kernel store_notebook_kernel(const struct store_notebook *n)
{
    return (struct store_notebook_kernel){ n->kernelspec, n->template_name, n->language };
}

bool store_notebook_is_known(const struct store_notebook *n)
{
    return n->is_known;
}

void store_notebook_end(struct store_notebook *n, const struct notebook_kernel *k, struct buf *out)
{
    notebook_end(&n->cells, k, out);
}

/* ---- executions ---- */

/* A walk begins. */
static int begin(struct reader *r, struct store_notebook *n, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_FEED_RANGE, &stmt, e) < 0 || sql_step(&r->sql, stmt, e) < 0)
        return -1;
    n->feed = sqlite3_column_int64(stmt, 0) - 1;
    n->highest = n->highest ? n->highest : sqlite3_column_int64(stmt, 1);
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static bool is_wanted(const struct store_notebook *n, const struct execution_row *row)
{
    return row->created_us >= n->since_us && (!n->until_us || row->created_us < n->until_us);
}

/* 1: the next execution's row, as long as *ret is not reset; 0: none here, n->feed went on; -1: e. */
static int find_next(struct reader *r, struct store_notebook *n, sqlite3_stmt **ret,
                     struct execution_row *row, struct err *e)
{
    int64_t to = n->highest - n->feed > WINDOW_FEEDS ? n->feed + WINDOW_FEEDS : n->highest;
    if (sql_use(&r->sql, SQL_NOTEBOOK_NEXT, ret, e) < 0)
        return -1;
    sql_bind_int(*ret, 1, n->feed);
    sql_bind_int(*ret, 2, to);
    sql_bind_uuid(*ret, 3, &n->user_id);
    sql_bind_text(*ret, 4, n->session);
    int found = sql_step(&r->sql, *ret, e);
    if (found <= 0) {
        n->feed = to;
        return found;
    }
    store_row_of_execution(*ret, row);
    n->feed = row->feed;
    n->id = row->id;
    n->is_known = true;
    if (is_wanted(n, row))
        return 1;
    (void)sqlite3_reset(*ret); /* its one row was read */
    return 0;
}

static int read_event(struct reader *r, int64_t feed, uint64_t seq, struct buf *out, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_NOTEBOOK_EVENT, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, feed);
    sql_bind_int(stmt, 2, (int64_t)seq);
    int found = sql_step(&r->sql, stmt, e);
    if (found > 0 && store_read_body(r, feed, stmt, 0, out, e) < 0)
        found = -1;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return found;
}

/* ---- the first walk ---- */

static void note_display(struct store_notebook *n, struct slice body, uint64_t seq)
{
    struct slice raw;
    char id[MAX_DISPLAY_CHARS + 1];
    if (!json_member_string(body, "display_id", &raw) || raw.len >= sizeof id)
        return;
    memcpy(id, raw.data, raw.len);
    id[raw.len] = '\0';
    struct display *d = zhashx_lookup(n->displays, id);
    if (!d && zhashx_size(n->displays) < MAX_DISPLAYS) {
        d = zmalloc(sizeof *d);
        (void)zhashx_insert(n->displays, id, d); /* it is not in there */
    }
    if (d)
        *d = (struct display){ n->id, n->feed, seq };
}

static int begin_displays(struct reader *r, struct store_notebook *n, struct err *e)
{
    sqlite3_stmt *stmt;
    struct execution_row row;
    int found = find_next(r, n, &stmt, &row, e);
    if (found <= 0)
        return found;
    n->after = 0;
    n->is_inside = true;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int read_displays(struct reader *r, struct store_query *q, int64_t due_ms)
{
    struct store_notebook *n = q->notebook;
    sqlite3_stmt *stmt;
    int more;
    if (sql_use(&r->sql, SQL_NOTEBOOK_IDS, &stmt, &q->e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n->feed);
    sql_bind_int(stmt, 2, (int64_t)n->after);
    while ((more = sql_step(&r->sql, stmt, &q->e)) > 0) {
        CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_BODY_BYTES);
        n->after = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (store_read_body(r, n->feed, stmt, 1, &body, &q->e) < 0) {
            more = -1;
            break;
        }
        note_display(n, buf_slice(&body), n->after);
        if (zclock_mono() >= due_ms)
            break;
    }
    (void)sqlite3_reset(stmt); /* ends the read transaction; repeats the error of the step */
    n->is_inside = more > 0;
    return more < 0 ? -1 : 0;
}

/* ---- the second walk ---- */

static int read_started(struct reader *r, struct execution_row *row, struct err *e)
{
    CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_BODY_BYTES);
    sqlite3_stmt *stmt;
    if (row->started_us)
        return 1;
    if (sql_use(&r->sql, SQL_NOTEBOOK_STARTED, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, row->feed);
    int found = sql_step(&r->sql, stmt, e);
    if (found <= 0)
        return found;
    row->started_us = sqlite3_column_int64(stmt, 0);
    if (store_read_body(r, row->feed, stmt, 1, &body, e) < 0)
        found = -1;
    else
        (void)json_member_int(buf_slice(&body), "execution_count",
                              &row->execution_count); /* null: as in the row */
    (void)sqlite3_reset(stmt);                        /* its one row was read */
    return found;
}

/* What clears have to know of an event. */
static int look_at(struct reader *r, struct store_notebook *n, struct notebook_clear *clear,
                   sqlite3_stmt *stmt, struct err *e)
{
    CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_BODY_BYTES);
    enum event_type type;
    struct slice said = sql_slice(stmt, 2);
    n->last = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (!event_type_parse(sql_slice(stmt, 1), &type))
        return 0;
    if (type == EVENT_DISPLAY && said.data)
        buf_addf(&body, "{\"update\":%s}", slice_is(said, UPDATE_END) ? "true" : "false");
    else if ((type == EVENT_DISPLAY || type == EVENT_CLEAR_OUTPUT) &&
             read_event(r, n->feed, n->last, &body, e) < 0)
        return -1;
    notebook_clear_look(clear, type, buf_slice(&body), n->last);
    return 0;
}

static int find_outputs(struct reader *r, struct store_notebook *n, struct err *e)
{
    struct notebook_clear clear = { 0 };
    sqlite3_stmt *stmt;
    int more;
    if (sql_use(&r->sql, SQL_NOTEBOOK_LOOK, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n->feed);
    n->last = 0;
    while ((more = sql_step(&r->sql, stmt, e)) > 0)
        if ((more = look_at(r, n, &clear, stmt, e)) < 0)
            break;
    (void)sqlite3_reset(stmt); /* ends the read transaction; repeats the error of the step */
    n->after = clear.first;
    return more;
}

static int begin_cell(struct reader *r, struct store_query *q)
{
    struct store_notebook *n = q->notebook;
    struct execution_row row;
    sqlite3_stmt *stmt;
    int found = find_next(r, n, &stmt, &row, &q->e);
    if (found <= 0)
        return found;
    found = read_started(r, &row, &q->e);
    if (found > 0) {
        notebook_begin_cell(&n->cells, &row, &q->out);
        n->session_feed = row.session_feed;
        free(n->language);
        n->language = row.language ? strdup(row.language) : NULL;
        n->is_inside = true;
    }
    (void)sqlite3_reset(stmt); /* its one row was read */
    if (found <= 0)
        return found;
    n->after = n->last = 0;
    return n->without_outputs ? 0 : find_outputs(r, n, &q->e);
}

struct value_call {
    struct reader *reader;
    const struct uuid *user_id;
};

static bool read_value(void *arg, const struct uuid *execution_id, unsigned n, struct buf *text)
{
    const struct value_call *call = arg;
    struct err e;
    return store_read_aside(call->reader, execution_id, call->user_id, n, text, &e) == 0;
}

/* What a display shows at the end, when that is not what it showed first: replaces body and *ret_id. */
static int read_update(struct reader *r, struct store_notebook *n, struct buf *body, uint64_t seq,
                       struct uuid *ret_id, struct err *e)
{
    CLEANUP_BUF struct buf newer = BUF_INIT(STORE_MAX_BODY_BYTES);
    struct slice raw;
    char id[MAX_DISPLAY_CHARS + 1];
    if (!json_member_string(buf_slice(body), "display_id", &raw) || raw.len >= sizeof id)
        return 0;
    memcpy(id, raw.data, raw.len);
    id[raw.len] = '\0';
    const struct display *d = zhashx_lookup(n->displays, id);
    if (!d || (d->feed == n->feed && d->seq <= seq))
        return 0;
    int found = read_event(r, d->feed, d->seq, &newer, e);
    if (found <= 0) /* 0: retention has just taken it away */
        return found;
    buf_done(body);
    *body = newer;
    buf_init(&newer, 0);
    *ret_id = d->execution_id;
    return 0;
}

static int add_event(struct reader *r, struct store_query *q, sqlite3_stmt *stmt)
{
    struct store_notebook *n = q->notebook;
    CLEANUP_BUF struct buf body = BUF_INIT(STORE_MAX_BODY_BYTES);
    struct value_call call = { r, &n->user_id };
    struct uuid id = n->id;
    struct notebook_event event = { .execution_id = &id, .value = read_value, .arg = &call };
    uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (!event_type_parse(sql_slice(stmt, 1), &event.type))
        return 0;
    if (store_read_body(r, n->feed, stmt, 2, &body, &q->e) < 0)
        return -1;
    n->after = seq;
    if (event.type == EVENT_DISPLAY && notebook_is_update(buf_slice(&body)))
        return 0; /* what it updates shows it */
    if (event.type == EVENT_DISPLAY && read_update(r, n, &body, seq, &id, &q->e) < 0)
        return -1;
    event.members = buf_slice(&body);
    notebook_add(&n->cells, &event, &q->out);
    return 0;
}

static int write_outputs(struct reader *r, struct store_query *q, int64_t due_ms)
{
    struct store_notebook *n = q->notebook;
    sqlite3_stmt *stmt;
    int more;
    if (sql_use(&r->sql, SQL_NOTEBOOK_EVENTS, &stmt, &q->e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n->feed);
    sql_bind_int(stmt, 2, (int64_t)n->after);
    sql_bind_int(stmt, 3, (int64_t)n->last);
    while ((more = sql_step(&r->sql, stmt, &q->e)) > 0) {
        if (add_event(r, q, stmt) < 0) {
            more = -1;
            break;
        }
        if (q->out.len >= PIECE_BYTES || zclock_mono() >= due_ms)
            break;
    }
    (void)sqlite3_reset(stmt); /* ends the read transaction; repeats the error of the step */
    if (more == 0) {
        notebook_end_cell(&n->cells, &q->out);
        n->is_inside = false;
    }
    return more < 0 ? -1 : 0;
}

/* ---- the end ---- */

static int find_kernel(struct reader *r, struct store_notebook *n, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&r->sql, SQL_NOTEBOOK_SESSION, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, n->session_feed);
    int found = sql_step(&r->sql, stmt, e);
    if (found <= 0)
        return found;
    n->kernelspec = sql_text(stmt, 0) ? strdup(sql_text(stmt, 0)) : NULL;
    n->template_name = sql_text(stmt, 1) ? strdup(sql_text(stmt, 1)) : NULL;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static int step(struct reader *r, struct store_query *q, int64_t due_ms)
{
    struct store_notebook *n = q->notebook;
    if (!n->has_begun) {
        n->has_begun = true;
        return begin(r, n, &q->e);
    }
    if (n->is_inside)
        return n->has_displays ? write_outputs(r, q, due_ms) : read_displays(r, q, due_ms);
    if (n->feed < n->highest)
        return n->has_displays ? begin_cell(r, q) : begin_displays(r, n, &q->e);
    if (!n->has_displays) {
        n->has_displays = true;
        return begin(r, n, &q->e);
    }
    n->is_over = true;
    return find_kernel(r, n, &q->e);
}

static int run_notebook(struct reader *r, struct store_query *q)
{
    int64_t due_ms = zclock_mono() + PIECE_MS;
    do {
        if (step(r, q, due_ms) < 0)
            return -1;
        if (atomic_load(&q->cancelled))
            return err_set(&q->e, ERR_GONE, "cancelled");
    } while (!q->notebook->is_over && q->out.len < PIECE_BYTES && zclock_mono() < due_ms);
    return q->out.failed
               ? err_set(&q->e, ERR_TOO_LARGE, "a piece of the notebook takes too much memory")
               : 0;
}

static void answer_notebook(struct store_query *q, const struct err *e)
{
    struct store_notebook *n = TAKE(q->notebook);
    q->done.notebook(q->arg, e, n, &q->out, n->is_over);
}

struct store_query *store_read_notebook(struct store *s, struct store_notebook *n,
                                        store_notebook_fn done, void *arg)
{
    struct store_query *q = store_query_new(s, run_notebook, answer_notebook, arg);
    q->done.notebook = done;
    q->notebook = n;
    return store_query_send(q);
}
