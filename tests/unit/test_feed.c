#include "kernelhub/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void add(struct feed *f, uint64_t seq)
{
    char line[32];
    (void)snprintf(line, sizeof line, "line %llu", (unsigned long long)seq);
    feed_add(f, seq, slice_str(line));
}

static bool line_is(struct feed *f, uint64_t seq, const char *text)
{
    struct feed_line *l = feed_line_hold(f, seq);
    bool is = text ? l && slice_is(feed_line_text(l), text) : !l;
    feed_line_drop(l);
    return is;
}

static void lines_are_kept_by_number(void **state)
{
    struct feed *f = feed_new(7, 0);
    add(f, 1);
    add(f, 2);
    assert_true(feed_is_whole(f));
    assert_true(line_is(f, 2, "line 2"));
    assert_true(line_is(f, 3, NULL));
    assert_int_equal(feed_last_seq(f), 2);
    feed_unref(f);
}

static void only_the_newest_are_kept(void **state)
{
    struct feed *f = feed_new(7, 0);
    for (uint64_t i = 1; i <= FEED_MAX_LINES + 10; i++)
        add(f, i);
    assert_false(feed_is_whole(f));
    assert_true(line_is(f, 1, NULL));
    assert_true(feed_first_kept(f) > 1);
    assert_true(line_is(f, FEED_MAX_LINES + 10, "line 1034"));
    feed_unref(f);
}

static void a_line_that_is_held_outlives_its_place_and_its_feed(void **state)
{
    struct feed *f = feed_new(7, 0);
    add(f, 1);
    struct feed_line *held = feed_line_hold(f, 1);
    for (uint64_t i = 2; i <= FEED_MAX_LINES + 10; i++)
        add(f, i);
    feed_unref(f);
    assert_true(slice_is(feed_line_text(held), "line 1"));
    feed_line_drop(held);
}

static void a_feed_taken_over_begins_where_the_store_ends(void **state)
{
    struct feed *f = feed_new(7, 40);
    assert_false(feed_is_whole(f));
    assert_int_equal(feed_first_kept(f), 0);
    add(f, 41);
    assert_int_equal(feed_first_kept(f), 41);
    feed_unref(f);
}

static void bytes_are_bounded(void **state)
{
    static char big[300000];
    struct feed *f = feed_new(7, 0);
    memset(big, 'x', sizeof big);
    for (uint64_t i = 1; i <= 10; i++)
        feed_add(f, i, slice_of(big, sizeof big));
    assert_true((feed_last_seq(f) - feed_first_kept(f) + 1) * sizeof big <= FEED_MAX_BYTES);
    feed_unref(f);
}

struct seen {
    struct feed_watch *watch;
    int calls;
    bool leaves;
};

static void changed(void *arg)
{
    struct seen *s = arg;
    s->calls++;
    if (s->leaves)
        feed_unwatch(s->watch);
}

static void watchers_are_called_and_may_leave_from_inside(void **state)
{
    struct feed *f = feed_new(7, 0);
    struct seen stays = { .calls = 0 }, leaves = { .leaves = true };
    stays.watch = feed_watch(f, changed, &stays);
    leaves.watch = feed_watch(f, changed, &leaves);
    add(f, 1);
    add(f, 2);
    feed_end(f);
    assert_true(feed_has_ended(f));
    assert_int_equal(stays.calls, 3);
    assert_int_equal(leaves.calls, 1);
    feed_unwatch(stays.watch);
    feed_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_by_number),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(a_line_that_is_held_outlives_its_place_and_its_feed),
        cmocka_unit_test(a_feed_taken_over_begins_where_the_store_ends),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(watchers_are_called_and_may_leave_from_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
