#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "protocol/text_cut.h"

static size_t cut(const char *text)
{
    return text_cut_incomplete(slice_str(text));
}

static void only_a_character_that_may_still_come_is_kept(void **state)
{
    assert_int_equal(cut(""), 0);
    assert_int_equal(cut("abc"), 0);
    assert_int_equal(cut("a\xc3\xa9"), 0);
    assert_int_equal(cut("a\xc3"), 1);
    assert_int_equal(cut("\xe2\x82\xac"), 0);
    assert_int_equal(cut("a\xe2"), 1);
    assert_int_equal(cut("\xe2\x82"), 2);
    assert_int_equal(cut("\xf0\x9f\x98\x80"), 0);
    assert_int_equal(cut("x\xf0\x9f\x98"), 3);
    assert_int_equal(cut("\xf0\x9f"), 2);
}

static void what_is_no_text_is_not_waited_for(void **state)
{
    assert_int_equal(cut("\x80"), 0);
    assert_int_equal(cut("\x80\x80\x80\x80"), 0);
    assert_int_equal(cut("\xff"), 0);
    assert_int_equal(cut("\xc0"), 0);
    assert_int_equal(cut("\xf5\x80"), 0);
    assert_int_equal(cut("\xc3\xa9\x80"), 0);
}

/* Reads `all` in two, as the pipe's reader does, and quotes each. */
static void quote_in_two(struct slice all, size_t at, struct buf *out)
{
    struct slice first = slice_of(all.data, at);
    size_t kept = text_cut_incomplete(first);
    json_quote(out, slice_of(first.data, at - kept));
    out->len--;
    struct slice rest = slice_of(all.data + at - kept, all.len - at + kept);
    CLEANUP_BUF struct buf second = BUF_INIT(1024);
    json_quote(&second, rest);
    buf_add(out, second.data + 1, second.len - 1);
}

static void any_split_gives_the_same_text(void **state)
{
    static const char *const TEXTS[] = { "a\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 z",
                                         "\xe2\x28\xa1 \xf0\x28\x8c\xbc \xff\xfe \xed\xa0\x80",
                                         "\xf0\x9f\x98", "\xe2\x82\xe2\x82\xac\xc3" };
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct slice all = slice_str(TEXTS[i]);
        CLEANUP_BUF struct buf whole = BUF_INIT(1024);
        json_quote(&whole, all);
        for (size_t at = 0; at <= all.len; at++) {
            CLEANUP_BUF struct buf two = BUF_INIT(1024);
            quote_in_two(all, at, &two);
            assert_int_equal(two.len, whole.len);
            assert_memory_equal(two.data, whole.data, whole.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_character_that_may_still_come_is_kept),
        cmocka_unit_test(what_is_no_text_is_not_waited_for),
        cmocka_unit_test(any_split_gives_the_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
