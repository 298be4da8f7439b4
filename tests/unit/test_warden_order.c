#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/init_wire.h"
#include "sandbox/warden_order.h"

static struct init_start start;

/* Writes the order and decodes it as init does; the buffer must outlive `start`. */
static void write_order(struct buf *out, const char *json, struct warden_order *o)
{
    struct err e = ERR_INIT;
    assert_int_equal(warden_order_read(slice_str(json), o, &e), 0);
    assert_int_equal(warden_order_write(out, slice_str(json), o, "/run/kernel/7", 7, "abc", &e), 0);
    assert_true(init_decode_start(out->data, out->len, &start));
}

static void placeholders_are_replaced_wherever_they_stand(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct warden_order o;
    write_order(&out,
                "{\"argv\":[\"k\",\"-f\",\"{connection_file}\",\"x={connection_file},{resource_dir}"
                "y{other}\",\"\"],"
                "\"env\":{\"A\":\"1 \\u00e9\",\"B\":\"\"},\"cwd\":\"/workspace\"}",
                &o);
    assert_string_equal(start.argv[1], "-f");
    assert_string_equal(start.argv[2], "/run/kernel/7/connection.json");
    assert_string_equal(start.argv[3], "x=/run/kernel/7/connection.json,y{other}");
    assert_string_equal(start.argv[4], "");
    assert_null(start.argv[5]);
    assert_string_equal(start.env[0], "A=1 \xc3\xa9");
    assert_string_equal(start.env[1], "B=");
    assert_null(start.env[2]);
    assert_string_equal(start.cwd, "/workspace");
    assert_string_equal(start.file_path, "/run/kernel/7/connection.json");
}

static void the_connection_file_names_the_endpoints_that_are_dialled(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct warden_order o;
    char where[128];
    struct slice text;
    int64_t port;
    write_order(&out, "{\"argv\":[\"k\"]}", &o);
    struct slice file = slice_of(start.file, start.file_len);
    assert_true(json_valid(file) && json_member_string(file, "ip", &text) &&
                slice_is(text, "/run/kernel/7/ch"));
    assert_true(json_member_int(file, "iopub_port", &port) && port == 2);
    assert_true(json_member_string(file, "key", &text) && slice_is(text, "abc"));
    assert_true(json_member_string(file, "signature_scheme", &text) &&
                slice_is(text, "hmac-sha256"));
    warden_order_endpoint(&o, "/run/kernel/7", 7, LINK_IOPUB, where);
    assert_string_equal(where, "ipc:/run/kernel/7/ch-2");
    buf_reset(&out);
    write_order(&out, "{\"argv\":[\"k\"],\"transport\":\"tcp\"}", &o);
    file = slice_of(start.file, start.file_len);
    assert_true(json_member_string(file, "ip", &text) && slice_is(text, "127.0.0.1"));
    assert_true(json_member_int(file, "shell_port", &port) && port == 20057);
    warden_order_endpoint(&o, "/run/kernel/7", 7, LINK_SHELL, where);
    assert_string_equal(where, "tcp:20057");
}

static const char *cwd_of(const char *json, bool climbs)
{
    static char cwd[8192];
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct warden_order o;
    struct err e = ERR_INIT;
    assert_int_equal(warden_order_read(slice_str(json), &o, &e), 0);
    o.climbs = climbs;
    assert_int_equal(warden_order_write(&out, slice_str(json), &o, "/run/kernel/7", 7, "abc", &e),
                     0);
    assert_true(init_decode_start(out.data, out.len, &start));
    (void)snprintf(cwd, sizeof cwd, "%s", start.cwd);
    return cwd;
}

/* An older one falls to "/" for a folder that is not there. */
static void only_an_init_that_climbs_is_sent_to_a_folder(void **state)
{
    static const char IN[] = "{\"argv\":[\"k\"],\"cwd\":\"/workspace\",\"folder\":\"a b/\\u00e9\"}",
                      NONE[] = "{\"argv\":[\"k\"],\"cwd\":\"/workspace\",\"folder\":\"\"}",
                      ODD[] = "{\"argv\":[\"k\"],\"cwd\":\"/workspace\",\"folder\":7}";
    assert_string_equal(cwd_of(IN, true), "/workspace/a b/\xc3\xa9");
    assert_string_equal(cwd_of(IN, false), "/workspace");
    assert_string_equal(cwd_of(NONE, true), "/workspace");
    assert_string_equal(cwd_of(ODD, true), "/workspace");
    CLEANUP_BUF struct buf longest = BUF_INIT(1 << 20);
    buf_add_str(&longest, "{\"argv\":[\"k\"],\"cwd\":\"/workspace\",\"folder\":\"");
    for (int i = 0; i < 4090; i++)
        buf_add_char(&longest, 'a');
    buf_add_str(&longest, "\"}");
    buf_add_char(&longest, '\0');
    assert_string_equal(cwd_of(longest.data, true), "/workspace");
}

static bool refuses(const char *json)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct warden_order o;
    struct err e = ERR_INIT;
    return warden_order_read(slice_str(json), &o, &e) < 0 ||
           warden_order_write(&out, slice_str(json), &o, "/run/kernel/7", 7, "abc", &e) < 0;
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "[]",
        "{}",
        "{\"argv\":[]}",
        "{\"argv\":\"k\"}",
        "{\"argv\":[1]}",
        "{\"argv\":[\"k\"],\"transport\":\"udp\"}",
        "{\"argv\":[\"k\"],\"transport\":1}",
        "{\"argv\":[\"k\"],\"interrupt_mode\":\"\"}",
        "{\"argv\":[\"k\"],\"env\":[]}",
        "{\"argv\":[\"k\"],\"env\":{\"A\":null}}",
        "{\"argv\":[\"k\"],\"env\":{\"A\\u0000B\":\"\"}}",
        "{\"argv\":[\"k\"],\"env\":{\"A\":\"\\u0000\"}}",
        "{\"argv\":[\"k\"],\"cwd\":\"here\"}",
        "{\"argv\":[\"k\"],\"ready_timeout_ms\":0}",
        "{\"argv\":[\"k\"],\"execution_grace_ms\":-1}",
        "{\"argv\":[\"k\"],\"execution_grace_ms\":99999}",
        "{\"argv\":[\"k\"]",
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_true(refuses(BAD[i]));
    assert_false(refuses("{\"argv\":[\"k\"]}"));
}

static void a_time_that_is_longer_than_any_is_no_limit_and_does_not_overflow(void **state)
{
    struct warden_order o;
    const char *json = "{\"argv\":[\"k\"],\"ready_timeout_ms\":9223372036854775807}";
    assert_int_equal(warden_order_read(slice_str(json), &o, NULL), 0);
    assert_int_equal(o.ready_timeout_ms, 400LL * 86400 * 1000);
}

static void too_many_strings_are_refused_at_the_bound(void **state)
{
    CLEANUP_BUF struct buf json = BUF_INIT(1 << 20);
    buf_add_str(&json, "{\"argv\":[\"k\"");
    for (size_t i = 1; i < INIT_MAX_STRINGS; i++)
        buf_add_str(&json, ",\"a\"");
    size_t len = json.len;
    buf_add_str(&json, "]}");
    assert_false(refuses(json.data));
    json.len = len;
    buf_add_str(&json, ",\"a\"]}");
    assert_true(refuses(json.data));
}

static int write_exec(struct buf *out, const char *json)
{
    struct err e = ERR_INIT;
    buf_reset(out);
    return warden_order_write_exec(out, slice_str(json), &e);
}

static void a_command_is_written_as_it_is_given(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(write_exec(&out,
                                "{\"argv\":[\"echo\",\"{connection_file}\",\"\",\"a\\n\\u00e9\"],"
                                "\"env\":{\"A\":\"\"},\"cwd\":\"/w\",\"timeout_ms\":5}"),
                     0);
    assert_true(init_decode_exec(out.data, out.len, &start));
    assert_string_equal(start.argv[1], "{connection_file}");
    assert_string_equal(start.argv[2], "");
    assert_string_equal(start.argv[3], "a\n\xc3\xa9");
    assert_null(start.argv[4]);
    assert_string_equal(start.env[0], "A=");
    assert_string_equal(start.cwd, "/w");
    static const char *const BAD[] = {
        "",
        "[]",
        "{}",
        "{\"argv\":[]}",
        "{\"argv\":[1]}",
        "{\"argv\":\"k\"}",
        "{\"argv\":[\"a\\u0000\"]}",
        "{\"argv\":[\"k\"],\"env\":[]}",
        "{\"argv\":[\"k\"],\"env\":{\"A\":1}}",
        "{\"argv\":[\"k\"],\"cwd\":\"here\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(write_exec(&out, BAD[i]), -1);
}

static void a_command_is_as_long_as_a_packet_and_no_longer(void **state)
{
    CLEANUP_BUF struct buf json = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    for (int i = 0; i < 2; i++) {
        buf_reset(&json);
        buf_add_str(&json, "{\"argv\":[\"");
        for (unsigned n = 0; n < (i == 0 ? 160u << 10 : INIT_MAX_PACKET); n++)
            buf_add_char(&json, 'a');
        buf_add_str(&json, "\"],\"cwd\":\"/\"}");
        buf_add_char(&json, '\0');
        assert_int_equal(write_exec(&out, json.data), i == 0 ? 0 : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_an_init_that_climbs_is_sent_to_a_folder),
        cmocka_unit_test(placeholders_are_replaced_wherever_they_stand),
        cmocka_unit_test(the_connection_file_names_the_endpoints_that_are_dialled),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_time_that_is_longer_than_any_is_no_limit_and_does_not_overflow),
        cmocka_unit_test(too_many_strings_are_refused_at_the_bound),
        cmocka_unit_test(a_command_is_written_as_it_is_given),
        cmocka_unit_test(a_command_is_as_long_as_a_packet_and_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
