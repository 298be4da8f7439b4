/* What a browser keeps in place of a key: sealed, opened, ended, renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "protocol/login.h"

static const uint8_t SECRET[LOGIN_SECRET_BYTES] = "one", OTHER[LOGIN_SECRET_BYTES] = "other";

static struct login begun(const char *token, bool is_https)
{
    struct login l;
    assert_true(login_begin(&l, slice_str(token), is_https, 1000));
    return l;
}

static void what_is_sealed_can_be_opened(void **state)
{
    char text[LOGIN_TEXT_CHARS + 1], again[LOGIN_TEXT_CHARS + 1];
    struct login l = begun("kh_x", true), got;
    login_seal(&l, SECRET, text);
    login_seal(&l, SECRET, again);
    assert_string_not_equal(text, again);
    assert_null(strstr(text, "kh_x"));
    assert_int_equal(login_open(slice_str(text), SECRET, &got), DECODE_OK);
    assert_true(slice_is(login_token(&got), "kh_x"));
    assert_true(got.is_https && got.begun_s == 1000 && got.until_s == 1000 + LOGIN_IDLE_SECONDS);
}

static void the_longest_token_fits_and_a_longer_one_is_none(void **state)
{
    char token[LOGIN_TOKEN_BYTES + 2], text[LOGIN_TEXT_CHARS + 1];
    struct login l, got;
    memset(token, 'x', sizeof token);
    assert_false(login_begin(&l, slice_of(token, LOGIN_TOKEN_BYTES + 1), false, 1));
    assert_false(login_begin(&l, slice_of(token, 0), false, 1));
    assert_true(login_begin(&l, slice_of(token, LOGIN_TOKEN_BYTES), false, 1));
    login_seal(&l, SECRET, text);
    assert_int_equal(strlen(text), LOGIN_TEXT_CHARS);
    assert_int_equal(login_open(slice_str(text), SECRET, &got), DECODE_OK);
    assert_true(slice_equal(login_token(&got), slice_of(token, LOGIN_TOKEN_BYTES)) &&
                !got.is_https);
}

static void what_was_changed_cut_or_sealed_elsewhere_is_none(void **state)
{
    char text[LOGIN_TEXT_CHARS + 2];
    struct login l = begun("kh_x", false), got;
    login_seal(&l, SECRET, text);
    size_t n = strlen(text);
    assert_int_equal(login_open(slice_str(text), OTHER, &got), DECODE_BAD);
    for (size_t i = 0; i < n; i++) {
        char was = text[i];
        assert_int_equal(login_open(slice_of(text, i), SECRET, &got), DECODE_BAD);
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(login_open(slice_str(text), SECRET, &got), DECODE_BAD);
        text[i] = was;
    }
    memcpy(text + n, "A", 2);
    assert_int_equal(login_open(slice_str(text), SECRET, &got), DECODE_BAD);
    assert_int_equal(login_open(slice_of(NULL, 0), SECRET, &got), DECODE_BAD);
    assert_int_equal(login_open(slice_of(text, n), SECRET, &got), DECODE_OK);
}

static void it_ends_unless_it_is_renewed(void **state)
{
    struct login l = begun("kh_x", false);
    const int64_t idle = LOGIN_IDLE_SECONDS;
    assert_false(login_is_over(&l, 1000 + idle - 1));
    assert_true(login_is_over(&l, 1000 + idle));
    assert_false(login_renew(&l, 1000 + idle / 2 - 1));
    assert_int_equal(l.until_s, 1000 + idle);
    assert_true(login_renew(&l, 1000 + idle / 2));
    assert_int_equal(l.until_s, 1000 + idle / 2 + idle);
    assert_false(login_is_over(&l, 1000 + idle));
}

static void after_a_week_the_key_is_asked_for_again(void **state)
{
    struct login l = begun("kh_x", false);
    const int64_t last_s = 1000 + LOGIN_LONG_SECONDS;
    int64_t now_s = 1000;
    while (!login_is_over(&l, now_s)) {
        (void)login_renew(&l, now_s);
        assert_true(l.until_s <= last_s);
        now_s += 3600;
    }
    assert_int_equal(l.until_s, last_s);
    assert_false(login_renew(&l, last_s - 1));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(what_is_sealed_can_be_opened),
        cmocka_unit_test(the_longest_token_fits_and_a_longer_one_is_none),
        cmocka_unit_test(what_was_changed_cut_or_sealed_elsewhere_is_none),
        cmocka_unit_test(it_ends_unless_it_is_renewed),
        cmocka_unit_test(after_a_week_the_key_is_asked_for_again),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
