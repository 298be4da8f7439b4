#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/process.h"

static void the_start_time_is_found_behind_any_name(void **state)
{
    uint64_t start = 0;
    const char *stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n";
    assert_true(process_parse_start(slice_str(stat), &start));
    assert_int_equal(start, 4711);
    assert_false(process_parse_start(slice_str("12 (a) S 1 2 3"), &start));
    assert_false(process_parse_start(slice_str("12 a S 1 2 3"), &start));
    assert_false(process_parse_start(slice_str(""), &start));
    assert_false(process_parse_start(
        slice_str("12 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20"), &start));
}

static void a_process_is_found_only_with_its_own_start_time(void **state)
{
    struct err e = ERR_INIT;
    uint64_t start = 0;
    CLEANUP_FD int fd = -1;
    CLEANUP_FD int again = -1;
    assert_int_equal(process_open(getpid(), 0, &fd, &start, &e), 0);
    assert_true(start > 0);
    assert_int_equal(process_open(getpid(), start, &again, NULL, &e), 0);
    int other = -1;
    assert_int_equal(process_open(getpid(), start + 1, &other, NULL, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(process_open(0, 0, &other, NULL, &e), -1);
    assert_int_equal(other, -1);
    assert_false(process_wait(fd, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_time_is_found_behind_any_name),
        cmocka_unit_test(a_process_is_found_only_with_its_own_start_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
