#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "jansson_takes.h"

#define S(text)  SLICE_LITERAL(text)
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* After JSONTestSuite: what every parser must take. */
static const struct slice GOOD[] = {
    S("{}"),
    S("[]"),
    S("\"\""),
    S("0"),
    S("-0"),
    S("true"),
    S("false"),
    S("null"),
    S(" \t\r\n[ ] \t\r\n"),
    S("[1]"),
    S("[1,2]"),
    S("[[]   ]"),
    S("[\"\"]"),
    S("[-0]"),
    S("[-1]"),
    S("[123]"),
    S("[123e65]"),
    S("[0e+1]"),
    S("[0e1]"),
    S("[ 4]"),
    S("[-0.000001]"),
    S("[20e1]"),
    S("[1E22]"),
    S("[1E-2]"),
    S("[1E+2]"),
    S("[123e45]"),
    S("[123.456e78]"),
    S("[1e-2]"),
    S("[1e+2]"),
    S("[123.456789]"),
    S("{\"a\":1}"),
    S("{\"a\":1,\"b\":{\"c\":[null]}}"),
    S("{\"\":0}"),
    S("{\"a\":\"b\",\"a\":\"c\"}"),
    S("{\n\"a\": \"b\"\n}"),
    S("{\"title\":\"\\u041f\\u043e\"}"),
    S("[\"\\u0060\\u012a\\u12AB\"]"),
    S("[\"\\uD801\\udc37\"]"),
    S("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    S("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    S("[\"\\\\u0000\"]"),
    S("[\"\\\"\"]"),
    S("[\"a/*b*/c/*d//e\"]"),
    S("[\"\\\\a\"]"),
    S("[\"\\u0012\"]"),
    S("[\"\\uFFFF\"]"),
    S("[\"asd\"]"),
    S("[\"\\uDBFF\\uDFFF\"]"),
    S("[\"new\\u00A0line\"]"),
    S("[\"\xf4\x8f\xbf\xbf\"]"),
    S("[\"\xef\xbf\xbf\"]"),
    S("[\"\xcf\x80\"]"),
    S("[\"\xe2\x80\xa8\"]"),
    S("[\"\xe2\x80\xa9\"]"),
    S("\" \""),
    S("[\"\x7f\"]"),
    S("[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]"),
    S("[\"\xf0\x9b\xbf\xbf\"]"),
    S("[\"\\u2064\"]"),
    S("[\"\\uFDD0\"]"),
    S("[\"\\u0022\"]"),
    S("[false,true,null]"),
    S("[\"\xc2\x80\"]"),
    S("[\"\xed\x9f\xbf\"]"),
    S("[\"\xee\x80\x80\"]"),
    S("[1.0,-1.0e-1]"),
    S("[\"a\\/\"]"),
    S("[\"\xe0\xa0\x80\"]"),
    S("[\"\xf0\x90\x80\x80\"]"),
};

/* What every parser must refuse. */
static const struct slice BAD[] = {
    S(""),
    S(" "),
    S("["),
    S("]"),
    S("{"),
    S("}"),
    S("[1"),
    S("[1,"),
    S("[1,]"),
    S("[,1]"),
    S("[1,,2]"),
    S("[1 2]"),
    S("[1]]"),
    S("[][]"),
    S("{}{}"),
    S("[1]x"),
    S("[\"x\"]]"),
    S("[\"\""),
    S("{\"a\"}"),
    S("{\"a\":}"),
    S("{\"a\" 1}"),
    S("{\"a\":1,}"),
    S("{\"a\":1,,\"b\":2}"),
    S("{,}"),
    S("{a:1}"),
    S("{'a':1}"),
    S("{1:1}"),
    S("{\"a\":1 \"b\":2}"),
    S("{\"a\"::1}"),
    S("{\"a\",1}"),
    S("[\"a\",\n4\n,1,"),
    S("[*]"),
    S("[:]"),
    S("[{\"a\":1]"),
    S("[1}"),
    S("{\"a\":[}"),
    S("[\"a\":1]"),
    S("{\"a\":/*c*/1}"),
    S("[1]//x"),
    S("#x\n1"),
    S("nul"),
    S("nulll"),
    S("True"),
    S("NULL"),
    S("tru"),
    S("fals"),
    S("NaN"),
    S("Infinity"),
    S("-Infinity"),
    S("[nan]"),
    S("[+1]"),
    S("[01]"),
    S("[-01]"),
    S("[1.]"),
    S("[.1]"),
    S("[-.1]"),
    S("[1e]"),
    S("[1e+]"),
    S("[1.e1]"),
    S("[0.e1]"),
    S("[1eE2]"),
    S("[- 1]"),
    S("[-]"),
    S("[--1]"),
    S("[0x1]"),
    S("[1a]"),
    S("[1_000]"),
    S("[1+2]"),
    S("[0.1.2]"),
    S("[0e]"),
    S("[1.0e-]"),
    S("-"),
    S("\""),
    S("\"a"),
    S("'a'"),
    S("[\"\\\"]"),
    S("[\"\\x00\"]"),
    S("[\"\\a\"]"),
    S("[\"\\u\"]"),
    S("[\"\\u12\"]"),
    S("[\"\\u123\"]"),
    S("[\"\\u123g\"]"),
    S("[\"\\uD800\"]"),
    S("[\"\\uDC00\"]"),
    S("[\"\\uD800\\u0041\"]"),
    S("[\"\\uD800\\uD800\"]"),
    S("[\"\\uD800\\\"]"),
    S("[\"\\uD800\\u\"]"),
    S("[\"\\uD834\\uDd\"]"),
    S("[\"\\u0000\"]"),
    S("{\"\\u0000\":1}"),
    S("[\"\t\"]"),
    S("[\"a\nb\"]"),
    S("[\"a\x00z\"]"),
    S("[\x00]"),
    S("[1]\x00"),
    S("[\"\x1f\"]"),
    S("[\"\x80\"]"),
    S("[\"\xff\"]"),
    S("[\"\xc0\x80\"]"),
    S("[\"\xc1\xbf\"]"),
    S("[\"\xc3\"]"),
    S("[\"\xc3\x28\"]"),
    S("[\"\xe0\x80\x80\"]"),
    S("[\"\xe0\x9f\xbf\"]"),
    S("[\"\xed\xa0\x80\"]"),
    S("[\"\xe2\x82\"]"),
    S("[\"\xf0\x80\x80\x80\"]"),
    S("[\"\xf0\x8f\xbf\xbf\"]"),
    S("[\"\xf4\x90\x80\x80\"]"),
    S("[\"\xf5\x80\x80\x80\"]"),
    S("[\"\xfc\x80\x80\x80\x80\x80\"]"),
    S("[\"\xf0\x9f\x98\"]"),
    S("\xef\xbb\xbf{}"),
    S("\xc2\xa0[1]"),
    S("[1\x0c]"),
    S("[\x0b]"),
    S("\xe2\x81\xa0[]"),
    S("<null>"),
    S("[\"a\" true]"),
    S("{\"a\":true \"a\"}"),
    S("{\"a\":\"b\"}#"),
    S("[1:2]"),
    S("[\\n]"),
    S("\\u0020[]"),
    S("{[\"a\"]:1}"),
    S("[\"\\"),
};

/* The bytes alone in their own allocation, so that a sanitizer sees a read behind them. */
static bool valid(struct slice s)
{
    char *exact = malloc(s.len ? s.len : 1);
    memcpy(exact, s.data, s.len);
    bool ok = json_valid(slice_of(exact, s.len));
    free(exact);
    return ok;
}

static void what_is_json_is_valid_and_jansson_agrees(void **state)
{
    for (size_t i = 0; i < COUNT(GOOD); i++)
        if (!valid(GOOD[i]) || !jansson_takes(GOOD[i].data, GOOD[i].len))
            fail_msg("refused: %.*s", (int)GOOD[i].len, GOOD[i].data);
}

static void what_is_no_json_is_not_valid_and_jansson_agrees(void **state)
{
    for (size_t i = 0; i < COUNT(BAD); i++)
        if (valid(BAD[i]) || jansson_takes(BAD[i].data, BAD[i].len))
            fail_msg("taken: %.*s", (int)BAD[i].len, BAD[i].data);
    assert_false(json_valid(slice_of(NULL, 0)));
}

static void numbers_beyond_a_machine_word_are_json(void **state)
{
    assert_true(json_valid(S("123456789012345678901234567890")));
    assert_true(json_valid(S("1e999999")));
}

static void depth_is_bounded(void **state)
{
    char text[2 * 100 + 1];
    for (size_t depth = 60; depth < 70; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_valid(slice_of(text, 2 * depth)), depth <= JSON_MAX_DEPTH);
    }
}

static void members_are_found_by_name(void **state)
{
    struct slice object = S(" { \"a\" : [1, {\"b\":2}] , \"n\":-7, \"s\" : \"x\\ny\", "
                            "\"t\":true,\"f\":1.5,\"big\":99999999999999999999,"
                            "\"null\":null }"),
                 v;
    int64_t n = 5;
    bool flag = false;
    char text[8];
    assert_true(json_member(object, "a", &v));
    assert_true(slice_is(v, "[1, {\"b\":2}]"));
    assert_true(json_member_int(object, "n", &n));
    assert_int_equal(n, -7);
    assert_false(json_member_int(object, "f", &n));
    assert_false(json_member_int(object, "big", &n));
    assert_false(json_member_int(object, "s", &n));
    assert_int_equal(n, -7);
    assert_true(json_member_string(object, "s", &v));
    assert_true(slice_is(v, "x\\ny"));
    assert_false(json_member_string(object, "n", &v));
    assert_true(json_member_bool(object, "t", &flag) && flag);
    assert_false(json_member_bool(object, "null", &flag));
    assert_false(json_member(object, "b", &v));
    assert_false(json_member(S("[1]"), "a", &v));
    assert_false(json_member(S(""), "a", &v));
    char *dup = json_member_dup(object, "s", 3);
    assert_string_equal(dup, "x\ny");
    free(dup);
    assert_null(json_member_dup(object, "s", 2));
    assert_null(json_member_dup(object, "n", 10));
    assert_true(json_copy_string(S("1234567"), text, sizeof text));
    assert_false(json_copy_string(S("12345678"), text, sizeof text));
    assert_string_equal(text, "1234567");
}

static void many_members_are_found_in_one_walk_and_the_first_of_a_name_counts(void **state)
{
    static const char *const NAMES[] = { "a", "missing", "b" };
    struct slice v[COUNT(NAMES)];
    json_members(S("{\"x\":0,\"b\":{\"a\":1},\"a\":[2],\"b\":3,\"a\":4}"), NAMES, COUNT(NAMES), v);
    assert_true(slice_is(v[0], "[2]"));
    assert_null(v[1].data);
    assert_true(slice_is(v[2], "{\"a\":1}"));
    json_members(S("[\"a\",\"b\"]"), NAMES, COUNT(NAMES), v);
    assert_true(!v[0].data && !v[1].data && !v[2].data);
}

static void members_without_braces_are_walked_like_an_object(void **state)
{
    static const char *const WANT[] = { "{\"x\":[1]}", "2" };
    struct json_iter it = json_iter_members(S(",\"a\":{\"x\":[1]},\"b\":2"));
    size_t n = 0;
    for (; json_next(&it); n++) {
        assert_true(slice_is(it.value, WANT[n]));
        assert_int_equal(it.key.data[0], 'a' + (int)n);
    }
    assert_int_equal(n, COUNT(WANT));
    it = json_iter_members(S(""));
    assert_false(json_next(&it));
}

/* The scanner takes plain text in steps of sixteen. */
static void a_special_byte_is_seen_wherever_it_stands(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } SPECIAL[] = { { "\x1f", false }, { "\x01", false },    { "\\", false },
                    { "\\n", true },   { "\\u0000", false }, { "\x80", false },
                    { "\xff", false }, { "\xc3\xa4", true }, { "\x7f", true },
                    { " ", true },     { "\"", false } };
    for (size_t i = 0; i < COUNT(SPECIAL); i++) {
        size_t len = strlen(SPECIAL[i].text);
        for (size_t before = 0; before < 36; before++) {
            for (size_t after = 0; after < 36; after++) {
                char *exact = malloc(before + len + after + 2), *at = exact;
                *at++ = '"';
                memset(at, 'a', before);
                memcpy(at + before, SPECIAL[i].text, len);
                memset(at + before + len, 'q', after); /* no escape begins with q */
                at += before + len + after;
                *at++ = '"';
                struct slice value = slice_of(exact, (size_t)(at - exact));
                assert_int_equal(json_valid(value), SPECIAL[i].is_good);
                CLEANUP_BUF struct buf quoted = BUF_INIT(1000), plain = BUF_INIT(1000);
                json_quote(&quoted, value);
                assert_true(json_valid(buf_slice(&quoted)));
                json_unescape(&plain, slice_of(quoted.data + 1, quoted.len - 2));
                if (SPECIAL[i].text[0] > 0)
                    assert_true(slice_equal(buf_slice(&plain), value));
                free(exact);
            }
        }
    }
}

static void an_array_is_walked_in_order(void **state)
{
    static const char *const WANT[] = { "1", "\"a,]\"", "[]", "{\"x\":[1]}", "null" };
    struct json_iter it = json_iter(S("[1 , \"a,]\",[],{\"x\":[1]},null]"));
    size_t n = 0;
    while (json_next(&it))
        assert_true(slice_is(it.value, WANT[n++]));
    assert_int_equal(n, COUNT(WANT));
    it = json_iter(S("7"));
    assert_false(json_next(&it));
}

static void walking_what_is_broken_stops_early(void **state)
{
    static const struct slice BROKEN[] = { S("[1,2"), S("{\"a\":1,\"b\"}"), S("{\"a\":1,x}"),
                                           S("["),    S("{\"a\""),          S("{"),
                                           S("[tru]") };
    for (size_t i = 0; i < COUNT(BROKEN); i++) {
        char *exact = malloc(BROKEN[i].len);
        memcpy(exact, BROKEN[i].data, BROKEN[i].len);
        struct json_iter it = json_iter(slice_of(exact, BROKEN[i].len));
        int n = 0;
        while (json_next(&it))
            n++;
        assert_true(n <= 2);
        free(exact);
    }
}

static void types_are_told_by_the_first_character(void **state)
{
    assert_int_equal(json_type(S(" {}")), JSON_OBJECT);
    assert_int_equal(json_type(S("[")), JSON_ARRAY);
    assert_int_equal(json_type(S("\"\"")), JSON_STRING);
    assert_int_equal(json_type(S("-1")), JSON_NUMBER);
    assert_int_equal(json_type(S("true")), JSON_TRUE);
    assert_int_equal(json_type(S("false")), JSON_FALSE);
    assert_int_equal(json_type(S("null")), JSON_NULL);
    assert_int_equal(json_type(S("  ")), JSON_NONE);
}

static void escapes_are_resolved(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(100);
    json_unescape(&out, S("a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20ac\\ud83d\\ude00z"));
    assert_string_equal(out.data, "a\"\\/\b\f\n\r\t\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
}

static void quoting_makes_anything_a_valid_string(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    json_quote(&out, S("a\"\\\b\f\n\r\t\x01\x1f/\x7f\xc3\xa4"));
    assert_string_equal(out.data, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\x7f\xc3\xa4\"");
    buf_reset(&out);
    json_quote(&out, S("\x80\x00\xc3z\xed\xa0\x80"));
    assert_string_equal(
        out.data, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_true(json_valid(buf_slice(&out)));
    buf_reset(&out);
    json_quote_str(&out, NULL);
    json_quote_str(&out, "");
    json_quote(&out, slice_of(NULL, 0));
    assert_string_equal(out.data, "null\"\"\"\"");
}

static void splicing_drops_white_space_between_tokens_only(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    assert_true(json_splice(&out, S(" {\r\n \"a b\" : [ 1 , \"x \\\" y\\\\\" ,\tnull ] } \n")));
    assert_string_equal(out.data, "{\"a b\":[1,\"x \\\" y\\\\\",null]}");
    buf_reset(&out);
    assert_false(json_splice(&out, S("{\"a\":\n")));
    assert_string_equal(out.data, "\"{\\\"a\\\":\\n\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_valid_and_jansson_agrees),
        cmocka_unit_test(what_is_no_json_is_not_valid_and_jansson_agrees),
        cmocka_unit_test(numbers_beyond_a_machine_word_are_json),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(many_members_are_found_in_one_walk_and_the_first_of_a_name_counts),
        cmocka_unit_test(members_without_braces_are_walked_like_an_object),
        cmocka_unit_test(a_special_byte_is_seen_wherever_it_stands),
        cmocka_unit_test(an_array_is_walked_in_order),
        cmocka_unit_test(walking_what_is_broken_stops_early),
        cmocka_unit_test(types_are_told_by_the_first_character),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(quoting_makes_anything_a_valid_string),
        cmocka_unit_test(splicing_drops_white_space_between_tokens_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
