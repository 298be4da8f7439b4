/* What retention costs, and what it does with sessions. */
#include "kernelhub/sql.h"
#include "store_fixture.h"

static void open_sql(struct fixture *f, struct sql *ret)
{
    struct err e = ERR_INIT;
    char path[160];
    snprintf(path, sizeof path, "%s/kernelhub.db", f->dir);
    assert_int_equal(sql_open(ret, path, &e), 0);
}

static void run_sql(struct fixture *f, const char *text)
{
    struct sql s = { 0 };
    struct err e = ERR_INIT;
    open_sql(f, &s);
    if (sql_exec(&s, text, &e) < 0)
        fail_msg("%s", e.text);
    sql_close(&s);
}

static int64_t ask(struct fixture *f, const char *text)
{
    struct sql s = { 0 };
    sqlite3_stmt *stmt = NULL;
    open_sql(f, &s);
    assert_int_equal(sqlite3_prepare_v2(s.db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    sql_close(&s);
    return n;
}

static void wait_until_retained(struct fixture *f, struct store_retention limits)
{
    store_retain(f->store, &limits);
    for (int i = 0; i < 50; i++) /* one step a turn; they go on by themselves */
        fixture_flush(f);
}

/* 100,000 ended sessions of three events each. */
#define MANY_ENDED                                                                                 \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"             \
    " INSERT INTO sessions (feed, user_id, name, ephemeral, created_us, ended_us)"                 \
    " SELECT 1000000 + i, 'u', 's', 0, i, 1000000000000 + i FROM n;"                               \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"             \
    " INSERT INTO events (feed, seq, head, type, ts_us, body)"                                     \
    " SELECT 1000000 + i, k.column1, 1, 'kernel_status', 1, '' FROM n, (VALUES (1), (2), (3)) k;"

/* How many steps of SQLite's machine the statement takes; ?1 is bound to n, ?2 to 200. */
static int steps_of(struct fixture *f, enum sql_statement which, int64_t n, int *ret_rows)
{
    struct sql s = { 0 };
    sqlite3_stmt *stmt = NULL;
    open_sql(f, &s);
    assert_int_equal(sqlite3_prepare_v2(s.db, SQL_TEXT[which], -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_int64(stmt, 1, n), SQLITE_OK);
    assert_int_equal(sqlite3_bind_int64(stmt, 2, 200), SQLITE_OK);
    for (*ret_rows = 0; sqlite3_step(stmt) == SQLITE_ROW; ++*ret_rows)
        ;
    int steps = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 0);
    (void)sqlite3_finalize(stmt);
    sql_close(&s);
    return steps;
}

static void sessions_that_have_ended_cost_nothing(void **state)
{
    struct fixture *f = *state;
    int rows;
    run_sql(f, MANY_ENDED);
    run_sql(f, "INSERT INTO sessions (feed, user_id, name, ephemeral, created_us, ended_us)"
               " VALUES (1, 'u', 'old', 0, 1, 2), (2, 'u', 'open', 0, 1, NULL);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
               " INSERT INTO events (feed, seq, head, type, ts_us, body)"
               " SELECT 2, i, 1, 'kernel_status', 1, '' FROM n;");
    assert_in_range(steps_of(f, SQL_PICK_LONG_SESSION, 1000, &rows), 1, 500);
    assert_int_equal(rows, 1);
    assert_in_range(steps_of(f, SQL_PICK_OLD_SESSION, 1000, &rows), 1, 500);
    assert_int_equal(rows, 1);
}

static void an_open_session_keeps_its_newest_events(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO sessions (feed, user_id, name, ephemeral, created_us, ended_us)"
               " VALUES (1, 'u', 'a', 0, 1, NULL), (2, 'u', 'b', 0, 1, NULL);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
               " INSERT INTO events (feed, seq, head, type, ts_us, body)"
               " SELECT 1, i, 1, 'kernel_status', 1, '' FROM n;"
               "INSERT INTO events (feed, seq, head, type, ts_us, body)"
               " VALUES (2, 1, 1, 'kernel_status', 1, '')");
    wait_until_retained(f, (struct store_retention){ .max_days = 10 });
    assert_int_equal(ask(f, "SELECT count(*) FROM events WHERE feed = 1"), 1000);
    assert_int_equal(ask(f, "SELECT min(seq) FROM events WHERE feed = 1"), 201);
    assert_int_equal(ask(f, "SELECT count(*) FROM events WHERE feed = 2"), 1);
}

static int64_t add_run(struct fixture *f, unsigned n, bool ephemeral, int64_t ended_us)
{
    struct session_row session = { .feed = store_next_feed(f->store),
                                   .user_id = fixture_id(500),
                                   .name = "s",
                                   .ephemeral = ephemeral,
                                   .created_us = 1,
                                   .ended_us = ended_us };
    store_put_session(f->store, &session, NULL, NULL);
    struct event_head head = fixture_head(n, EVENT_KERNEL_STATUS);
    store_add_event(f->store, session.feed, &head, SLICE_LITERAL(""), (struct store_mark){ 0 },
                    false, NULL, NULL);
    struct execution_row row = fixture_execution(f->store, n);
    row.session_feed = session.feed;
    row.status = STATUS_OK;
    row.finished_us = row.created_us;
    store_insert_execution(f->store, &row, NULL, NULL);
    return session.feed;
}

static void an_ephemeral_session_goes_with_its_execution(void **state)
{
    struct fixture *f = *state;
    int64_t now_us = zclock_time() * 1000;
    char question[200];
    int64_t gone = add_run(f, 1, true, now_us);
    add_run(f, 2, false, now_us); /* others of this one may be there still */
    add_run(f, 3, true, 0);       /* not ended yet */
    add_run(f, 4, true, now_us);
    wait_until_retained(f, (struct store_retention){ .max_executions = 1 });
    assert_int_equal(ask(f, "SELECT count(*) FROM executions"), 1);
    assert_int_equal(ask(f, "SELECT count(*) FROM sessions"), 3);
    snprintf(question, sizeof question,
             "SELECT (SELECT count(*) FROM events WHERE feed = %lld) + (SELECT count(*) FROM "
             "sessions WHERE feed = %lld)",
             (long long)gone, (long long)gone);
    assert_int_equal(ask(f, question), 0);
}

/* What a store of before version 5 has kept. */
static void ephemeral_sessions_without_execution_go_in_the_upgrade(void **state)
{
    struct fixture *f = *state;
    int64_t now_us = zclock_time() * 1000;
    add_run(f, 1, true, now_us);
    add_run(f, 2, true, now_us);
    add_run(f, 3, true, 0);
    add_run(f, 4, false, now_us);
    fixture_close(f);
    run_sql(f, "DELETE FROM executions WHERE id NOT LIKE '00000002%';"
               "DROP INDEX sessions_ended; ALTER TABLE sessions DROP COLUMN jupyter; PRAGMA "
               "user_version=4");
    fixture_open(f);
    wait_until_retained(f, (struct store_retention){ .max_executions = 10 });
    assert_int_equal(ask(f, "SELECT count(*) FROM sessions"), 3);
    assert_int_equal(ask(f, "SELECT count(*) FROM events"), 3);
    assert_int_equal(ask(f, "SELECT count(*) FROM removed"), 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(sessions_that_have_ended_cost_nothing),
        WITH_STORE(an_open_session_keeps_its_newest_events),
        WITH_STORE(an_ephemeral_session_goes_with_its_execution),
        WITH_STORE(ephemeral_sessions_without_execution_go_in_the_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
