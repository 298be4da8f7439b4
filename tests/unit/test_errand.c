/* What the hub asks of the courier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/errand.h"
#include "protocol/frame.h"

#define WHOLE                                                                                      \
    "{\"id\":7,\"url\":\"https://a.b/c?d\",\"message_id\":\"m-1\",\"timestamp\":5,\"signature\":"  \
    "\"v1,a+/=\",\"timeout_ms\":15000,\"body\":\"{\\\"x\\\":1}\"}"

static void what_goes_in_comes_out(void **state)
{
    struct errand a = { .id = 12345678901,
                        .timestamp = 1700000000,
                        .timeout_ms = 120000,
                        .body = SLICE_LITERAL("{\"text\":\"ä\\n\"}\n") },
                  got;
    struct err e = ERR_INIT;
    struct slice frame;
    size_t used;
    strcpy(a.url, "http://example.org/hook?token=%20x&y=[1]");
    strcpy(a.message_id, "msg_A-9");
    strcpy(a.signature, "v1,abc+/=");
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf body = BUF_INIT(1 << 16);
    errand_encode(&out, &a);
    assert_int_equal(frame_decode(buf_slice(&out), ERRAND_MAX_FRAME_BYTES, &frame, &used),
                     DECODE_OK);
    assert_int_equal(used, out.len);
    assert_int_equal(errand_decode(frame, &got, &e), DECODE_OK);
    json_unescape(&body, got.body);
    assert_string_equal(body.data, a.body.data);
    assert_string_equal(got.url, a.url);
    assert_string_equal(got.message_id, a.message_id);
    assert_string_equal(got.signature, a.signature);
    assert_true(got.id == a.id && got.timestamp == a.timestamp && got.timeout_ms == a.timeout_ms);
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const WRONG[][2] = {
        { "\"id\":7", "\"id\":0" },
        { "\"id\":7", "\"id\":7,\"id\":7" },
        { "\"id\":7", "\"id\":\"7\"" },
        { "\"id\":7,", "" },
        { "https://", "ftp://" },
        { "https://", "HTTPS://" },
        { "https://a.b/c?d", "https://" },
        { "https://a.b/c?d", "https://a b" },
        { "https://a.b/c?d", "https://a\\u000d\\u000ab" },
        { "https://a.b/c?d", "https://a\\\\b" },
        { "https://a.b/c?d", "https://\\u00e4" },
        { "m-1", "" },
        { "m-1", "m 1" },
        { "m-1", "m\\n1" },
        { "v1,a+/=", "v1,a\\r\\nX: y" },
        { "\"timestamp\":5", "\"timestamp\":-5" },
        { "\"timestamp\":5", "\"timestamp\":5.5" },
        { "15000", "120001" },
        { "15000", "0" },
        { "\"body\":\"{\\\"x\\\":1}\"", "\"body\":{}" },
        { "\"id\":7", "\"id\":7,\"header\":\"X: y\"" },
    };
    struct errand a;
    struct err e = ERR_INIT;
    assert_int_equal(errand_decode(SLICE_LITERAL(WHOLE), &a, &e), DECODE_OK);
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        const char *at = strstr(WHOLE, WRONG[i][0]);
        assert_non_null(at);
        buf_add(&text, WHOLE, (size_t)(at - WHOLE));
        buf_add_str(&text, WRONG[i][1]);
        buf_add_str(&text, at + strlen(WRONG[i][0]));
        e = (struct err)ERR_INIT;
        if (errand_decode(buf_slice(&text), &a, &e) != DECODE_BAD)
            fail_msg("taken: %s", text.data);
        assert_string_not_equal(e.text, "");
    }
}

static void a_url_has_a_length(void **state)
{
    char url[ERRAND_MAX_URL + 2];
    memset(url, 'x', sizeof url);
    memcpy(url, "http://", 7);
    assert_true(errand_url_is_plain(slice_of(url, ERRAND_MAX_URL)));
    assert_false(errand_url_is_plain(slice_of(url, ERRAND_MAX_URL + 1)));
    assert_false(errand_url_is_plain(slice_of(url, 7)));
    assert_false(errand_url_is_plain(slice_of(NULL, 0)));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_url_has_a_length),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
