/* The small readers of a request's head: token, cookie, origin, accept, query, range, timestamp; and who may try a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"
#include "web/accept.h"
#include "web/attempts.h"
#include "web/cookie.h"
#include "web/origin.h"
#include "web/query.h"
#include "web/range.h"
#include "web/token.h"

static void a_scheme_may_be_written_in_any_case(void **state)
{
    assert_true(slice_is(token_of_authorization(SLICE_LITERAL("bEARER kh_x")), "kh_x"));
    assert_true(slice_is(token_of_authorization(SLICE_LITERAL("  Token \t kh_x  ")), "kh_x"));
    assert_true(slice_is(token_of_authorization(SLICE_LITERAL("apikey kh_x")), "kh_x"));
    assert_int_equal(token_of_authorization(SLICE_LITERAL("Bearerkh_x")).len, 0);
    assert_int_equal(token_of_authorization(SLICE_LITERAL("Basic kh_x")).len, 0);
    assert_int_equal(token_of_authorization(SLICE_LITERAL("Bearer a b")).len, 0);
    assert_int_equal(token_of_authorization(SLICE_LITERAL("Bearer ")).len, 0);
}

static void a_path_prefix_is_taken_off(void **state)
{
    struct slice path = SLICE_LITERAL("/t/kh_x/api/v1/sessions");
    assert_true(slice_is(token_of_path(&path), "kh_x"));
    assert_true(slice_is(path, "/api/v1/sessions"));
    path = SLICE_LITERAL("/t/kh_x");
    assert_true(slice_is(token_of_path(&path), "kh_x"));
    assert_true(slice_is(path, "/"));
    path = SLICE_LITERAL("/table");
    assert_int_equal(token_of_path(&path).len, 0);
    assert_true(slice_is(path, "/table"));
}

static void a_header_wins(void **state)
{
    struct token t = token_find("Bearer a", "b", "c", SLICE_LITERAL("d"), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_HEADER && slice_is(t.text, "a"));
    t = token_find("Basic a", "b", "c", SLICE_LITERAL("d"), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_HEADER && slice_is(t.text, "b"));
    t = token_find(NULL, NULL, "c", SLICE_LITERAL("d"), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_QUERY && slice_is(t.text, "c"));
    t = token_find(NULL, "", "", SLICE_LITERAL("d"), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_PATH && slice_is(t.text, "d"));
    t = token_find("token ", NULL, NULL, SLICE_LITERAL("d"), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_PATH && slice_is(t.text, "d"));
    t = token_find("token ", NULL, NULL, slice_of(NULL, 0), SLICE_LITERAL("e"));
    assert_true(t.source == TOKEN_COOKIE && slice_is(t.text, "e"));
    assert_int_equal(token_find(NULL, NULL, NULL, slice_of(NULL, 0), slice_of(NULL, 0)).source,
                     TOKEN_NONE);
}

static void our_cookie_is_found_among_others(void **state)
{
    static const struct {
        const char *header, *value;
    } GOOD[] = { { "kernelhub=a", "a" },
                 { "a=b; kernelhub=c=d; kernelhub=e", "c=d" },
                 { "kernelhubs=1;  kernelhub = x\t;b", "x" },
                 { ";;=;kernelhub=\"q\"", "\"q\"" } };
    static const char *const NONE[] = { "",
                                        "kernelhub",
                                        "kernelhub=",
                                        "Kernelhub=a",
                                        "akernelhub=b",
                                        "a=kernelhub=b",
                                        "a; kernelhub b" };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        assert_true(slice_is(cookie_find(slice_str(GOOD[i].header)), GOOD[i].value));
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++)
        assert_int_equal(cookie_find(slice_str(NONE[i])).len, 0);
    assert_int_equal(cookie_find(slice_of(NULL, 0)).len, 0);
}

static void a_cookie_is_for_our_pages_and_no_script(void **state)
{
    CLEANUP_BUF struct buf a = BUF_INIT(200), b = BUF_INIT(200);
    cookie_write(&a, "v", slice_of(NULL, 0), false, 60);
    cookie_write(&b, "", SLICE_LITERAL("/hub/k"), true, 0);
    assert_string_equal(a.data, "kernelhub=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    assert_string_equal(b.data,
                        "kernelhub=; Path=/hub/k; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
}

static void a_login_leads_to_our_own_paths_only(void **state)
{
    static const char *const OURS[] = { "/", "/docs", "/a/b?c=d&e=/..#f", "/%2F/evil", "/.x" };
    static const char *const OTHERS[] = { "",
                                          "docs",
                                          "//evil",
                                          "/\\evil",
                                          "\\\\evil",
                                          "http://evil",
                                          "https:evil",
                                          "/a b",
                                          "/\t/evil",
                                          "/\r\nX: y",
                                          "javascript:alert(1)",
                                          "/\xc3\xa4",
                                          "/..//evil",
                                          "/a/%2e%2E/b",
                                          "/.%2e/",
                                          "/%2e./x" };
    const struct slice none = slice_of(NULL, 0), base = SLICE_LITERAL("/hub");
    char text[4096] = "/";
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        assert_true(origin_path_is_own(OURS[i], none));
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        assert_false(origin_path_is_own(OTHERS[i], none));
    assert_true(origin_path_is_own("/hub/", base) && origin_path_is_own("/hub/x", base));
    assert_false(origin_path_is_own("/hub", base) || origin_path_is_own("/hubs/x", base) ||
                 origin_path_is_own("/", base) || origin_path_is_own("/hub/../x", base));
    memset(text + 1, 'a', sizeof text - 2);
    assert_false(origin_path_is_own(text, none));
}

static struct attempts_address at(const char *forwarded)
{
    struct sockaddr_in peer = { .sin_family = AF_INET };
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return attempts_of((struct sockaddr *)&peer, forwarded);
}

static void who_tries_ten_wrong_keys_has_to_wait(void **state)
{
    struct attempts *a = attempts_new();
    struct attempts_address me = at(NULL), other = at("1.2.3.4");
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        assert_int_equal(attempts_wait_ms(a, &me, 1000 + i), 0);
        assert_int_equal(attempts_count(a, &me, 1000 + i), i == ATTEMPTS_MAX - 1);
    }
    assert_int_equal(attempts_wait_ms(a, &me, 1100), ATTEMPTS_MS - 100);
    assert_int_equal(attempts_wait_ms(a, &other, 1100), 0);
    const int64_t later = 1000 + ATTEMPTS_MS + 5;
    for (int i = 0; i < ATTEMPTS_MAX; i++) { /* all of them anew */
        assert_int_equal(attempts_wait_ms(a, &me, later), 0);
        assert_int_equal(attempts_count(a, &me, later), i == ATTEMPTS_MAX - 1);
    }
    assert_int_equal(attempts_wait_ms(a, &me, later), ATTEMPTS_MS);
    attempts_free(a);
}

static void the_oldest_address_is_forgotten_when_there_are_too_many(void **state)
{
    struct attempts *a = attempts_new();
    struct attempts_address who;
    char text[32];
    for (int i = 0; i <= ATTEMPTS_PLACES; i++) {
        (void)snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        who = at(text);
        for (int k = 0; k < ATTEMPTS_MAX; k++)
            (void)attempts_count(a, &who, 1000 + i);
    }
    who = at("10.0.0.0");
    assert_int_equal(attempts_wait_ms(a, &who, 2000), 0);
    who = at("10.0.0.1");
    assert_int_equal(attempts_wait_ms(a, &who, 2000), ATTEMPTS_MS - 999);
    who = at("10.0.1.0");
    assert_int_equal(attempts_wait_ms(a, &who, 2000), ATTEMPTS_MS - 744);
    attempts_free(a);
}

static bool same_address(struct attempts_address a, struct attempts_address b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void a_proxy_says_who_asks_in_its_last_word(void **state)
{
    assert_true(same_address(at("9.9.9.9, 1.2.3.4"), at(" ::ffff:1.2.3.4 ")));
    assert_true(same_address(at("2001:db8::1"), at("x,2001:db8::ffff:2")));
    assert_false(same_address(at("2001:db8::1"), at("2001:db8:0:1::1")));
    assert_false(same_address(at("1.2.3.4"), at(NULL)));
    assert_true(same_address(at(""), at(NULL)) && same_address(at("1.2.3.4,"), at(NULL)));
    assert_true(same_address(at("unknown"), at("127.0.0.1")));
}

static void only_our_hosts_are_ours(void **state)
{
    static const char *const OURS[] = { "localhost", "LocalHost:80", "127.0.0.1:1",
                                        "[::1]",     "[::1]:65535",  "127.0.0.5:80" };
    static const char *const OTHERS[] = {
        "",          "evil",      "localhost.evil", "localhost:x", "localhost:123456",
        "[::1",      "[::1]evil", "127.0.0.2",      "::1",         "localhost@evil",
        " localhost"
    };
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        assert_true(origin_host_allowed(OURS[i], "127.0.0.5"));
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        assert_false(origin_host_allowed(OTHERS[i], "127.0.0.5"));
    assert_true(origin_is_loopback("127.9.9.9") && origin_is_loopback("::1") &&
                origin_is_loopback("localhost"));
    assert_false(origin_is_loopback("0.0.0.0") || origin_is_loopback("::") ||
                 origin_is_loopback("127.0.0.1.evil"));
}

static void an_origin_is_ours_when_it_is_the_host(void **state)
{
    assert_true(origin_is_own("http://127.0.0.1:8080", "127.0.0.1:8080"));
    assert_true(origin_is_own("https://Hub.Example", "hub.example"));
    assert_false(origin_is_own("http://127.0.0.1:8081", "127.0.0.1:8080"));
    assert_false(origin_is_own("null", "127.0.0.1"));
    assert_false(origin_is_own("file://", ""));
    assert_false(origin_is_own("evil://127.0.0.1", "127.0.0.1"));
    assert_false(origin_is_own("http://a", NULL));
}

static void accept_prefers_by_quality_then_order(void **state)
{
    assert_int_equal(accept_form(NULL), FORM_JSON);
    assert_int_equal(accept_form(""), FORM_JSON);
    assert_int_equal(accept_form("text/event-stream"), FORM_SSE);
    assert_int_equal(accept_form("text/html, application/x-ndjson;q=0.2"), FORM_NDJSON);
    assert_int_equal(accept_form("application/json; q=0.25,text/event-stream ;q=0.3"), FORM_SSE);
    assert_int_equal(accept_form("*/*, text/event-stream"), FORM_JSON);
    assert_int_equal(accept_form("text/event-stream;q=0.000"), FORM_JSON);
    assert_int_equal(accept_form(",,;;q=,"), FORM_JSON);
}

static void a_query_is_read_strictly(void **state)
{
    struct query q;
    struct err e = ERR_INIT;
    assert_int_equal(query_parse(&q, SLICE_LITERAL("a=1+2&&b&c=%26=&"), &e), 0);
    assert_string_equal(query_get(&q, "a"), "1 2");
    assert_string_equal(query_get(&q, "b"), "");
    assert_string_equal(query_get(&q, "c"), "&=");
    assert_null(query_get(&q, "d"));
    assert_int_equal(query_check(&q, "c b a", &e), 0);
    assert_int_equal(query_check(&q, "abc b a", &e), -1);
    assert_non_null(strstr(e.text, "\"c\""));
    query_done(&q);
    static const char *const BAD[] = { "a=%", "a=%0", "a=%00", "%ff", "a&a", "a=1&a=1", "a=\x01" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(query_parse(&q, slice_str(BAD[i]), &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
        query_done(&q);
    }
}

static void a_range_is_one_part_or_nothing(void **state)
{
    struct range r;
    assert_int_equal(range_parse("bytes=0-0", 10, &r), RANGE_PART);
    assert_true(r.first == 0 && r.len == 1);
    assert_int_equal(range_parse("bytes=-20", 10, &r), RANGE_PART);
    assert_true(r.first == 0 && r.len == 10);
    assert_int_equal(range_parse("bytes=9-999999999999999999", 10, &r), RANGE_PART);
    assert_true(r.first == 9 && r.len == 1);
    assert_int_equal(range_parse("bytes=10-", 10, &r), RANGE_OUTSIDE);
    assert_int_equal(range_parse("bytes=-0", 10, &r), RANGE_OUTSIDE);
    assert_int_equal(range_parse("bytes=0-", 0, &r), RANGE_OUTSIDE);
    assert_int_equal(range_parse("bytes=3-2", 10, &r), RANGE_NONE);
    assert_int_equal(range_parse("bytes=0-1,2-3", 10, &r), RANGE_NONE);
    assert_int_equal(range_parse("lines=1-2", 10, &r), RANGE_NONE);
    assert_int_equal(range_parse("bytes=99999999999999999999-", 10, &r), RANGE_NONE);
}

static void a_timestamp_is_rfc_3339(void **state)
{
    int64_t us;
    assert_true(timestamp_parse(SLICE_LITERAL("1970-01-01T00:00:01Z"), &us) && us == 1000000);
    assert_true(timestamp_parse(SLICE_LITERAL("1970-01-01t01:00:00.000001+01:00"), &us) && us == 1);
    assert_true(timestamp_parse(SLICE_LITERAL("2028-02-29T00:00:00-00:30"), &us) &&
                us == 1835397000000000);
    static const char *const BAD[] = { "",
                                       "2027-02-29T00:00:00Z",
                                       "2027-13-01T00:00:00Z",
                                       "2027-01-01 00:00:00Z",
                                       "2027-01-01T00:00:00",
                                       "2027-01-01T24:00:00Z",
                                       "2027-01-01T00:00:00.Z",
                                       "2027-01-01T00:00:00Zx",
                                       "2027-01-01T00:00:00+0100" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(timestamp_parse(slice_str(BAD[i]), &us));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(a_scheme_may_be_written_in_any_case),
        cmocka_unit_test(a_path_prefix_is_taken_off),
        cmocka_unit_test(a_header_wins),
        cmocka_unit_test(our_cookie_is_found_among_others),
        cmocka_unit_test(a_cookie_is_for_our_pages_and_no_script),
        cmocka_unit_test(a_login_leads_to_our_own_paths_only),
        cmocka_unit_test(who_tries_ten_wrong_keys_has_to_wait),
        cmocka_unit_test(the_oldest_address_is_forgotten_when_there_are_too_many),
        cmocka_unit_test(a_proxy_says_who_asks_in_its_last_word),
        cmocka_unit_test(only_our_hosts_are_ours),
        cmocka_unit_test(an_origin_is_ours_when_it_is_the_host),
        cmocka_unit_test(accept_prefers_by_quality_then_order),
        cmocka_unit_test(a_query_is_read_strictly),
        cmocka_unit_test(a_range_is_one_part_or_nothing),
        cmocka_unit_test(a_timestamp_is_rfc_3339),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
