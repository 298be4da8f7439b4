#include "kernelhub/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static struct outcome_reply reply_of(const char *json)
{
    struct outcome_reply r;
    if (json)
        outcome_read_reply(slice_str(json), &r);
    else
        outcome_parse_reply(slice_of(NULL, 0), &r);
    return r;
}

static struct outcome_end end_of(const char *json)
{
    struct outcome_end e;
    assert_true(outcome_read_end(slice_str(json), &e));
    return e;
}

static void check(const char *reply, const char *end, enum status status, int64_t exit_code)
{
    struct outcome_reply r = reply_of(reply);
    struct outcome_end e = end_of(end);
    struct outcome o = outcome_of(&r, &e, false);
    assert_string_equal(status_name(o.status), status_name(status));
    assert_int_equal(o.exit_code, exit_code);
}

static void what_went_well_is_ok(void **state)
{
    check("{\"status\":\"ok\",\"execution_count\":3}", "{\"how\":\"done\",\"complete\":true}",
          STATUS_OK, 0);
}

static void an_exception_is_an_error(void **state)
{
    check("{\"status\":\"error\",\"ename\":\"ValueError\",\"evalue\":\"x\"}", "{\"how\":\"done\"}",
          STATUS_ERROR, 1);
}

static void system_exit_gives_its_code(void **state)
{
    check("{\"status\":\"error\",\"ename\":\"SystemExit\",\"evalue\":\"7\"}", "{\"how\":\"done\"}",
          STATUS_ERROR, 7);
    check("{\"status\":\"error\",\"ename\":\"SystemExit\",\"evalue\":\"0\"}", "{\"how\":\"done\"}",
          STATUS_OK, 0);
    check("{\"status\":\"error\",\"ename\":\"SystemExit\",\"evalue\":\"\"}", "{\"how\":\"done\"}",
          STATUS_OK, 0);
    check("{\"status\":\"error\",\"ename\":\"SystemExit\",\"evalue\":\"no way\"}",
          "{\"how\":\"done\"}", STATUS_ERROR, 1);
}

static void a_shell_gives_its_last_status(void **state)
{
    check("{\"status\":\"error\",\"ename\":\"ExitStatus\",\"kernelhub_exit_code\":3}",
          "{\"how\":\"done\"}", STATUS_ERROR, 3);
    check("{\"status\":\"ok\",\"kernelhub_exit_code\":0}", "{\"how\":\"done\"}", STATUS_OK, 0);
}

static void an_interrupt_is_no_error_of_the_code(void **state)
{
    check("{\"status\":\"error\",\"ename\":\"KeyboardInterrupt\"}",
          "{\"how\":\"done\",\"interrupted\":true}", STATUS_INTERRUPTED, 130);
    check("{\"status\":\"ok\"}", "{\"how\":\"done\",\"interrupted\":true}", STATUS_OK, 0);
}

static void a_timeout_is_a_timeout_however_it_ended(void **state)
{
    check("{\"status\":\"error\",\"ename\":\"KeyboardInterrupt\"}",
          "{\"how\":\"done\",\"interrupted\":true,\"timed_out\":true}", STATUS_TIMEOUT, 124);
    check("{\"status\":\"ok\"}", "{\"how\":\"done\",\"timed_out\":true}", STATUS_TIMEOUT, 124);
    check(NULL, "{\"how\":\"killed\",\"timed_out\":true}", STATUS_TIMEOUT, 124);
}

static void only_a_counted_oom_kill_is_oom(void **state)
{
    check(NULL, "{\"how\":\"died\",\"signal\":9,\"oom\":true}", STATUS_OOM, 137);
    check(NULL, "{\"how\":\"died\",\"signal\":9,\"oom\":false}", STATUS_KERNEL_DIED, 137);
    check(NULL, "{\"how\":\"died\",\"signal\":11}", STATUS_KERNEL_DIED, 139);
    check(NULL, "{\"how\":\"died\",\"exit_code\":5}", STATUS_KERNEL_DIED, 5);
}

static void what_cannot_be_known_is_lost(void **state)
{
    check(NULL, "{\"how\":\"lost\"}", STATUS_LOST, OUTCOME_NO_CODE);
    check(NULL, "{\"how\":\"something new\"}", STATUS_LOST, OUTCOME_NO_CODE);
}

static void killed_by_us_without_a_timeout_is_interrupted(void **state)
{
    check(NULL, "{\"how\":\"killed\"}", STATUS_INTERRUPTED, 130);
}

static void an_aborted_reply_says_that_it_did_not_run(void **state)
{
    check("{\"status\":\"aborted\"}", "{\"how\":\"done\"}", STATUS_CANCELLED, OUTCOME_NO_CODE);
    check("{\"status\":\"abort\"}", "{\"how\":\"done\"}", STATUS_CANCELLED, OUTCOME_NO_CODE);
    check("{\"status\":\"aborted\"}", "{\"how\":\"done\",\"interrupted\":true}", STATUS_INTERRUPTED,
          130);
}

static void a_reply_survives_being_written_down(void **state)
{
    struct outcome_reply before =
        reply_of("{\"status\":\"error\",\"ename\":\"E\\\"x\",\"evalue\":\"v\",\"execution_count\":"
                 "9,\"kernelhub_exit_code\":4}");
    struct outcome_reply after;
    CLEANUP_BUF struct buf b = BUF_INIT(1000);
    outcome_write_reply(&before, &b);
    outcome_parse_reply(buf_slice(&b), &after);
    assert_memory_equal(&before, &after, sizeof before);
}

static void check_command(const char *end, enum status status, int64_t exit_code)
{
    struct outcome_end e = end_of(end);
    struct outcome o = outcome_of_command(&e);
    assert_string_equal(status_name(o.status), status_name(status));
    assert_int_equal(o.exit_code, exit_code);
}

static void a_commands_end_is_its_process_s(void **state)
{
    check_command("{\"how\":\"done\",\"exit_code\":0}", STATUS_OK, 0);
    check_command("{\"how\":\"done\",\"exit_code\":3}", STATUS_ERROR, 3);
    check_command("{\"how\":\"done\",\"signal\":11}", STATUS_ERROR, 139);
    check_command("{\"how\":\"done\",\"signal\":2,\"interrupted\":true}", STATUS_INTERRUPTED, 130);
    check_command("{\"how\":\"done\",\"exit_code\":1,\"interrupted\":true}", STATUS_INTERRUPTED, 1);
    check_command("{\"how\":\"done\",\"exit_code\":0,\"interrupted\":true}", STATUS_OK, 0);
    check_command("{\"how\":\"done\",\"signal\":2,\"interrupted\":true,\"timed_out\":true}",
                  STATUS_TIMEOUT, 124);
    check_command("{\"how\":\"done\",\"signal\":9,\"timed_out\":true}", STATUS_TIMEOUT, 124);
    check_command("{\"how\":\"done\",\"signal\":9,\"oom\":true}", STATUS_OOM, 137);
    check_command("{\"how\":\"killed\",\"signal\":9}", STATUS_INTERRUPTED, 137);
    check_command("{\"how\":\"killed\"}", STATUS_INTERRUPTED, 130);
    check_command("{\"how\":\"died\"}", STATUS_KERNEL_DIED, OUTCOME_NO_CODE);
    check_command("{\"how\":\"lost\"}", STATUS_LOST, OUTCOME_NO_CODE);
    check_command("{\"how\":\"?\"}", STATUS_LOST, OUTCOME_NO_CODE);
}

static void garbage_is_refused(void **state)
{
    struct outcome_end e;
    assert_false(outcome_read_end(SLICE_LITERAL("{"), &e));
    assert_false(outcome_read_end(SLICE_LITERAL("[]"), &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_well_is_ok),
        cmocka_unit_test(an_exception_is_an_error),
        cmocka_unit_test(system_exit_gives_its_code),
        cmocka_unit_test(a_shell_gives_its_last_status),
        cmocka_unit_test(an_interrupt_is_no_error_of_the_code),
        cmocka_unit_test(a_timeout_is_a_timeout_however_it_ended),
        cmocka_unit_test(only_a_counted_oom_kill_is_oom),
        cmocka_unit_test(what_cannot_be_known_is_lost),
        cmocka_unit_test(killed_by_us_without_a_timeout_is_interrupted),
        cmocka_unit_test(an_aborted_reply_says_that_it_did_not_run),
        cmocka_unit_test(a_reply_survives_being_written_down),
        cmocka_unit_test(a_commands_end_is_its_process_s),
        cmocka_unit_test(garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
