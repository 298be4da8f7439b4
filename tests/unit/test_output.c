#include "kernelhub/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define LIMIT 4096

static bool admit(struct output *o, int i)
{
    char fields[64];
    (void)snprintf(fields, sizeof fields, ",\"text\":\"line %04d\"", i);
    return output_admit(o, EVENT_STDOUT, slice_str(fields), i);
}

static void little_output_goes_straight_on(void **state)
{
    struct output o;
    output_init(&o, LIMIT);
    for (int i = 0; i < 10; i++)
        assert_true(admit(&o, i));
    assert_false(output_has_gap(&o));
    output_done(&o);
}

static void the_head_goes_on_and_the_newest_part_is_kept(void **state)
{
    struct output o;
    enum event_type type;
    char *fields;
    size_t len;
    int64_t when, last = -1, kept = 0, admitted = 0;
    output_init(&o, LIMIT);
    for (int i = 0; i < 1000; i++)
        admitted += admit(&o, i);
    assert_true(admitted > 0 && admitted < 60);
    assert_true(output_has_gap(&o));
    while (output_next(&o, &type, &fields, &len, &when)) {
        assert_true(when > last);
        last = when;
        kept++;
        free(fields);
    }
    assert_int_equal(last, 999);
    assert_int_equal(admitted + kept + o.dropped_messages, 1000);
    output_done(&o);
}

static void nothing_goes_straight_on_after_the_first_that_did_not(void **state)
{
    struct output o;
    char *big = calloc(1, 3000);
    memset(big, 'x', 2999);
    output_init(&o, LIMIT);
    assert_true(admit(&o, 0));
    assert_false(output_admit(&o, EVENT_STDOUT, slice_str(big),
                              1)); /* more than the head's room, too big for the ring */
    assert_false(admit(&o, 2));    /* order is kept */
    assert_int_equal(o.dropped_messages, 1);
    free(big);
    output_done(&o);
}

static void the_gap_says_how_much_is_missing(void **state)
{
    struct output o = { .max_bytes = LIMIT, .dropped_bytes = 12, .dropped_messages = 3 };
    CLEANUP_BUF struct buf b = BUF_INIT(500);
    output_write_gap(&o, &b);
    assert_string_equal(b.data,
                        ",\"bytes\":12,\"messages\":3,\"reason\":\"max_output_bytes is 4096\"");
}

static int64_t empty_ring(struct output *o)
{
    enum event_type type;
    char *fields;
    size_t len;
    int64_t when, bytes = 0;
    while (output_next(o, &type, &fields, &len, &when)) {
        bytes += (int64_t)len;
        free(fields);
    }
    return bytes;
}

static void a_gap_that_was_said_counts_anew(void **state)
{
    struct output o;
    output_init(&o, LIMIT);
    for (int i = 0; i < 1000; i++)
        (void)admit(&o, i);
    assert_true(output_has_gap(&o));
    output_gap_said(&o);
    assert_true(empty_ring(&o) > 0);
    assert_false(output_has_gap(&o));
    assert_true(o.said_gap);
    for (int i = 1000; i < 2000; i++)
        (void)admit(&o, i);
    assert_true(output_has_gap(&o));
    assert_true(o.dropped_messages < 1000);
    output_done(&o);
}

static void a_ring_that_is_emptied_for_ever_lets_no_more_through_than_the_limit_again(void **state)
{
    struct output o;
    int64_t through = 0;
    output_init(&o, LIMIT);
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 200; i++)
            if (admit(&o, i))
                through += 20;
        through += empty_ring(&o);
        output_gap_said(&o);
    }
    assert_true(through <= LIMIT / 4 * 3 + LIMIT);
    output_done(&o);
}

static void count_blob(void *arg, unsigned n, const char *media_type, struct slice text)
{
    assert_int_equal(n, *(unsigned *)arg);
    assert_string_equal(media_type, "image/png");
    assert_int_equal(text.len, 300000);
    (*(unsigned *)arg)++;
}

static void a_large_value_becomes_a_reference_and_the_rest_stays(void **state)
{
    struct output o;
    struct uuid id = uuid_new();
    unsigned n = 0;
    CLEANUP_BUF struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20),
                           object = BUF_INIT(1 << 20);
    output_init(&o, LIMIT);
    buf_add_str(&in, ",\"data\":{\"text/plain\":\"p\",\"image/png\":\"");
    for (int i = 0; i < 300000; i++)
        buf_add_char(&in, 'A');
    buf_add_str(&in, "\"},\"metadata\":{\"a\":1}");
    output_put_aside(&o, &id, buf_slice(&in), &out, count_blob, &n);
    assert_int_equal(n, 1);
    assert_true(out.len < 300);
    buf_addf(&object, "{%s}", out.data + 1);
    assert_true(json_valid(buf_slice(&object)));
    assert_non_null(strstr(out.data, "\"bytes\":300000"));
    assert_non_null(strstr(out.data, "\"metadata\":{\"a\":1}"));
    output_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_output_goes_straight_on),
        cmocka_unit_test(the_head_goes_on_and_the_newest_part_is_kept),
        cmocka_unit_test(nothing_goes_straight_on_after_the_first_that_did_not),
        cmocka_unit_test(the_gap_says_how_much_is_missing),
        cmocka_unit_test(a_gap_that_was_said_counts_anew),
        cmocka_unit_test(a_ring_that_is_emptied_for_ever_lets_no_more_through_than_the_limit_again),
        cmocka_unit_test(a_large_value_becomes_a_reference_and_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
