#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/buf.h"

static void it_grows_and_ends_with_a_nul(void **state)
{
    CLEANUP_BUF struct buf b = BUF_INIT(100000);
    assert_null(b.data);
    buf_add_str(&b, "ab");
    buf_add_char(&b, 'c');
    buf_add_slice(&b, SLICE_LITERAL("de"));
    buf_addf(&b, "%d-%s", 7, "x");
    buf_add(&b, NULL, 0);
    assert_string_equal(b.data, "abcde7-x");
    for (int i = 0; i < 10000; i++)
        buf_add_char(&b, 'y');
    assert_int_equal(b.len, 10008);
    assert_int_equal(b.data[b.len], '\0');
    assert_true(slice_is(slice_of(b.data, 8), "abcde7-x"));
}

static void beyond_its_ceiling_it_has_failed_and_keeps_what_it_has(void **state)
{
    CLEANUP_BUF struct buf b = BUF_INIT(5);
    buf_add_str(&b, "12345");
    assert_false(b.failed);
    buf_add_str(&b, "6");
    assert_true(b.failed);
    buf_add_str(&b, "");
    assert_string_equal(b.data, "12345");
    assert_null(buf_room(&b, 0));
    assert_null(buf_take(&b));
    buf_reset(&b);
    assert_false(b.failed);
    buf_addf(&b, "%s", "123456");
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    assert_null(buf_room(&b, SIZE_MAX));
}

static void numbers_are_big_endian(void **state)
{
    CLEANUP_BUF struct buf b = BUF_INIT(100);
    buf_add_u32be(&b, 0x01020304);
    buf_add_u64be(&b, 0x1112131415161718ull);
    assert_memory_equal(b.data, "\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18", 12);
}

static void bytes_are_dropped_from_the_front(void **state)
{
    CLEANUP_BUF struct buf b = BUF_INIT(100);
    buf_add_str(&b, "abcdef");
    buf_drop(&b, 2);
    assert_string_equal(b.data, "cdef");
    buf_drop(&b, 0);
    buf_drop(&b, 100);
    assert_int_equal(b.len, 0);
}

static void taking_leaves_it_empty(void **state)
{
    struct buf b = BUF_INIT(100);
    buf_add_str(&b, "x");
    char *text = buf_take(&b);
    assert_string_equal(text, "x");
    free(text);
    assert_null(b.data);
    text = buf_take(&b); /* nothing was added: "" */
    assert_string_equal(text, "");
    free(text);
    buf_add_str(&b, "again");
    assert_int_equal(b.len, 5);
    buf_done(&b);
    buf_done(&b);
}

static void room_is_written_by_the_caller(void **state)
{
    CLEANUP_BUF struct buf b = BUF_INIT(10);
    char *room = buf_room(&b, 10);
    memset(room, 'r', 10);
    b.len += 10;
    assert_null(buf_room(&b, 1));
    assert_int_equal(b.len, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_and_ends_with_a_nul),
        cmocka_unit_test(beyond_its_ceiling_it_has_failed_and_keeps_what_it_has),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(bytes_are_dropped_from_the_front),
        cmocka_unit_test(taking_leaves_it_empty),
        cmocka_unit_test(room_is_written_by_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
