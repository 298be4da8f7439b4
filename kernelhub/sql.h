/* sql.h - a connection to the store's SQLite file: its pragmas, its kept statements, short ways to bind and read.
 *
 * A connection belongs to one thread at a time. All SQL that is fixed stands in sql_statements.c. */
#ifndef KERNELHUB_SQL_H
#define KERNELHUB_SQL_H

#include <sqlite3.h>

#include "base/err.h"
#include "base/uuid.h"

enum sql_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    /* writing */
    SQL_PUT_SETTING,
    SQL_PUT_USER,
    SQL_PUT_KEY,
    SQL_PUT_SANDBOX,
    SQL_SET_WORKSPACE,
    SQL_PUT_SESSION,
    SQL_INSERT_EXECUTION,
    SQL_UPDATE_EXECUTION,
    SQL_SET_ERROR,
    SQL_ADD_CALLBACK,
    SQL_UPDATE_CALLBACK,
    SQL_MARK,
    SQL_LAST_SEQ,
    SQL_LAST_HEAD,
    SQL_ADD_HEAD,
    SQL_ADD_EVENT,
    SQL_ADD_BLOB,
    /* reading */
    SQL_GET_SETTING,
    SQL_MAX_FEED,
    SQL_EVENTS,
    SQL_HEAD,
    SQL_LAST_TYPE,
    SQL_FIND_EXECUTION,
    SQL_READ_CODE,
    SQL_READ_EXECUTION,
    SQL_READ_SOURCE,
    SQL_READ_CALLBACK,
    SQL_FEED_OF,
    SQL_OUTPUT,
    SQL_BLOB,
    SQL_FEED_RANGE,
    SQL_NOTEBOOK_NEXT,
    SQL_NOTEBOOK_STARTED,
    SQL_NOTEBOOK_IDS,
    SQL_NOTEBOOK_LOOK,
    SQL_NOTEBOOK_EVENTS,
    SQL_NOTEBOOK_EVENT,
    SQL_NOTEBOOK_SESSION,
    SQL_LOAD_USERS,
    SQL_LOAD_KEYS,
    SQL_LOAD_SANDBOXES,
    SQL_LOAD_ENDED_SANDBOXES,
    SQL_LOAD_UNREMOVED_SANDBOXES,
    SQL_LOAD_SESSIONS,
    SQL_LOAD_EXECUTIONS,
    SQL_LOAD_CALLBACKS,
    /* retention */
    SQL_USED_BYTES,
    SQL_COUNT_ENDED,
    SQL_PICK_OLDEST,
    SQL_PICK_OLD_SESSION,
    SQL_FEED_BYTES,
    SQL_NEXT_BLOB,
    SQL_PICK_LONG_SESSION,
    SQL_TRIM_SESSION,
    SQL_PICK_HOLDER,
    SQL_DROP_EXECUTION,
    SQL_DROP_CALLBACK,
    SQL_DROP_SESSION,
    SQL_DROP_SANDBOXES,
    SQL_ADD_REMOVED,
    SQL_PICK_REMOVED,
    SQL_DROP_EVENTS,
    SQL_DROP_HEADS,
    SQL_DROP_BLOBS,
    SQL_DROP_REMOVED,
    SQL_N
};

struct sql {
    sqlite3 *db;
    sqlite3_stmt *kept[SQL_N]; /* prepared at first use */
};

/* Opens the file (made with mode 0600 when it is not there). Changes nothing in it. */
int sql_open(struct sql *s, const char *path, struct err *e);
void sql_close(struct sql *s); /* also one that was never opened (all zero) */
/* WAL and the other pragmas; read_only: this connection refuses to write. */
int sql_tune(struct sql *s, bool read_only, struct err *e);

/* Sets e from the connection's last error: "disk is full", … Returns -1. */
int sql_error(struct sql *s, const char *doing, struct err *e);

int sql_exec(struct sql *s, const char *text, struct err *e);
/* The kept statement, reset, ready to be bound; every parameter must be bound again. */
int sql_use(struct sql *s, enum sql_statement which, sqlite3_stmt **ret, struct err *e);
/* 1: a row, 0: done (and reset), -1: failed (and reset). */
int sql_step(struct sql *s, sqlite3_stmt *stmt, struct err *e);
/* A statement without parameters and rows. */
int sql_run(struct sql *s, enum sql_statement which, struct err *e);

extern const char *const SQL_TEXT[SQL_N];

/* Bound bytes are borrowed until the statement is done. */
void sql_bind_text(sqlite3_stmt *stmt, int at, const char *text);      /* NULL: NULL */
void sql_bind_slice(sqlite3_stmt *stmt, int at, struct slice text);    /* data NULL: NULL */
void sql_bind_uuid(sqlite3_stmt *stmt, int at, const struct uuid *id); /* none: NULL */
void sql_bind_int(sqlite3_stmt *stmt, int at, int64_t n);
void sql_bind_time(sqlite3_stmt *stmt, int at, int64_t unix_us); /* 0: NULL */

/* Good until the next step. */
const char *sql_text(sqlite3_stmt *stmt, int at); /* NULL: NULL */
struct slice sql_slice(sqlite3_stmt *stmt, int at);
struct uuid sql_uuid(sqlite3_stmt *stmt, int at);

#endif
