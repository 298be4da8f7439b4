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
#include "protocol/jupyter_fit.h"
#include "protocol/jupyter_mend.h"
#include "protocol/kernel_ws.h"

enum { MAX = 65536, MAX_SAID = 32 };

static struct {
    struct buf content[MAX_SAID], header[MAX_SAID];
    size_t n, n_parts;
} said;

static void on_said(void *arg, const struct slice *parts, size_t n_parts)
{
    const struct jupyter_fit *f = arg;
    assert_true(said.n < MAX_SAID);
    assert_true(n_parts > JUPYTER_N_PARTS || kernel_ws_text_bytes(parts) <= f->max_frame_bytes);
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        assert_true(json_valid(parts[i]));
    buf_init(&said.header[said.n], 4 * MAX);
    buf_init(&said.content[said.n], 4 * MAX);
    buf_add_slice(&said.header[said.n], parts[0]);
    buf_add_slice(&said.content[said.n], parts[3]);
    said.n++;
    said.n_parts = n_parts;
}

static int forget(void **state)
{
    for (size_t i = 0; i < said.n; i++) {
        buf_done(&said.header[i]);
        buf_done(&said.content[i]);
    }
    said.n = 0;
    return 0;
}

static enum jupyter_fitted fit(const char *msg_type, struct slice content, bool takes_buffers,
                               size_t n_buffers)
{
    char header[128];
    struct jupyter_fit f = { .takes_buffers = takes_buffers,
                             .max_frame_bytes = MAX,
                             .where = "look there",
                             .say = on_said,
                             .arg = &f };
    (void)snprintf(header, sizeof header, "{\"msg_id\":\"m\",\"msg_type\":\"%s\"}", msg_type);
    const struct slice parts[] = {
        slice_str(header), SLICE_LITERAL("{}"),   SLICE_LITERAL("{}"),
        content,           SLICE_LITERAL("\0\1"), SLICE_LITERAL(""),
    };
    return jupyter_fit(&f, parts, JUPYTER_N_PARTS + n_buffers);
}

/* `unit` n times between `before` and `after`. */
static void repeat(struct buf *out, const char *before, const char *unit, size_t n,
                   const char *after)
{
    buf_init(out, 16 * MAX);
    buf_add_str(out, before);
    for (size_t i = 0; i < n; i++)
        buf_add_str(out, unit);
    buf_add_str(out, after);
    assert_false(out->failed);
    assert_true(json_valid(buf_slice(out)));
}

static void what_fits_is_said_as_it_came(void **state)
{
    CLEANUP_BUF struct buf content;
    repeat(&content, "{\"name\":\"stdout\",\"text\":\"", "x", MAX - 400, "\"}");
    assert_int_equal(fit("stream", buf_slice(&content), false, 0), JUPYTER_FITTED);
    assert_int_equal(said.n, 1);
    assert_string_equal(said.content[0].data, content.data);
    assert_int_equal(fit("comm_msg", SLICE_LITERAL("{\"data\":{}}"), true, 2), JUPYTER_FITTED);
    assert_int_equal(said.n_parts, 6);
}

static void a_long_stream_is_cut_at_characters(void **state)
{
    static const char *const UNITS[] = { "x",
                                         "\\n",
                                         "\\u00e9",
                                         "\xc3\xa9",
                                         "\xf0\x9f\x98\x80",
                                         "\\ud83d\\uDe00",
                                         "a\\\\\\\"\xe2\x82\xac" };
    for (size_t u = 0; u < ARRAY_LEN(UNITS); u++) {
        CLEANUP_BUF struct buf content, text = BUF_INIT(16 * MAX);
        struct slice whole, piece, name;
        repeat(&content, "{\"name\":\"stderr\",\"text\":\".", UNITS[u], 3 * MAX / strlen(UNITS[u]),
               "\"}");
        assert_int_equal(fit("stream", buf_slice(&content), false, 0), JUPYTER_FITTED);
        assert_true(said.n >= 3 && said.n <= 5);
        for (size_t i = 0; i < said.n; i++) {
            assert_true(json_member_string(buf_slice(&said.content[i]), "text", &piece));
            assert_true(json_member_string(buf_slice(&said.content[i]), "name", &name));
            assert_true(slice_is(name, "stderr"));
            buf_add_slice(&text, piece);
        }
        assert_true(json_member_string(buf_slice(&content), "text", &whole));
        assert_true(slice_equal(whole, buf_slice(&text)));
        assert_string_equal(said.header[0].data, "{\"msg_id\":\"m\",\"msg_type\":\"stream\"}");
        assert_string_equal(said.header[1].data, "{\"msg_id\":\"m_2\",\"msg_type\":\"stream\"}");
        (void)forget(state);
    }
}

static void the_largest_value_of_a_display_makes_way(void **state)
{
    static const char *const TYPES[] = { "display_data", "update_display_data", "execute_result" };
    for (size_t t = 0; t < ARRAY_LEN(TYPES); t++) {
        CLEANUP_BUF struct buf content;
        repeat(&content, "{\"execution_count\":3,\"data\":{\"text/html\":\"<b>\",\"image/png\":\"",
               "x", MAX, "\",\"text/plain\":\"<Figure>\"},\"metadata\":{\"a\":1}}");
        assert_int_equal(fit(TYPES[t], buf_slice(&content), false, 0), JUPYTER_FITTED);
        assert_int_equal(said.n, 1);
        assert_string_equal(
            said.content[0].data,
            "{\"execution_count\":3,\"metadata\":{\"a\":1},\"data\":{\"text/html\":\"<b>\",\"text/"
            "plain\":\"<Figure>\\n[kernelhub: image/png, 65538 bytes]\\n[left out: this connection "
            "takes at most 65536 bytes in one message; look there]\"}}");
        (void)forget(state);
    }
}

static void a_text_that_is_too_long_itself_is_named_too(void **state)
{
    CLEANUP_BUF struct buf content;
    repeat(&content, "{\"data\":{\"text/plain\":\"", "x", MAX, "\"},\"metadata\":{}}");
    assert_int_equal(fit("execute_result", buf_slice(&content), false, 0), JUPYTER_FITTED);
    assert_non_null(
        strstr(said.content[0].data, "\"text/plain\":\"[kernelhub: text/plain, 65538 bytes]"));
}

static void a_bundle_of_too_many_values_is_counted(void **state)
{
    CLEANUP_BUF struct buf content = BUF_INIT(16 * MAX);
    buf_add_str(&content, "{\"data\":{");
    for (int i = 0; i < 100; i++)
        buf_addf(&content, "\"a/%d\":\"%01000d\",", i, i);
    buf_add_str(&content, "\"b/c\":0},\"metadata\":{}}");
    assert_true(json_valid(buf_slice(&content)));
    assert_int_equal(fit("display_data", buf_slice(&content), false, 0), JUPYTER_FITTED);
    assert_non_null(strstr(said.content[0].data, "[kernelhub: 96 values more]"));
}

static void a_long_error_keeps_its_name_and_the_beginning_of_its_text(void **state)
{
    CLEANUP_BUF struct buf content;
    repeat(&content, "{\"ename\":\"E\",\"evalue\":\"why: ", "x", MAX, "\",\"traceback\":[\"a\"]}");
    assert_int_equal(fit("error", buf_slice(&content), false, 0), JUPYTER_FITTED);
    struct slice got = buf_slice(&said.content[0]);
    static const char BEGIN[] = "{\"ename\":\"E\",\"evalue\":\"why: xxx";
    static const char END[] =
        "xxx\\n[kernelhub: cut here, of 65541 bytes; look there]\",\"traceback\":[\"a\"]}";
    assert_memory_equal(got.data, BEGIN, sizeof BEGIN - 1);
    assert_string_equal(got.data + got.len - (sizeof END - 1), END);
}

static void lists_that_are_too_long_are_empty(void **state)
{
    CLEANUP_BUF struct buf content;
    repeat(&content, "{\"status\":\"ok\",\"history\":[0", ",7", MAX, "],\"a\":{}}");
    assert_int_equal(fit("history_reply", buf_slice(&content), false, 0), JUPYTER_FITTED);
    assert_string_equal(said.content[0].data, "{\"status\":\"ok\",\"history\":[],\"a\":{}}");
}

static void buffers_go_together_with_their_paths(void **state)
{
    static const char COMM[] =
        "{\"comm_id\":\"c\",\"data\":{\"state\":{\"a\":1},\"buffer_paths\":[[\"v\"]]}}";
    assert_int_equal(fit("comm_msg", slice_str(COMM), false, 2), JUPYTER_FITTED_NO_BUFFERS);
    assert_int_equal(said.n_parts, JUPYTER_N_PARTS);
    assert_string_equal(said.content[0].data,
                        "{\"comm_id\":\"c\",\"data\":{\"state\":{\"a\":1},\"buffer_paths\":[]}}");
}

static void what_cannot_be_made_shorter_is_not_said(void **state)
{
    CLEANUP_BUF struct buf comm, other;
    repeat(&comm, "{\"comm_id\":\"c\",\"data\":{\"a\":\"", "x", MAX, "\"}}");
    assert_int_equal(fit("comm_msg", buf_slice(&comm), false, 0), JUPYTER_FITTED_NOT);
    assert_int_equal(fit("comm_open", buf_slice(&comm), false, 1), JUPYTER_FITTED_NOT);
    repeat(&other, "{\"a\":1", ",\"aaaaaaaa\":1", MAX, "}");
    assert_int_equal(fit("x", buf_slice(&other), false, 0), JUPYTER_FITTED_NOT);
    assert_int_equal(said.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_fits_is_said_as_it_came, forget),
        cmocka_unit_test_teardown(a_long_stream_is_cut_at_characters, forget),
        cmocka_unit_test_teardown(the_largest_value_of_a_display_makes_way, forget),
        cmocka_unit_test_teardown(a_text_that_is_too_long_itself_is_named_too, forget),
        cmocka_unit_test_teardown(a_bundle_of_too_many_values_is_counted, forget),
        cmocka_unit_test_teardown(a_long_error_keeps_its_name_and_the_beginning_of_its_text,
                                  forget),
        cmocka_unit_test_teardown(lists_that_are_too_long_are_empty, forget),
        cmocka_unit_test_teardown(buffers_go_together_with_their_paths, forget),
        cmocka_unit_test_teardown(what_cannot_be_made_shorter_is_not_said, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
