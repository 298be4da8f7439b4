#include "kernelhub/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define S  1000000ll
#define T0 (1700000000 * S)

static const struct lease_hold NOTHING;
static const struct lease IDLE_30 = { .begun_us = T0, .idle_seconds = 30, .used_us = T0 };
static const struct lease TTL_60 = {
    .begun_us = T0, .ttl_seconds = 60, .idle_seconds = 1000, .used_us = T0
};

static void check(const struct lease *l, struct lease_hold hold, int64_t at_s,
                  enum lease_state state, int64_t next_s)
{
    int64_t next;
    assert_int_equal(lease_check(l, hold, T0 + at_s * S, &next), state);
    if (state == LEASE_GOOD || state == LEASE_HELD)
        assert_int_equal(next - T0, next_s * S);
}

static void idle_time_counts_from_the_last_use(void **state)
{
    struct lease l = IDLE_30;
    check(&l, NOTHING, 0, LEASE_GOOD, 30);
    check(&l, NOTHING, 29, LEASE_GOOD, 30);
    check(&l, NOTHING, 30, LEASE_IDLE, 0);
    l.used_us = T0 + 20 * S;
    check(&l, NOTHING, 30, LEASE_GOOD, 50);
    check(&l, NOTHING, 50, LEASE_IDLE, 0);
}

static void an_attached_client_holds_the_idle_limit_off_for_ever(void **state)
{
    struct lease_hold client = { .in_use = true };
    check(&IDLE_30, client, 30, LEASE_GOOD, 60);
    check(&IDLE_30, client, 100000, LEASE_GOOD, 100030);
}

static void an_attached_client_does_not_hold_the_hard_lease_off(void **state)
{
    struct lease_hold client = { .in_use = true };
    check(&TTL_60, client, 59, LEASE_GOOD, 60);
    check(&TTL_60, client, 60, LEASE_OVER, 0);
}

static void a_running_cell_holds_both_off_up_to_its_own_timeout(void **state)
{
    struct lease_hold cell = { .runs_until_us = T0 + 90 * S };
    check(&IDLE_30, cell, 31, LEASE_GOOD, 61);
    check(&IDLE_30, cell, 90, LEASE_IDLE, 0);
    check(&TTL_60, cell, 59, LEASE_GOOD, 60);
    check(&TTL_60, cell, 60, LEASE_HELD, 90);
    check(&TTL_60, cell, 89, LEASE_HELD, 90);
    check(&TTL_60, cell, 90, LEASE_OVER, 0);
}

static void the_hard_lease_counts_from_its_beginning_whatever_is_called(void **state)
{
    struct lease l = TTL_60;
    l.used_us = T0 + 59 * S;
    check(&l, NOTHING, 59, LEASE_GOOD, 60);
    check(&l, NOTHING, 60, LEASE_OVER, 0);
    l.begun_us = T0 + 59 * S; /* extended */
    check(&l, NOTHING, 60, LEASE_GOOD, 119);
}

static void the_next_look_is_never_in_the_past(void **state)
{
    for (int64_t at = 0; at < 200; at++) {
        int64_t next;
        for (int held = 0; held < 2; held++) {
            struct lease_hold hold = { .in_use = held, .runs_until_us = T0 + 70 * S };
            enum lease_state s = lease_check(&TTL_60, hold, T0 + at * S, &next);
            assert_true(s == LEASE_OVER || next > T0 + at * S);
        }
    }
}

static void expiry_is_the_earlier_of_both_and_unknown_while_held_without_a_hard_lease(void **state)
{
    struct lease_hold client = { .in_use = true };
    assert_int_equal(lease_expires_us(&IDLE_30, NOTHING, T0), T0 + 30 * S);
    assert_int_equal(lease_expires_us(&IDLE_30, client, T0), 0);
    assert_int_equal(lease_expires_us(&TTL_60, client, T0), T0 + 60 * S);
    struct lease both = TTL_60;
    both.idle_seconds = 10;
    assert_int_equal(lease_expires_us(&both, NOTHING, T0), T0 + 10 * S);
}

static void says(int64_t seconds, const char *text)
{
    char ret[48];
    lease_write_seconds(seconds, ret, sizeof ret);
    assert_string_equal(ret, text);
}

static void durations_are_said_as_people_say_them(void **state)
{
    says(1, "1 s");
    says(59, "59 s");
    says(60, "1 min");
    says(90, "90 s");
    says(1800, "30 min");
    says(7200, "2 h");
    says(5400, "1 h 30 min");
}

static void the_reason_names_the_limit(void **state)
{
    char text[80];
    struct lease l = { .idle_seconds = 1800, .ttl_seconds = 7200 };
    lease_write_reason(&l, LEASE_IDLE, text, sizeof text);
    assert_string_equal(text, "idle for 30 min");
    lease_write_reason(&l, LEASE_OVER, text, sizeof text);
    assert_string_equal(text, "its lease of 2 h ended");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(idle_time_counts_from_the_last_use),
        cmocka_unit_test(an_attached_client_holds_the_idle_limit_off_for_ever),
        cmocka_unit_test(an_attached_client_does_not_hold_the_hard_lease_off),
        cmocka_unit_test(a_running_cell_holds_both_off_up_to_its_own_timeout),
        cmocka_unit_test(the_hard_lease_counts_from_its_beginning_whatever_is_called),
        cmocka_unit_test(the_next_look_is_never_in_the_past),
        cmocka_unit_test(expiry_is_the_earlier_of_both_and_unknown_while_held_without_a_hard_lease),
        cmocka_unit_test(durations_are_said_as_people_say_them),
        cmocka_unit_test(the_reason_names_the_limit),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
