/* URLs that strangers want to be called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kernelhub/callback_url.h"

static enum err_code check(const char *url, const char *allowed)
{
    struct network_policy policy;
    struct err e = ERR_INIT;
    assert_int_equal(network_policy_parse(&policy, allowed, false, &e), 0);
    if (callback_url_check(slice_str(url), &policy, &e) == 0)
        return ERR_NONE;
    assert_string_not_equal(e.text, "");
    assert_null(strstr(e.text, "secret"));
    return e.code;
}

static void urls_of_the_web_are_taken(void **state)
{
    static const char *const GOOD[] = {
        "https://example.org",
        "http://example.org/",
        "https://a.b-c.example:8443/x",
        "https://example.org/hook?secret=a%20b&x=[1]",
        "http://1.1.1.1/",
        "http://[2606:4700::1111]:80/x",
        "https://example.org?x",
        "https://example.org:65535",
        "http://host_with_underscore/",
        "https://example.org/a@b",
        "http://localhost/",
        "http://intranet/",
    };
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        if (check(GOOD[i], "") != ERR_NONE)
            fail_msg("refused: %s", GOOD[i]);
}

static void what_is_no_url_is_invalid(void **state)
{
    static const char *const WRONG[] = {
        "",
        "example.org",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://x/",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://?x",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://example.org\\@127.0.0.1/",
        "https://example.org#@127.0.0.1/",
        "https://example.org/#part",
        "https://exa mple.org/",
        "https://example.org/\r\nX: y",
        "https://ex\xc3\xa4mple.org/",
        "https://exa%6dple.org/",
        "https://example.org:",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:8x/",
        "https://example.org:80:80/",
        "https://[::1/",
        "https://[zz]/",
        "https://[::1]x/",
        "https://[127.0.0.1%25eth0]/",
        "https://[fe80::1%25eth0]/",
    };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++)
        if (check(WRONG[i], "") != ERR_INVALID)
            fail_msg("not invalid: %s", WRONG[i]);
}

static void forbidden_addresses_are_denied(void **state)
{
    static const char *const DENIED[] = {
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/x?secret=1",
        "http://10.1.2.3/",
        "http://169.254.169.254/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::a00:1]:1/",
        "http://0.0.0.0/",
        "http://[fd00::1]/",
    };
    for (size_t i = 0; i < ARRAY_LEN(DENIED); i++)
        if (check(DENIED[i], "") != ERR_POLICY)
            fail_msg("not denied: %s", DENIED[i]);
    assert_int_equal(check("http://127.0.0.1:9/", "127.0.0.0/8"), ERR_NONE);
    assert_int_equal(check("http://10.0.0.1/", "127.0.0.0/8"), ERR_POLICY);
}

static void a_query_is_not_shown(void **state)
{
    struct slice shown = callback_url_shown(SLICE_LITERAL("https://a/b?secret=1"));
    assert_true(slice_is(shown, "https://a/b"));
    assert_true(slice_is(callback_url_shown(SLICE_LITERAL("https://a/b")), "https://a/b"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(urls_of_the_web_are_taken),
        cmocka_unit_test(what_is_no_url_is_invalid),
        cmocka_unit_test(forbidden_addresses_are_denied),
        cmocka_unit_test(a_query_is_not_shown),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
