#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/liveness.h"

#define PING_MS 1000

static struct liveness l;
static const struct liveness_view QUIET = { 0 };

static int make(void **state)
{
    liveness_init(&l, PING_MS, 10);
    return 0;
}

static void ping_is_sent_at(int64_t now_ms)
{
    char payload[LIVENESS_PAYLOAD_BYTES];
    assert_int_equal(liveness_tick(&l, &QUIET, now_ms), LIVENESS_PING);
    (void)liveness_ping(&l, now_ms, payload);
}

static void a_quiet_client_is_pinged_once(void **state)
{
    assert_int_equal(liveness_tick(&l, &QUIET, 1009), LIVENESS_FINE);
    ping_is_sent_at(1010);
    assert_int_equal(liveness_tick(&l, &QUIET, 2500), LIVENESS_FINE);
    liveness_heard(&l, 2600);
    assert_int_equal(liveness_tick(&l, &QUIET, 3500), LIVENESS_FINE);
    ping_is_sent_at(3600);
}

static void one_that_had_read_everything_and_does_not_answer_is_dead(void **state)
{
    ping_is_sent_at(2000);
    assert_int_equal(liveness_tick(&l, &QUIET, 5000), LIVENESS_FINE);
    assert_int_equal(liveness_tick(&l, &QUIET, 5001), LIVENESS_DEAD);
}

static void that_its_tcp_took_the_ping_does_not_make_it_alive(void **state)
{
    ping_is_sent_at(2000);
    const struct liveness_view taken = { .n_taken = 4 };
    assert_int_equal(liveness_tick(&l, &taken, 5001), LIVENESS_DEAD);
}

static void one_that_is_not_read_is_pinged_and_not_dead(void **state)
{
    const struct liveness_view held = { .is_held = true };
    char payload[LIVENESS_PAYLOAD_BYTES];
    for (int64_t now_ms = 2000; now_ms < 100 * PING_MS; now_ms += PING_MS) {
        assert_int_equal(liveness_tick(&l, &held, now_ms), LIVENESS_PING);
        (void)liveness_ping(&l, now_ms, payload);
        assert_int_equal(liveness_tick(&l, &held, now_ms + PING_MS / 2), LIVENESS_FINE);
    }
    assert_int_equal(liveness_tick(&l, &QUIET, 100 * PING_MS), LIVENESS_FINE);
}

static void no_ping_waits_behind_messages(void **state)
{
    const struct liveness_view full = { .has_waiting = true };
    assert_int_equal(liveness_tick(&l, &full, 5000), LIVENESS_FINE);
}

static void one_with_unread_messages_may_be_slow(void **state)
{
    liveness_sent(&l);
    ping_is_sent_at(2000);
    assert_int_equal(liveness_tick(&l, &QUIET, 5001), LIVENESS_FINE);
    const struct liveness_view moves = { .n_taken = 1 };
    assert_int_equal(liveness_tick(&l, &moves, 30000), LIVENESS_FINE);
    assert_int_equal(liveness_tick(&l, &moves, 60000), LIVENESS_FINE);
    assert_int_equal(liveness_tick(&l, &moves, 60001), LIVENESS_DEAD);
}

static void one_whose_tcp_does_not_answer_is_not_slow(void **state)
{
    const struct liveness_view deaf = { .is_deaf = true, .has_waiting = true };
    liveness_sent(&l);
    assert_int_equal(liveness_tick(&l, &deaf, 3010), LIVENESS_FINE);
    assert_int_equal(liveness_tick(&l, &deaf, 3011), LIVENESS_DEAD);
}

static void its_pong_says_what_it_has_read(void **state)
{
    char payload[LIVENESS_PAYLOAD_BYTES];
    liveness_sent(&l);
    liveness_sent(&l);
    struct slice two = liveness_ping(&l, 2000, payload);
    assert_true(slice_is(two, "2"));
    liveness_sent(&l);
    liveness_heard(&l, 2100);
    liveness_pong(&l, two);
    assert_int_equal(l.n_read, 2);
    assert_int_equal(liveness_tick(&l, &QUIET, 20000), LIVENESS_PING);
    (void)liveness_ping(&l, 20000, payload);
    liveness_heard(&l, 20001);
    liveness_pong(&l, SLICE_LITERAL("3"));
    ping_is_sent_at(22000);
    assert_int_equal(liveness_tick(&l, &QUIET, 25001), LIVENESS_DEAD);
}

static void pongs_that_lie_are_not_believed(void **state)
{
    liveness_sent(&l);
    liveness_pong(&l, SLICE_LITERAL("7"));
    liveness_pong(&l, SLICE_LITERAL(""));
    liveness_pong(&l, SLICE_LITERAL("99999999999999999999999999"));
    liveness_pong(&l, SLICE_LITERAL("x\0y"));
    assert_int_equal(l.n_read, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_quiet_client_is_pinged_once, make),
        cmocka_unit_test_setup(one_that_had_read_everything_and_does_not_answer_is_dead, make),
        cmocka_unit_test_setup(that_its_tcp_took_the_ping_does_not_make_it_alive, make),
        cmocka_unit_test_setup(one_that_is_not_read_is_pinged_and_not_dead, make),
        cmocka_unit_test_setup(no_ping_waits_behind_messages, make),
        cmocka_unit_test_setup(one_with_unread_messages_may_be_slow, make),
        cmocka_unit_test_setup(one_whose_tcp_does_not_answer_is_not_slow, make),
        cmocka_unit_test_setup(its_pong_says_what_it_has_read, make),
        cmocka_unit_test_setup(pongs_that_lie_are_not_believed, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
