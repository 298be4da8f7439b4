#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "protocol/plain_text.h"
#include "protocol/text_excerpt.h"

static void shows(const char *text, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    buf_add_str(&out, "before ");
    plain_text(&out, slice_str(text));
    assert_string_equal(out.data + strlen("before "), expected);
}

static void escape_sequences_are_left_out(void **state)
{
    shows("\033[0;31mred\033[0m and \033[1mbold\033[22m", "red and bold");
    shows("\033]0;a title\aafter", "after");
    shows("\033]8;;http://x\033\\link\033]8;;\033\\", "link");
    shows("\033Pdevice\033\\x\033(By\033=z", "xyz");
    shows("a\033[31", "a");
    shows("a\033", "a");
    shows("a\033\nb", "a\nb");
    shows("a\033]never ends\nb", "a\nb");
    shows("a\x01\x02\x7f\ab\tc", "ab\tc");
    shows("\xc3\xa9\033[31m\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac");
}

static void a_line_that_is_written_again_is_there_once(void **state)
{
    shows("10%\r20%\r30%\n", "30%\n");
    shows("start\n10%\r100%", "start\n100%");
    shows("line\r\nnext\r\n", "line\nnext\n");
    shows("kept\r", "kept");
    shows("kept\r\r\n", "kept\n");
    shows("abc\b\bX", "aX");
    shows("\xc3\xa9\b!", "!");
    shows("a\n\b\bb", "a\nb");
}

/* With the square of them it would take an hour, and the hub's loop with it. */
static void a_million_returns_take_no_longer_than_other_bytes(void **state)
{
    static char text[4 << 20];
    CLEANUP_BUF struct buf plain = BUF_INIT(sizeof text);
    memset(text, '\r', sizeof text);
    memcpy(text, "gone", 4);
    text[sizeof text - 1] = 'x';
    (void)alarm(60);
    plain_text(&plain, slice_of(text, sizeof text));
    (void)alarm(0);
    assert_true(slice_is(buf_slice(&plain), "x"));
}

static size_t source_of(const char *text, size_t at)
{
    CLEANUP_BUF struct buf plain = BUF_INIT(1 << 16);
    plain_text(&plain, slice_str(text));
    return plain_text_source(slice_str(text), buf_slice(&plain), at);
}

static void a_place_is_found_again_or_the_beginning_of_its_line(void **state)
{
    assert_int_equal(source_of("one\ntwo\n", 0), 0);
    assert_int_equal(source_of("one\ntwo\n", 2), 2);
    assert_int_equal(source_of("one\ntwo\n", 4), 4);
    assert_int_equal(source_of("one\ntwo\n", 8), 8);
    assert_int_equal(source_of("\033[1mone\033[0m\ntwo\n", 4), strlen("\033[1mone\033[0m\n"));
    assert_int_equal(source_of("x\n\033[1mone\033[0m", 3), 2);
    assert_int_equal(source_of("10%\r20%\nend", 4), 8);
    assert_int_equal(source_of("10%\r20%\nend", 2), 0);
}

static struct slice head(const char *text, size_t n)
{
    return slice_of(text, text_head(slice_str(text), n));
}

static const char *tail(const char *text, size_t n)
{
    return text + text_tail(slice_str(text), n);
}

static void an_excerpt_ends_with_a_line_or_at_least_a_character(void **state)
{
    assert_int_equal(text_chars(slice_str("a\xc3\xa9\xf0\x9f\x98\x80\n")), 4);
    assert_true(slice_is(head("abc", 3), "abc"));
    assert_true(slice_is(head("abc", 2), "ab"));
    assert_true(slice_is(head("abc", 0), ""));
    assert_true(slice_is(head("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9\xc3\xa9"));
    assert_true(slice_is(head("line\nmore of it", 8), "line\n"));
    assert_true(slice_is(head("l\nmore of it", 8), "l\nmore o"));
    assert_string_equal(tail("abc", 3), "abc");
    assert_string_equal(tail("abc", 2), "bc");
    assert_string_equal(tail("abc", 0), "");
    assert_string_equal(tail("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9\xc3\xa9");
    assert_string_equal(tail("first\nsecond\n", 8), "second\n");
    assert_string_equal(tail("first\nsecond\n", 7), "second\n");
    assert_string_equal(tail("a long first line\nx", 10), "irst line\nx" + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escape_sequences_are_left_out),
        cmocka_unit_test(a_line_that_is_written_again_is_there_once),
        cmocka_unit_test(a_million_returns_take_no_longer_than_other_bytes),
        cmocka_unit_test(a_place_is_found_again_or_the_beginning_of_its_line),
        cmocka_unit_test(an_excerpt_ends_with_a_line_or_at_least_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
