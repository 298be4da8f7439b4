#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/role.h"
#include "tests/unit/scratch.h"

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

/* Looked at by a program in the role's place, which reports what its standard input is. */
static void a_role_reads_from_nothing(void **state)
{
    char path[128], pid_dir[128];
    const char *const none[] = { NULL };
    struct role r;
    struct err e = ERR_INIT;
    int fd = mkstemp(scratch_path(path, sizeof path, "role-XXXXXX"));
    assert_true(fd >= 0);
    assert_true(
        dprintf(fd, "#!/bin/sh\nprintf '{\"error\":\"%%s\"}' \"$(readlink /proc/$$/fd/0)\" >&%d\n",
                ROLE_REPORT_FD) > 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    (void)close(fd);
    int ends[2]; /* in the terminal's place */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_non_null(mkdtemp(scratch_path(pid_dir, sizeof pid_dir, "run-XXXXXX")));
    assert_int_equal(role_init(&r, "hub", pid_dir, &e), 0);
    assert_int_equal(role_start(&r, path, none, -1, 0, &e), 0);
    assert_int_equal(role_reap(&r), 0);
    assert_string_equal(r.report.error, "/dev/null");
    (void)unlink(path);
    assert_int_equal(rmdir(pid_dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_readiness_is_read),
        cmocka_unit_test(a_report_of_failure_is_read),
        cmocka_unit_test(nonsense_is_no_report),
        cmocka_unit_test(an_end_is_described),
        cmocka_unit_test(a_role_reads_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
