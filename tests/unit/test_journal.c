#include "kernelhub/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static size_t items_of(const struct journal *j, size_t tail, struct buf *out)
{
    struct slice items;
    size_t n = 0;
    buf_reset(out);
    journal_write(j, tail, out);
    assert_true(json_valid(buf_slice(out)));
    assert_true(json_member(buf_slice(out), "items", &items));
    for (struct json_iter it = json_iter(items); json_next(&it);)
        n++;
    return n;
}

static void the_last_lines_come_oldest_first(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct journal *j = journal_new();
    assert_int_equal(items_of(j, 10, &out), 0);
    journal_add(j, 1000000, "created", SLICE_LITERAL("one"));
    journal_add(j, 2000000, "up", SLICE_LITERAL("two"));
    journal_add(j, 3000000, "ended", SLICE_LITERAL("three"));
    assert_int_equal(items_of(j, 2, &out), 2);
    assert_null(strstr(out.data, "one"));
    assert_true(strstr(out.data, "two") < strstr(out.data, "three"));
    assert_non_null(strstr(out.data, "\"ts\":\"1970-01-01T00:00:02.000000Z\",\"event\":\"up\""));
    journal_free(j);
}

static void what_is_too_much_is_dropped_and_counted(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4 << 20);
    struct journal *j = journal_new();
    for (int i = 0; i < JOURNAL_MAX_LINES + 5; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "line %d.", i);
        journal_add(j, i, "kernel", slice_str(text));
    }
    assert_int_equal(items_of(j, 100000, &out), JOURNAL_MAX_LINES);
    assert_null(strstr(out.data, "line 4."));
    assert_non_null(strstr(out.data, "line 5."));
    assert_non_null(strstr(out.data, "\"dropped\":5}"));
    journal_free(j);
}

static void of_a_long_text_the_end_is_kept_in_whole_characters(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
    struct journal *j = journal_new();
    for (int i = 0; i < JOURNAL_MAX_LINE_BYTES; i++)
        buf_add_str(&text, "\xc3\xa9");
    buf_add_str(&text, "!end\x01\"");
    journal_add(j, 1, "kernel", buf_slice(&text));
    assert_int_equal(items_of(j, 1, &out), 1);
    assert_non_null(strstr(out.data, "\"text\":\"\xc3\xa9"));
    assert_non_null(strstr(out.data, "!end\\u0001\\\""));
    assert_true(out.len < JOURNAL_MAX_LINE_BYTES + 200);
    journal_free(j);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(the_last_lines_come_oldest_first),
        cmocka_unit_test(what_is_too_much_is_dropped_and_counted),
        cmocka_unit_test(of_a_long_text_the_end_is_kept_in_whole_characters),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
