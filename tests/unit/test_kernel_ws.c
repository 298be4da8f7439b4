#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/jupyter_mend.h"
#include "protocol/kernel_ws.h"

static struct kernel_ws_message got;

/* Reads from memory of exactly that size, so that a sanitizer sees a read behind it; the slices are good until the next call. */
static bool read_exact(enum kernel_ws protocol, bool is_binary, const void *bytes, size_t len)
{
    static char *exact;
    free(exact);
    exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    bool ok = kernel_ws_read(protocol, is_binary, slice_of(exact, len), &got);
    if (!ok)
        free(TAKE(exact));
    return ok;
}

static bool read_text(const char *text)
{
    return read_exact(KERNEL_WS_DEFAULT, false, text, strlen(text));
}

static const struct slice PARTS[] = { SLICE_LITERAL(
                                          "{\"msg_id\":\"m-1\",\"msg_type\":\"comm_msg\",\"x\":7}"),
                                      SLICE_LITERAL("{\"msg_id\":\"p\"}"),
                                      SLICE_LITERAL("{}"),
                                      SLICE_LITERAL("{\"data\":{}}"),
                                      SLICE_LITERAL("\0\1\2"),
                                      SLICE_LITERAL("") };

static void the_default_protocol_writes_text_without_buffers_and_binary_with_them(void **state)
{
    static const char TEXT[] =
        "{\"header\":{\"msg_id\":\"m-1\",\"msg_type\":\"comm_msg\",\"x\":7},\"msg_id\":\"m-1\","
        "\"msg_type\":\"comm_msg\",\"parent_header\":{\"msg_id\":\"p\"},\"metadata\":{},"
        "\"content\":{\"data\":{}},\"buffers\":[],\"channel\":\"iopub\"}";
    CLEANUP_BUF struct buf text = BUF_INIT(4096), binary = BUF_INIT(4096);
    assert_false(kernel_ws_write(&text, KERNEL_WS_DEFAULT, LINK_IOPUB, PARTS, 4));
    assert_string_equal(text.data, TEXT);
    assert_true(kernel_ws_write(&binary, KERNEL_WS_DEFAULT, LINK_IOPUB, PARTS, 6));
    /* three parts: the object, a buffer of three bytes, one of none */
    size_t json_len = strlen(TEXT) - strlen(",\"buffers\":[]");
    const unsigned char head[] = { 0, 0, 0, 3, 0, 0, 0, 16 };
    assert_int_equal(binary.len, 16 + json_len + 3);
    assert_memory_equal(binary.data, head, sizeof head);
    assert_int_equal((unsigned char)binary.data[11], 16 + json_len - 256 * ((16 + json_len) / 256));
    assert_memory_equal(binary.data + 16 + json_len, "\0\1\2", 3);
}

static void v1_has_the_bytes_the_header_promises(void **state)
{
    static const unsigned char HEAD[] = {
        6,   0,   0,   0,   0,   0,   0, 0, /* n: five parts and the end */
        56,  0,   0,   0,   0,   0,   0, 0, /* channel */
        61,  0,   0,   0,   0,   0,   0, 0, /* header */
        105, 0,   0,   0,   0,   0,   0, 0, /* parent_header */
        119, 0,   0,   0,   0,   0,   0, 0, /* metadata */
        121, 0,   0,   0,   0,   0,   0, 0, /* content */
        132, 0,   0,   0,   0,   0,   0, 0, /* the end */
        's', 'h', 'e', 'l', 'l', '{',
    };
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    assert_true(kernel_ws_write(&out, KERNEL_WS_V1, LINK_SHELL, PARTS, 4));
    assert_int_equal(out.len, 132);
    assert_memory_equal(out.data, HEAD, sizeof HEAD);
}

static void what_is_written_is_read_again(void **state)
{
    for (int protocol = KERNEL_WS_DEFAULT; protocol <= KERNEL_WS_V1; protocol++) {
        for (size_t n = 4; n <= 6; n++) {
            CLEANUP_BUF struct buf out = BUF_INIT(4096);
            bool is_binary =
                kernel_ws_write(&out, (enum kernel_ws)protocol, LINK_CONTROL, PARTS, n);
            assert_true(read_exact((enum kernel_ws)protocol, is_binary, out.data, out.len));
            assert_int_equal(got.channel, LINK_CONTROL);
            assert_string_equal(got.names.msg_id, "m-1");
            assert_string_equal(got.names.msg_type, "comm_msg");
            assert_true(slice_equal(got.m.header, PARTS[0]) && slice_equal(got.m.parent, PARTS[1]));
            assert_true(slice_equal(got.m.metadata, PARTS[2]) &&
                        slice_equal(got.m.content, PARTS[3]));
            assert_int_equal(got.m.n_buffers, n - 4);
            for (size_t i = 4; i < n; i++)
                assert_true(slice_equal(got.m.buffers[i - 4], PARTS[i]));
            /* a frame that was cut is none */
            for (size_t len = 0; len < out.len && is_binary && n == 4; len++)
                assert_false(read_exact((enum kernel_ws)protocol, true, out.data, len));
        }
    }
}

static void odd_clients_are_understood(void **state)
{
    /* smolagents: no channel, no date; AutoGen: buffers is an object; nbclient: date is a number */
    assert_true(read_text("{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"execute_request\"},"
                          "\"parent_header\":{},\"metadata\":{},\"content\":{\"code\":\"1\"}}"));
    assert_int_equal(got.channel, LINK_SHELL);
    assert_true(read_text("{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"t\",\"date\":1.5},"
                          "\"buffers\":{},\"channel\":\"stdin\",\"content\":null}"));
    assert_int_equal(got.channel, LINK_STDIN);
    assert_true(slice_is(got.m.content, "{}") && slice_is(got.m.parent, "{}"));
    assert_int_equal(got.m.n_buffers, 0);
}

static void nonsense_is_refused(void **state)
{
    static const char *const TEXTS[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"t\"}",
        "{\"header\":7}",
        "{\"header\":{\"msg_id\":\"a\"}}",
        "{\"header\":{\"msg_type\":\"t\"}}",
        "{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"t\"},\"channel\":\"hb\"}",
        "{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"t\"},\"content\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        assert_false(read_text(TEXTS[i]));
    assert_false(kernel_ws_read(KERNEL_WS_V1, false, slice_str("{}"), &got));
    char large[KERNEL_WS_MAX_HEADER_BYTES + 100];
    static const int BYTES = KERNEL_WS_MAX_HEADER_BYTES - 36; /* of what stands around it */
    for (int more = 0; more < 2; more++) {
        (void)snprintf(large, sizeof large,
                       "{\"header\":{\"msg_id\":\"a\",\"msg_type\":\"t\",\"x\":\"%0*d\"}}",
                       BYTES + more, 0);
        assert_int_equal(read_text(large), !more);
    }
    static const unsigned char TABLES[][24] = {
        { 0 },                                                   /* no parts */
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },      /* too many */
        { 1, 0, 0, 0, 0, 0, 0, 0, 16 },                          /* the end alone */
        { 2, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0, 24 }, /* a part in the table, or none */
        { 2, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 23 }, /* backwards */
        { 2, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, /* behind the frame */
    };
    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++) {
        assert_false(read_exact(KERNEL_WS_V1, true, TABLES[i], sizeof TABLES[i]));
        assert_false(read_exact(KERNEL_WS_DEFAULT, true, TABLES[i], sizeof TABLES[i]));
    }
}

/* ---- jupyter_mend ---- */

static const char HEADER[] =
    "{\"msg_id\":\"m\",\"msg_type\":\"%s\",\"username\":\"\",\"session\":\"s\","
    "\"date\":\"d\",\"version\":\"5.4\"%s}";

static void what_is_good_is_passed_on_byte_for_byte(void **state)
{
    char header[256];
    snprintf(header, sizeof header, HEADER, "stream", ",\"subshell_id\":\"x\"");
    const struct slice parts[] = { slice_str(header), SLICE_LITERAL("{ }"), SLICE_LITERAL("{}"),
                                   SLICE_LITERAL("{\"name\":\"stdout\", \"text\":\"a\"}") };
    CLEANUP_MENDED struct jupyter_mended m;
    assert_true(jupyter_mend(parts, true, &m));
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        assert_ptr_equal(m.part[i].data, parts[i].data);
}

static void assert_mended(const char *msg_type, const char *content, const char *expected)
{
    char header[256];
    snprintf(header, sizeof header, HEADER, msg_type, "");
    const struct slice parts[] = { slice_str(header), slice_of(NULL, 0), SLICE_LITERAL("null"),
                                   slice_str(content) };
    CLEANUP_MENDED struct jupyter_mended m;
    assert_true(jupyter_mend(parts, true, &m));
    assert_true(slice_is(m.part[1], "{}") && slice_is(m.part[2], "{}"));
    CLEANUP_BUF struct buf made = BUF_INIT(4096);
    buf_add_slice(&made, m.part[3]);
    assert_string_equal(made.data, expected);
    assert_true(json_valid(m.part[3]));
}

static void a_content_that_lacks_what_its_type_needs_gets_it(void **state)
{
    assert_mended("stream", "{\"text\":\"a\"}", "{\"name\":\"stdout\",\"text\":\"a\"}");
    assert_mended(
        "execute_result", "{\"data\":{\"text/plain\":\"1\"},\"x\":[1]}",
        "{\"execution_count\":0,\"data\":{\"text/plain\":\"1\"},\"metadata\":{},\"x\":[1]}");
    assert_mended("clear_output", "{\"wait\":true}", "{\"wait\":true}");
    assert_mended("clear_output", "[]", "{\"wait\":false}");
    assert_mended("error", "{\"ename\":7}",
                  "{\"ename\":\"Error\",\"evalue\":\"\",\"traceback\":[]}");
    assert_mended("unheard_of", "{\"ename\":7}", "{\"ename\":7}");
}

static void what_is_no_json_becomes_some(void **state)
{
    assert_mended("x", "{\"a\":NaN,\"b\":[-Infinity,Infinity],\"c\":\"NaN \\\" Infinity\"}",
                  "{\"a\":null,\"b\":[null,null],\"c\":\"NaN \\\" Infinity\"}");
    assert_mended("x", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ufffd\"}");
    assert_mended("x", "{\"a\":", "{}");
}

/* Repairing took a second for each ten million bytes, and the hub has one loop. */
static void what_is_large_and_broken_is_left_out_and_what_only_lacks_a_field_is_not(void **state)
{
    static const char *const ENDS[] = { "", ",\"x\":NaN", ",\"metadata\":7" };
    CLEANUP_BUF struct buf content = BUF_INIT(8u << 20);
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        buf_reset(&content);
        buf_addf(&content, " { \"data\":{\"a\":\"%05000000d\"}%s}", 0, ENDS[i]);
        const struct slice parts[] = {
            SLICE_LITERAL("{\"msg_id\":\"a\",\"msg_type\":\"display_data\"}"), SLICE_LITERAL("{}"),
            SLICE_LITERAL("{}"), buf_slice(&content)
        };
        CLEANUP_MENDED struct jupyter_mended m;
        struct slice data;
        assert_true(jupyter_mend(parts, true, &m) && json_valid(m.part[3]));
        assert_true(json_member(m.part[3], "data", &data));
        assert_int_equal(data.len > 5000000, i == 0);
        assert_true(json_member(m.part[3], "metadata", &data) && slice_is(data, "{}"));
    }
}

static void a_header_gets_its_strings_and_keeps_what_is_unknown(void **state)
{
    const struct slice parts[] = {
        SLICE_LITERAL("{\"msg_type\":\"status\",\"date\":1.5,\"subshell_id\":\"x\"}"),
        SLICE_LITERAL("{}"), SLICE_LITERAL("{}"), SLICE_LITERAL("{}")
    };
    CLEANUP_MENDED struct jupyter_mended m;
    assert_true(jupyter_mend(parts, true, &m));
    assert_true(slice_is(m.part[0],
                         "{\"msg_id\":\"\",\"msg_type\":\"status\",\"username\":\"\",\"session\":"
                         "\"\",\"date\":\"1970-01-01T00:00:00.000000Z\",\"version\":\"5.3\","
                         "\"subshell_id\":\"x\"}"));
}

static void a_message_without_a_type_is_beyond_mending(void **state)
{
    const struct slice parts[] = { SLICE_LITERAL("{\"msg_id\":\"a\"}"), SLICE_LITERAL("{}"),
                                   SLICE_LITERAL("{}"), SLICE_LITERAL("{\"a\":NaN}") };
    CLEANUP_MENDED struct jupyter_mended m;
    assert_false(jupyter_mend(parts, false, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_protocol_writes_text_without_buffers_and_binary_with_them),
        cmocka_unit_test(v1_has_the_bytes_the_header_promises),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(odd_clients_are_understood),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(what_is_good_is_passed_on_byte_for_byte),
        cmocka_unit_test(a_content_that_lacks_what_its_type_needs_gets_it),
        cmocka_unit_test(what_is_no_json_becomes_some),
        cmocka_unit_test(what_is_large_and_broken_is_left_out_and_what_only_lacks_a_field_is_not),
        cmocka_unit_test(a_header_gets_its_strings_and_keeps_what_is_unknown),
        cmocka_unit_test(a_message_without_a_type_is_beyond_mending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
