#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "sandbox/run.h"
#include "sandbox/run_table.h"

static struct run sent(void)
{
    return (struct run){ .timeout_ms = 1000, .grace_ms = 200 };
}

static void a_run_ends_when_idle_and_reply_were_seen_in_either_order(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    assert_int_equal(run_on_idle(&r, 10), RUN_NOTHING);
    assert_int_equal(run_on_reply(&r, 20), RUN_END);
    r = sent();
    run_on_busy(&r, 0);
    assert_int_equal(run_on_reply(&r, 10), RUN_NOTHING);
    assert_int_equal(run_on_idle(&r, 20), RUN_END);
    assert_int_equal(r.state, RUN_OVER);
}

static void after_one_of_them_the_other_has_two_seconds(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    run_on_reply(&r, 500);
    assert_int_equal(r.due_ms, 2500);
    assert_int_equal(run_on_due(&r, 2500), RUN_END);
    assert_false(r.idle || r.timed_out);
}

static void output_behind_the_reply_keeps_the_end_away_but_not_for_ever(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    run_on_reply(&r, 0);
    for (int64_t now = 0; now < RUN_OTHER_MAX_MS; now += 1000) {
        run_on_output(&r, now);
        assert_true(r.due_ms > now && r.due_ms <= RUN_OTHER_MAX_MS);
    }
    run_on_output(&r, RUN_OTHER_MAX_MS);
    assert_int_equal(r.due_ms, RUN_OTHER_MAX_MS);
}

static void output_after_idle_prolongs_nothing(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    run_on_idle(&r, 100);
    run_on_output(&r, 1000);
    assert_int_equal(r.due_ms, 2100);
}

static void a_late_run_is_interrupted_then_its_kernel_killed(void **state)
{
    struct run r = sent();
    run_on_turn(&r, 100);
    assert_int_equal(r.due_ms, 1100);
    assert_int_equal(run_on_due(&r, 1100), RUN_INTERRUPT);
    assert_true(r.timed_out && r.interrupted);
    assert_int_equal(r.due_ms, 1300);
    assert_int_equal(run_on_due(&r, 1300), RUN_KILL);
    assert_int_equal(r.due_ms, 0);
    /* what it says while it dies changes nothing */
    assert_int_equal(run_on_reply(&r, 1301), RUN_NOTHING);
    assert_int_equal(run_on_idle(&r, 1301), RUN_NOTHING);
}

static void a_late_run_that_heeds_the_interrupt_ends_as_done(void **state)
{
    struct run r = sent();
    run_on_turn(&r, 0);
    assert_int_equal(run_on_due(&r, 1000), RUN_INTERRUPT);
    assert_int_equal(run_on_reply(&r, 1050), RUN_NOTHING);
    assert_int_equal(r.due_ms, 3050);
    assert_int_equal(run_on_idle(&r, 1051), RUN_END);
    assert_true(r.timed_out);
}

static void an_interrupt_waits_until_the_kernel_is_at_the_code(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 100);
    assert_int_equal(run_on_interrupt(&r, 101), RUN_NOTHING);
    assert_int_equal(run_due_ms(&r), 100 + RUN_TO_CODE_MS);
    run_on_output(&r, 103);
    assert_int_equal(run_due_ms(&r), 103 + RUN_INTO_CODE_MS);
    run_on_output(&r, 109);
    assert_int_equal(run_on_due(&r, 103 + RUN_INTO_CODE_MS), RUN_INTERRUPT);
    assert_int_equal(run_due_ms(&r), 1100);
    assert_int_equal(run_on_interrupt(&r, 120), RUN_INTERRUPT); /* once more: it is there */
}

static void an_interrupt_of_what_never_says_that_it_began_waits_no_longer_than_that(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    assert_int_equal(run_on_interrupt(&r, 10), RUN_NOTHING);
    assert_int_equal(run_on_due(&r, RUN_TO_CODE_MS), RUN_INTERRUPT);
    assert_int_equal(run_on_interrupt(&r, RUN_TO_CODE_MS + 1), RUN_INTERRUPT);
}

static void an_interrupt_that_waited_for_what_has_ended_is_not_sent(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    run_on_output(&r, 1);
    assert_int_equal(run_on_interrupt(&r, 2), RUN_NOTHING);
    assert_int_equal(run_on_reply(&r, 3), RUN_NOTHING);
    assert_int_equal(run_due_ms(&r), 3 + RUN_OTHER_MS);
    assert_int_equal(run_on_idle(&r, 4), RUN_END);
    assert_int_equal(run_due_ms(&r), 0);
}

static void one_that_was_interrupted_on_its_way_has_no_reply(void **state)
{
    struct run r = sent();
    run_on_busy(&r, 0);
    run_on_output(&r, 1);
    assert_int_equal(run_on_interrupt(&r, 100), RUN_INTERRUPT);
    assert_int_equal(run_on_idle(&r, 101), RUN_NOTHING);
    assert_int_equal(run_on_due(&r, 101 + RUN_FORGOT_REPLY_MS), RUN_END);
    assert_true(r.interrupted && !r.reply);
}

static void a_queued_run_has_no_deadline_before_its_turn(void **state)
{
    struct run r = sent();
    assert_int_equal(r.due_ms, 0);
    assert_false(run_is_current(&r));
    run_on_busy(&r, 5000);
    assert_int_equal(r.due_ms, 6000);
    run_on_busy(&r, 5500); /* a second busy, or one after its turn, moves nothing */
    assert_int_equal(r.due_ms, 6000);
}

static void without_a_timeout_nothing_is_ever_due(void **state)
{
    struct run r = { .grace_ms = 200 };
    run_on_busy(&r, 5000);
    assert_int_equal(r.due_ms, 0);
}

static void a_kernel_that_publishes_late_has_its_grace(void **state)
{
    struct run r = sent();
    r.settle_ms = 50;
    run_on_busy(&r, 0);
    run_on_idle(&r, 10);
    assert_int_equal(run_on_reply(&r, 20), RUN_NOTHING);
    assert_int_equal(r.due_ms, 70);
    run_on_output(&r, 60);
    assert_int_equal(run_on_due(&r, 70), RUN_END);
}

/* run_table */

static struct run *add(struct run_table *t, struct uuid *ret_id, const char *msg_id)
{
    *ret_id = uuid_new();
    return run_table_add(t, ret_id, 1, msg_id);
}

static void a_run_is_found_by_its_id_and_by_its_message_of_this_process(void **state)
{
    CLEANUP(run_table_free) struct run_table *t = run_table_new(10, 100);
    struct uuid id, other = uuid_new();
    struct run *r = add(t, &id, "m1");
    assert_ptr_equal(run_table_find(t, &id), r);
    assert_null(run_table_find(t, &other));
    assert_ptr_equal(run_table_find_message(t, 1, "m1"), r);
    assert_null(run_table_find_message(t, 2, "m1"));
    assert_null(run_table_find_message(t, 1, "m2"));
    run_table_remove(t, r);
    assert_null(run_table_find(t, &id));
    assert_null(run_table_find_message(t, 1, "m1"));
}

static void only_committed_ends_are_forgotten_oldest_first(void **state)
{
    CLEANUP(run_table_free) struct run_table *t = run_table_new(2, 100);
    struct uuid ids[5];
    char msg_id[8];
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(msg_id, sizeof msg_id, "%zu", i);
        struct run *r = add(t, &ids[i], msg_id);
        run_table_ended(t, r, i + 1, 2); /* ends 1 … 5, committed up to 2 */
    }
    assert_null(run_table_find(t, &ids[0]));
    assert_null(run_table_find(t, &ids[1]));
    assert_non_null(run_table_find(t, &ids[2]));
    size_t n = 0;
    for (struct run *r = run_table_first(t); r; r = run_table_next(t))
        n++;
    assert_int_equal(n, 3);
}

static void a_full_table_refuses(void **state)
{
    CLEANUP(run_table_free) struct run_table *t = run_table_new(2, 3);
    struct uuid id;
    assert_non_null(add(t, &id, "a"));
    assert_non_null(add(t, &id, "b"));
    assert_non_null(add(t, &id, "c"));
    assert_null(add(t, &id, "d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_ends_when_idle_and_reply_were_seen_in_either_order),
        cmocka_unit_test(after_one_of_them_the_other_has_two_seconds),
        cmocka_unit_test(output_behind_the_reply_keeps_the_end_away_but_not_for_ever),
        cmocka_unit_test(output_after_idle_prolongs_nothing),
        cmocka_unit_test(a_late_run_is_interrupted_then_its_kernel_killed),
        cmocka_unit_test(a_late_run_that_heeds_the_interrupt_ends_as_done),
        cmocka_unit_test(an_interrupt_waits_until_the_kernel_is_at_the_code),
        cmocka_unit_test(an_interrupt_of_what_never_says_that_it_began_waits_no_longer_than_that),
        cmocka_unit_test(an_interrupt_that_waited_for_what_has_ended_is_not_sent),
        cmocka_unit_test(one_that_was_interrupted_on_its_way_has_no_reply),
        cmocka_unit_test(a_queued_run_has_no_deadline_before_its_turn),
        cmocka_unit_test(without_a_timeout_nothing_is_ever_due),
        cmocka_unit_test(a_kernel_that_publishes_late_has_its_grace),
        cmocka_unit_test(a_run_is_found_by_its_id_and_by_its_message_of_this_process),
        cmocka_unit_test(only_committed_ends_are_forgotten_oldest_first),
        cmocka_unit_test(a_full_table_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
