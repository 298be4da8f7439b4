/* Jupyter's clients inside the hub: what they ask, and what is kept of it. */
#include "hub_fixture.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/wait.h"

/* Whoever asked for a kernel has gone, it has not started yet: the next hub goes on with it. */
static void a_start_that_nobody_waits_for_outlives_the_hub(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    const struct jupyter_wish wish = { .kernel_name = "python3" };
    struct wait *w = jupyter_start_kernel(f->hub, f->user, &wish, got_json, &g);
    assert_non_null(w);
    wait_cancel(w);
    hub_fixture_reopen(f);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_int_equal(g.came, 0);
}

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(a_start_that_nobody_waits_for_outlives_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
