#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cmd/bridge_message.h"

static struct bridge_message read_text(const char *text)
{
    struct bridge_message m;

    assert_true(bridge_message_read(slice_str(text), &m));
    return m;
}

static void expect(struct slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.len ? s.data : "", text, s.len);
}

static void what_a_message_is_is_told_by_its_id_and_its_method(void **state)
{
    assert_int_equal(read_text("{\"id\":1,\"method\":\"ping\"}").kind, BRIDGE_REQUEST);
    assert_int_equal(read_text("{\"method\":\"ping\",\"id\":\"\"}").kind, BRIDGE_REQUEST);
    assert_int_equal(read_text("{\"method\":\"notifications/x\"}").kind, BRIDGE_NOTIFICATION);
    assert_int_equal(read_text("{\"id\":1,\"result\":{}}").kind, BRIDGE_OTHER);
    assert_int_equal(read_text("{\"id\":null,\"method\":\"ping\"}").kind, BRIDGE_OTHER);
    assert_int_equal(read_text("{\"id\":{},\"method\":\"ping\"}").kind, BRIDGE_OTHER);
    assert_int_equal(read_text("{\"id\":1,\"method\":7}").kind, BRIDGE_OTHER);
    assert_int_equal(read_text("[{\"id\":1,\"method\":\"ping\"}]").kind, BRIDGE_OTHER);
    assert_int_equal(read_text("1").kind, BRIDGE_OTHER);
    struct bridge_message m;
    assert_false(bridge_message_read(slice_str("{\"id\":1"), &m));
    assert_false(bridge_message_read(slice_str(""), &m));
}

static void the_name_that_a_header_repeats_depends_on_the_method(void **state)
{
    expect(
        read_text("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"uri\":\"b\"}}")
            .name,
        "a");
    expect(read_text(
               "{\"id\":1,\"method\":\"resources/read\",\"params\":{\"name\":\"a\",\"uri\":\"b\"}}")
               .name,
           "b");
    expect(read_text("{\"id\":1,\"method\":\"tasks/get\",\"params\":{\"taskId\":\"t\"}}").name,
           "t");
    expect(read_text("{\"id\":1,\"method\":\"tasksx\",\"params\":{\"taskId\":\"t\"}}").name, "");
    expect(read_text("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":7}}").name, "");
    expect(read_text("{\"id\":1,\"method\":\"tools/call\",\"params\":[]}").name, "");
    expect(read_text("{\"id\":1,\"method\":\"tools/list\",\"params\":{\"name\":\"a\"}}").name, "");
}

static void a_modern_request_says_its_version(void **state)
{
    expect(read_text("{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
                     "protocolVersion\":\"2026-07-28\"}}}")
               .version,
           "2026-07-28");
    expect(read_text("{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{\"io."
                     "modelcontextprotocol\\/protocolVersion\":\"2026-07-28\"}}}")
               .version,
           "2026-07-28");
    expect(read_text("{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":7}}").version, "");
    expect(read_text("{\"id\":1,\"method\":\"x\",\"params\":{\"protocolVersion\":\"2026-07-28\"}}")
               .version,
           "");
}

static void an_answer_has_the_id_and_no_method(void **state)
{
    assert_true(bridge_message_answers(slice_str("{\"id\":1,\"result\":{}}"), slice_str("1")));
    assert_true(
        bridge_message_answers(slice_str("{\"error\":{},\"id\":\"a\"}"), slice_str("\"a\"")));
    assert_false(bridge_message_answers(slice_str("{\"id\":\"1\",\"result\":{}}"), slice_str("1")));
    assert_false(
        bridge_message_answers(slice_str("{\"id\":1,\"method\":\"ping\"}"), slice_str("1")));
    assert_false(bridge_message_answers(slice_str("{\"result\":{}}"), slice_str("1")));
    assert_false(bridge_message_answers(slice_str("[1]"), slice_str("1")));
}

static void expect_header(const char *raw, const char *line)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);

    bridge_message_header(&out, "N", slice_str(raw));
    assert_string_equal(out.data, line);
}

static void what_no_header_can_hold_goes_as_base64(void **state)
{
    expect_header("execute_code", "N: execute_code");
    expect_header("a b\\/c", "N: a b/c");
    expect_header("a\\r\\nX: y", "N: =?base64?YQ0KWDogeQ==?=");
    expect_header(" a", "N: =?base64?IGE=?=");
    expect_header("a ", "N: =?base64?YSA=?=");
    expect_header("\xc3\xbc", "N: =?base64?w7w=?=");
    expect_header("\x7f", "N: =?base64?fw==?=");
    expect_header("=?base64?x", "N: =?base64?PT9iYXNlNjQ/eA==?=");
    expect_header("", "N: =?base64?" "?=");
}

static void errors_are_jsonrpcs(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct err e = ERR_INIT;

    (void)err_set(&e, ERR_UNAVAILABLE, "no \"service\"");
    bridge_message_error(&out, slice_str("\"x\""), &e);
    assert_string_equal(out.data,
                        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":1503,\"message\":"
                        "\"no \\\"service\\\"\",\"data\":{\"code\":\"unavailable\"}}}");
    buf_reset(&out);
    bridge_message_no_json(&out, "no JSON");
    assert_string_equal(
        out.data, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"no JSON\"}}");
}

static void an_error_of_the_service_is_taken_over_with_the_requests_id(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);

    assert_true(bridge_message_adopt(
        &out, slice_str("7"),
        slice_str("{\"id\":null,\"error\":{\"code\":-32000, \"message\":\"m\"}}")));
    assert_string_equal(
        out.data, "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32000,\"message\":\"m\"}}");
    assert_false(bridge_message_adopt(&out, slice_str("7"),
                                      slice_str("{\"error\":{\"code\":\"unauthorized\"}}")));
    assert_false(bridge_message_adopt(&out, slice_str("7"), slice_str("{\"result\":{}}")));
    assert_false(bridge_message_adopt(&out, slice_str("7"), slice_str("<html>")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_message_is_is_told_by_its_id_and_its_method),
        cmocka_unit_test(the_name_that_a_header_repeats_depends_on_the_method),
        cmocka_unit_test(a_modern_request_says_its_version),
        cmocka_unit_test(an_answer_has_the_id_and_no_method),
        cmocka_unit_test(what_no_header_can_hold_goes_as_base64),
        cmocka_unit_test(errors_are_jsonrpcs),
        cmocka_unit_test(an_error_of_the_service_is_taken_over_with_the_requests_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
