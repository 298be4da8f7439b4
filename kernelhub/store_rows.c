/* Writes of rows: the row is copied with its strings into one allocation, and bound column by column in the writer's thread. */
#include "kernelhub/store_internal.h"

#define SUPERSEDE_OPS   16 /* so many are looked through */
#define SUPERSEDE_BYTES (64 * 1024)

struct row_op {
    struct op op;
    union {
        store_done_fn plain;
        store_inserted_fn inserted;
    } done;
    bool exists;
    bool superseded; /* another in the same batch says it all */
    union {
        struct user_row user;
        struct key_row key;
        struct sandbox_row sandbox;
        struct session_row session;
        struct execution_row execution;
        struct callback_row callback;
        struct {
            const char *name, *value;
        } setting;
    } row;
    char text[]; /* what the row points to */
};

/* Two walks over a row's strings: the first counts (at is NULL), the second copies. */
struct pack {
    char *at;
    size_t bytes;
};

static void pack_bytes(struct pack *p, const char **data, size_t n)
{
    if (p->at) {
        memcpy(p->at, *data, n);
        *data = p->at;
        p->at += n;
    }
    p->bytes += n;
}

static void pack_text(struct pack *p, const char **text)
{
    if (*text)
        pack_bytes(p, text, strlen(*text) + 1);
}

static void pack_slice(struct pack *p, struct slice *s)
{
    if (s->data)
        pack_bytes(p, &s->data, s->len);
}

static void pack_user(struct pack *p, struct row_op *op)
{
    pack_text(p, &op->row.user.name);
}

static void pack_key(struct pack *p, struct row_op *op)
{
    pack_text(p, &op->row.key.name);
    pack_text(p, &op->row.key.prefix);
}

static void pack_sandbox(struct pack *p, struct row_op *op)
{
    struct sandbox_row *r = &op->row.sandbox;
    const char **texts[] = { &r->name,  &r->template_name, &r->image,   &r->digest,
                             &r->epoch, &r->end_reason,    &r->options, &r->workspace };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        pack_text(p, texts[i]);
}

static void pack_session(struct pack *p, struct row_op *op)
{
    struct session_row *r = &op->row.session;
    const char **texts[] = { &r->name, &r->language, &r->kernelspec, &r->template_name,
                             &r->jupyter };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        pack_text(p, texts[i]);
}

static void pack_execution(struct pack *p, struct row_op *op)
{
    struct execution_row *r = &op->row.execution;
    const char **texts[] = { &r->session, &r->language, &r->client, &r->epoch };
    struct slice *slices[] = {
        &r->code, &r->labels, &r->options, &r->reply, &r->result, &r->input
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        pack_text(p, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(slices); i++)
        pack_slice(p, slices[i]);
}

static void pack_callback(struct pack *p, struct row_op *op)
{
    pack_text(p, &op->row.callback.url);
    pack_text(p, &op->row.callback.status);
    pack_text(p, &op->row.callback.last_error);
}

static void pack_setting(struct pack *p, struct row_op *op)
{
    pack_text(p, &op->row.setting.name);
    pack_text(p, &op->row.setting.value);
}

/* `model` holds the borrowed row; the copy owns everything. */
static struct row_op *row_op_new(const struct op_type *type, struct row_op *model,
                                 void (*pack)(struct pack *p, struct row_op *op), void *arg)
{
    struct pack p = { 0 };
    pack(&p, model);
    struct row_op *op = zmalloc(sizeof *op + p.bytes);
    *op = *model;
    op->op.type = type;
    op->op.arg = arg;
    op->op.bytes = sizeof *op + p.bytes;
    p = (struct pack){ .at = op->text };
    pack(&p, op);
    return op;
}

static void answer_plain(struct store *s, struct op *o, struct batch *b)
{
    struct row_op *op = (struct row_op *)o;
    if (op->done.plain)
        op->done.plain(o->arg);
}

static int finish(struct writer *w, sqlite3_stmt *stmt, struct err *e)
{
    return sql_step(&w->sql, stmt, e) < 0 ? -1 : 0;
}

static int run_user(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct user_row *r = &((struct row_op *)o)->row.user;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PUT_USER, &stmt, e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &r->id);
    sql_bind_text(stmt, 2, r->name);
    sql_bind_int(stmt, 3, r->admin);
    sql_bind_time(stmt, 4, r->created_us);
    sql_bind_time(stmt, 5, r->removed_us);
    sql_bind_int(stmt, 6, r->callback_generation);
    return finish(w, stmt, e);
}

void store_put_user(struct store *s, const struct user_row *r, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_user, answer_plain, false };
    struct row_op model = { .done.plain = done, .row.user = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_user, arg)->op);
}

static int run_key(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct key_row *r = &((struct row_op *)o)->row.key;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PUT_KEY, &stmt, e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &r->id);
    sql_bind_uuid(stmt, 2, &r->user_id);
    sql_bind_text(stmt, 3, r->name);
    sql_bind_text(stmt, 4, r->prefix);
    int rc = sqlite3_bind_blob(stmt, 5, r->hash, sizeof r->hash, SQLITE_STATIC);
    assert(rc == SQLITE_OK);
    sql_bind_time(stmt, 6, r->created_us);
    sql_bind_time(stmt, 7, r->last_used_us);
    sql_bind_time(stmt, 8, r->expires_us);
    sql_bind_time(stmt, 9, r->revoked_us);
    return finish(w, stmt, e);
}

void store_put_key(struct store *s, const struct key_row *r, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_key, answer_plain, false };
    struct row_op model = { .done.plain = done, .row.key = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_key, arg)->op);
}

static int run_sandbox(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct sandbox_row *r = &((struct row_op *)o)->row.sandbox;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PUT_SANDBOX, &stmt, e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &r->id);
    sql_bind_uuid(stmt, 2, &r->user_id);
    sql_bind_text(stmt, 3, r->name);
    sql_bind_text(stmt, 4, r->template_name);
    sql_bind_text(stmt, 5, r->image);
    sql_bind_text(stmt, 6, r->digest);
    sql_bind_text(stmt, 7, r->epoch);
    sql_bind_int(stmt, 8, (int64_t)r->last_number);
    sql_bind_time(stmt, 9, r->created_us);
    sql_bind_time(stmt, 10, r->ended_us);
    sql_bind_text(stmt, 11, r->end_reason);
    sql_bind_text(stmt, 12, r->options);
    sql_bind_text(stmt, 13, r->workspace);
    sql_bind_time(stmt, 14, r->used_us);
    return finish(w, stmt, e);
}

void store_put_sandbox(struct store *s, const struct sandbox_row *r, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_sandbox, answer_plain, false };
    struct row_op model = { .done.plain = done, .row.sandbox = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_sandbox, arg)->op);
}

static int run_workspace(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct row_op *op = (struct row_op *)o;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_SET_WORKSPACE, &stmt, e) < 0)
        return -1;
    sql_bind_uuid(stmt, 1, &op->row.sandbox.id);
    sql_bind_text(stmt, 2, op->row.sandbox.workspace);
    return finish(w, stmt, e);
}

void store_set_workspace(struct store *s, const struct uuid *sandbox_id, const char *workspace)
{
    static const struct op_type TYPE = { run_workspace, answer_plain, false };
    struct row_op model = { .row.sandbox = { .id = *sandbox_id, .workspace = workspace } };
    store_send(s, &row_op_new(&TYPE, &model, pack_sandbox, NULL)->op);
}

static int run_session(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct session_row *r = &((struct row_op *)o)->row.session;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PUT_SESSION, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, r->feed);
    sql_bind_uuid(stmt, 2, &r->user_id);
    sql_bind_uuid(stmt, 3, &r->kernel_id);
    sql_bind_uuid(stmt, 4, &r->sandbox_id);
    sql_bind_text(stmt, 5, r->name);
    sql_bind_text(stmt, 6, r->language);
    sql_bind_text(stmt, 7, r->kernelspec);
    sql_bind_text(stmt, 8, r->template_name);
    sql_bind_int(stmt, 9, r->ephemeral);
    sql_bind_time(stmt, 10, r->created_us);
    sql_bind_time(stmt, 11, r->ended_us);
    sql_bind_uuid(stmt, 12, &r->home);
    sql_bind_text(stmt, 13, r->jupyter);
    return finish(w, stmt, e);
}

void store_put_session(struct store *s, const struct session_row *r, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_session, answer_plain, false };
    struct row_op model = { .done.plain = done, .row.session = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_session, arg)->op);
}

static int run_setting(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct row_op *op = (struct row_op *)o;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_PUT_SETTING, &stmt, e) < 0)
        return -1;
    sql_bind_text(stmt, 1, op->row.setting.name);
    sql_bind_text(stmt, 2, op->row.setting.value);
    return finish(w, stmt, e);
}

void store_queue_setting(struct store *s, const char *name, const char *value)
{
    static const struct op_type TYPE = { run_setting, answer_plain, false };
    struct row_op model = { .row.setting = { name, value } };
    store_send(s, &row_op_new(&TYPE, &model, pack_setting, NULL)->op);
}

static void bind_count(sqlite3_stmt *stmt, int at, int64_t count)
{
    if (count >= 0)
        sql_bind_int(stmt, at, count);
    else
        sql_bind_text(stmt, at, NULL);
}

/* In the order of STORE_EXECUTION_COLUMNS. */
static void bind_execution(sqlite3_stmt *stmt, const struct execution_row *r)
{
    sql_bind_int(stmt, 1, r->feed);
    sql_bind_uuid(stmt, 2, &r->id);
    sql_bind_uuid(stmt, 3, &r->user_id);
    sql_bind_uuid(stmt, 4, &r->kernel_id);
    sql_bind_uuid(stmt, 5, &r->sandbox_id);
    sql_bind_uuid(stmt, 6, &r->replay_of);
    sql_bind_text(stmt, 7, r->session);
    sql_bind_int(stmt, 8, r->session_feed);
    sql_bind_text(stmt, 9, r->language);
    sql_bind_text(stmt, 10, r->client);
    sql_bind_slice(stmt, 11, r->code.data ? r->code : SLICE_LITERAL(""));
    sql_bind_slice(stmt, 12, r->labels);
    sql_bind_slice(stmt, 13, r->options);
    sql_bind_slice(stmt, 14, r->reply);
    sql_bind_text(stmt, 15, status_name(r->status));
    sql_bind_text(stmt, 16, r->epoch);
    sql_bind_time(stmt, 17, r->created_us);
    sql_bind_time(stmt, 18, r->started_us);
    sql_bind_time(stmt, 19, r->finished_us);
    bind_count(stmt, 20, r->execution_count);
    sql_bind_slice(stmt, 21, r->result);
    sql_bind_int(stmt, 22, r->dropped_bytes);
    sql_bind_int(stmt, 23, r->dropped_messages);
    sql_bind_slice(stmt, 24, r->input);
}

void store_row_of_execution(sqlite3_stmt *stmt, struct execution_row *ret)
{
    *ret = (struct execution_row){
        .feed = sqlite3_column_int64(stmt, 0),
        .id = sql_uuid(stmt, 1),
        .user_id = sql_uuid(stmt, 2),
        .kernel_id = sql_uuid(stmt, 3),
        .sandbox_id = sql_uuid(stmt, 4),
        .replay_of = sql_uuid(stmt, 5),
        .session = sql_text(stmt, 6),
        .session_feed = sqlite3_column_int64(stmt, 7),
        .language = sql_text(stmt, 8),
        .client = sql_text(stmt, 9),
        .code = sql_slice(stmt, 10),
        .labels = sql_slice(stmt, 11),
        .options = sql_slice(stmt, 12),
        .reply = sql_slice(stmt, 13),
        .epoch = sql_text(stmt, 15),
        .created_us = sqlite3_column_int64(stmt, 16),
        .started_us = sqlite3_column_int64(stmt, 17),
        .finished_us = sqlite3_column_int64(stmt, 18),
        .execution_count =
            sqlite3_column_type(stmt, 19) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, 19),
        .result = sql_slice(stmt, 20),
        .dropped_bytes = sqlite3_column_int64(stmt, 21),
        .dropped_messages = sqlite3_column_int64(stmt, 22),
        .input = sql_slice(stmt, 23),
    };
    if (!status_parse(sql_slice(stmt, 14), &ret->status))
        ret->status = STATUS_LOST; /* a name this version does not know */
}

static int run_insert(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    struct row_op *op = (struct row_op *)o;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_INSERT_EXECUTION, &stmt, e) < 0)
        return -1;
    bind_execution(stmt, &op->row.execution);
    if (finish(w, stmt, e) < 0)
        return -1;
    op->exists = sqlite3_changes(w->sql.db) == 0;
    if (!op->exists)
        store_writer_new_feed(w, op->row.execution.feed);
    return 0;
}

static void answer_insert(struct store *s, struct op *o, struct batch *b)
{
    struct row_op *op = (struct row_op *)o;
    if (op->done.inserted)
        op->done.inserted(o->arg, op->exists);
}

void store_insert_execution(struct store *s, const struct execution_row *r, store_inserted_fn done,
                            void *arg)
{
    static const struct op_type TYPE = { run_insert, answer_insert, false };
    struct row_op model = { .done.inserted = done, .row.execution = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_execution, arg)->op);
}

static int run_update(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct execution_row *r = &((struct row_op *)o)->row.execution;
    sqlite3_stmt *stmt;
    if (((struct row_op *)o)->superseded)
        return 0;
    if (sql_use(&w->sql, SQL_UPDATE_EXECUTION, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, r->feed);
    sql_bind_uuid(stmt, 2, &r->id);
    sql_bind_text(stmt, 3, status_name(r->status));
    sql_bind_text(stmt, 4, r->epoch);
    sql_bind_uuid(stmt, 5, &r->kernel_id);
    sql_bind_uuid(stmt, 6, &r->sandbox_id);
    sql_bind_time(stmt, 7, r->started_us);
    sql_bind_time(stmt, 8, r->finished_us);
    bind_count(stmt, 9, r->execution_count);
    sql_bind_slice(stmt, 10, r->reply);
    sql_bind_slice(stmt, 11, r->result);
    sql_bind_int(stmt, 12, r->dropped_bytes);
    sql_bind_int(stmt, 13, r->dropped_messages);
    sql_bind_slice(stmt, 14, r->input);
    return finish(w, stmt, e);
}

/* An update that still waits says nothing that this one does not say: what is known of an execution only grows. */
static void supersede(struct store *s, const struct op_type *type, int64_t feed)
{
    const struct op_queue *q = &s->queued;
    if (q->n > SUPERSEDE_OPS || q->bytes > SUPERSEDE_BYTES)
        return; /* perhaps not one batch */
    for (struct op *op = q->first; op; op = op->next) {
        struct row_op *row = (struct row_op *)op;
        if (op->type == type && feed && row->row.execution.feed == feed)
            row->superseded = true;
    }
}

void store_update_execution(struct store *s, const struct execution_row *r, struct store_mark mark,
                            bool late, store_done_fn done, void *arg)
{
    static const struct op_type TYPE = { run_update, answer_plain, false };
    supersede(s, &TYPE, r->feed);
    struct execution_row changed = *r; /* what is never changed need not be copied */
    changed.code = changed.labels = changed.options = slice_of(NULL, 0);
    changed.session = changed.language = changed.client = NULL;
    /* an end's `finished` is behind it (store_hold) */
    struct row_op model = {
        .op = { .mark = mark, .late = late, .with_next = status_is_end(r->status) },
        .done.plain = done,
        .row.execution = changed
    };
    store_send(s, &row_op_new(&TYPE, &model, pack_execution, arg)->op);
}

static int run_add_callback(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct callback_row *r = &((struct row_op *)o)->row.callback;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_ADD_CALLBACK, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, r->feed);
    sql_bind_uuid(stmt, 2, &r->execution_id);
    sql_bind_uuid(stmt, 3, &r->user_id);
    sql_bind_uuid(stmt, 4, &r->message_id);
    sql_bind_text(stmt, 5, r->url);
    sql_bind_text(stmt, 6, r->status);
    return finish(w, stmt, e);
}

void store_add_callback(struct store *s, const struct callback_row *r)
{
    static const struct op_type TYPE = { run_add_callback, answer_plain, false };
    struct row_op model = { .row.callback = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_callback, NULL)->op);
}

static int run_update_callback(struct writer *w, struct op *o, struct batch *b, struct err *e)
{
    const struct callback_row *r = &((struct row_op *)o)->row.callback;
    sqlite3_stmt *stmt;
    if (sql_use(&w->sql, SQL_UPDATE_CALLBACK, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, r->feed);
    sql_bind_text(stmt, 2, r->status);
    sql_bind_int(stmt, 3, r->attempts);
    sql_bind_time(stmt, 4, r->next_us);
    sql_bind_time(stmt, 5, r->first_us);
    sql_bind_time(stmt, 6, r->done_us);
    sql_bind_text(stmt, 7, r->last_error);
    return finish(w, stmt, e);
}

void store_update_callback(struct store *s, const struct callback_row *r)
{
    static const struct op_type TYPE = { run_update_callback, answer_plain, false };
    struct row_op model = { .row.callback = *r };
    store_send(s, &row_op_new(&TYPE, &model, pack_callback, NULL)->op);
}
