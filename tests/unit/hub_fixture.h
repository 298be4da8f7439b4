/* hub_fixture.h - a whole hub in a directory of its own, without keeper and sandboxes: what is submitted waits. */
#ifndef TESTS_HUB_FIXTURE_H
#define TESTS_HUB_FIXTURE_H

#include "kernelhub/catalog.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/sql.h"
#include "tests/unit/store_fixture.h"

#include <sys/stat.h>

struct hub_fixture {
    struct fixture base; /* its store is the hub's */
    struct config *config;
    struct hub *hub;
    struct user *user;
};

static inline void hub_fixture_open(struct hub_fixture *f)
{
    static const char IMAGES[] =
        "{\"images\":[{\"template\":\"slim\",\"image\":\"slim\",\"digest\":\"sha256:0\",\"kernelspecs\":{\"python3\":{"
        "\"argv\":[\"python3\"],\"language\":\"python\",\"display_name\":\"Python\"}}}]}";
    struct err e = ERR_INIT;
    char key[USER_KEY_CHARS + 1];
    f->base.loop = loop_new();
    if (hub_new(f->config, f->base.loop, key, sizeof key, &f->hub, &e) < 0)
        fail_msg("%s", e.text);
    f->base.store = f->hub->store;
    catalog_load(f->hub->catalog, slice_str(IMAGES));
    f->user = user_find(f->hub, "admin");
    assert_non_null(f->user);
}

/* Nothing is queued any more, and what was taken out of the tables is freed. */
static inline void hub_fixture_settle(struct hub_fixture *f)
{
    int never = 0;
    do
        fixture_run_for(&f->base, &never, 1, 5);
    while (store_queued(f->hub->store));
    fixture_run_for(&f->base, &never, 1, 5);
}

static inline void hub_fixture_close(struct hub_fixture *f)
{
    hub_fixture_settle(f);
    hub_free(f->hub);
    loop_free(f->base.loop);
}

static inline void hub_fixture_reopen(struct hub_fixture *f)
{
    hub_fixture_close(f);
    hub_fixture_open(f);
}

static inline int hub_fixture_setup(void **state)
{
    struct hub_fixture *f = zmalloc(sizeof *f);
    struct err e = ERR_INIT;
    char hub[160];
    assert_non_null(mkdtemp(scratch_path(f->base.dir, sizeof f->base.dir, "hub-XXXXXX")));
    snprintf(hub, sizeof hub, "%s/hub", f->base.dir);
    assert_int_equal(mkdir(hub, 0700), 0);
    f->config = config_new();
    assert_int_equal(config_set(f->config, "paths/state", f->base.dir, "test", &e), 0);
    assert_int_equal(config_set(f->config, "paths/run", f->base.dir, "test", &e), 0);
    assert_int_equal(config_set(f->config, "limits/max_sessions", "3", "test", &e), 0);
    assert_int_equal(config_set(f->config, "limits/watched_folders", "0", "test", &e), 0);
    hub_fixture_open(f);
    *state = f;
    return 0;
}

static inline int hub_fixture_teardown(void **state)
{
    struct hub_fixture *f = *state;
    hub_fixture_close(f);
    config_free(f->config);
    (void)nftw(f->base.dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS); /* tests/in-scratch sees what is left */
    free(f);
    return 0;
}

/* The first number of a query on a connection of its own: what a hub that comes after us would see. */
static inline int64_t hub_fixture_ask(struct hub_fixture *f, const char *text)
{
    struct sql s;
    struct err e = ERR_INIT;
    char path[160];
    sqlite3_stmt *stmt = NULL;
    snprintf(path, sizeof path, "%s/hub/kernelhub.db", f->base.dir);
    assert_int_equal(sql_open(&s, path, &e), 0);
    assert_int_equal(sqlite3_prepare_v2(s.db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    sql_close(&s);
    return n;
}

/* Of a hub that is closed. */
static inline void hub_fixture_sql(struct hub_fixture *f, const char *text)
{
    struct sql s;
    struct err e = ERR_INIT;
    char path[160];
    snprintf(path, sizeof path, "%s/hub/kernelhub.db", f->base.dir);
    assert_int_equal(sql_open(&s, path, &e), 0);
    if (sql_exec(&s, text, &e) < 0)
        fail_msg("%s", e.text);
    sql_close(&s);
}

/* What execution_submit answers. */
static inline void hub_fixture_submit(struct hub_fixture *f, struct execution_request r, struct got *g)
{
    if (!r.code.len && !r.command.len)
        r.code = SLICE_LITERAL("1+1");
    g->came = 0;
    execution_submit(f->hub, f->user, &r, got_json, g);
    fixture_run(&f->base, &g->came, 1);
}

static inline struct uuid hub_fixture_id_of(const struct got *g)
{
    struct slice text;
    struct uuid id;
    assert_string_equal(g->error, "");
    assert_true(json_member_string(slice_str(g->text), "execution_id", &text) && uuid_parse(text, &id));
    return id;
}

#endif
