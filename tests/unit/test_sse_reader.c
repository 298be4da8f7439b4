#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "cmd/sse_reader.h"

/* Every event as "ID:DATA|". */
static void write_down(void *arg, uint64_t id, struct slice data)
{
    struct buf *out = arg;
    buf_addf(out, "%llu:", (unsigned long long)id);
    buf_add_slice(out, data);
    buf_add_char(out, '|');
}

static void expect(const char *text, size_t step, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct sse_reader r;
    sse_reader_init(&r, write_down, &out);
    for (size_t at = 0, len = strlen(text); at < len; at += step)
        assert_true(sse_reader_feed(&r, slice_of(text + at, len - at < step ? len - at : step)));
    buf_add_str(&out, "");
    assert_string_equal(out.data ? out.data : "", expected);
    sse_reader_done(&r);
}

static void any_cut_of_the_bytes_gives_the_same_events(void **state)
{
    static const char *const TEXT =
        "\xef\xbb\xbfid: 1\ndata: one\n\n: ping\n\nid: 2\r\ndata: two\r\ndata:\r\ndata:  "
        "lines\r\n\r\n"
        "id: 3\rdata:three\r\rdata: same id\n\nid\ndata\n\ndata: cut off";
    for (size_t step = 1; step < 40; step++)
        expect(TEXT, step, "1:one|2:two\n\n lines|3:three|3:same id|0:|");
}

static void what_is_no_event_is_skipped(void **state)
{
    expect("event: x\nretry: 5\nfoo: bar\n\n", 100, "");
    expect("id: 5\n\ndata: x\n\n", 100, "5:x|");
    expect("id: abc\ndata: x\n\n", 100, "0:x|");
}

static void how_a_stream_goes_on_is_told_by_its_last_id_and_retry(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct sse_reader r;
    char longest[SSE_READER_ID_SIZE + 8];

    sse_reader_init(&r, write_down, &out);
    assert_int_equal(r.retry_ms, -1);
    assert_true(sse_reader_feed(&r, SLICE_LITERAL("retry: 250\nid: a-7\ndata: \n\nretry: x\n\n")));
    assert_string_equal(r.id_text, "a-7");
    assert_int_equal(r.retry_ms, 250);
    (void)snprintf(longest, sizeof longest, "id:%0*d\n", SSE_READER_ID_SIZE, 1);
    assert_true(sse_reader_feed(&r, slice_str(longest)));
    assert_string_equal(r.id_text, "");
    assert_true(sse_reader_feed(&r, SLICE_LITERAL("id: b\nid\n")));
    assert_string_equal(r.id_text, "");
    assert_true(sse_reader_feed(&r, SLICE_LITERAL("id: c\n")));
    sse_reader_reset(&r);
    assert_string_equal(r.id_text, "");
    assert_int_equal(r.retry_ms, -1);
    sse_reader_done(&r);
}

static void a_new_connection_begins_anew(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct sse_reader r;
    sse_reader_init(&r, write_down, &out);
    assert_true(sse_reader_feed(&r, SLICE_LITERAL("id: 1\ndata: half")));
    sse_reader_reset(&r);
    assert_true(sse_reader_feed(&r, SLICE_LITERAL("id: 1\ndata: whole\n\n")));
    assert_string_equal(out.data, "1:whole|");
    sse_reader_done(&r);
}

static void an_event_without_end_is_refused(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct sse_reader r;
    sse_reader_init(&r, write_down, &out);
    r.line.max_bytes = 100;
    assert_true(
        sse_reader_feed(&r, SLICE_LITERAL("data: 0123456789012345678901234567890123456789")));
    assert_false(sse_reader_feed(&r, SLICE_LITERAL("0123456789012345678901234567890123456789"
                                                   "0123456789012345678901234567890123456789")));
    sse_reader_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_of_the_bytes_gives_the_same_events),
        cmocka_unit_test(what_is_no_event_is_skipped),
        cmocka_unit_test(how_a_stream_goes_on_is_told_by_its_last_id_and_retry),
        cmocka_unit_test(a_new_connection_begins_anew),
        cmocka_unit_test(an_event_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
