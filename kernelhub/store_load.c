/* What is read at start, in the loop's thread, on a connection of its own. */
#include "kernelhub/store_internal.h"

/* The statement, ready to be stepped. */
static int begin(struct store *s, enum sql_statement which, sqlite3_stmt **ret, struct err *e)
{
    return sql_use(&s->sync, which, ret, e) < 0 ? err_in(e, "load") : 0;
}

int store_load_users(struct store *s, void (*each)(void *arg, const struct user_row *r), void *arg,
                     struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (begin(s, SQL_LOAD_USERS, &stmt, e) < 0)
        return -1;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct user_row r = {
            .id = sql_uuid(stmt, 0),
            .name = sql_text(stmt, 1),
            .admin = sqlite3_column_int(stmt, 2) != 0,
            .created_us = sqlite3_column_int64(stmt, 3),
            .removed_us = sqlite3_column_int64(stmt, 4),
            .callback_generation = sqlite3_column_int64(stmt, 5),
        };
        each(arg, &r);
    }
    return more;
}

int store_load_keys(struct store *s, void (*each)(void *arg, const struct key_row *r), void *arg,
                    struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (begin(s, SQL_LOAD_KEYS, &stmt, e) < 0)
        return -1;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct key_row r = {
            .id = sql_uuid(stmt, 0),
            .user_id = sql_uuid(stmt, 1),
            .name = sql_text(stmt, 2),
            .prefix = sql_text(stmt, 3),
            .created_us = sqlite3_column_int64(stmt, 5),
            .last_used_us = sqlite3_column_int64(stmt, 6),
            .expires_us = sqlite3_column_int64(stmt, 7),
            .revoked_us = sqlite3_column_int64(stmt, 8),
        };
        const void *hash = sqlite3_column_blob(stmt, 4);
        if (!hash || sqlite3_column_bytes(stmt, 4) != sizeof r.hash)
            continue; /* a key that cannot match anything */
        memcpy(r.hash, hash, sizeof r.hash);
        each(arg, &r);
    }
    return more;
}

typedef void (*each_sandbox_fn)(void *arg, const struct sandbox_row *r);

static int each_sandbox(struct store *s, sqlite3_stmt *stmt, each_sandbox_fn each, void *arg,
                        struct err *e)
{
    int more;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct sandbox_row r = {
            .id = sql_uuid(stmt, 0),
            .user_id = sql_uuid(stmt, 1),
            .name = sql_text(stmt, 2),
            .template_name = sql_text(stmt, 3),
            .image = sql_text(stmt, 4),
            .digest = sql_text(stmt, 5),
            .epoch = sql_text(stmt, 6),
            .last_number = (uint64_t)sqlite3_column_int64(stmt, 7),
            .created_us = sqlite3_column_int64(stmt, 8),
            .ended_us = sqlite3_column_int64(stmt, 9),
            .end_reason = sql_text(stmt, 10),
            .options = sql_text(stmt, 11),
            .workspace = sql_text(stmt, 12),
            .used_us = sqlite3_column_int64(stmt, 13),
        };
        each(arg, &r);
    }
    return more;
}

int store_load_sandboxes(struct store *s, each_sandbox_fn each, void *arg, struct err *e)
{
    sqlite3_stmt *stmt;
    return begin(s, SQL_LOAD_SANDBOXES, &stmt, e) < 0 ? -1 : each_sandbox(s, stmt, each, arg, e);
}

int store_load_ended_sandboxes(struct store *s, int64_t max, each_sandbox_fn each, void *arg,
                               struct err *e)
{
    sqlite3_stmt *stmt;
    if (begin(s, SQL_LOAD_ENDED_SANDBOXES, &stmt, e) < 0)
        return -1;
    sql_bind_int(stmt, 1, max);
    return each_sandbox(s, stmt, each, arg, e);
}

int store_load_unremoved_sandboxes(struct store *s, each_sandbox_fn each, void *arg, struct err *e)
{
    sqlite3_stmt *stmt;
    return begin(s, SQL_LOAD_UNREMOVED_SANDBOXES, &stmt, e) < 0
               ? -1
               : each_sandbox(s, stmt, each, arg, e);
}

int store_load_sessions(struct store *s, void (*each)(void *arg, const struct session_row *r),
                        void *arg, struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (begin(s, SQL_LOAD_SESSIONS, &stmt, e) < 0)
        return -1;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct session_row r = {
            .feed = sqlite3_column_int64(stmt, 0),
            .user_id = sql_uuid(stmt, 1),
            .kernel_id = sql_uuid(stmt, 2),
            .sandbox_id = sql_uuid(stmt, 3),
            .name = sql_text(stmt, 4),
            .language = sql_text(stmt, 5),
            .kernelspec = sql_text(stmt, 6),
            .template_name = sql_text(stmt, 7),
            .ephemeral = sqlite3_column_int(stmt, 8) != 0,
            .created_us = sqlite3_column_int64(stmt, 9),
            .ended_us = sqlite3_column_int64(stmt, 10),
            .home = sql_uuid(stmt, 11),
            .jupyter = sql_text(stmt, 12),
        };
        each(arg, &r);
    }
    return more;
}

int store_load_executions(struct store *s,
                          void (*each)(void *arg, const struct execution_row *r, uint64_t last_seq),
                          void *arg, struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (begin(s, SQL_LOAD_EXECUTIONS, &stmt, e) < 0)
        return -1;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct execution_row r;
        store_row_of_execution(stmt, &r);
        if (!r.started_us) /* the row is written when the run ends; the event stands since it began */
            r.started_us = sqlite3_column_int64(stmt, STORE_EXECUTION_N_COLUMNS + 1);
        each(arg, &r, (uint64_t)sqlite3_column_int64(stmt, STORE_EXECUTION_N_COLUMNS));
    }
    return more;
}

int store_load_callbacks(struct store *s,
                         void (*each)(void *arg, const struct callback_row *r, bool ended),
                         void *arg, struct err *e)
{
    sqlite3_stmt *stmt;
    int more;
    if (begin(s, SQL_LOAD_CALLBACKS, &stmt, e) < 0)
        return -1;
    while ((more = sql_step(&s->sync, stmt, e)) > 0) {
        struct callback_row r = {
            .feed = sqlite3_column_int64(stmt, 0),
            .execution_id = sql_uuid(stmt, 1),
            .user_id = sql_uuid(stmt, 2),
            .message_id = sql_uuid(stmt, 3),
            .url = sql_text(stmt, 4),
            .status = "pending",
            .attempts = (unsigned)sqlite3_column_int64(stmt, 5),
            .next_us = sqlite3_column_int64(stmt, 6),
            .first_us = sqlite3_column_int64(stmt, 7),
        };
        each(arg, &r, sqlite3_column_int(stmt, 8) != 0);
    }
    return more;
}

int store_get_setting(struct store *s, const char *name, char *ret, size_t size, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&s->sync, SQL_GET_SETTING, &stmt, e) < 0)
        return -1;
    sql_bind_text(stmt, 1, name);
    int found = sql_step(&s->sync, stmt, e);
    if (found < 0)
        return -1;
    struct slice value = found ? sql_slice(stmt, 0) : SLICE_LITERAL("");
    int fits = value.len < size ? 0
                                : err_set(e, ERR_INTERNAL, "setting '%s' is longer than %zu bytes",
                                          name, size - 1);
    if (fits == 0) {
        memcpy(ret, value.data, value.len);
        ret[value.len] = '\0';
    }
    (void)sqlite3_reset(stmt); /* its one row was read */
    return fits;
}

int store_put_setting(struct store *s, const char *name, const char *value, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(&s->sync, SQL_PUT_SETTING, &stmt, e) < 0)
        return -1;
    sql_bind_text(stmt, 1, name);
    sql_bind_text(stmt, 2, value);
    return sql_step(&s->sync, stmt, e) < 0 ? -1 : 0;
}

/* One number about one feed, 0 when it cannot be had. */
static int64_t number_of(struct store *s, enum sql_statement which, int64_t feed)
{
    struct err e = ERR_INIT;
    sqlite3_stmt *stmt;
    if (sql_use(&s->sync, which, &stmt, &e) < 0)
        return 0;
    sql_bind_int(stmt, 1, feed);
    int64_t n = sql_step(&s->sync, stmt, &e) > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* its one row was read */
    return n;
}

int64_t store_feed_bytes(struct store *s, int64_t feed)
{
    return number_of(s, SQL_FEED_BYTES, feed);
}

unsigned store_next_blob(struct store *s, int64_t feed)
{
    return (unsigned)number_of(s, SQL_NEXT_BLOB, feed);
}

uint64_t store_last_seq(struct store *s, int64_t feed)
{
    return (uint64_t)number_of(s, SQL_LAST_SEQ, feed);
}
