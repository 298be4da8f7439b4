/* When a callback is tried again, and when not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kernelhub/callback_plan.h"

#define SECOND 1000000ll
#define HOUR   (3600 * SECOND)

static const struct callback_plan PLAN = { .first_us = 5 * SECOND, .max_attempts = 24 };

static void an_answer_has_one_meaning(void **state)
{
    static const struct {
        int status;
        enum callback_verdict verdict;
    } ANSWERS[] = {
        { 200, CALLBACK_DELIVERED }, { 204, CALLBACK_DELIVERED }, { 299, CALLBACK_DELIVERED },
        { 301, CALLBACK_AGAIN },     { 302, CALLBACK_AGAIN },     { 307, CALLBACK_AGAIN },
        { 400, CALLBACK_FINAL },     { 401, CALLBACK_FINAL },     { 404, CALLBACK_FINAL },
        { 408, CALLBACK_AGAIN },     { 410, CALLBACK_FINAL },     { 425, CALLBACK_AGAIN },
        { 429, CALLBACK_AGAIN },     { 500, CALLBACK_AGAIN },     { 503, CALLBACK_AGAIN },
        { 599, CALLBACK_AGAIN },     { 999, CALLBACK_AGAIN },
    };
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++)
        if (callback_plan_judge(NULL, ANSWERS[i].status) != ANSWERS[i].verdict)
            fail_msg("%d", ANSWERS[i].status);
}

static void no_answer_is_tried_again_unless_it_is_forbidden(void **state)
{
    static const enum err_code AGAIN[] = { ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_BUSY, ERR_INTERNAL };
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(AGAIN); i++) {
        e.code = AGAIN[i];
        assert_int_equal(callback_plan_judge(&e, 0), CALLBACK_AGAIN);
    }
    e.code = ERR_POLICY;
    assert_int_equal(callback_plan_judge(&e, 0), CALLBACK_FINAL);
}

static void the_pauses_grow_to_an_hour(void **state)
{
    static const int64_t SECONDS[] = { 5, 20, 80, 320, 1280, 3600, 3600, 3600 };
    for (unsigned i = 0; i < ARRAY_LEN(SECONDS); i++) {
        int64_t middle = SECONDS[i] * SECOND;
        assert_int_equal(callback_plan_wait_us(&PLAN, i + 1, 0, 0), middle * 4 / 5);
        assert_in_range(callback_plan_wait_us(&PLAN, i + 1, 0, CALLBACK_PLAN_DICE - 1),
                        middle * 119 / 100, middle * 6 / 5);
    }
    assert_in_range(callback_plan_wait_us(&PLAN, 4000000000u, 0, 0), 1, HOUR);
}

static void who_says_when_is_listened_to_up_to_an_hour(void **state)
{
    assert_int_equal(callback_plan_wait_us(&PLAN, 1, 60, 0), 60 * SECOND);
    assert_int_equal(callback_plan_wait_us(&PLAN, 1, 1, 0), 4 * SECOND);
    assert_int_equal(callback_plan_wait_us(&PLAN, 1, 86400, 0), HOUR);
    assert_int_equal(callback_plan_wait_us(&PLAN, 1, INT64_MAX, 0), HOUR);
    assert_int_equal(callback_plan_wait_us(&PLAN, 1, -5, 0), 4 * SECOND);
}

static void it_ends(void **state)
{
    assert_false(callback_plan_is_over(&PLAN, 23, 0));
    assert_true(callback_plan_is_over(&PLAN, 24, 0));
    assert_false(callback_plan_is_over(&PLAN, 1, 24 * HOUR));
    assert_true(callback_plan_is_over(&PLAN, 1, 24 * HOUR + 1));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(an_answer_has_one_meaning),
        cmocka_unit_test(no_answer_is_tried_again_unless_it_is_forbidden),
        cmocka_unit_test(the_pauses_grow_to_an_hour),
        cmocka_unit_test(who_says_when_is_listened_to_up_to_an_hour),
        cmocka_unit_test(it_ends),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
