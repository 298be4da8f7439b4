#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_message.h"

static struct jupyter_message m;

static void the_delimiter_is_found_not_counted_to(void **state)
{
    const struct slice frames[] = { SLICE_LITERAL("topic"),     SLICE_LITERAL("id"),
                                    SLICE_LITERAL("<IDS|MSG>"), SLICE_LITERAL("sig"),
                                    SLICE_LITERAL("{h}"),       SLICE_LITERAL("{p}"),
                                    SLICE_LITERAL("{m}"),       SLICE_LITERAL("{c}"),
                                    SLICE_LITERAL("buffer"),    SLICE_LITERAL("") };
    assert_true(jupyter_cut(frames, 10, &m));
    assert_true(slice_is(m.header, "{h}") && slice_is(m.parent, "{p}") &&
                slice_is(m.metadata, "{m}") && slice_is(m.content, "{c}"));
    assert_int_equal(m.n_buffers, 2);
    assert_true(slice_is(m.buffers[0], "buffer") && m.buffers[1].len == 0);
    assert_true(jupyter_cut(frames + 2, 6, &m));
    assert_int_equal(m.n_buffers, 0);
}

static void messages_without_a_delimiter_or_a_frame_are_refused(void **state)
{
    static struct slice frames[JUPYTER_MAX_BUFFERS + 8];
    frames[0] = SLICE_LITERAL("<IDS|MSG>");
    for (size_t n = 0; n < 6; n++)
        assert_false(jupyter_cut(frames, n, &m));
    assert_false(jupyter_cut(frames + 1, 7, &m));
    assert_true(jupyter_cut(frames, JUPYTER_MAX_BUFFERS + 6, &m));
    assert_false(jupyter_cut(frames, JUPYTER_MAX_BUFFERS + 7, &m));
}

static void the_signature_is_the_hmac_of_the_four_frames(void **state)
{
    char signature[JUPYTER_SIGNATURE_CHARS + 1];
    /* RFC 4231, test case 2, its data cut in four */
    m.header = SLICE_LITERAL("what do ya");
    m.parent = SLICE_LITERAL(" want ");
    m.metadata = SLICE_LITERAL("");
    m.content = SLICE_LITERAL("for nothing?");
    m.n_buffers = 1;
    m.buffers[0] = SLICE_LITERAL("not signed");
    jupyter_sign(SLICE_LITERAL("Jefe"), &m, signature);
    assert_string_equal(signature,
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    jupyter_sign(SLICE_LITERAL(""), &m, signature);
    assert_string_equal(signature, "");
}

static void of_a_header_only_what_we_route_by_is_read(void **state)
{
    struct jupyter_header h;
    assert_true(jupyter_read_header(
        SLICE_LITERAL(
            "{\"x\":{\"msg_id\":\"no\"},\"msg_id\":\"a-1\",\"date\":1.5,\"msg_type\":\"status\"}"),
        &h));
    assert_string_equal(h.msg_id, "a-1");
    assert_string_equal(h.msg_type, "status");
    assert_true(jupyter_read_header(SLICE_LITERAL("{}"), &h));
    assert_string_equal(h.msg_id, "");
    assert_true(
        jupyter_read_header(SLICE_LITERAL("{\"msg_id\":\"\\u0041\\n\",\"msg_type\":7}"), &h));
    assert_string_equal(h.msg_id, "A\n");
    assert_string_equal(h.msg_type, "");
}

static void ids_that_are_too_long_or_hold_a_nul_count_as_none(void **state)
{
    struct jupyter_header h;
    char text[200];
    (void)memset(text, 'x', sizeof text);
    memcpy(text, "{\"msg_id\":\"", 11);
    memcpy(text + 11 + 128, "\"}", 2);
    assert_true(jupyter_read_header(slice_of(text, 11 + 128 + 2), &h));
    assert_string_equal(h.msg_id, "");
    memcpy(text + 11 + 127, "\"}", 2);
    assert_true(jupyter_read_header(slice_of(text, 11 + 127 + 2), &h));
    assert_int_equal(strlen(h.msg_id), 127);
    assert_true(jupyter_read_header(slice_of("{\"msg_id\":\"a\0b\"}", 16), &h));
    assert_string_equal(h.msg_id, "");
    assert_true(jupyter_read_header(SLICE_LITERAL("{\"msg_id\":\"a\\u0000b\"}"), &h));
    assert_string_equal(h.msg_id, "");
}

static void what_is_no_object_has_no_header(void **state)
{
    struct jupyter_header h;
    assert_false(jupyter_read_header(SLICE_LITERAL(""), &h));
    assert_false(jupyter_read_header(SLICE_LITERAL("[]"), &h));
    assert_false(jupyter_read_header(SLICE_LITERAL("\"x\""), &h));
    assert_string_equal(h.msg_id, "");
}

static void our_header_is_valid_json_with_a_date(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 12);
    jupyter_write_header(&out, "id\"1", "execute_request", "s", 1795255200123456);
    assert_true(json_valid(buf_slice(&out)));
    struct slice date;
    assert_true(json_member_string(buf_slice(&out), "date", &date));
    assert_true(slice_is(date, "2026-11-21T10:00:00.123456Z"));
    struct jupyter_header h;
    assert_true(jupyter_read_header(buf_slice(&out), &h));
    assert_string_equal(h.msg_id, "id\"1");
    assert_string_equal(h.msg_type, "execute_request");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_delimiter_is_found_not_counted_to),
        cmocka_unit_test(messages_without_a_delimiter_or_a_frame_are_refused),
        cmocka_unit_test(the_signature_is_the_hmac_of_the_four_frames),
        cmocka_unit_test(of_a_header_only_what_we_route_by_is_read),
        cmocka_unit_test(ids_that_are_too_long_or_hold_a_nul_count_as_none),
        cmocka_unit_test(what_is_no_object_has_no_header),
        cmocka_unit_test(our_header_is_valid_json_with_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
