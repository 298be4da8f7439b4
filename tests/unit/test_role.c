#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "cmd/role.h"

static void a_report_of_readiness_is_read(void **state)
{
    struct role_report r;
    assert_true(
        role_report_parse(&r, SLICE_LITERAL("{\"url\":\"http://h:1\",\"admin_key\":\"kh_1\"}\n")));
    assert_string_equal(r.url, "http://h:1");
    assert_string_equal(r.admin_key, "kh_1");
    assert_string_equal(r.error, "");
}

static void a_report_of_failure_is_read(void **state)
{
    struct role_report r;
    assert_true(role_report_parse(&r, SLICE_LITERAL("{\"error\":\"port 80 is in use\"}")));
    assert_string_equal(r.error, "port 80 is in use");
}

static void nonsense_is_no_report(void **state)
{
    struct role_report r;
    assert_false(role_report_parse(&r, SLICE_LITERAL("")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{}")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("[1]")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{\"url\":1}")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{\"url\":\"x\"")));
}

static void an_end_is_described(void **state)
{
    char text[80];
    role_describe_end(2 << 8, text, sizeof text);
    assert_string_equal(text, "ended with exit code 2");
    role_describe_end(9, text, sizeof text);
    assert_non_null(strstr(text, "signal 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_readiness_is_read),
        cmocka_unit_test(a_report_of_failure_is_read),
        cmocka_unit_test(nonsense_is_no_report),
        cmocka_unit_test(an_end_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
