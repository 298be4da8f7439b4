#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/json.h"
#include "protocol/event_record.h"

static const struct event_head HEAD = {
    .unix_us = 1700000000123456,
    .execution_id = { "11111111-1111-4111-8111-111111111111" },
    .session = "python",
    .kernel_id = { "22222222-2222-4222-8222-222222222222" },
    .type = EVENT_STDOUT,
};

static void a_record_is_the_line_of_the_contract(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    event_record_write(&out, 17, &HEAD, SLICE_LITERAL(",\"text\":\"x\""));
    assert_string_equal(
        out.data,
        "{\"v\":1,\"seq\":17,\"ts\":\"2023-11-14T22:13:20.123456Z\","
        "\"execution_id\":\"11111111-1111-4111-8111-111111111111\",\"session\":\"python\","
        "\"kernel_id\":\"22222222-2222-4222-8222-222222222222\",\"type\":\"stdout\",\"text\":"
        "\"x\"}");
}

static void what_has_no_execution_or_kernel_says_so(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct event_head head = { .unix_us = 1, .session = "a\"\nb", .type = EVENT_KERNEL_STATUS };
    event_record_write(&out, 1, &head, slice_of(NULL, 0));
    assert_string_equal(
        out.data,
        "{\"v\":1,\"seq\":1,\"ts\":\"1970-01-01T00:00:00.000001Z\",\"session\":\"a\\\"\\nb\","
        "\"kernel_id\":null,\"type\":\"kernel_status\"}");
}

static void every_type_and_status_is_found_by_its_name(void **state)
{
    enum event_type type;
    enum status status;
    for (int i = 0; i < EVENT_N_TYPES; i++) {
        assert_true(event_type_parse(slice_str(event_type_name((enum event_type)i)), &type));
        assert_int_equal(type, i);
    }
    for (int i = 0; i < STATUS_N; i++) {
        assert_true(status_parse(slice_str(status_name((enum status)i)), &status));
        assert_int_equal(status, i);
        assert_int_equal(status_is_end(status), i > STATUS_WAITING_INPUT);
    }
    assert_false(event_type_parse(SLICE_LITERAL("ping"), &type));
    assert_false(event_type_parse(SLICE_LITERAL(""), &type));
    assert_false(status_parse(SLICE_LITERAL("done"), &status));
}

static void each_message_becomes_its_event(void **state)
{
    static const struct {
        const char *msg_type, *content;
        enum event_type type;
        const char *fields;
    } CASES[] = {
        { "stream", "{\"name\":\"stdout\",\"text\":\"a\\nb\"}", EVENT_STDOUT,
          ",\"text\":\"a\\nb\"" },
        { "stream", "{\"text\":\"e\",\"name\":\"stderr\"}", EVENT_STDERR, ",\"text\":\"e\"" },
        { "stream", "{\"name\":\"stdout\",\"text\":5}", EVENT_STDOUT, ",\"text\":\"\"" },
        { "display_data",
          "{\"data\": {\"text/plain\": \"x\"}, \"metadata\": {\"a\":1}, \"transient\": "
          "{\"display_id\": \"d\"}}",
          EVENT_DISPLAY,
          ",\"data\":{\"text/plain\":\"x\"},\"metadata\":{\"a\":1},\"display_id\":\"d\"" },
        { "display_data", "{\"data\":[],\"transient\":{\"display_id\":1}}", EVENT_DISPLAY,
          ",\"data\":{},\"metadata\":{}" },
        { "update_display_data",
          "{\"data\":{},\"metadata\":{},\"transient\":{\"display_id\":\"d\"}}", EVENT_DISPLAY,
          ",\"data\":{},\"metadata\":{},\"display_id\":\"d\",\"update\":true" },
        { "execute_result",
          "{\"execution_count\":3,\"data\":{\"text/plain\":\"42\"},\"metadata\":{}}", EVENT_RESULT,
          ",\"data\":{\"text/plain\":\"42\"},\"metadata\":{},\"execution_count\":3" },
        { "error", "{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"t\"]}", EVENT_ERROR,
          ",\"name\":\"E\",\"value\":\"v\",\"traceback\":[\"t\"]" },
        { "error", "{}", EVENT_ERROR, ",\"name\":\"\",\"value\":\"\",\"traceback\":[]" },
        { "clear_output", "{\"wait\":true}", EVENT_CLEAR_OUTPUT, ",\"wait\":true" },
        { "clear_output", "{\"wait\":\"x\"}", EVENT_CLEAR_OUTPUT, ",\"wait\":false" },
        { "input_request", "{\"prompt\":\"? \",\"password\":true}", EVENT_INPUT_REQUEST,
          ",\"prompt\":\"? \",\"password\":true" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        CLEANUP_BUF struct buf fields = BUF_INIT(1000);
        enum event_type type = EVENT_GAP;
        assert_true(
            event_from_message(CASES[i].msg_type, slice_str(CASES[i].content), &type, &fields));
        assert_int_equal(type, CASES[i].type);
        assert_string_equal(fields.data, CASES[i].fields);
    }
}

static void text_that_is_no_json_is_mended_not_lost(void **state)
{
    static const struct {
        struct slice content;
        const char *fields;
    } CASES[] = {
        { SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"a\\u0000b\"}"),
          ",\"text\":\"a\\ufffdb\"" },
        { SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"a\\udce9\\ud83dz\\ud83d\\ude00\"}"),
          ",\"text\":\"a\\ufffd\\ufffdz\\ud83d\\ude00\"" },
        { SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"a\xe9 b\\\"\"}"),
          ",\"text\":\"a\xef\xbf\xbd b\\\"\"" },
        { SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"a\nb\0c\"}"),
          ",\"text\":\"a\\u000ab\\ufffdc\"" },
        { SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"cut"), ",\"text\":\"\"" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        CLEANUP_BUF struct buf fields = BUF_INIT(1000);
        enum event_type type = EVENT_GAP;
        assert_true(event_from_message("stream", CASES[i].content, &type, &fields));
        assert_string_equal(fields.data, CASES[i].fields);
    }
}

static void what_is_no_event_is_refused(void **state)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(1000);
    enum event_type type;
    assert_false(event_from_message("status", SLICE_LITERAL("{}"), &type, &fields));
    assert_false(event_from_message("comm_msg", SLICE_LITERAL("{}"), &type, &fields));
    assert_false(event_from_message("", SLICE_LITERAL("{}"), &type, &fields));
    assert_false(event_from_message("stream", SLICE_LITERAL("[]"), &type, &fields));
    assert_false(event_from_message("stream", SLICE_LITERAL(""), &type, &fields));
    assert_false(
        event_from_message("stream", SLICE_LITERAL("{\"text\":\"nameless\"}"), &type, &fields));
    assert_int_equal(fields.len, 0);
}

static void an_event_is_one_line_whatever_the_kernel_sent(void **state)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(1000), out = BUF_INIT(1000);
    enum event_type type;
    assert_true(event_from_message(
        "display_data", SLICE_LITERAL("{\"data\":{\n\"a\"\r\n:\t[1,\n2]},\n\"metadata\":{ }\n}"),
        &type, &fields));
    event_record_write(&out, 1, &HEAD, buf_slice(&fields));
    assert_null(strchr(out.data, '\n'));
    assert_null(strchr(out.data, '\r'));
    assert_true(json_valid(buf_slice(&out)));
}

/* To repair it took the hub's one loop seconds. */
static void what_is_large_and_broken_is_a_gap(void **state)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(8u << 20), content = BUF_INIT(8u << 20);
    enum event_type type;
    for (int broken = 0; broken < 2; broken++) {
        buf_reset(&fields);
        buf_reset(&content);
        buf_addf(&content, "{\"name\":\"stdout\",\"text\":\"%05000000d%s\"}", 0,
                 broken ? "\x01" : "");
        assert_true(event_from_message("stream", buf_slice(&content), &type, &fields));
        assert_int_equal(type, broken ? EVENT_GAP : EVENT_STDOUT);
        assert_int_equal(fields.len > 5000000, !broken);
        assert_false(event_from_message("comm_msg", buf_slice(&content), &type, &fields));
    }
}

static void no_kernel_forges_a_reference(void **state)
{
    static const struct {
        const char *data, *expected;
    } CASES[] = {
        { "{\"a\":{\"ref\":\"@evil.example/x\",\"bytes\":1},\"b\":\"p\"}",
          ",\"data\":{\"a\":\"{\\\"ref\\\":\\\"@evil.example/x\\\",\\\"bytes\\\":1}\",\"b\":\"p\"}"
          ",\"metadata\":{}" },
        { "{\"a\": {\"x\": 1,\n \"ref\": null}}",
          ",\"data\":{\"a\":\"{\\\"x\\\": 1,\\n \\\"ref\\\": null}\"},\"metadata\":{}" },
        { "{\"a\":{\"\\u0072\\u0065\\u0066\":1}}",
          ",\"data\":{\"a\":\"{\\\"\\\\u0072\\\\u0065\\\\u0066\\\":1}\"},\"metadata\":{}" },
        { "{\"a\":1,\"a\":{\"ref\":2}}",
          ",\"data\":{\"a\":1,\"a\":\"{\\\"ref\\\":2}\"},\"metadata\":{}" },
        { "{\"a\":{\"refs\":1,\"Ref\":2,\"b\":{\"ref\":3}},\"b\":[\"ref\"],\"c\":[{\"ref\":1}]}",
          ",\"data\":{\"a\":{\"refs\":1,\"Ref\":2,\"b\":{\"ref\":3}},\"b\":[\"ref\"],"
          "\"c\":[{\"ref\":1}]},\"metadata\":{}" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        static const char *const TYPES[] = { "display_data", "update_display_data",
                                             "execute_result" };
        for (size_t t = 0; t < sizeof TYPES / sizeof *TYPES; t++) {
            CLEANUP_BUF struct buf content = BUF_INIT(1000), fields = BUF_INIT(1000);
            enum event_type type;
            buf_addf(&content, "{\"data\":%s}", CASES[i].data);
            assert_true(event_from_message(TYPES[t], buf_slice(&content), &type, &fields));
            assert_memory_equal(fields.data, CASES[i].expected, strlen(CASES[i].expected));
        }
    }
}

static void what_is_too_long_as_an_event_becomes_a_gap(void **state)
{
    CLEANUP_BUF struct buf content = BUF_INIT(1000), fields = BUF_INIT(300);
    enum event_type type;
    buf_add_str(&content, "{\"name\":\"stdout\",\"text\":\"");
    for (int i = 0; i < 200; i++)
        buf_add_char(&content, '\0');
    buf_add_str(&content, "\"}");
    assert_true(event_from_message("stream", buf_slice(&content), &type, &fields));
    assert_int_equal(type, EVENT_GAP);
    assert_string_equal(fields.data, ",\"bytes\":227,\"messages\":1,\"reason\":\"a message is too "
                                     "long as an event\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_the_line_of_the_contract),
        cmocka_unit_test(what_has_no_execution_or_kernel_says_so),
        cmocka_unit_test(every_type_and_status_is_found_by_its_name),
        cmocka_unit_test(each_message_becomes_its_event),
        cmocka_unit_test(text_that_is_no_json_is_mended_not_lost),
        cmocka_unit_test(what_is_no_event_is_refused),
        cmocka_unit_test(what_is_large_and_broken_is_a_gap),
        cmocka_unit_test(no_kernel_forges_a_reference),
        cmocka_unit_test(what_is_too_long_as_an_event_becomes_a_gap),
        cmocka_unit_test(an_event_is_one_line_whatever_the_kernel_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
