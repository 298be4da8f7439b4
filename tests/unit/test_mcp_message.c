#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/mcp_message.h"

#define ENVELOPE(VERSION)                                                                          \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"" VERSION                            \
    "\",\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/"                                        \
    "call\",\"params\":{\"name\":\"t\\u00e9\"," ENVELOPE("2026-07-28") "}}"

static struct mcp_message good(const char *text)
{
    struct mcp_message m;
    const char *why;
    assert_int_equal(mcp_message_shape(slice_str(text)), MCP_OBJECT);
    assert_int_equal(mcp_message_read(slice_str(text), &m, &why), 0);
    return m;
}

static int code_of(const char *text)
{
    struct mcp_message m;
    const char *why = NULL;
    int code = mcp_message_read(slice_str(text), &m, &why);
    assert_true(!code == !why);
    return code;
}

static void what_a_body_is(void **state)
{
    CLEANUP_BUF struct buf deep = BUF_INIT(1000);
    assert_int_equal(mcp_message_shape(slice_str(" {} ")), MCP_OBJECT);
    assert_int_equal(mcp_message_shape(slice_str("[1]")), MCP_BATCH);
    assert_int_equal(mcp_message_shape(slice_str("\"x\"")), MCP_NO_MESSAGE);
    static const char *const BAD[] = { "", "{", "{}{}", "{\"a\":\"\xff\"}", "{\"a\":1,}", "nul" };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(mcp_message_shape(slice_str(BAD[i])), MCP_NO_JSON);
    for (int i = 0; i < 65; i++)
        buf_add_char(&deep, '[');
    for (int i = 0; i < 65; i++)
        buf_add_char(&deep, ']');
    assert_int_equal(mcp_message_shape(buf_slice(&deep)), MCP_NO_JSON);
}

static void requests_notifications_and_responses_are_told_apart(void **state)
{
    struct mcp_message m = good("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools\\/list\"}");
    assert_int_equal(m.kind, MCP_REQUEST);
    assert_string_equal(m.method, "tools/list");
    assert_true(slice_is(m.id, "7") && slice_is(m.params, "{}") && slice_is(m.meta, "{}"));
    m = good("{\"method\":\"notifications/"
             "cancelled\",\"params\":{\"requestId\":1},\"jsonrpc\":\"2.0\"}");
    assert_int_equal(m.kind, MCP_NOTIFICATION);
    assert_true(slice_is(m.params, "{\"requestId\":1}"));
    m = good("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"a\":1}}");
    assert_int_equal(m.kind, MCP_RESPONSE);
    assert_true(slice_is(m.result, "{\"a\":1}") && !m.error.len);
    m = good("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":1}}");
    assert_true(m.kind == MCP_RESPONSE && m.error.len && !m.result.len);
}

static void what_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
    } CASES[] = {
        { "{\"id\":1,\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"result\":{}}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"\\u0069d\":2,\"method\":\"a\"}", MCP_INVALID_REQUEST },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[]}", MCP_INVALID_PARAMS },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":null}", MCP_INVALID_PARAMS },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":1}}",
          MCP_INVALID_PARAMS },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"a\":1,\"a\":1}}",
          MCP_INVALID_PARAMS },
        { "[]", MCP_INVALID_REQUEST },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(code_of(CASES[i].text), CASES[i].code);
}

static void an_error_knows_the_id_that_could_be_read(void **state)
{
    struct mcp_message m;
    const char *why;
    assert_int_equal(mcp_message_read(slice_str("{\"id\":\"q\",\"method\":\"a\"}"), &m, &why),
                     MCP_INVALID_REQUEST);
    assert_true(slice_is(m.id, "\"q\""));
}

static void ids_and_tokens_have_a_limit(void **state)
{
    char text[1024], id[MCP_ID_BYTES];
    memset(id, '9', sizeof id);
    (void)snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"method\":\"a\"}",
                   (int)sizeof id, id);
    assert_int_equal(code_of(text), 0);
    (void)snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%.*s9,\"method\":\"a\"}",
                   (int)sizeof id, id);
    assert_int_equal(code_of(text), MCP_INVALID_REQUEST);
    struct mcp_message m =
        good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":"
             "{\"progressToken\":\"t\"}}}");
    assert_true(slice_is(mcp_message_progress_token(&m), "\"t\""));
    m = good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":"
             "{\"progressToken\":{}}}}");
    assert_int_equal(mcp_message_progress_token(&m).len, 0);
}

static void a_message_shows_its_era(void **state)
{
    struct mcp_message modern = good(CALL);
    struct mcp_message legacy = good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
    assert_true(mcp_message_is_modern(&modern, NULL));
    assert_true(mcp_message_is_modern(&modern, "2025-11-25"));
    assert_true(mcp_message_is_modern(&modern, "v9"));
    assert_true(mcp_message_is_modern(&legacy, "2026-07-28"));
    assert_true(mcp_message_is_modern(&legacy, " 2026-07-28\t"));
    assert_false(mcp_message_is_modern(&legacy, "2025-11-25"));
    assert_false(mcp_message_is_modern(&legacy, "1999-01-01"));
    assert_false(mcp_message_is_modern(&legacy, NULL));
}

static int check(const char *text, const char *version, const char *method, const char *name)
{
    struct mcp_message m = good(text);
    const struct mcp_head head = { version, method, name };
    return mcp_message_check(&m, &head).code;
}

static void the_head_repeats_the_message(void **state)
{
    static const char
        LATE[] = "2026-07-28",
        OTHER[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" ENVELOPE(
            "x9") "}}";
    assert_int_equal(check(CALL, LATE, "tools/call", "=?base64?dMOp?="), 0);
    assert_int_equal(check(CALL, LATE, "tools/call", "t\xc3\xa9"), 0);
    assert_int_equal(check(CALL, LATE, "tools/call", "=?base64?dMOp?"), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, LATE, "tools/call", "=?base64?dMO?="), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, LATE, "tools/call", "=?base64?dM Op?="), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, LATE, "tools/call", NULL), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, LATE, "tools/Call", "t\xc3\xa9"), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, LATE, NULL, "t\xc3\xa9"), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, NULL, "tools/call", "t\xc3\xa9"), MCP_HEADER_MISMATCH);
    assert_int_equal(check(CALL, "2025-11-25", "tools/call", "t\xc3\xa9"), MCP_HEADER_MISMATCH);
    assert_int_equal(check(OTHER, "x9", "tools/list", NULL), MCP_UNSUPPORTED_VERSION);
    assert_int_equal(check("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}", LATE, "a", NULL),
                     MCP_INVALID_PARAMS);
}

static void a_result_says_more_to_modern_clients(void **state)
{
    static const struct mcp_server SERVER = { "s", "S", "1" };
    static const struct slice OBJECT = { " { \"a\" : 1 } ", 13 };
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    mcp_write_result(&out, MCP_2025_11_25, &SERVER, SLICE_LITERAL("1"), "complete", MCP_KEEP_PUBLIC,
                     OBJECT);
    assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\" : 1 }}");
    buf_reset(&out);
    mcp_write_result(&out, MCP_2026_07_28, &SERVER, SLICE_LITERAL("\"x\""), "complete",
                     MCP_KEEP_PRIVATE, SLICE_LITERAL("{}"));
    assert_string_equal(
        out.data,
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"resultType\":\"complete\",\"_meta\":{"
        "\"io.modelcontextprotocol/"
        "serverInfo\":{\"name\":\"s\",\"title\":\"S\",\"version\":\"1\"}},"
        "\"ttlMs\":0,\"cacheScope\":\"private\"}}");
    assert_true(json_valid(buf_slice(&out)));
}

static void errors_without_an_id_have_none(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct mcp_fault f = { .code = MCP_UNSUPPORTED_VERSION, .text = "no", .requested = "x\"" };
    mcp_write_error(&out, slice_of(NULL, 0), MCP_PARSE_ERROR, "a \"b\"", slice_of(NULL, 0));
    assert_string_equal(
        out.data, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"a \\\"b\\\"\"}}");
    buf_reset(&out);
    mcp_write_fault(&out, SLICE_LITERAL("1"), &f);
    assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022,"
                                  "\"message\":\"no\",\"data\":{\"supported\":[\"2026-07-28\"],"
                                  "\"requested\":\"x\\\"\"}}}");
}

static void versions_differ(void **state)
{
    enum mcp_version v;
    assert_true(mcp_version_parse(slice_str("2025-03-26"), &v) && mcp_version_has_batches(v));
    assert_false(mcp_version_has_batches(MCP_2025_06_18));
    assert_true(mcp_version_has_priming(MCP_2025_11_25));
    assert_false(mcp_version_has_priming(MCP_2025_06_18));
    assert_false(mcp_version_has_structured(MCP_2025_03_26));
    assert_false(mcp_version_parse(slice_str("2025-03-2"), &v));
    for (int i = 0; i < MCP_N_VERSIONS; i++)
        assert_int_equal(mcp_version_is_modern((enum mcp_version)i), i == MCP_2026_07_28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_body_is),
        cmocka_unit_test(requests_notifications_and_responses_are_told_apart),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(an_error_knows_the_id_that_could_be_read),
        cmocka_unit_test(ids_and_tokens_have_a_limit),
        cmocka_unit_test(a_message_shows_its_era),
        cmocka_unit_test(the_head_repeats_the_message),
        cmocka_unit_test(a_result_says_more_to_modern_clients),
        cmocka_unit_test(errors_without_an_id_have_none),
        cmocka_unit_test(versions_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
