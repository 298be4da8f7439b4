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

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(an_end_and_its_finished_are_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
