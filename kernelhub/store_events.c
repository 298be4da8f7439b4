/* Events: the number is given here, in the writer's thread, and the line is written here, so that the loop only passes it on. */
#include "base/json.h"
#include "kernelhub/store_internal.h"

#define ERROR_TEXT_BYTES                                                                           \
    4096 /* of an error's name and value, kept for the history; the event has all */

struct event_op {
    struct op op;
    store_event_fn done;
    int64_t feed;
    struct event_head head; /* its session points into text */
    struct slice fields;
    uint64_t seq;
    size_t line_at, line_bytes; /* in the batch's lines */
    char text[];
};

static int load_state(struct writer *w, struct feed_state *state, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_LAST_SEQ, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, state->feed);
    if (sql_step(&w->sql, stmt, e) < 0)
        return -1;
    state->last_seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    (void)sqlite3_reset(stmt); /* its one row was read */
    if (sql_use(&w->sql, SQL_LAST_HEAD, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, state->feed);
    int found = sql_step(&w->sql, stmt, e);
    if (found <= 0)
        return found;
    state->head = sqlite3_column_int(stmt, 0);
    state->execution_id = sql_uuid(stmt, 1);
    state->session = sql_text(stmt, 2) ? strdup(sql_text(stmt, 2)) : NULL;
    state->kernel_id = sql_uuid(stmt, 3);
    (void)sqlite3_reset(stmt); /* its one row was read */
    return 0;
}

static struct feed_state *add_state(struct writer *w, int64_t feed)
{
    struct feed_state *state = zmalloc(sizeof *state);
    state->feed = feed;
    state->head = -1;
    (void)zhashx_insert(w->feeds, &state->feed, state); /* was not in it */
    return state;
}

void store_writer_new_feed(struct writer *w, int64_t feed)
{
    if (!zhashx_lookup(w->feeds, &feed))
        (void)add_state(w, feed); /* w->feeds has it */
}

static struct feed_state *find_state(struct writer *w, int64_t feed, struct err *e)
{
    struct feed_state *state = zhashx_lookup(w->feeds, &feed);
    if (state)
        return state;
    state = add_state(w, feed);
    if (load_state(w, state, e) == 0)
        return state;
    zhashx_delete(w->feeds, &feed);
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Adds a head when the line's differs from the last one's: once when a kernel is found, rarely again. */
static int put_head(struct writer *w, struct feed_state *state, const struct event_head *head,
                    struct err *e)
{
    if (state->head >= 0 && uuid_equal(&state->execution_id, &head->execution_id) &&
        uuid_equal(&state->kernel_id, &head->kernel_id) && same_text(state->session, head->session))
        return 0;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_ADD_HEAD, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, state->feed);
    sql_bind_int(stmt, 2, state->head + 1);
    sql_bind_uuid(stmt, 3, &head->execution_id);
    sql_bind_text(stmt, 4, head->session);
    sql_bind_uuid(stmt, 5, &head->kernel_id);
    if (sql_step(&w->sql, stmt, e) < 0)
        return -1;
    state->head++;
    state->execution_id = head->execution_id;
    state->kernel_id = head->kernel_id;
    free(state->session);
    state->session = head->session ? strdup(head->session) : NULL;
    return 0;
}

static int put_event(struct writer *w, const struct event_op *op, int head, struct slice body,
                     struct err *e)
{
    int64_t offset = 0;
    bool big = body.len > STORE_BODY_BYTES;
    if (big && store_writer_append(w, op->feed, body, &offset, e) < 0)
        return -1;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_ADD_EVENT, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, op->feed);
    sql_bind_int(stmt, 2, (int64_t)op->seq);
    sql_bind_int(stmt, 3, head);
    sql_bind_text(stmt, 4, event_type_name(op->head.type));
    sql_bind_int(stmt, 5, op->head.unix_us);
    sql_bind_slice(stmt, 6, big ? slice_of(NULL, 0) : body.data ? body : SLICE_LITERAL(""));
    if (big) {
        sql_bind_int(stmt, 7, offset);
        sql_bind_int(stmt, 8, (int64_t)body.len);
    } else {
        sql_bind_text(stmt, 7, NULL);
        sql_bind_text(stmt, 8, NULL);
    }
    return sql_step(&w->sql, stmt, e) < 0 ? -1 : 0;
}

/* Name and value of the error on the execution's row, so that a list of the history need not read events. */
static int put_error(struct writer *w, const struct event_op *op, struct err *e)
{
    CLEANUP_BUF struct buf object = BUF_INIT(op->fields.len + 2);
    CLEANUP_BUF struct buf error = BUF_INIT(ERROR_TEXT_BYTES + 64);
    struct slice name = SLICE_LITERAL(""), value = SLICE_LITERAL("");
    sqlite3_stmt *stmt;
    if (op->fields.len == 0)
        return 0;
    buf_add_char(&object, '{');
    buf_add(&object, op->fields.data + 1, op->fields.len - 1); /* behind the comma */
    buf_add_char(&object, '}');
    (void)json_member_string(buf_slice(&object), "name", &name);
    (void)json_member_string(buf_slice(&object), "value", &value); /* absent: stays "" */
    if (name.len > ERROR_TEXT_BYTES)
        return 0;
    if (name.len + value.len > ERROR_TEXT_BYTES)
        value = SLICE_LITERAL("");
    buf_addf(&error, "{\"name\":\"%.*s\",\"value\":\"%.*s\"}", (int)name.len, name.data,
             (int)value.len, value.data);
    if (sql_use(&w->sql, SQL_SET_ERROR, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, op->feed);
    sql_bind_slice(stmt, 2, buf_slice(&error));
    return sql_step(&w->sql, stmt, e) < 0 ? -1 : 0;
}

static void write_line(struct batch *b, struct event_op *op, struct slice body)
{
    op->line_at = b->lines.len;
    event_record_write(&b->lines, op->seq, &op->head, body);
    assert(!b->lines.failed); /* a batch is bounded, and so is a body by the link's frames */
    op->line_bytes = b->lines.len - op->line_at;
}

static int run_event(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    struct event_op *op = (struct event_op *)o;
    struct feed_state *state = find_state(w, op->feed, e);
    if (!state || put_head(w, state, &op->head, e) < 0)
        return -1;
    op->seq = ++state->last_seq;
    struct slice body = op->fields;
    if (op->head.type == EVENT_FINISHED) {
        buf_reset(&w->scratch);
        buf_add_slice(&w->scratch, op->fields);
        buf_addf(&w->scratch, ",\"last_seq\":%llu", (unsigned long long)op->seq);
        body = buf_slice(&w->scratch);
    }
    if (put_event(w, op, state->head, body, e) < 0 ||
        (op->head.type == EVENT_ERROR && put_error(w, op, e) < 0))
        return -1;
    if (op->done)
        write_line(b, op, body);
    if (op->head.type == EVENT_FINISHED)
        zhashx_delete(w->feeds, &op->feed); /* nothing comes after it */
    return 0;
}

static void answer_event(struct store *s, struct op *o, struct batch *b)
{
    struct event_op *op = (struct event_op *)o;
    if (op->done)
        op->done(o->arg, op->seq, slice_of(b->lines.data + op->line_at, op->line_bytes));
}

void store_add_event(struct store *s, int64_t feed, const struct event_head *head,
                     struct slice fields, struct store_mark mark, bool late, store_event_fn done,
                     void *arg)
{
    static const struct op_type TYPE = { run_event, answer_event, false };
    size_t name_bytes = head->session ? strlen(head->session) + 1 : 0;
    struct event_op *op = malloc(sizeof *op + name_bytes + fields.len);
    assert(op);
    *op = (struct event_op){
        .op = { .type = &TYPE,
                .bytes = sizeof *op + name_bytes + fields.len,
                .mark = mark,
                .late = late,
                .arg = arg },
        .done = done,
        .feed = feed,
        .head = *head,
        .fields = slice_of(op->text + name_bytes, fields.len),
    };
    if (head->session)
        op->head.session = memcpy(op->text, head->session, name_bytes);
    if (fields.len)
        memcpy(op->text + name_bytes, fields.data, fields.len);
    store_send(s, &op->op);
}

struct blob_op {
    struct op op;
    int64_t feed;
    unsigned n;
    const char *media_type;
    struct slice bytes;
    char text[];
};

static int run_blob(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct blob_op *op = (struct blob_op *)o;
    int64_t offset;
    sqlite3_stmt *stmt;
    if (store_writer_append(w, op->feed, op->bytes, &offset, e) < 0 ||
        sql_use(&w->sql, SQL_ADD_BLOB, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, op->feed);
    sql_bind_int(stmt, 2, op->n);
    sql_bind_text(stmt, 3, op->media_type);
    sql_bind_int(stmt, 4, offset);
    sql_bind_int(stmt, 5, (int64_t)op->bytes.len);
    return sql_step(&w->sql, stmt, e) < 0 ? -1 : 0;
}

static void answer_nobody(struct store *s, struct op *o, struct batch *b)
{
}

void store_add_blob(struct store *s, int64_t feed, unsigned n, const char *media_type,
                    struct buf *bytes)
{
    static const struct op_type TYPE = { run_blob, answer_nobody, false };
    size_t type_bytes = strlen(media_type) + 1, len = bytes->len;
    struct blob_op *op = malloc(sizeof *op + type_bytes);
    char *data = buf_take(bytes);
    assert(op && data);
    *op = (struct blob_op){
        .op = { .type = &TYPE, .bytes = sizeof *op + type_bytes + len, .owned = data },
        .feed = feed,
        .n = n,
        .media_type = memcpy(op->text, media_type, type_bytes),
        .bytes = slice_of(data, len),
    };
    store_send(s, &op->op);
}

struct mark_op {
    struct op op;
    store_done_fn done;
};

static int run_mark(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    return 0; /* the writer notes every op's mark */
}

static void answer_mark(struct store *s, struct op *o, struct batch *b)
{
    const struct mark_op *op = (struct mark_op *)o;
    if (op->done)
        op->done(o->arg);
}

void store_mark(struct store *s, struct store_mark mark, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_mark, answer_mark, false };
    struct mark_op *op = zmalloc(sizeof *op);
    op->op = (struct op){ .type = &TYPE, .bytes = sizeof *op, .mark = mark, .arg = arg };
    op->done = done;
    store_send(s, &op->op);
}
