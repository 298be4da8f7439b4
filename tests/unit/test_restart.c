#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cmd/restart.h"

static void the_first_death_is_answered_at_once(void **state)
{
    struct restart r = { 0 };
    restart_started(&r, 1000);
    assert_int_equal(restart_after_death(&r, false, 1001), 0);
}

static void one_death_after_the_other_is_answered_later_and_later(void **state)
{
    static const int64_t WAITS_MS[] = { 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };
    struct restart r = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(WAITS_MS); i++) {
        restart_started(&r, 1000);
        assert_int_equal(restart_after_death(&r, false, 1001), WAITS_MS[i]);
    }
    r.deaths = 4000000000u;
    assert_int_equal(restart_after_death(&r, false, 1001), 5000);
}

static void a_second_of_life_forgets_the_deaths_before(void **state)
{
    struct restart r = { 0 };
    for (int i = 0; i < 5; i++) {
        restart_started(&r, 1000);
        (void)restart_after_death(&r, false, 1999);
    }
    restart_started(&r, 1000);
    assert_int_equal(restart_after_death(&r, false, 2000), 0);
    restart_started(&r, 11000);
    assert_int_equal(restart_after_death(&r, false, 11001), 100);
}

static void an_end_that_was_asked_for_is_no_death(void **state)
{
    struct restart r = { 0 };
    restart_started(&r, 1000);
    (void)restart_after_death(&r, false, 1001);
    restart_started(&r, 1000);
    assert_int_equal(restart_after_death(&r, true, 2000), 0);
    assert_int_equal(r.deaths, 1);
    assert_int_equal(restart_after_death(&r, true, 1999), 100); /* else it could spin */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_death_is_answered_at_once),
        cmocka_unit_test(one_death_after_the_other_is_answered_later_and_later),
        cmocka_unit_test(a_second_of_life_forgets_the_deaths_before),
        cmocka_unit_test(an_end_that_was_asked_for_is_no_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
