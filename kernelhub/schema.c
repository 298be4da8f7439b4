#include "kernelhub/schema.h"

#include <stdio.h>

#include "base/cleanup.h"

/* Never change a step that was released: add one. Times are unix µs; ids are the 36 characters of a UUID; statuses and
 * types are their names of API.md.
 *
 * events: `head` names the row of `heads` that holds execution, session and kernel of the line, as they were at that moment; so a
 * line is written again byte for byte. A body above STORE_BODY_BYTES stands in the feed's blob file instead.
 * executions.input: JSON of the hub, which input_request waits and how far stdin is used.
 * removed: feeds whose rows retention has still to delete. */
static const struct {
    int version;
    const char *sql;
} STEPS[] = {
    { 1,
      "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, admin INTEGER NOT NULL, "
      "created_us INTEGER,"
      "  removed_us INTEGER) WITHOUT ROWID;"
      "CREATE TABLE keys (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT, prefix TEXT, hash "
      "BLOB NOT NULL,"
      "  created_us INTEGER, last_used_us INTEGER, expires_us INTEGER, revoked_us INTEGER) WITHOUT "
      "ROWID;"
      "CREATE TABLE sandboxes (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT, "
      "template_name TEXT, image TEXT,"
      "  digest TEXT, epoch TEXT, last_number INTEGER NOT NULL, created_us INTEGER, ended_us "
      "INTEGER,"
      "  end_reason TEXT) WITHOUT ROWID;"
      "CREATE TABLE sessions (feed INTEGER PRIMARY KEY, user_id TEXT NOT NULL, kernel_id TEXT, "
      "sandbox_id TEXT,"
      "  name TEXT NOT NULL, language TEXT, kernelspec TEXT, template_name TEXT, ephemeral INTEGER "
      "NOT NULL,"
      "  created_us INTEGER, ended_us INTEGER);"
      "CREATE INDEX sessions_open ON sessions (feed) WHERE ended_us IS NULL;"
      "CREATE TABLE executions (feed INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_id TEXT "
      "NOT NULL,"
      "  kernel_id TEXT, sandbox_id TEXT, replay_of TEXT, session TEXT, session_feed INTEGER, "
      "language TEXT, client TEXT,"
      "  code TEXT NOT NULL, labels TEXT, options TEXT, reply TEXT, status TEXT NOT NULL, epoch "
      "TEXT, created_us INTEGER,"
      "  started_us INTEGER, finished_us INTEGER, execution_count INTEGER, result TEXT, error TEXT,"
      "  dropped_bytes INTEGER NOT NULL, dropped_messages INTEGER NOT NULL);"
      "CREATE INDEX executions_user ON executions (user_id, feed);"
      "CREATE INDEX executions_open ON executions (feed) WHERE status IN "
      "('queued','running','waiting_input');"
      "CREATE TABLE heads (feed INTEGER NOT NULL, head INTEGER NOT NULL, execution_id TEXT, "
      "session TEXT, kernel_id TEXT,"
      "  PRIMARY KEY (feed, head)) WITHOUT ROWID;"
      "CREATE TABLE events (feed INTEGER NOT NULL, seq INTEGER NOT NULL, head INTEGER NOT NULL, "
      "type TEXT NOT NULL,"
      "  ts_us INTEGER NOT NULL, body TEXT, blob_offset INTEGER, blob_bytes INTEGER,"
      "  PRIMARY KEY (feed, seq)) WITHOUT ROWID;"
      "CREATE TABLE blobs (feed INTEGER NOT NULL, n INTEGER NOT NULL, media_type TEXT NOT NULL,"
      "  blob_offset INTEGER NOT NULL, blob_bytes INTEGER NOT NULL, PRIMARY KEY (feed, n)) WITHOUT "
      "ROWID;"
      "CREATE TABLE removed (feed INTEGER PRIMARY KEY);" },
    { 2, "ALTER TABLE executions ADD COLUMN input TEXT;" },
    /* leases: what a sandbox was asked for (the hub's own JSON), whose files it sees, its last use as far as
     * it was noted; the named sandbox that a session belongs to (NULL: the default one of its template) */
    { 3, "ALTER TABLE sandboxes ADD COLUMN options TEXT;"
         "ALTER TABLE sandboxes ADD COLUMN workspace TEXT;"
         "ALTER TABLE sandboxes ADD COLUMN used_us INTEGER;"
         "ALTER TABLE sessions ADD COLUMN home TEXT;" },
    { 4,
      "ALTER TABLE users ADD COLUMN callback_generation INTEGER NOT NULL DEFAULT 0;"
      "CREATE TABLE callbacks (feed INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, user_id TEXT "
      "NOT NULL,"
      "  message_id TEXT NOT NULL, url TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT "
      "NULL,"
      "  next_us INTEGER, first_us INTEGER, done_us INTEGER, last_error TEXT);"
      "CREATE INDEX callbacks_pending ON callbacks (feed) WHERE status = 'pending';" },
    /* an ephemeral session goes with its execution from now on: those whose execution is gone already */
    { 5, "CREATE INDEX sessions_ended ON sessions (ended_us) WHERE ended_us IS NOT NULL;"
         "INSERT OR IGNORE INTO removed (feed) SELECT feed FROM sessions"
         "  WHERE ephemeral AND ended_us IS NOT NULL AND feed NOT IN"
         "  (SELECT session_feed FROM executions WHERE session_feed IS NOT NULL);"
         "DELETE FROM sessions WHERE feed IN (SELECT feed FROM removed);" },
    { 6, "ALTER TABLE sessions ADD COLUMN jupyter TEXT;" },
};

int schema_version(void)
{
    return STEPS[ARRAY_LEN(STEPS) - 1].version;
}

/* The first column of the first row, as a number. */
static int read_number(struct sql *s, const char *text, int64_t *ret, struct err *e)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(s->db, text, -1, &stmt, NULL) != SQLITE_OK)
        return sql_error(s, "read", e);
    int rc = sqlite3_step(stmt);
    int failed = rc == SQLITE_ROW ? 0 : sql_error(s, "read", e);
    if (!failed)
        *ret = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt); /* repeats the error of the step */
    return failed;
}

static int check(struct sql *s, const char *path, struct err *e)
{
    int64_t id, version, tables;
    if (read_number(s, "PRAGMA application_id", &id, e) < 0 ||
        read_number(s, "PRAGMA user_version", &version, e) < 0 ||
        read_number(s, "SELECT count(*) FROM sqlite_schema", &tables, e) < 0)
        return -1;
    if (id != SCHEMA_APPLICATION_ID && (id != 0 || version != 0 || tables != 0))
        return err_set(e, ERR_UNAVAILABLE,
                       "%s is a database of another program; it was not touched", path);
    if (version > schema_version())
        return err_set(e, ERR_UNAVAILABLE,
                       "%s was written by a newer Kernelhub (its version is %lld, this program "
                       "knows up to %d); "
                       "start that one, or bring back the copy made before the upgrade",
                       path, (long long)version, schema_version());
    return 0;
}

int schema_check(struct sql *s, const char *path, struct err *e)
{
    struct err inner = ERR_INIT;
    if (check(s, path, &inner) == 0)
        return 0;
    return strstr(inner.text, path) ? err_set(e, inner.code, "%s", inner.text)
                                    : err_set(e, inner.code, "%s: %s", path, inner.text);
}

static int run_steps(struct sql *s, int64_t version, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++)
        if (STEPS[i].version > version && sql_exec(s, STEPS[i].sql, e) < 0)
            return -1;
    char stamp[96];
    (void)snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                   SCHEMA_APPLICATION_ID, schema_version()); /* fits */
    return sql_exec(s, stamp, e);
}

int schema_migrate(struct sql *s, const char *path, struct err *e)
{
    int64_t version;
    if (read_number(s, "PRAGMA user_version", &version, e) < 0)
        return -1;
    if (version == schema_version())
        return 0;
    if (sql_exec(s, "BEGIN EXCLUSIVE", e) < 0 || run_steps(s, version, e) < 0 ||
        sql_exec(s, "COMMIT", e) < 0) {
        if (!sqlite3_get_autocommit(s->db))
            (void)sql_exec(s, "ROLLBACK", NULL); /* e has the story */
        char doing[300];
        (void)snprintf(doing, sizeof doing, "bring %.200s to version %d", path, schema_version());
        return err_in(e, doing);
    }
    return 0;
}
