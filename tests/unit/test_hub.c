/* The hub as a whole: what it commits, what it gives up, what it takes over. */
#include "hub_fixture.h"

#define ENDED    "SELECT count(*) FROM executions WHERE status = 'cancelled'"
#define FINISHED "SELECT count(*) FROM events WHERE type = 'finished'"

static void cancel(struct hub_fixture *f, const struct uuid *id, struct got *g)
{
    g->came = 0;
    execution_cancel(f->hub, f->user, id, got_json, g);
    assert_int_equal(g->came, 1);
    assert_string_equal(g->error, "");
}

static void an_end_and_its_finished_are_one_commit(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    struct uuid id = hub_fixture_id_of(&g);
    hub_fixture_settle(f);
    cancel(f, &id, &g);
    /* what nothing holds back is committed before the verb returns: here a hub may be killed */
    assert_int_equal(hub_fixture_ask(f, ENDED), 1);
    assert_int_equal(hub_fixture_ask(f, FINISHED), 1);
    got_done(&g);
}

#define OPEN "SELECT count(*) FROM sessions WHERE ended_us IS NULL"

static void run_on_time(struct hub_fixture *f, int ms)
{
    int never = 0;
    fixture_run_for(&f->base, &never, 1, ms);
}

/* Neither of these ends by a LINK_END. */
static void an_ephemeral_session_goes_with_its_execution_however_that_ends(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct execution_request r = { .not_persistent = true };
    hub_fixture_submit(f, r, &g);
    struct uuid id = hub_fixture_id_of(&g);
    cancel(f, &id, &g);
    r.queue_timeout_seconds = 0.01;
    hub_fixture_submit(f, r, &g);
    (void)hub_fixture_id_of(&g);
    run_on_time(f, 30);
    r.queue_timeout_seconds = 0;
    hub_fixture_submit(f, r, &g);
    id = hub_fixture_id_of(&g);
    struct execution *x = zhashx_lookup(f->hub->executions, id.text);
    struct err why;
    (void)err_set(&why, ERR_KERNEL_DIED, "the kernel died while starting");
    session_kernel_failed(x->session, &why);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 0);
    assert_int_equal(hub_fixture_ask(f, OPEN), 0);
    got_done(&g);
}

/* A hub that dies between the commit of an end and that of its session's leaves this. */
static void an_ephemeral_session_without_its_execution_is_not_taken_over(void **state)
{
    struct hub_fixture *f = *state;
    struct session_row row = { .feed = store_next_feed(f->hub->store),
                               .user_id = f->user->id,
                               .name = "once-1",
                               .language = "python",
                               .kernelspec = "python3",
                               .template_name = "slim",
                               .ephemeral = true,
                               .created_us = hub_unix_us() };
    store_put_session(f->hub->store, &row, NULL, NULL);
    hub_fixture_reopen(f);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 0);
    assert_int_equal(hub_fixture_ask(f, OPEN), 0);
}

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(an_end_and_its_finished_are_one_commit),
        WITH_HUB(an_ephemeral_session_goes_with_its_execution_however_that_ends),
        WITH_HUB(an_ephemeral_session_without_its_execution_is_not_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
