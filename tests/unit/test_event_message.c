#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "protocol/event_message.h"

/* A message's content as an event record, and back: what a client that was away hears is what it would have heard. */
static void comes_back(const char *msg_type, const char *content, enum link_channel channel)
{
    enum event_type type;
    enum link_channel is;
    const char *name = "";
    const struct event_head head = { .session = "s", .unix_us = 1 };
    CLEANUP_BUF struct buf fields = BUF_INIT(4096), record = BUF_INIT(8192), back = BUF_INIT(8192);
    struct event_head with_type = head;
    assert_true(event_from_message(msg_type, slice_str(content), &type, &fields));
    with_type.type = type;
    event_record_write(&record, 7, &with_type, buf_slice(&fields));
    assert_true(event_to_message(buf_slice(&record), slice_of(NULL, 0), &is, &name, &back));
    assert_string_equal(name, msg_type);
    assert_string_equal(back.data, content);
    assert_int_equal(is, channel);
}

static void what_a_kernel_said_is_said_again(void **state)
{
    comes_back("stream", "{\"name\":\"stdout\",\"text\":\"a\\n\"}", LINK_IOPUB);
    comes_back("stream", "{\"name\":\"stderr\",\"text\":\"\"}", LINK_IOPUB);
    comes_back("display_data",
               "{\"data\":{\"text/plain\":\"x\",\"a/b\":{\"n\":[1]}},\"metadata\":{\"k\":1},"
               "\"transient\":{}}",
               LINK_IOPUB);
    comes_back("display_data", "{\"data\":{},\"metadata\":{},\"transient\":{\"display_id\":\"d\"}}",
               LINK_IOPUB);
    comes_back("update_display_data",
               "{\"data\":{\"text/plain\":\"y\"},\"metadata\":{},\"transient\":{\"display_id\":"
               "\"d\"}}",
               LINK_IOPUB);
    comes_back("execute_result",
               "{\"data\":{\"text/plain\":\"42\"},\"metadata\":{},\"execution_count\":3}",
               LINK_IOPUB);
    comes_back("clear_output", "{\"wait\":true}", LINK_IOPUB);
    comes_back("error", "{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"a\",\"b\"]}",
               LINK_IOPUB);
    comes_back("input_request", "{\"prompt\":\"? \",\"password\":true}", LINK_STDIN);
}

static void assert_message(const char *record, const char *msg_type, const char *content)
{
    enum link_channel channel;
    const char *name;
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    assert_true(event_to_message(slice_str(record), slice_of(NULL, 0), &channel, &name, &out));
    assert_string_equal(name, msg_type);
    assert_string_equal(out.data, content);
}

static void a_beginning_and_a_gap_are_said_in_a_kernels_words(void **state)
{
    assert_message("{\"type\":\"started\",\"code\":\"1\",\"execution_count\":null}",
                   "execute_input", "{\"code\":\"1\",\"execution_count\":0}");
    assert_message("{\"type\":\"gap\",\"bytes\":12,\"messages\":3,\"reason\":\"too \\\"much\\\"\"}",
                   "stream",
                   "{\"name\":\"stderr\",\"text\":\"\\n[kernelhub: 12 bytes are missing here: too "
                   "\\\"much\\\"]\\n\"}");
}

static void large_values_take_their_place(void **state)
{
    enum link_channel channel;
    const char *name;
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    assert_true(event_to_message(
        SLICE_LITERAL("{\"type\":\"result\",\"data\":{\"a/b\":{\"ref\":\"x\",\"bytes\":1}},"
                      "\"metadata\":{},\"execution_count\":1}"),
        SLICE_LITERAL("{\"a/b\":\"whole\"}"), &channel, &name, &out));
    assert_string_equal(out.data,
                        "{\"data\":{\"a/b\":\"whole\"},\"metadata\":{},\"execution_count\":1}");
}

static void what_is_no_message_is_none(void **state)
{
    static const char *const RECORDS[] = { "",
                                           "[]",
                                           "{}",
                                           "{\"type\":\"queued\"}",
                                           "{\"type\":\"finished\",\"status\":\"ok\"}",
                                           "{\"type\":\"unheard\"}",
                                           "{\"type\":\"stdout\"" };
    enum link_channel channel;
    const char *name;
    for (size_t i = 0; i < sizeof RECORDS / sizeof *RECORDS; i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(8192);
        assert_false(
            event_to_message(slice_str(RECORDS[i]), slice_of(NULL, 0), &channel, &name, &out));
    }
}

static void assert_reply(const char *finished, const char *error, const char *content)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    event_write_reply(slice_str(finished), slice_str(error), &out);
    assert_string_equal(out.data, content);
}

static void a_reply_says_how_it_ended(void **state)
{
    assert_reply(
        "{\"status\":\"ok\",\"execution_count\":4}", "",
        "{\"status\":\"ok\",\"execution_count\":4,\"user_expressions\":{},\"payload\":[]}");
    assert_reply("{\"status\":\"error\",\"execution_count\":4}",
                 "{\"type\":\"error\",\"name\":\"E\",\"value\":\"v\",\"traceback\":[]}",
                 "{\"status\":\"error\",\"execution_count\":4,\"ename\":\"E\",\"evalue\":\"v\","
                 "\"traceback\":[]}");
    assert_reply(
        "{\"status\":\"kernel_died\",\"execution_count\":null,\"reason\":\"it \\\"fell\\\"\"}", "",
        "{\"status\":\"error\",\"execution_count\":null,\"ename\":\"kernel_died\","
        "\"evalue\":\"it \\\"fell\\\"\",\"traceback\":[]}");
    assert_reply("{\"status\":\"lost\"}", "",
                 "{\"status\":\"error\",\"execution_count\":null,\"ename\":\"lost\",\"evalue\":"
                 "\"lost\",\"traceback\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_kernel_said_is_said_again),
        cmocka_unit_test(a_beginning_and_a_gap_are_said_in_a_kernels_words),
        cmocka_unit_test(large_values_take_their_place),
        cmocka_unit_test(what_is_no_message_is_none),
        cmocka_unit_test(a_reply_says_how_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
