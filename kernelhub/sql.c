#include "kernelhub/sql.h"

#include <assert.h>
#include <fcntl.h>

#include "base/cleanup.h"

#define BUSY_MS 5000 /* our own connections wait for each other; nobody else has the file (flock) */

int sql_open(struct sql *s, const char *path, struct err *e)
{
    *s = (struct sql){ 0 };
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* SQLite would say 0644 */
    if (fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "open %s", path);
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        err_set(e, ERR_UNAVAILABLE, "open %s: %s", path, sqlite3_errstr(rc));
        sql_close(s);
        return -1;
    }
    (void)sqlite3_extended_result_codes(s->db, 1); /* fails only without a connection */
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    return 0;
}

void sql_close(struct sql *s)
{
    for (int i = 0; i < SQL_N; i++)
        (void)sqlite3_finalize(s->kept[i]); /* repeats the error of the last step */
    if (s->db)
        (void)sqlite3_close(s->db); /* fails only with statements left open */
    *s = (struct sql){ 0 };
}

int sql_tune(struct sql *s, bool read_only, struct err *e)
{
    /* NORMAL: survives kill -9; power loss may cost the last moments, never the file. */
    static const char PRAGMAS[] = "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"
                                  "PRAGMA journal_size_limit=67108864;"
                                  "PRAGMA cache_size=-8192; PRAGMA trusted_schema=OFF;";
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &stmt, NULL) != SQLITE_OK)
        return sql_error(s, "set WAL", e);
    int row = sqlite3_step(stmt);
    bool wal = row == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
    (void)sqlite3_finalize(stmt); /* row says it */
    if (!wal)
        return row == SQLITE_ROW ? err_set(e, ERR_UNAVAILABLE,
                                           "this file system cannot hold a database in WAL mode")
                                 : sql_error(s, "set WAL", e);
    if (sql_exec(s, PRAGMAS, e) < 0)
        return -1;
    return read_only ? sql_exec(s, "PRAGMA query_only=1", e) : 0;
}

/* What the system said. A call that went well after the failed one makes SQLite forget it, but each file remembers. */
static int last_errno(sqlite3 *db)
{
    int number = sqlite3_system_errno(db);
    sqlite3_file *wal = NULL;
    if (!number &&
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK && wal &&
        wal->pMethods)
        (void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO,
                                          &number); /* else it stays 0 */
    if (!number)
        (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number); /* the same */
    return number;
}

int sql_error(struct sql *s, const char *doing, struct err *e)
{
    int rc = sqlite3_extended_errcode(s->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return err_set(e, ERR_UNAVAILABLE, "%s: the disk is full", doing);
    case SQLITE_READONLY:
        return err_set(e, ERR_UNAVAILABLE, "%s: the database is read-only", doing);
    case SQLITE_IOERR: {
        int number = last_errno(s->db);
        return number
                   ? err_set(e, ERR_UNAVAILABLE, "%s: disk I/O error: %s", doing, strerror(number))
                   : err_set(e, ERR_UNAVAILABLE, "%s: disk I/O error (SQLite's code %d)", doing,
                             rc);
    }
    case SQLITE_NOTADB:
        return err_set(e, ERR_UNAVAILABLE, "%s: this file is no SQLite database", doing);
    case SQLITE_CORRUPT:
        return err_set(e, ERR_UNAVAILABLE, "%s: the database is damaged (%s)", doing,
                       sqlite3_errmsg(s->db));
    default:
        return err_set(e, ERR_INTERNAL, "%s: %s", doing, sqlite3_errmsg(s->db));
    }
}

int sql_exec(struct sql *s, const char *text, struct err *e)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                    : sql_error(s, "database", e);
}

int sql_use(struct sql *s, enum sql_statement which, sqlite3_stmt **ret, struct err *e)
{
    sqlite3_stmt **kept = &s->kept[which];
    if (*kept)
        (void)sqlite3_reset(*kept); /* repeats the error of the last step */
    else if (sqlite3_prepare_v3(s->db, SQL_TEXT[which], -1, SQLITE_PREPARE_PERSISTENT, kept,
                                NULL) != SQLITE_OK)
        return sql_error(s, "database", e);
    *ret = *kept;
    return 0;
}

int sql_step(struct sql *s, sqlite3_stmt *stmt, struct err *e)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 1;
    int ret = rc == SQLITE_DONE ? 0 : sql_error(s, "database", e);
    (void)sqlite3_reset(stmt); /* repeats the error we have just reported */
    return ret;
}

int sql_run(struct sql *s, enum sql_statement which, struct err *e)
{
    sqlite3_stmt *stmt;
    if (sql_use(s, which, &stmt, e) < 0)
        return -1;
    return sql_step(s, stmt, e) < 0 ? -1 : 0;
}

/* Binding fails only for a parameter that is not there, a bug of ours, or for text above SQLite's 1 GB, which then
 * stays NULL and is caught by a NOT NULL column. */
static void bound(int rc)
{
    assert(rc == SQLITE_OK || rc == SQLITE_TOOBIG);
}

void sql_bind_slice(sqlite3_stmt *stmt, int at, struct slice text)
{
    if (text.data)
        bound(sqlite3_bind_text64(stmt, at, text.data, text.len, SQLITE_STATIC, SQLITE_UTF8));
    else
        bound(sqlite3_bind_null(stmt, at));
}

void sql_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    sql_bind_slice(stmt, at, slice_str(text));
}

void sql_bind_uuid(sqlite3_stmt *stmt, int at, const struct uuid *id)
{
    sql_bind_text(stmt, at, uuid_is_set(id) ? id->text : NULL);
}

void sql_bind_int(sqlite3_stmt *stmt, int at, int64_t n)
{
    bound(sqlite3_bind_int64(stmt, at, n));
}

void sql_bind_time(sqlite3_stmt *stmt, int at, int64_t unix_us)
{
    bound(unix_us ? sqlite3_bind_int64(stmt, at, unix_us) : sqlite3_bind_null(stmt, at));
}

const char *sql_text(sqlite3_stmt *stmt, int at)
{
    return (const char *)sqlite3_column_text(stmt, at);
}

struct slice sql_slice(sqlite3_stmt *stmt, int at)
{
    const void *text = sqlite3_column_text(stmt, at); /* before the length: it may convert */
    return slice_of(text, (size_t)sqlite3_column_bytes(stmt, at));
}

struct uuid sql_uuid(sqlite3_stmt *stmt, int at)
{
    struct uuid id = { "" };
    (void)uuid_parse(sql_slice(stmt, at), &id); /* NULL: none */
    return id;
}
