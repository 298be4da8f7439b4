#include "kernelhub/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define LIMIT   4096
#define MESSAGE (64 + 10) /* what one counts for beside its text */

/* Displays are never cut. */
static bool admit(struct output *o, int i)
{
    char fields[64];
    CLEANUP_BUF struct buf head = BUF_INIT(LIMIT);
    (void)snprintf(fields, sizeof fields, ",\"data\":{\"a\":%06d}", i);
    enum output_way way = output_admit(o, EVENT_DISPLAY, slice_str(fields), i, &head);
    assert_int_equal(head.len, 0);
    assert_int_not_equal(way, OUTPUT_CUT);
    return way == OUTPUT_ON;
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
    CLEANUP_BUF struct buf head = BUF_INIT(LIMIT);
    memset(big, 'x', 2999);
    output_init(&o, LIMIT);
    assert_true(admit(&o, 0));
    /* more than the head's room, too big for the ring */
    assert_int_equal(output_admit(&o, EVENT_DISPLAY, slice_str(big), 1, &head), OUTPUT_KEPT);
    assert_false(admit(&o, 2)); /* order is kept */
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

/* The text of one stdout event that was too big: what went on, what the ring has. */
static void cut(struct output *o, struct slice raw, struct buf *ret_head, struct buf *ret_tail)
{
    enum event_type type;
    char *text;
    size_t len;
    int64_t when;
    CLEANUP_BUF struct buf fields = BUF_INIT(raw.len + 100);
    buf_add_str(&fields, ",\"text\":\"");
    buf_add_slice(&fields, raw);
    buf_add_char(&fields, '"');
    (void)output_admit(o, EVENT_STDOUT, buf_slice(&fields), 7, ret_head);
    while (output_next(o, &type, &text, &len, &when)) {
        assert_int_equal(type, EVENT_STDOUT);
        buf_add(ret_tail, text, len);
        free(text);
    }
}

static void assert_is_fields(const struct buf *b)
{
    CLEANUP_BUF struct buf object = BUF_INIT(b->len + 10);
    buf_addf(&object, "{%s}", b->data + 1);
    assert_true(json_valid(buf_slice(&object)));
}

static void one_text_over_the_limit_keeps_its_beginning_and_its_end(void **state)
{
    struct output o;
    CLEANUP_BUF struct buf raw = BUF_INIT(1 << 20), head = BUF_INIT(1 << 20),
                           tail = BUF_INIT(1 << 20);
    for (int i = 0; i < 10000; i++)
        buf_addf(&raw, "%05d\\n", i);
    output_init(&o, LIMIT);
    cut(&o, buf_slice(&raw), &head, &tail);
    assert_is_fields(&head);
    assert_is_fields(&tail);
    assert_memory_equal(head.data, ",\"text\":\"00000\\n00001\\n", 23);
    assert_string_equal(tail.data + tail.len - 15, "09998\\n09999\\n\"");
    assert_true(head.len > LIMIT / 2 && head.len <= LIMIT / 4 * 3);
    assert_true(tail.len > LIMIT / 8 && tail.len <= LIMIT / 4);
    assert_true(output_has_gap(&o));
    assert_int_equal(o.dropped_bytes + (int64_t)head.len + (int64_t)tail.len - 20, raw.len);
    output_done(&o);
}

static void a_cut_goes_through_no_character(void **state)
{
    static const char *const PIECES[] = { "\\\\",     "\\u00e9",          "\\ud83d\\ude00",
                                          "\xc3\xa9", "\xf0\x9f\x98\x80", "\\\"",
                                          "\\n",      "\\\\u0041" };
    for (size_t piece = 0; piece < ARRAY_LEN(PIECES); piece++) {
        for (size_t shift = 0; shift < 13; shift++) {
            struct output o;
            CLEANUP_BUF struct buf raw = BUF_INIT(1 << 20), head = BUF_INIT(1 << 20),
                                   tail = BUF_INIT(1 << 20);
            for (size_t i = 0; i < shift; i++)
                buf_add_char(&raw, 'a');
            for (int i = 0; i < 3000; i++)
                buf_add_str(&raw, PIECES[piece]);
            output_init(&o, LIMIT);
            cut(&o, buf_slice(&raw), &head, &tail);
            assert_is_fields(&head);
            assert_is_fields(&tail);
            size_t n = strlen(PIECES[piece]);
            if (piece == ARRAY_LEN(PIECES) - 1)
                n = 1; /* an escape and five letters */
            assert_int_equal((head.len - 10 - shift) % n, 0);
            if (n > 1)
                assert_memory_equal(tail.data + 9, PIECES[piece], n);
            output_done(&o);
        }
    }
}

/* print() writes its newline as a text of its own: the large text before it is not given up for that. */
static void what_is_kept_is_the_end_of_all_texts_whatever_their_sizes(void **state)
{
    static const size_t SIZES[] = { 1, 3000, 1, 50, 500, 1, 900, 20000, 2, 1100, 700, 1 };
    for (size_t n = 1; n <= ARRAY_LEN(SIZES); n++) {
        struct output o;
        CLEANUP_BUF struct buf all = BUF_INIT(1 << 20), head = BUF_INIT(1 << 20),
                               tail = BUF_INIT(1 << 20), fields = BUF_INIT(1 << 20);
        enum event_type type;
        char *text;
        size_t len;
        int64_t when;
        output_init(&o, LIMIT);
        o.head_bytes = LIMIT; /* the head is full */
        for (size_t i = 0; i < n; i++) {
            size_t begin = all.len;
            for (size_t k = 0; k < SIZES[i]; k++)
                buf_add_char(&all, (char)('a' + (all.len * 7 + i) % 26));
            buf_reset(&fields);
            buf_addf(&fields, ",\"text\":\"%.*s\"", (int)SIZES[i], all.data + begin);
            assert_int_equal(output_admit(&o, EVENT_STDOUT, buf_slice(&fields), 7, &head),
                             OUTPUT_KEPT);
        }
        int64_t held = o.tail_bytes, dropped = o.dropped_bytes;
        size_t n_kept = (size_t)o.tail_messages, n_dropped = (size_t)o.dropped_messages;
        while (output_next(&o, &type, &text, &len, &when)) {
            assert_memory_equal(text, ",\"text\":\"", 9);
            buf_add(&tail, text + 9, len - 10);
            free(text);
        }
        assert_memory_equal(tail.data, all.data + all.len - tail.len, tail.len);
        assert_true(held <= LIMIT / 4);
        assert_true(tail.len == all.len || held >= LIMIT / 16 * 3 - MESSAGE);
        assert_true(n_kept + n_dropped == n || n_kept + n_dropped == n + 1); /* one is in part */
        int64_t frames = 10 * (int64_t)(n - n_kept);
        assert_int_equal(dropped, (int64_t)(all.len - tail.len) + frames);
        output_done(&o);
    }
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

static void after_a_restart_a_ring_is_left_whatever_was_counted(void **state)
{
    struct output o;
    output_init(&o, LIMIT);
    o.head_bytes = 1 << 20; /* long code, for one */
    output_recover(&o);
    for (int i = 0; i < 100; i++)
        assert_false(admit(&o, i));
    assert_true(o.tail_messages > 2);
    assert_true(empty_ring(&o) <= LIMIT / 4);
    output_done(&o);
    output_init(&o, LIMIT);
    o.head_bytes = 10;
    output_recover(&o);
    assert_int_equal(o.flushed_bytes, 0);
    output_done(&o);
}

static void count_blob(void *arg, unsigned n, const char *media_type, struct buf *text)
{
    assert_int_equal(n, *(unsigned *)arg);
    assert_string_equal(media_type, "image/png");
    assert_int_equal(text->len, 300000);
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

static void only_what_we_write_is_a_reference(void **state)
{
    struct uuid id = { "11111111-1111-4111-8111-111111111111" };
    unsigned n = 7;
#define OURS "/api/v1/executions/11111111-1111-4111-8111-111111111111/blobs/"
    assert_true(output_is_ref(SLICE_LITERAL("{\"ref\":\"" OURS "0\",\"bytes\":1}"), &id, &n));
    assert_int_equal(n, 0);
    assert_true(output_is_ref(SLICE_LITERAL("{\"ref\":\"" OURS "12\",\"bytes\":1}"), &id, &n));
    assert_int_equal(n, 12);
    static const char *const OTHERS[] = {
        "\"" OURS "0\"",
        "{\"ref\":\"" OURS "0\"}",
        "{\"ref\":\"" OURS "\",\"bytes\":1}",
        "{\"ref\":\"" OURS "01\",\"bytes\":1}",
        "{\"ref\":\"" OURS "1x\",\"bytes\":1}",
        "{\"ref\":\"" OURS "-1\",\"bytes\":1}",
        "{\"ref\":\"" OURS "0/../1\",\"bytes\":1}",
        "{\"ref\":\"/api/v1/executions/22222222-1111-4111-8111-111111111111/blobs/0\",\"bytes\":1}",
        "{\"ref\":\"@evil.example/0\",\"bytes\":1}",
        "{\"ref\":0,\"bytes\":1}",
        "{}",
        "[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        assert_false(output_is_ref(slice_str(OTHERS[i]), &id, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_output_goes_straight_on),
        cmocka_unit_test(the_head_goes_on_and_the_newest_part_is_kept),
        cmocka_unit_test(nothing_goes_straight_on_after_the_first_that_did_not),
        cmocka_unit_test(the_gap_says_how_much_is_missing),
        cmocka_unit_test(one_text_over_the_limit_keeps_its_beginning_and_its_end),
        cmocka_unit_test(a_cut_goes_through_no_character),
        cmocka_unit_test(what_is_kept_is_the_end_of_all_texts_whatever_their_sizes),
        cmocka_unit_test(a_gap_that_was_said_counts_anew),
        cmocka_unit_test(after_a_restart_a_ring_is_left_whatever_was_counted),
        cmocka_unit_test(a_ring_that_is_emptied_for_ever_lets_no_more_through_than_the_limit_again),
        cmocka_unit_test(only_what_we_write_is_a_reference),
        cmocka_unit_test(a_large_value_becomes_a_reference_and_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
