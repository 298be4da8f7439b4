#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/ids.h"

#define BASE 0x70000000u

static struct ids *ids_of(unsigned count, unsigned seed)
{
    struct ids *ids = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(ids_new(BASE, count, seed, &ids, &e), 0);
    return ids;
}

static unsigned take(struct ids *ids)
{
    unsigned index = 0;
    struct err e = ERR_INIT;
    assert_int_equal(ids_take(ids, &index, &e), 0);
    return index;
}

static void a_range_that_was_given_back_rests_before_it_is_used_again(void **state)
{
    CLEANUP(ids_free) struct ids *ids = ids_of(3, 0);
    unsigned first = take(ids);
    ids_give(ids, first);
    assert_int_not_equal(take(ids), first);
    assert_int_not_equal(take(ids), first);
    assert_int_equal(take(ids), first);
}

static void the_last_range_is_followed_by_an_error(void **state)
{
    CLEANUP(ids_free) struct ids *ids = ids_of(2, 1);
    struct err e = ERR_INIT;
    unsigned index = 77;
    assert_int_not_equal(take(ids), take(ids));
    assert_int_equal(ids_take(ids, &index, &e), -1);
    assert_int_equal(e.code, ERR_QUOTA);
    assert_int_equal(index, 77);
}

static void an_adopted_range_is_not_handed_out(void **state)
{
    CLEANUP(ids_free) struct ids *ids = ids_of(2, 0);
    assert_true(ids_mark(ids, 0));
    assert_false(ids_mark(ids, 0));
    assert_false(ids_mark(ids, 2));
    assert_int_equal(take(ids), 1);
}

static void the_seed_chooses_the_first_range(void **state)
{
    CLEANUP(ids_free) struct ids *ids = ids_of(10, 47);
    assert_int_equal(take(ids), 7);
}

static void only_the_last_id_of_a_range_is_a_warden(void **state)
{
    CLEANUP(ids_free) struct ids *ids = ids_of(2, 0);
    unsigned index = 0;
    assert_int_equal(ids_first(ids, 1), BASE + 65536);
    assert_true(ids_find_warden(ids, BASE + 65536 + 65535, &index));
    assert_int_equal(index, 1);
    assert_false(ids_find_warden(ids, BASE + 1000, &index));
    assert_false(ids_find_warden(ids, 65535, &index));
    assert_false(ids_find_warden(ids, BASE + 2 * 65536 + 65535, &index));
    assert_false(ids_find_warden(ids, UINT32_MAX, &index));
}

static void ranges_that_leave_the_32_bits_are_refused(void **state)
{
    struct ids *ids = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(ids_new(0xFFFF0000u, 1, 0, &ids, &e), -1);
    assert_int_equal(ids_new(0xFFFE0000u, 2, 0, &ids, &e), -1);
    assert_int_equal(ids_new(0, 1, 0, &ids, &e), -1);
    assert_int_equal(ids_new(BASE, 0, 0, &ids, &e), -1);
    assert_null(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_that_was_given_back_rests_before_it_is_used_again),
        cmocka_unit_test(the_last_range_is_followed_by_an_error),
        cmocka_unit_test(an_adopted_range_is_not_handed_out),
        cmocka_unit_test(the_seed_chooses_the_first_range),
        cmocka_unit_test(only_the_last_id_of_a_range_is_a_warden),
        cmocka_unit_test(ranges_that_leave_the_32_bits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
