#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/uuid.h"

static void a_new_one_is_version_4_and_no_two_are_equal(void **state)
{
    struct uuid last = { "" };
    for (int i = 0; i < 1000; i++) {
        struct uuid u = uuid_new(), again;
        assert_int_equal(u.text[14], '4');
        assert_non_null(strchr("89ab", u.text[19]));
        assert_int_equal(u.text[36], '\0');
        assert_true(uuid_parse(slice_str(u.text), &again));
        assert_true(uuid_equal(&u, &again));
        assert_false(uuid_equal(&u, &last));
        last = u;
    }
}

static void upper_case_is_lowered(void **state)
{
    struct uuid u;
    assert_true(uuid_parse(SLICE_LITERAL("ABCDEF01-2345-6789-ABCD-EF0123456789"), &u));
    assert_string_equal(u.text, "abcdef01-2345-6789-abcd-ef0123456789");
}

static void only_the_36_characters_are_taken(void **state)
{
    static const struct slice BAD[] = {
        SLICE_LITERAL(""),
        SLICE_LITERAL("abcdef0123456789abcdef0123456789"),
        SLICE_LITERAL("abcdef01-2345-6789-abcd-ef012345678"),
        SLICE_LITERAL("abcdef01-2345-6789-abcd-ef01234567890"),
        SLICE_LITERAL("{bcdef01-2345-6789-abcd-ef012345678}"),
        SLICE_LITERAL("abcdef01-2345-6789-abcd-ef012345678g"),
        SLICE_LITERAL("abcdef012-345-6789-abcd-ef0123456789"),
        SLICE_LITERAL("abcdef01-2345-6789-abcd_ef0123456789"),
        SLICE_LITERAL("abcdef01-2345-6789-abcd-ef01234567\x00 "),
        SLICE_LITERAL("abcdef01-2345-6789-abcd-ef012345678-"),
    };
    struct uuid u = { "untouched" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(uuid_parse(BAD[i], &u));
    assert_string_equal(u.text, "untouched");
}

static void bytes_and_text_are_the_same(void **state)
{
    uint8_t raw[16], want[16] = { 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89,
                                  0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89 };
    struct uuid u = uuid_from_bytes(want);
    assert_string_equal(u.text, "abcdef01-2345-6789-abcd-ef0123456789");
    uuid_to_bytes(&u, raw);
    assert_memory_equal(raw, want, 16);
}

static void none_is_sixteen_zero_bytes(void **state)
{
    uint8_t raw[16] = { 1 }, zero[16] = { 0 };
    struct uuid none = { "" };
    uuid_to_bytes(&none, raw);
    assert_memory_equal(raw, zero, 16);
    none = uuid_from_bytes(zero);
    assert_false(uuid_is_set(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_is_version_4_and_no_two_are_equal),
        cmocka_unit_test(upper_case_is_lowered),
        cmocka_unit_test(only_the_36_characters_are_taken),
        cmocka_unit_test(bytes_and_text_are_the_same),
        cmocka_unit_test(none_is_sixteen_zero_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
